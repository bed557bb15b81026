//! An index through its life: built, added to, removed from, compacted, damaged, interrupted, with an encoder that is a
//! few lines.
#![allow(clippy::unwrap_used)]

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};

use polytask_core::hash::text64;
use polytask_core::{Problem, Purpose, Rng};
use polytask_index::documents::files_of;
use polytask_index::store::EncoderStamp;
use polytask_index::{
    Added, ChunkBy, Chunking, Condition, Embedding, GraphParams, IndexSettings, IndexWriter, OpenIndex,
    RowColumns, SearchMode, VectorStore, Wanted,
};
use tempfile::TempDir;

const WIDTH: usize = 24;

/// The sum of a random direction per word.
fn vector(text: &str) -> Vec<f32> {
    let mut sum = vec![1e-3_f32; WIDTH];
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let mut rng = Rng::new(text64(&word.to_lowercase()), Purpose::Bench, &[]);
        sum.iter_mut().for_each(|v| *v += rng.uniform() as f32 - 0.5);
    }
    let norm = sum.iter().map(|v| v * v).sum::<f32>().sqrt();
    sum.into_iter().map(|v| v / norm).collect()
}

fn stamp() -> EncoderStamp {
    EncoderStamp {
        source: "words".into(),
        hash: "a".repeat(64),
        width: WIDTH,
        task: None,
        corpus_prompt: None,
        tokens: None,
    }
}

fn settings(store: VectorStore, graph: bool) -> IndexSettings {
    IndexSettings {
        chunking: Chunking { by: ChunkBy::Sentences, tokens: 12, overlap: 0 },
        store,
        graph: graph.then(GraphParams::default),
    }
}

struct World {
    folder: TempDir,
    /// Texts that were embedded so far.
    embedded: Cell<usize>,
    /// Calls of the encoder until it fails.
    fails_after: Cell<usize>,
}

impl World {
    fn new() -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
            embedded: Cell::new(0),
            fails_after: Cell::new(usize::MAX),
        };
        world.write(
            "a.md",
            "# Engines\nWho repairs engines? A mechanic does. The engine is cold.\n## Oil\nOil is slippery.",
        );
        world.write("b.txt", "A bird sings in the tree. The cat looks at the bird.");
        let rows = "{\"_id\":\"r1\",\"text\":\"the moon is round\",\"year\":2019}\n{\"_id\":\"r2\",\"text\":\"the sun is hot\",\"year\":2021}\n";
        world.write("rows.jsonl", rows);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path("docs")).unwrap();
        fs::write(self.path("docs").join(name), text).unwrap();
    }

    fn index(&self) -> PathBuf {
        self.path("docs.index")
    }

    fn create(&self, settings: IndexSettings) -> polytask_core::Result<Added> {
        self.fill(
            &mut IndexWriter::create(&self.index(), stamp(), settings, false).map_err(core)?,
            &mut || {},
        )
    }

    fn add(&self) -> polytask_core::Result<Added> {
        self.fill(&mut IndexWriter::open(&self.index()).map_err(core)?, &mut || {})
    }

    /// Adds all of `docs`; `at` is called whenever something was written.
    fn fill(&self, writer: &mut IndexWriter, at: &mut dyn FnMut()) -> polytask_core::Result<Added> {
        let embed = |texts: &[String]| {
            if self.fails_after.get() == 0 {
                return Err(Problem::new("the encoder was switched off").into());
            }
            self.fails_after.set(self.fails_after.get() - 1);
            self.embedded.set(self.embedded.get() + texts.len());
            Ok(texts.iter().flat_map(|text| vector(text)).collect::<Vec<f32>>().into())
        };
        let count = |texts: &[&str]| Ok(texts.iter().map(|text| text.split_whitespace().count()).collect());
        let stamp = stamp();
        let embedding = Embedding { stamp: &stamp, embed: &embed, count: &count, topics: None };
        let (files, _) = files_of(&[self.path("docs")]);
        writer.add(&files, &RowColumns::default(), &embedding, &mut |_| at()).map_err(core)
    }

    fn found(&self, query: &str, mode: SearchMode) -> Vec<(String, f32)> {
        found(&self.index(), query, mode, &[])
    }
}

fn core(error: polytask_model::Error) -> polytask_core::Error {
    match error {
        polytask_model::Error::Core(error) => error,
        other => panic!("{other}"),
    }
}

/// Text and score of what is found.
fn found(index: &Path, query: &str, mode: SearchMode, conditions: &[Condition]) -> Vec<(String, f32)> {
    let index = OpenIndex::open(index).unwrap();
    let wanted = Wanted { mode, k: 5, conditions, once_per_document: false, exact: false, tokens: None };
    let found = index.search(&[query], &vector(query), &wanted).unwrap().remove(0);
    found.iter().map(|found| index.hit(found).unwrap()).map(|hit| (hit.text, hit.score)).collect()
}

/// All files below a folder with their content.
fn content(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(content(&path));
        } else {
            all.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

fn copy(from: &Path, to: &Path) {
    for (path, bytes) in content(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, bytes).unwrap();
    }
}

#[test]
fn what_was_built_is_found_by_vectors_words_and_both() {
    for (store, graph) in [(VectorStore::F32, false), (VectorStore::Int8, false), (VectorStore::F16, true)] {
        let world = World::new();
        let added = world.create(settings(store, graph)).unwrap();
        assert_eq!((added.documents, added.skipped.len()), (4, 0));
        for mode in [SearchMode::Dense, SearchMode::Bm25, SearchMode::Hybrid] {
            assert_eq!(world.found("oil slippery", mode)[0].0, "Oil is slippery.");
            assert!(world.found("bird in the tree", mode)[0].0.starts_with("A bird sings"));
        }
        let index = OpenIndex::open(&world.index()).unwrap();
        let wanted = Wanted {
            mode: SearchMode::Hybrid,
            k: 3,
            conditions: &[],
            once_per_document: true,
            exact: true,
            tokens: None,
        };
        let hits = index.search(&["engine"], &vector("engine"), &wanted).unwrap().remove(0);
        let best = index.hit(&hits[0]).unwrap();
        assert_eq!((&*best.source, best.titles[0].as_str()), ("a.md", "Engines"));
        let why = index.explain("engine oil", &hits[0]);
        assert!(why.dense.is_some() && why.words.iter().any(|of| of.word == "engine"), "{why:?}");
        let mut documents: Vec<String> = hits.iter().map(|hit| index.document(hit).unwrap().id).collect();
        documents.dedup();
        assert_eq!(documents.len(), hits.len());
    }
}

#[test]
fn conditions_on_stored_fields_hold() {
    let world = World::new();
    world.create(settings(VectorStore::F32, true)).unwrap();
    let condition = [Condition::parse("year>=2020").unwrap()];
    for mode in [SearchMode::Dense, SearchMode::Bm25, SearchMode::Hybrid] {
        let texts = found(&world.index(), "the moon is", mode, &condition);
        assert_eq!(texts.iter().map(|(text, _)| &**text).collect::<Vec<_>>(), ["the sun is hot"]);
    }
}

#[test]
fn only_what_changed_is_embedded_and_replaced() {
    let world = World::new();
    world.create(settings(VectorStore::F32, false)).unwrap();
    let before = world.embedded.get();
    let added = world.add().unwrap();
    assert_eq!((added.unchanged, added.documents, world.embedded.get()), (4, 0, before));
    world.write(
        "b.txt",
        "A bird sings in the tree. The cat looks at the bird. A dog barks at both of them all day.",
    );
    world.write("c.txt", "The sea is deep.");
    let added = world.add().unwrap();
    assert_eq!((added.unchanged, added.replaced, added.documents), (3, 1, 1));
    assert_eq!(world.embedded.get(), before + 2, "the first passage of b.txt is as it was");
    assert_eq!(world.found("sea deep", SearchMode::Dense)[0].0, "The sea is deep.");
    let birds = world.found("bird sings", SearchMode::Bm25);
    assert_eq!(birds.iter().filter(|(text, _)| text.starts_with("A bird")).count(), 1, "{birds:?}");
}

#[test]
fn an_index_that_grew_and_shrank_answers_as_one_built_at_once() {
    let (world, fresh) = (World::new(), World::new());
    world.create(settings(VectorStore::F32, false)).unwrap();
    world.write("c.txt", "The sea is deep. The bird is not.");
    world.add().unwrap();
    let (n, missing) = IndexWriter::open(&world.index())
        .unwrap()
        .remove(&["b.txt".into(), "none".into()], &[Condition::parse("year<2020").unwrap()])
        .unwrap();
    assert_eq!((n, missing), (2, vec!["none".to_owned()]));
    fs::remove_file(fresh.path("docs/b.txt")).unwrap();
    fresh.write("c.txt", "The sea is deep. The bird is not.");
    fresh.write("rows.jsonl", "{\"_id\":\"r2\",\"text\":\"the sun is hot\",\"year\":2021}\n");
    fresh.create(settings(VectorStore::F32, false)).unwrap();
    for compacted in [false, true] {
        for query in ["bird", "the engine is cold", "sun", "moon"] {
            for mode in [SearchMode::Dense, SearchMode::Bm25, SearchMode::Hybrid] {
                assert_eq!(world.found(query, mode), fresh.found(query, mode), "{query} {compacted}");
            }
        }
        IndexWriter::open(&world.index()).unwrap().compact().unwrap();
    }
    let index = OpenIndex::open(&world.index()).unwrap();
    assert_eq!((index.segments.len(), index.manifest.live_documents()), (1, 3));
    index.verify().unwrap();
}

#[test]
fn a_reader_goes_on_while_its_segments_are_replaced() {
    let world = World::new();
    world.create(settings(VectorStore::F32, false)).unwrap();
    let reader = OpenIndex::open(&world.index()).unwrap();
    IndexWriter::open(&world.index()).unwrap().compact().unwrap();
    let wanted = Wanted {
        mode: SearchMode::Hybrid,
        k: 1,
        conditions: &[],
        once_per_document: false,
        exact: false,
        tokens: None,
    };
    let hits = reader.search(&["oil slippery"], &vector("oil slippery"), &wanted).unwrap().remove(0);
    assert_eq!(reader.hit(&hits[0]).unwrap().text, "Oil is slippery.");
}

#[test]
fn whenever_a_change_is_ended_the_index_is_what_it_was_and_no_vector_is_lost() {
    let world = World::new();
    world.create(settings(VectorStore::Int8, true)).unwrap();
    let old = world.found("bird", SearchMode::Hybrid);
    // Enough for several pieces.
    let lines: String =
        (0..5000).map(|i| format!("{{\"_id\":\"n{i}\",\"text\":\"number {i} of the birds\"}}\n")).collect();
    world.write("many.jsonl", &lines);
    let snapshots = RefCell::new(Vec::new());
    let mut writer = IndexWriter::open(&world.index()).unwrap();
    let added = world.fill(&mut writer, &mut || {
        let folder = tempfile::tempdir().unwrap();
        copy(&world.index(), folder.path());
        snapshots.borrow_mut().push(folder);
    });
    drop(writer);
    assert_eq!(added.unwrap().documents, 5000);
    let all = world.embedded.get();
    let snapshots = snapshots.into_inner();
    assert!(snapshots.len() > 4, "{}", snapshots.len());
    for snapshot in &snapshots {
        assert_eq!(found(snapshot.path(), "bird", SearchMode::Hybrid, &[]), old);
    }
    // The last one was ended before the new segment had its name: all vectors are there.
    fs::remove_dir_all(world.index()).unwrap();
    copy(snapshots.last().unwrap().path(), &world.index());
    assert_eq!(world.add().unwrap().embedded, 0);
    assert_eq!(world.embedded.get(), all);
    assert_eq!(OpenIndex::open(&world.index()).unwrap().manifest.live_documents(), 5004);
    let names: Vec<_> = fs::read_dir(world.index()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().starts_with("partial-")), "{names:?}");
}

#[test]
fn a_change_that_fails_half_way_goes_on_where_it_was() {
    let world = World::new();
    world.create(settings(VectorStore::F32, false)).unwrap();
    let lines: String =
        (0..3000).map(|i| format!("{{\"_id\":\"n{i}\",\"text\":\"number {i} of the birds\"}}\n")).collect();
    world.write("many.jsonl", &lines);
    world.fails_after.set(2);
    assert!(world.add().unwrap_err().to_string().contains("switched off"));
    assert_eq!(OpenIndex::open(&world.index()).unwrap().manifest.live_documents(), 4);
    world.fails_after.set(usize::MAX);
    let added = world.add().unwrap();
    assert_eq!((added.passages, added.embedded), (3000, 3000 - 2 * 1024));
}

#[test]
fn a_process_that_ends_between_segment_and_manifest_loses_no_vector() {
    let world = World::new();
    world.create(settings(VectorStore::F32, false)).unwrap();
    let manifest = fs::read(world.index().join("index.json")).unwrap();
    world.write("c.txt", "A wolf waits at the river. The river is wide.");
    world.add().unwrap();
    let embedded = world.embedded.get();
    // As if the process had ended before it wrote the manifest.
    fs::write(world.index().join("index.json"), manifest).unwrap();
    assert!(world.index().join("segment-000002").exists());
    let added = world.add().unwrap();
    assert_eq!((added.documents, added.embedded, world.embedded.get()), (1, 0, embedded));
    OpenIndex::open(&world.index()).unwrap().verify().unwrap();
}

#[test]
fn a_torn_end_of_a_vector_file_is_not_used() {
    let world = World::new();
    world.fails_after.set(1);
    let lines: String =
        (0..2000).map(|i| format!("{{\"_id\":\"n{i}\",\"text\":\"number {i} of the birds\"}}\n")).collect();
    world.write("many.jsonl", &lines);
    assert!(world.create(settings(VectorStore::F32, false)).is_err());
    let vectors = world.index().join("partial-000/vectors.f32");
    let mut bytes = fs::read(&vectors).unwrap();
    bytes.truncate(bytes.len() - 10);
    bytes[3] ^= 64;
    fs::write(&vectors, bytes).unwrap();
    assert!(OpenIndex::open(&world.index()).is_err(), "no index before the first is whole");
    world.fails_after.set(usize::MAX);
    let added = world.create(settings(VectorStore::F32, false)).unwrap();
    assert_eq!(added.embedded, added.passages - 1024 + 2, "the first vector is damaged, the last one torn");
    assert_eq!(world.found("number 0 of the birds", SearchMode::Dense)[0].0, "number 0 of the birds");
}

#[test]
fn a_file_that_is_cut_anywhere_or_gone_is_told_and_never_a_crash() {
    let world = World::new();
    world.create(settings(VectorStore::Int8, true)).unwrap();
    IndexWriter::open(&world.index()).unwrap().remove(&["b.txt".into()], &[]).unwrap();
    for (path, bytes) in content(&world.index()) {
        if path.ends_with(".lock") {
            continue;
        }
        for length in [0, 1, bytes.len() / 2, bytes.len().saturating_sub(1)] {
            if length >= bytes.len() {
                continue;
            }
            fs::write(&path, &bytes[..length]).unwrap();
            // The manifest may end in a line break that nothing hangs on.
            if let Ok(index) = OpenIndex::open(&world.index()) {
                assert!(path.ends_with("index.json") && length + 1 == bytes.len(), "{}", path.display());
                index.verify().unwrap();
            }
        }
        fs::remove_file(&path).unwrap();
        let error = OpenIndex::open(&world.index()).err().unwrap().to_string();
        assert!(error.contains("try:"), "{error}");
        fs::write(&path, &bytes).unwrap();
    }
    OpenIndex::open(&world.index()).unwrap().verify().unwrap();
}

#[test]
fn a_changed_byte_is_found_by_verify_and_is_never_a_crash() {
    let world = World::new();
    world.create(settings(VectorStore::Bit, true)).unwrap();
    for (path, bytes) in content(&world.index()) {
        if bytes.is_empty() || path.ends_with("index.json") {
            continue;
        }
        let mut damaged = bytes.clone();
        let at = bytes.len() / 2;
        damaged[at] ^= 0xff;
        fs::write(&path, &damaged).unwrap();
        if let Ok(index) = OpenIndex::open(&world.index()) {
            assert!(index.verify().unwrap_err().to_string().contains("damaged"), "{}", path.display());
            let query = "bird engine oil the";
            let wanted = Wanted {
                mode: SearchMode::Hybrid,
                k: 9,
                conditions: &[],
                once_per_document: false,
                exact: false,
                tokens: None,
            };
            for found in index.search(&[query], &vector(query), &wanted).unwrap().remove(0) {
                let _ = index.hit(&found);
                index.explain(query, &found);
            }
        }
        fs::write(&path, &bytes).unwrap();
    }
}

#[test]
fn two_writers_another_encoder_and_other_folders_are_refused() {
    let world = World::new();
    world.create(settings(VectorStore::F32, false)).unwrap();
    let writer = IndexWriter::open(&world.index()).unwrap();
    assert!(world.add().unwrap_err().to_string().contains("another process"));
    drop(writer);
    let index = OpenIndex::open(&world.index()).unwrap();
    for other in [EncoderStamp { width: 8, ..stamp() }, EncoderStamp { hash: "b".repeat(64), ..stamp() }] {
        let error = index.check_encoder(&other).unwrap_err().to_string();
        assert!(error.contains("width 24") && error.contains("--model"), "{error}");
    }
    let again = world.create(settings(VectorStore::F32, false)).unwrap_err().to_string();
    assert!(again.contains("exists already") && again.contains("index add"), "{again}");
    let other = IndexWriter::create(&world.path("docs"), stamp(), settings(VectorStore::F32, false), true);
    assert!(other.err().unwrap().to_string().contains("something else"));
    for none in ["docs", "nowhere"] {
        let error = OpenIndex::open(&world.path(none)).err().unwrap().to_string();
        assert!(error.contains("index build"), "{error}");
    }
}

#[test]
fn an_index_is_replaced_only_when_the_new_one_is_whole() {
    let world = World::new();
    world.create(settings(VectorStore::F32, false)).unwrap();
    let old = world.found("bird", SearchMode::Dense);
    let embedded = world.embedded.get();
    let create =
        || IndexWriter::create(&world.index(), stamp(), settings(VectorStore::Int8, false), true).unwrap();
    world.write("c.txt", "New words only.");
    world.fails_after.set(0);
    assert!(world.fill(&mut create(), &mut || {}).is_err());
    assert_eq!(world.found("bird", SearchMode::Dense), old);
    world.fails_after.set(usize::MAX);
    world.fill(&mut create(), &mut || {}).unwrap();
    assert_eq!(world.embedded.get(), embedded + 1, "vectors of the old one are used again");
    assert_eq!(OpenIndex::open(&world.index()).unwrap().manifest.settings.store, VectorStore::Int8);
}

#[test]
fn the_same_documents_give_the_same_bytes() {
    let (one, two) = (World::new(), World::new());
    one.create(settings(VectorStore::Int8, true)).unwrap();
    two.create(settings(VectorStore::Int8, true)).unwrap();
    let bytes =
        |world: &World| content(&world.index()).into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>();
    assert!(bytes(&one) == bytes(&two));
}

#[test]
fn everything_may_be_removed_and_added_again() {
    let world = World::new();
    world.create(settings(VectorStore::F32, true)).unwrap();
    let mut writer = IndexWriter::open(&world.index()).unwrap();
    let (n, _) = writer.remove(&[], &[Condition::parse("id!=none").unwrap()]).unwrap();
    assert_eq!(n, 4);
    drop(writer);
    for mode in [SearchMode::Dense, SearchMode::Bm25, SearchMode::Hybrid] {
        assert!(world.found("bird", mode).is_empty());
    }
    world.add().unwrap();
    assert!(!world.found("bird", SearchMode::Hybrid).is_empty());
}
