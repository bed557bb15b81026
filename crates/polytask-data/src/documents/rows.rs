//! Documents as rows of a source: pairs of sentences, or sentences with their classes.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use polytask_core::method::Choice;
use polytask_core::suite::{DOCUMENTS, NEXT_LABELS, TOPIC_LABELS};
use polytask_core::{Cell, MethodInfo, Place, Problem, Result, Split};
use polytask_segment::document::{DocumentColumns, ROLES};
use polytask_segment::{PairSampling, SegmentedDocument, pairs};

use super::Documents;
use crate::readers::{Columns, Reader, Record};

/// The columns of documents that a source names.
pub fn columns_of(form: &Choice) -> DocumentColumns {
    let named = ROLES.map(|role| Some((role.to_owned(), form.params.get(role)?.as_str()?.to_owned())));
    let named: Vec<(String, String)> = named.into_iter().flatten().collect();
    DocumentColumns::default().named(named.iter().map(|(role, column)| (role, column)))
}

/// The documents of a file as the rows a source makes of them.
///
/// # Errors
/// When the file cannot be opened.
pub fn reader(file: &Path, form: &Choice, split: Split, seed: u64) -> Result<Reader> {
    let names: &[&str] = if is_pairs(form) { &["a", "b", "topic", "next"] } else { &["text", "label"] };
    let columns: Columns = names.iter().map(|name| (*name).to_owned()).collect();
    let rows = DocumentRows {
        documents: super::open(file, &columns_of(form))?,
        file: file.to_path_buf(),
        made: Made::new(form, split, seed),
        columns: columns.clone(),
        rows: VecDeque::new(),
        is_train: split == Split::Train,
        is_over: false,
    };
    Ok(Reader::of_rows(columns, Box::new(rows)))
}

fn is_pairs(form: &Choice) -> bool {
    form.name == "pairs"
}

struct DocumentRows {
    documents: Documents,
    file: PathBuf,
    made: Made,
    columns: Columns,
    rows: VecDeque<Record>,
    is_train: bool,
    is_over: bool,
}

impl Iterator for DocumentRows {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.rows.pop_front() {
                return Some(Ok(row));
            }
            match self.documents.next() {
                Some(Ok((line, document))) => match self.made.rows(&document) {
                    Ok(rows) => {
                        let record = |cells| Record::new(line, self.columns.clone(), cells);
                        self.rows.extend(rows.into_iter().map(record));
                    }
                    Err(problem) => {
                        let place = Some(Place::line(&self.file, line));
                        return Some(Err(Problem { place, ..problem }.into()));
                    }
                },
                Some(Err(error)) => return Some(Err(error)),
                None if self.is_over || !self.is_train => return None,
                None => {
                    self.is_over = true;
                    let lacking = self.made.lacking()?;
                    return Some(Err(Problem { place: Some(Place::file(&self.file)), ..lacking }.into()));
                }
            }
        }
    }
}

/// What becomes of documents, and what of them was seen.
enum Made {
    Pairs {
        context: usize,
        sampling: PairSampling,
        is_train: bool,
        seed: u64,
        n_documents: u64,
        n_pairs: usize,
        n_boundaries: usize,
    },
    Sentences {
        n_sentences: usize,
        n_labels: usize,
    },
}

impl Made {
    fn new(form: &Choice, split: Split, seed: u64) -> Self {
        if !is_pairs(form) {
            return Self::Sentences { n_sentences: 0, n_labels: 0 };
        }
        let info: &MethodInfo = DOCUMENTS[0];
        let follows_boundary = form.param(info, "nsp_boundary") != "break";
        Self::Pairs {
            context: form.count(info, "context"),
            sampling: PairSampling { follows_boundary, ..PairSampling::default() },
            is_train: split == Split::Train,
            seed,
            n_documents: 0,
            n_pairs: 0,
            n_boundaries: 0,
        }
    }

    /// The rows of a document; one of fewer than two sentences has no pair.
    fn rows(&mut self, document: &SegmentedDocument) -> Result<Vec<Vec<Cell>>, Problem> {
        match self {
            Self::Sentences { n_sentences, n_labels } => {
                let class = |at: usize| document.classes.as_ref().and_then(|classes| classes[at].clone());
                let row = |(at, sentence): (usize, &String)| {
                    *n_sentences += 1;
                    let class = class(at).map_or(Cell::Null, |class| {
                        *n_labels += 1;
                        Cell::Text(class)
                    });
                    vec![Cell::Text(sentence.clone()), class]
                };
                Ok(document.sentences.iter().enumerate().map(row).collect())
            }
            Self::Pairs { context, sampling, is_train, seed, n_documents, n_pairs, n_boundaries } => {
                let Some(sections) = &document.sections else { return Err(unknown(document)) };
                let all = pairs::training(sections, *sampling, *seed, *n_documents);
                *n_documents += 1;
                *n_pairs += all.len();
                *n_boundaries += all.iter().filter(|pair| !pair.is_same_topic).count();
                let label = |of: [&str; 2], is: bool| Cell::Text(of[usize::from(is)].into());
                // Segments end between neighbours: only these are scored.
                let topic = |pair: &pairs::SentencePair| {
                    let is_asked = *is_train || pair.second == pair.first + 1;
                    if is_asked { label(TOPIC_LABELS, pair.is_same_topic) } else { Cell::Null }
                };
                let row = |pair: &pairs::SentencePair| {
                    vec![
                        Cell::Text(document.before(pair.first, *context)),
                        Cell::Text(document.after(pair.second, *context)),
                        topic(pair),
                        label(NEXT_LABELS, pair.is_next),
                    ]
                };
                Ok(all.iter().map(row).collect())
            }
        }
    }

    /// Why nothing can be learnt of all documents, where it cannot.
    fn lacking(&self) -> Option<Problem> {
        match *self {
            Self::Pairs { n_pairs, n_boundaries: 0, .. } if n_pairs > 0 => {
                let what =
                    "all documents have one section, expected some with several: no topic ever changes";
                Some(Problem::new(what).try_this("`columns = { sections = \"...\" }` for the right column"))
            }
            Self::Sentences { n_sentences, n_labels: 0 } if n_sentences > 0 => {
                let what = "no sentence has a class, which the head `tc` learns";
                Some(Problem::new(what).try_this(
                    "heads = [\"stp\", \"nsp\"], or `columns = { labels = \"...\" }` for their column",
                ))
            }
            _ => None,
        }
    }
}

fn unknown(document: &SegmentedDocument) -> Problem {
    let what = format!("document `{}` does not say where its segments end", document.id);
    Problem::new(what).try_this("`sections`, `boundaries` or `labels`, one value per sentence")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(content: &str, form: &Choice, split: Split) -> Vec<Result<Record>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.jsonl");
        std::fs::write(&file, content).unwrap();
        reader(&file, form, split, 7).unwrap().collect()
    }

    fn texts(row: &Record) -> Vec<String> {
        row.columns().iter().map(|name| row.get(name).unwrap().to_text().unwrap_or_default()).collect()
    }

    const TWO: &str = "{\"sentences\":[\"a\",\"b\",\"c\",\"d\"],\"sections\":[0,0,1,1],\"labels\":[\"x\",\"x\",\"y\",null]}\n{\"sentences\":[\"z\"],\"sections\":[0]}\n";

    #[test]
    fn neighbours_are_scored_and_pairs_apart_are_learnt_beside_them() {
        let apart =
            |rows: &[Vec<String>], topic: &str| rows.iter().all(|row| row[2] == topic && row[3] == "apart");
        let pairs = Choice::named("pairs");
        let valid: Vec<Vec<String>> =
            rows(TWO, &pairs, Split::Valid).iter().map(|row| texts(row.as_ref().unwrap())).collect();
        let neighbours =
            [["a", "b", "same", "next"], ["b", "c", "change", "next"], ["c", "d", "same", "next"]];
        assert!(valid[..3] == neighbours && valid.len() == 5 && apart(&valid[3..], ""), "{valid:?}");
        let train: Vec<Vec<String>> =
            rows(TWO, &pairs, Split::Train).iter().map(|row| texts(row.as_ref().unwrap())).collect();
        // Half of three neighbours is two of each sort; there are no pairs of one section that lie apart.
        assert!(train[..3] == neighbours && train.len() == 5 && apart(&train[3..], "change"), "{train:?}");
        let mut wide = pairs;
        wide.params.insert("context".into(), 2.into());
        wide.params.insert("nsp_boundary".into(), "break".into());
        let valid = rows(TWO, &wide, Split::Valid);
        assert_eq!(texts(valid[1].as_ref().unwrap()), ["a b", "c d", "change", "apart"]);
    }

    #[test]
    fn sentences_have_their_classes() {
        let found = rows(TWO, &Choice::named("sentences"), Split::Train);
        let found: Vec<Vec<String>> = found.iter().map(|row| texts(row.as_ref().unwrap())).collect();
        assert_eq!(found, [["a", "x"], ["b", "x"], ["c", "y"], ["d", ""], ["z", ""]]);
    }

    #[test]
    fn what_nothing_can_be_learnt_from_is_refused() {
        let one = "{\"sentences\":[\"a\",\"b\"],\"sections\":[0,0]}\n";
        let error = rows(one, &Choice::named("pairs"), Split::Train).pop().unwrap().unwrap_err().to_string();
        assert!(error.contains("a.jsonl") && error.contains("one section"), "{error}");
        assert!(rows(one, &Choice::named("pairs"), Split::Test).iter().all(Result::is_ok));
        let error =
            rows(one, &Choice::named("sentences"), Split::Train).pop().unwrap().unwrap_err().to_string();
        assert!(error.contains("no sentence has a class") && error.contains("stp"), "{error}");
        let unknown = "{\"sentences\":[\"a\",\"b\"]}\n";
        let error = rows(unknown, &Choice::named("pairs"), Split::Valid).remove(0).unwrap_err().to_string();
        assert!(error.contains("a.jsonl:1") && error.contains("does not say"), "{error}");
    }
}
