//! Long documents of joined texts, and queries whose answers are known places in them.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use polytask_core::{Purpose, Rng};
use polytask_data::{documents, readers};
use polytask_index::Document;
use polytask_segment::document::DocumentColumns;

/// Texts that are joined to a document.
const JOINED: usize = 10;
/// Sentences that a section has at least, whose first one is asked for the rest.
const LEAST: usize = 3;

/// A place in a document, in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) document: usize,
    pub(super) chars: Range<usize>,
}

/// A text that is asked, and where it is answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    pub(super) text: String,
    pub(super) answers: Vec<Span>,
}

/// Documents with queries.
#[derive(Debug, Default)]
pub(super) struct Collection {
    pub(super) documents: Vec<Document>,
    /// Of each document, the characters of every text it was joined of.
    pub(super) parts: Vec<Vec<Range<usize>>>,
    pub(super) queries: Vec<Asked>,
}

impl Collection {
    /// Adds a document of some texts, joined by spaces; gives their places.
    fn push<S: AsRef<str>>(&mut self, texts: &[S]) -> Vec<Span> {
        let (mut text, mut n, mut parts) = (String::new(), 0, Vec::new());
        for part in texts.iter().map(|part| part.as_ref().trim()) {
            if !text.is_empty() {
                text.push(' ');
                n += 1;
            }
            let start = n;
            text.push_str(part);
            n += part.chars().count();
            parts.push(start..n);
        }
        let document = self.documents.len();
        self.documents.push(Document { id: document.to_string(), ..Document::of_text(&text) });
        self.parts.push(parts.clone());
        parts.into_iter().map(|chars| Span { document, chars }).collect()
    }

    /// Joined openings of articles: the first sentence of an opening is taken out and asks for the rest of it.
    pub(super) fn openings(data: &Path) -> Result<Self> {
        let file = there(data, "wikiseg_synth", "test.jsonl")?;
        let mut all = Self::default();
        for document in documents::read(&file, &DocumentColumns::default())? {
            let ends = document.boundaries().with_context(|| format!("{}: no sections", file.display()))?;
            let (mut texts, mut asked) = (Vec::new(), Vec::new());
            for sentences in ends.segments().into_iter().map(|segment| &document.sentences[segment]) {
                let is_asked = sentences.len() >= LEAST;
                asked.push(is_asked.then(|| sentences[0].clone()));
                texts.push(sentences[usize::from(is_asked)..].join(" "));
            }
            let places = all.push(&texts);
            let queries = asked.into_iter().zip(places);
            all.queries.extend(
                queries.filter_map(|(text, place)| Some(Asked { text: text?, answers: vec![place] })),
            );
        }
        Ok(all)
    }

    /// Abstracts of `SciFact`, ten to a document in a drawn order, and its test claims: all abstracts that answer one, and
    /// others until there are so many documents.
    pub(super) fn abstracts(data: &Path, n_documents: usize) -> Result<Self> {
        let rows = |name: &str, columns: [&str; 2]| -> Result<Vec<[String; 2]>> {
            let rows = readers::open(&there(data, "scifact", name)?)?;
            let row = |row: polytask_core::Result<readers::Record>| -> Result<[String; 2]> {
                let row = row?;
                let cell = |name| row.get(name).and_then(readers::Cell::to_text).unwrap_or_default();
                Ok(columns.map(cell))
            };
            rows.map(row).collect()
        };
        let corpus = rows("corpus.jsonl", ["_id", "text"])?;
        let mut relevant = BTreeMap::<String, Vec<String>>::new();
        for [query, passage] in rows("qrels_test.tsv", ["query-id", "corpus-id"])? {
            relevant.entry(query).or_default().push(passage);
        }
        let mut all = Self::default();
        let mut places = BTreeMap::new();
        for texts in drawn(corpus, &relevant, n_documents).chunks(JOINED) {
            let found = all.push(&texts.iter().map(|[_, text]| text).collect::<Vec<_>>());
            places.extend(texts.iter().map(|[id, _]| id.clone()).zip(found));
        }
        for [id, text] in rows("queries_test.jsonl", ["_id", "text"])? {
            let ids = relevant.get(&id).into_iter().flatten();
            let answers: Vec<Span> = ids.filter_map(|id| places.get(id).cloned()).collect();
            if !answers.is_empty() {
                all.queries.push(Asked { text, answers });
            }
        }
        Ok(all)
    }
}

/// The abstracts that answer a query and others, in a drawn order.
fn drawn(
    mut corpus: Vec<[String; 2]>,
    relevant: &BTreeMap<String, Vec<String>>,
    n_documents: usize,
) -> Vec<[String; 2]> {
    let answers: HashSet<&String> = relevant.values().flatten().collect();
    let mut rng = Rng::new(29, Purpose::Bench, &[]);
    rng.shuffle(&mut corpus);
    // Those that answer first; the order of equals stays.
    corpus.sort_by_key(|[id, _]| !answers.contains(id));
    corpus.truncate((n_documents * JOINED).max(answers.len()));
    rng.shuffle(&mut corpus);
    corpus
}

/// A file of a set, plain or packed.
fn there(data: &Path, set: &str, name: &str) -> Result<PathBuf> {
    let folder = data.join(set);
    let names = [name.to_owned(), format!("{name}.gz")];
    match names.iter().map(|name| folder.join(name)).find(|file| file.is_file()) {
        Some(file) => Ok(file),
        None => bail!(
            "{} is not there; `--data DIR` says where the folder `{set}` is",
            folder.join(name).display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openings_are_asked_for_by_their_first_sentence_which_is_taken_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("wikiseg_synth")).unwrap();
        let row = "{\"sentences\":[\"Ä one.\",\"B two.\",\"C three.\",\"D four.\"],\"sections\":[0,0,0,1]}\n";
        std::fs::write(folder.path().join("wikiseg_synth/test.jsonl"), row).unwrap();
        let found = Collection::openings(folder.path()).unwrap();
        assert_eq!(found.documents[0].text, "B two. C three. D four.");
        assert_eq!(found.parts[0], [0..15, 16..23]);
        let answers = vec![Span { document: 0, chars: 0..15 }];
        assert_eq!(found.queries, [Asked { text: "Ä one.".into(), answers }]);
        let error = Collection::abstracts(folder.path(), 3).unwrap_err().to_string();
        assert!(error.contains("scifact") && error.contains("--data"), "{error}");
    }

    #[test]
    fn abstracts_that_answer_are_always_there_and_the_draw_repeats() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::create_dir_all(folder.path().join("scifact")).unwrap();
            std::fs::write(folder.path().join("scifact").join(name), text).unwrap();
        };
        let line = |i: usize| format!("{{\"_id\":\"{i}\",\"text\":\"Text {i}.\"}}\n");
        write("corpus.jsonl", &(0..60).map(line).collect::<String>());
        write("qrels_test.tsv", "query-id\tcorpus-id\tscore\n7\t41\t1\n7\t59\t1\n");
        write(
            "queries_test.jsonl",
            "{\"_id\":\"7\",\"text\":\"asked\"}\n{\"_id\":\"8\",\"text\":\"no answer\"}\n",
        );
        let read = || Collection::abstracts(folder.path(), 2).unwrap();
        let found = read();
        assert_eq!((found.documents.len(), found.queries.len()), (2, 1));
        let text = |span: &Span| {
            let chars = found.documents[span.document].text.chars();
            chars.skip(span.chars.start).take(span.chars.len()).collect::<String>()
        };
        let answers: Vec<String> = found.queries[0].answers.iter().map(text).collect();
        assert_eq!(answers, ["Text 41.", "Text 59."]);
        assert_eq!(read().queries, found.queries);
    }
}
