//! An index of token states: ranked by them, grown, compacted, damaged, with an encoder that is a few lines.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;

use polytask_core::hash::text64;
use polytask_core::method::Choice;
use polytask_core::{Purpose, Rng};
use polytask_index::documents::files_of;
use polytask_index::store::{EncoderStamp, TokenStamp};
use polytask_index::{
    ChunkBy, Chunking, EmbeddedTexts, Embedding, IndexSettings, IndexWriter, OpenIndex, RowColumns,
    SearchMode, VectorStore, Wanted,
};
use polytask_nn::scores::{Ragged, ScoredBy, all_pairs};
use tempfile::TempDir;

const WIDTH: usize = 16;

/// A random direction per word.
fn states(text: &str) -> Vec<f32> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let state = |word: &str| {
        let mut rng = Rng::new(text64(&word.to_lowercase()), Purpose::Bench, &[]);
        (0..WIDTH).map(|_| rng.uniform() as f32 - 0.5).collect::<Vec<_>>()
    };
    words.flat_map(state).collect()
}

/// The mean of the states, and these.
fn embedded<S: AsRef<str>>(texts: &[S]) -> EmbeddedTexts {
    let (mut vectors, mut tokens) = (Vec::new(), Ragged::new(WIDTH));
    for text in texts {
        let states = states(text.as_ref());
        let mut sum = [1e-3_f32; WIDTH];
        states.chunks(WIDTH).for_each(|state| sum.iter_mut().zip(state).for_each(|(sum, v)| *sum += v));
        let norm = sum.iter().map(|v| v * v).sum::<f32>().sqrt();
        vectors.extend(sum.iter().map(|v| v / norm));
        tokens.push(&states);
    }
    EmbeddedTexts { vectors, tokens: Some(tokens) }
}

fn stamp(score: &str) -> EncoderStamp {
    let score = ScoredBy { choice: Choice::named(score), square: 1.0 };
    EncoderStamp {
        source: "words".into(),
        hash: "a".repeat(64),
        width: WIDTH,
        task: None,
        corpus_prompt: None,
        tokens: Some(TokenStamp { score, width: WIDTH }),
    }
}

struct World {
    folder: TempDir,
    n_embedded: Cell<usize>,
}

impl World {
    fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap(), n_embedded: Cell::new(0) };
        fs::create_dir(world.folder.path().join("docs")).unwrap();
        world
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join("docs").join(name), text).unwrap();
    }

    fn index(&self) -> PathBuf {
        self.folder.path().join("docs.index")
    }

    fn create(&self) {
        let chunking = Chunking { by: ChunkBy::Sentences, tokens: 8, overlap: 0 };
        let settings = IndexSettings { chunking, store: VectorStore::F32, graph: None };
        self.fill(&mut IndexWriter::create(&self.index(), stamp("maxsim"), settings, false).unwrap());
    }

    fn add(&self) {
        self.fill(&mut IndexWriter::open(&self.index()).unwrap());
    }

    fn fill(&self, writer: &mut IndexWriter) {
        let embed = |texts: &[String]| {
            self.n_embedded.set(self.n_embedded.get() + texts.len());
            Ok(embedded(texts))
        };
        let count = |texts: &[&str]| Ok(texts.iter().map(|text| text.split_whitespace().count()).collect());
        let stamp = stamp("maxsim");
        let embedding = Embedding { stamp: &stamp, embed: &embed, count: &count, topics: None };
        let (files, _) = files_of(&[self.folder.path().join("docs")]);
        writer.add(&files, &RowColumns::default(), &embedding, &mut |_| {}).unwrap();
    }

    /// Texts and scores of what is found.
    fn found(&self, query: &str, exact: bool) -> Vec<(String, f32)> {
        let index = OpenIndex::open(&self.index()).unwrap();
        let asked = embedded(&[query]);
        let wanted = Wanted {
            mode: SearchMode::Hybrid,
            k: 100,
            conditions: &[],
            once_per_document: false,
            exact,
            tokens: asked.tokens.as_ref(),
        };
        let found = index.search(&[query], &asked.vectors, &wanted).unwrap().remove(0);
        found.iter().map(|found| index.hit(found).unwrap()).map(|hit| (hit.text, hit.score)).collect()
    }
}

/// Documents of some sentences; words come again.
fn text(n: usize, seed: u64) -> String {
    let words = ["engine", "oil", "bird", "tree", "moon", "sun", "saw", "drill", "cat", "river"];
    let mut rng = Rng::new(seed, Purpose::Bench, &[]);
    let mut sentence = |i: usize| {
        let words: Vec<&str> = (0..3 + rng.below(3)).map(|_| words[rng.below(words.len())]).collect();
        format!("The {} number{seed}x{i}. ", words.join(" "))
    };
    (0..n).map(&mut sentence).collect()
}

/// Every passage by its score as it is computed without an index.
fn expected(query: &str, texts: &[String]) -> Vec<(String, f32)> {
    let scoring = stamp("maxsim").tokens.unwrap().score.scoring().unwrap().unwrap();
    let (query, passages) = (embedded(&[query]).tokens.unwrap(), embedded(texts).tokens.unwrap());
    let scores: Vec<f32> = all_pairs(&*scoring, &query.rows(), &passages.rows()).unwrap();
    let mut all: Vec<(String, f32)> = texts.iter().cloned().zip(scores).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all
}

#[test]
fn passages_rank_by_their_tokens_however_the_index_came_to_be() {
    let world = World::new();
    world.write("a.txt", &text(20, 1));
    world.create();
    world.write("b.txt", &text(20, 2));
    world.add();
    assert_eq!(OpenIndex::open(&world.index()).unwrap().segments.len(), 2);
    let query = "the oil of an engine";
    let all = world.found(query, true);
    assert_eq!(all.len(), 40);
    let texts: Vec<String> = all.iter().map(|(text, _)| text.clone()).collect();
    for ((_, score), (_, expected)) in all.iter().zip(expected(query, &texts)) {
        // States are kept in two bytes.
        assert!((score - expected).abs() < 2e-3, "{score} {expected}");
    }
    // All forty are within the first hundred of vectors and words.
    assert_eq!(world.found(query, false).len(), 40);
    assert!((world.found(query, false)[0].1 - all[0].1).abs() < 1e-6);

    let embedded = world.n_embedded.get();
    IndexWriter::open(&world.index()).unwrap().compact().unwrap();
    let opened = OpenIndex::open(&world.index()).unwrap();
    opened.verify().unwrap();
    assert_eq!((opened.segments.len(), world.n_embedded.get()), (1, embedded));
    assert_eq!(world.found(query, true), all);

    // A document that changes by one sentence keeps the states of the others.
    world.write("b.txt", &format!("{}A new one at the end.", text(20, 2)));
    world.add();
    assert_eq!(world.n_embedded.get(), embedded + 1);
    let grown = world.found(query, true);
    assert!(
        grown.iter().any(|(text, _)| text.contains("new one")) && all.iter().all(|of| grown.contains(of))
    );
}

#[test]
fn states_of_another_score_other_widths_and_cut_files_are_refused() {
    let world = World::new();
    world.write("a.txt", &text(6, 1));
    world.create();
    let index = OpenIndex::open(&world.index()).unwrap();
    let error = index.check_encoder(&stamp("soft-li")).unwrap_err().to_string();
    assert!(error.contains("has vectors of encoder"), "{error}");
    let (mut narrow, vectors) = (Ragged::new(3), vec![0.1; WIDTH]);
    narrow.push(&[1.0, 0.0, 0.0]);
    let wanted = Wanted {
        mode: SearchMode::Dense,
        k: 2,
        conditions: &[],
        once_per_document: false,
        exact: false,
        tokens: Some(&narrow),
    };
    let error = index.search(&["x"], &vectors, &wanted).unwrap_err().to_string();
    assert!(error.contains("no token states of this width"), "{error}");
    let states = world.index().join("segment-000001/tokens.f16");
    let bytes = fs::read(&states).unwrap();
    fs::write(&states, &bytes[..bytes.len() - 2]).unwrap();
    let error = OpenIndex::open(&world.index()).err().unwrap().to_string();
    assert!(error.contains("damaged"), "{error}");
}
