//! What is mined: queries, the passages that answer them, and the corpus.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::Result;
use polytask_core::hash;
use polytask_data::readers::{Cell, qrels};

use super::{Args, ascending};
use crate::lines::{Row, for_pieces};
use polytask_terminal::output;

/// Usual names of the columns of a query and of its positives.
const QUERY: [&str; 5] = ["query", "anchor", "question", "text", "query_text"];
const POSITIVES: [&str; 5] = ["positives", "positive", "pos", "passage", "answer"];

/// A query and what answers it.
pub(super) struct Query {
    pub(super) text: String,
    /// Places in the corpus, ascending.
    pub(super) positives: Vec<u32>,
    /// The passage of its own id.
    own: Option<u32>,
}

/// Queries and their corpus.
pub(super) struct Mining {
    pub(super) queries: Vec<Query>,
    pub(super) corpus: Vec<String>,
    /// Places of the passages with a text.
    by_text: HashMap<String, Vec<u32>>,
    /// All answers of a query's text: rows may hold one each.
    answers_of: HashMap<String, Vec<u32>>,
}

impl Mining {
    /// Reads the files that the arguments name.
    pub(super) fn read(args: &Args) -> Result<Self> {
        let (mut corpus, by_id) = match &args.corpus {
            Some(path) => read_corpus(args, path)?,
            None => (Vec::new(), HashMap::new()),
        };
        let queries = match (&args.pairs, &args.queries) {
            (Some(path), _) => read_pairs(args, path, &mut corpus)?,
            (None, Some(path)) => read_judged(args, path, &by_id)?,
            (None, None) => Vec::new(),
        };
        if queries.is_empty() {
            return output::refuse(
                "no query with a positive",
                "rows with a query and its positive, or qrels that name them",
            );
        }
        let mut by_text: HashMap<String, Vec<u32>> = HashMap::new();
        for (i, text) in corpus.iter().enumerate() {
            by_text.entry(text.trim().to_owned()).or_default().push(i as u32);
        }
        let mut answers_of: HashMap<String, Vec<u32>> = HashMap::new();
        for query in &queries {
            answers_of.entry(query.text.trim().to_owned()).or_default().extend(&query.positives);
        }
        Ok(Self { queries, corpus, by_text, answers_of })
    }

    /// All known answers of a query, and the passages with their texts, ascending.
    pub(super) fn answers(&self, query: &Query) -> Vec<u32> {
        let known = &self.answers_of[query.text.trim()];
        let alike = known.iter().filter_map(|&p| self.by_text.get(self.corpus[p as usize].trim())).flatten();
        ascending(known.iter().chain(alike).copied())
    }

    /// The passages that are the query itself, ascending.
    pub(super) fn own(&self, query: &Query) -> Vec<u32> {
        let alike = self.by_text.get(query.text.trim()).into_iter().flatten().copied();
        ascending(alike.chain(query.own))
    }

    /// SHA-256 of all texts, in order.
    pub(super) fn hash(&self) -> String {
        let next =
            |known: String, text: &str| hash::sha256(format!("{known} {} {text}", text.len()).as_bytes());
        let queries = self.queries.iter().fold(String::new(), |known, query| {
            next(next(known, &query.text), &format!("{:?} {:?}", query.positives, query.own))
        });
        self.corpus.iter().fold(queries, |known, text| next(known, text))
    }
}

/// The passages of a file, and the place of each id.
fn read_corpus(args: &Args, path: &str) -> Result<(Vec<String>, HashMap<String, u32>)> {
    let given = |role: &'static str| args.columns.given(role);
    let text: Vec<&str> =
        given("text").map_or_else(|| vec!["text", "passage", "contents", "body"], |name| vec![name]);
    let ids: Vec<&str> = given("id").map_or_else(|| vec!["_id", "id", "docid", "pid"], |name| vec![name]);
    let title = [given("title").unwrap_or("title")];
    let (mut corpus, mut by_id) = (Vec::new(), HashMap::new());
    for_rows(path, |row| {
        let whole = format!("{} {}", row.text_or_empty(&title), row.text_of(&text)?);
        if let Some(id) = ids.iter().find_map(|name| row.cell(name)).and_then(|cell| cell.to_text())
            && by_id.insert(id.clone(), corpus.len() as u32).is_some()
        {
            return output::refuse(
                format!("{path}: two passages have the id `{id}`"),
                "an id for each passage",
            );
        }
        corpus.push(whole.trim().to_owned());
        Ok(())
    })?;
    if corpus.is_empty() {
        return output::refuse(
            format!("{path}: no passage, expected at least one"),
            "{\"text\": \"…\"} on each line",
        );
    }
    Ok((corpus, by_id))
}

/// Rows with a query and its positives; positives that the corpus does not hold join it.
fn read_pairs(args: &Args, path: &str, corpus: &mut Vec<String>) -> Result<Vec<Query>> {
    let mut place: HashMap<String, u32> =
        corpus.iter().enumerate().map(|(i, text)| (text.clone(), i as u32)).collect();
    let named: Vec<&str> = args.columns.given("query").map_or_else(|| QUERY.to_vec(), |name| vec![name]);
    let given = args.columns.given("positive").or(args.columns.given("positives"));
    let positive: Vec<&str> = given.map_or_else(|| POSITIVES.to_vec(), |name| vec![name]);
    let mut queries = Vec::new();
    for_rows(path, |row| {
        let text = row.text_of(&named)?;
        let field = row.first_of(&positive).unwrap_or(positive[0]);
        // As training reads it: a passage may be `(3, 4)`.
        let is_list = |cell: &Cell| match cell {
            Cell::Text(text) => text.trim_start().starts_with('['),
            _ => true,
        };
        let items = row.cell(field).filter(is_list).and_then(|cell| cell.to_items());
        let items = match items {
            Some(items) => items.iter().filter_map(Cell::to_text).collect(),
            None => vec![row.text_of(&positive)?],
        };
        let mut number = |text: String| {
            let next = corpus.len() as u32;
            let found = *place.entry(text.clone()).or_insert(next);
            if found == next {
                corpus.push(text);
            }
            found
        };
        let positives = ascending(items.into_iter().filter(|text| !text.trim().is_empty()).map(&mut number));
        if !positives.is_empty() {
            queries.push(Query { text, positives, own: None });
        }
        Ok(())
    })?;
    Ok(queries)
}

/// Queries by their judgements; those without one that names a passage are left out, and counted.
fn read_judged(args: &Args, path: &str, by_id: &HashMap<String, u32>) -> Result<Vec<Query>> {
    let file = args.qrels.as_deref().unwrap_or_else(|| Path::new(""));
    let judged = read_qrels(file, by_id)?;
    let ids: Vec<&str> = args.columns.given("id").map_or_else(|| vec!["_id", "id", "qid"], |name| vec![name]);
    let named: Vec<&str> =
        args.columns.given("query").map_or_else(|| vec!["text", "query"], |name| vec![name]);
    let (mut queries, mut left_out, mut met) = (Vec::new(), 0, HashSet::new());
    for_rows(path, |row| {
        let id =
            ids.iter().find_map(|name| row.cell(name)).and_then(|cell| cell.to_text()).unwrap_or_default();
        if !id.is_empty() && !met.insert(id.clone()) {
            return output::refuse(format!("{path}: two queries have the id `{id}`"), "an id for each query");
        }
        match judged.get(&id) {
            Some(positives) => queries.push(Query {
                text: row.text_of(&named)?,
                positives: ascending(positives.iter().copied()),
                own: by_id.get(&id).copied(),
            }),
            None => left_out += 1,
        }
        Ok(())
    })?;
    let file = file.display();
    let unasked = judged.keys().filter(|id| !met.contains(*id)).count();
    note_some(unasked, || format!("{file}: {unasked} judged queries are not in {path}"));
    note_some(left_out, || format!("{path}: {left_out} queries have no positive in {file} and are left out"));
    Ok(queries)
}

/// The passages that answer each query, by its id.
fn read_qrels(file: &Path, by_id: &HashMap<String, u32>) -> Result<HashMap<String, Vec<u32>>> {
    let mut judged: HashMap<String, Vec<u32>> = HashMap::new();
    let mut unknown = 0;
    for qrel in qrels::read(file)?.into_iter().filter(|qrel| qrel.grade > 0.0) {
        match by_id.get(&qrel.passage) {
            Some(&passage) => judged.entry(qrel.query).or_default().push(passage),
            None => unknown += 1,
        }
    }
    let file = file.display();
    note_some(unknown, || format!("{file}: {unknown} judgements name passages that the corpus has not"));
    Ok(judged)
}

/// A note on `n` things, where there are any.
fn note_some(n: usize, note: impl FnOnce() -> String) {
    if n > 0 {
        output::note(note());
    }
}

/// Gives every row of a file to `take`.
fn for_rows(path: &str, mut take: impl FnMut(&Row) -> Result<()>) -> Result<()> {
    for_pieces(path, |rows| rows.iter().try_for_each(&mut take))
}
