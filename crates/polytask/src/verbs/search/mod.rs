//! `polytask search`: passages of an index, or the nearest ones of a corpus.

mod corpus;
mod index;

use std::path::PathBuf;

use anyhow::Result;
use serde_json::{Value, json};

use crate::columns::Columns;
use crate::lines::{Row, for_pieces};
use polytask_terminal::output::{self, Outcome};

/// Find passages: in an index, or the nearest ones of a corpus
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask search docs.index 'who repairs engines?' --top 5
  polytask search docs.index 'warranty' --where type=md --where 'source~manual' --explain
  polytask search docs.index --input queries.jsonl --mode bm25 > found.jsonl
  polytask search docs.index 'warranty' --rerank runs/first

  polytask search --model runs/first/model --corpus corpus.jsonl --query 'who repairs engines?' -k 5
  polytask search -m runs/first --targets labels.txt --queries queries.txt --top 5
  polytask search -m runs/pairs --targets claims.txt --query 'the shop is open' --label entailment
  polytask search -m runs/first --corpus faq.csv --columns text=answer --query 'where is my card?'

INDEX is what `polytask index build` made. Passages rank by reciprocal-rank fusion of cosines and BM25 (hybrid), or by one
of them (--mode dense, bm25). --where keeps documents whose stored field meets a condition (= != < <= > >= and ~ for
contains; `id` and `source` are fields, too). --explain says which words matched and how either way ranked a passage.

Without an index a corpus is read, embedded and searched exactly. A corpus line is {\"_id\": …, \"title\": …, \"text\": …}
(id and title may be absent), a query line {\"text\": …} or {\"query\": …}; CSV, TSV and Parquet are read too, and all of
them compressed (.gz, .zst). --columns names other fields, for the roles text, title and id of the corpus and query of the
queries.

Exit codes: 0 done, 2 could not run.")]
pub(crate) struct Args {
    /// An index
    #[arg(required_unless_present = "model")]
    index: Option<PathBuf>,
    /// Queries, as --query
    #[arg(value_name = "QUERY", conflicts_with_all = ["input", "corpus"])]
    texts: Vec<String>,
    /// Folder of a run or a model, or an encoder's name as in a suite; that of the index where it has moved
    #[arg(long, short)]
    model: Option<PathBuf>,
    /// File of passages; of labels or other targets, one per line of a .txt file, it is the same
    #[arg(
        long,
        short,
        visible_alias = "targets",
        conflicts_with = "index",
        required_unless_present = "index"
    )]
    corpus: Option<String>,
    /// A query
    #[arg(long, short, conflicts_with = "input")]
    query: Vec<String>,
    /// File of queries (.txt: one per line), or - for JSON lines on standard input
    #[arg(long, short, visible_alias = "queries")]
    input: Option<String>,
    #[command(flatten)]
    columns: Columns,
    /// Passages per query
    #[arg(short, long = "top", default_value_t = 10, value_parser = polytask_terminal::count)]
    k: usize,
    /// The task whose vectors are compared, for a model whose tasks have vectors of their own
    #[arg(long, short, conflicts_with = "index")]
    task: Option<String>,
    /// Rank by how probable a label of the pair (query, passage) is, for a model with a task of kind pair-class: each text is
    /// encoded once, the task's head reads every pair
    #[arg(long, value_name = "LABEL", conflicts_with_all = ["index", "prompt", "corpus_prompt"])]
    label: Option<String>,
    /// The model's prompt to put before each query, by name [default: `query`, else the model's own choice]
    #[arg(long, value_name = "NAME")]
    prompt: Option<String>,
    /// The same for passages [default: `document`, `passage` or `corpus`, else the model's own choice]
    #[arg(long, value_name = "NAME", conflicts_with = "index")]
    corpus_prompt: Option<String>,
    #[command(flatten)]
    in_index: index::Options,
    /// Print JSON lines also for --query
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    if let Some(folder) = &args.index {
        return index::run(args, folder);
    }
    args.in_index.check_unused()?;
    corpus::run(args)
}

/// What is asked.
struct Query {
    text: String,
    /// Its id in the file it stands in.
    id: Option<String>,
}

impl AsRef<str> for Query {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl Query {
    /// What was found for it.
    fn json(&self, hits: &[Value]) -> Value {
        let mut found = json!({ "query": self.text, "hits": hits });
        if let Some(id) = &self.id {
            found["id"] = json!(id);
        }
        found
    }
}

impl Args {
    /// The queries; `stored` are further columns in which a file may have them.
    fn queries(&self, stored: &[&str]) -> Result<Vec<Query>> {
        let queries = if let Some(input) = &self.input {
            self.queries_of(input, stored)?
        } else {
            let texts = self.query.iter().chain(&self.texts);
            texts.map(|text| Query { text: text.clone(), id: None }).collect()
        };
        if queries.is_empty() {
            return output::refuse("no query", "`--query TEXT` or `--input FILE`");
        }
        Ok(queries)
    }

    /// The queries of a file, with their ids where it has some.
    fn queries_of(&self, input: &str, stored: &[&str]) -> Result<Vec<Query>> {
        let own = self.columns.given("query").map(|column| vec![column]);
        let names = own.unwrap_or_else(|| ["text", "query"].iter().chain(stored).copied().collect());
        all_rows(input, |row| {
            let id = ["_id", "id"].iter().find_map(|name| row.cell(name)?.to_text());
            Ok(Query { text: row.text_of(&names)?, id })
        })
    }
}

/// Reads all lines of a file through `take`.
fn all_rows<R>(path: &str, mut take: impl FnMut(&Row) -> Result<R>) -> Result<Vec<R>> {
    let mut all = Vec::new();
    for_pieces(path, |rows| {
        for row in rows {
            all.push(take(row)?);
        }
        Ok(())
    })?;
    Ok(all)
}

/// The beginning of a text, on one line.
pub(super) fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 90 { line } else { line.chars().take(89).chain(['…']).collect() }
}
