//! `polytask search`: the nearest passages of a corpus, exactly.

use std::path::PathBuf;

use anyhow::Result;
use polytask_model::{Model, ModelTask, SearchOptions};
use serde_json::{Value, json};

use crate::columns::Columns;
use crate::lines::{Row, for_pieces};
use crate::models;
use polytask_terminal::output::{self, Outcome};

/// Find the nearest passages of a corpus, exactly
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask search --model runs/first/model --corpus corpus.jsonl --query 'who repairs engines?' -k 5
  polytask search --model runs/first/model --corpus corpus.jsonl --input queries.jsonl > found.jsonl

  polytask search -m runs/first --targets labels.txt --queries queries.txt --top 5

  polytask search -m runs/first --corpus faq.csv --columns text=answer --query 'where is my card?'

A corpus line is {\"_id\": …, \"title\": …, \"text\": …} (id and title may be absent), a query line
{\"text\": …} or {\"query\": …}; CSV, TSV and Parquet are read too, and all of them compressed (.gz, .zst). --columns
names other fields, for the roles text, title and id of the corpus and query of the queries.

Exit codes: 0 done, 2 could not run.")]
pub(crate) struct Args {
    /// Folder of a run or a model, or an encoder's name as in a suite
    #[arg(long, short)]
    model: PathBuf,
    /// File of passages; of labels or other targets, one per line of a .txt file, it is the same
    #[arg(long, short, visible_alias = "targets")]
    corpus: String,
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
    #[arg(long, short)]
    task: Option<String>,
    /// The model's prompt to put before each query, by name [default: `query`, else the model's own choice]
    #[arg(long, value_name = "NAME")]
    prompt: Option<String>,
    /// The same for passages [default: `document`, `passage` or `corpus`, else the model's own choice]
    #[arg(long, value_name = "NAME")]
    corpus_prompt: Option<String>,
    /// Print JSON lines also for --query
    #[arg(long)]
    json: bool,
}

struct Corpus {
    ids: Vec<String>,
    texts: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    args.columns.check(&["text", "query", "title", "id"])?;
    let model = Model::load(&models::folder_or_encoder(&args.model)?)?;
    model.symbols.text()?;
    model.prompt(args.prompt.as_deref())?;
    model.prompt(args.corpus_prompt.as_deref())?;
    let queries = match &args.input {
        Some(input) => {
            let stored = asked_columns(&model, args.task.as_deref());
            let names = match args.columns.given("query") {
                Some(column) => vec![column],
                None => ["text", "query"].into_iter().chain(stored).collect(),
            };
            all_rows(input, |row| Ok(row.text_of(&names)?))?
        }
        None => args.query.clone(),
    };
    if queries.is_empty() {
        return output::refuse("no query", "`--query TEXT` or `--input FILE`");
    }
    let corpus = read_corpus(&model, args)?;
    let options = SearchOptions {
        k: args.k,
        task: args.task.as_deref(),
        prompt: args.prompt.as_deref(),
        corpus_prompt: args.corpus_prompt.as_deref(),
    };
    let found = model.search(&queries, &corpus.texts, options)?;
    for (query, hits) in queries.iter().zip(found) {
        if args.json || args.input.is_some() {
            let hits: Vec<Value> =
                hits.iter().map(|&(i, s)| hit((&corpus.ids, &corpus.texts), i as usize, s)).collect();
            output::json(&json!({ "query": query, "hits": hits }))?;
        } else {
            output::line(query)?;
            for (i, score) in hits {
                output::line(format!(
                    "  {score:.4}  {}  {}",
                    corpus.ids[i as usize],
                    short(&corpus.texts[i as usize])
                ))?;
            }
        }
    }
    Ok(Outcome::Done)
}

/// A passage that was found.
fn hit((ids, texts): (&[String], &[String]), i: usize, score: f32) -> Value {
    json!({ "id": ids[i], "score": score, "text": texts[i] })
}

/// The columns in which retrieval tasks of the model had their queries.
fn asked_columns<'a>(model: &'a Model, task: Option<&'a str>) -> impl Iterator<Item = &'a str> {
    let wanted = model.tasks.iter().filter(move |of| task.is_none_or(|name| of.info.name == name));
    let asked = |of: &'a ModelTask| of.info.columns.get("query").or(of.info.columns.get("left"));
    wanted.filter_map(asked).map(String::as_str)
}

fn read_corpus(model: &Model, args: &Args) -> Result<Corpus> {
    let (path, given) = (args.corpus.as_str(), |role| args.columns.given(role));
    let text = args.columns.of_passage(&model.tasks);
    let title = [given("title").unwrap_or("title")];
    let ids = given("id").map_or_else(|| vec!["_id", "id", "code"], |column| vec![column]);
    let mut number = 0;
    let passages = all_rows(path, |row| {
        number += 1;
        let id = ids.iter().find_map(|name| row.cell(name)).and_then(|cell| cell.to_text());
        // A title that is the text stands once.
        let is_title = row.first_of(&text) == Some(title[0]);
        let title = if is_title { String::new() } else { row.text_or_empty(&title) };
        let text = format!("{title} {}", row.text_of(&text)?);
        Ok((id.unwrap_or_else(|| number.to_string()), text.trim().to_string()))
    })?;
    if passages.is_empty() {
        return output::refuse(
            format!("{path}: no passage, expected at least one"),
            "{\"text\": \"…\"} on each line",
        );
    }
    let (ids, texts): (Vec<_>, Vec<_>) = passages.into_iter().unzip();
    Ok(Corpus { ids, texts })
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
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 90 { line } else { line.chars().take(89).chain(['…']).collect() }
}
