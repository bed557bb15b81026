//! The nearest passages of a corpus that is read and embedded for this search.

use anyhow::Result;
use polytask_model::{Model, ModelTask, SearchOptions};
use serde_json::{Value, json};

use super::{Args, Query, all_rows, short};
use crate::models;
use polytask_terminal::output::{self, Outcome};

struct Corpus {
    ids: Vec<String>,
    texts: Vec<String>,
}

/// Searches the corpus of `args`, which the command line has asked for.
pub(super) fn run(args: &Args) -> Result<Outcome> {
    args.columns.check(&["text", "query", "title", "id"])?;
    let (Some(model), Some(corpus)) = (&args.model, &args.corpus) else {
        return output::refuse(
            "nothing to search in",
            "`polytask search INDEX QUERY`, or --model and --corpus",
        );
    };
    let model = Model::load(&models::folder_or_encoder(model)?)?;
    model.symbols.text()?;
    model.prompt(args.prompt.as_deref())?;
    model.prompt(args.corpus_prompt.as_deref())?;
    let stored: Vec<&str> = asked_columns(&model, args.task.as_deref()).collect();
    let queries = args.queries(&stored)?;
    let corpus = read_corpus(&model, args, corpus)?;
    let options = SearchOptions {
        k: args.k,
        task: args.task.as_deref(),
        prompt: args.prompt.as_deref(),
        corpus_prompt: args.corpus_prompt.as_deref(),
    };
    let found = match &args.label {
        Some(label) => by_label(&model, (&queries, &corpus.texts), (args.task.as_deref(), label), args.k)?,
        None => model.search(&queries, &corpus.texts, options)?,
    };
    for (query, hits) in queries.iter().zip(found) {
        if args.json || args.input.is_some() {
            let hits: Vec<Value> =
                hits.iter().map(|&(i, s)| hit((&corpus.ids, &corpus.texts), i as usize, s)).collect();
            output::json(&query.json(&hits))?;
        } else {
            output::line(&query.text)?;
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

/// The passages whose pair with a query most probably has a label; says how fast that went.
fn by_label(
    model: &Model,
    (queries, texts): (&[Query], &[String]),
    wanted: (Option<&str>, &str),
    k: usize,
) -> Result<Vec<Vec<(u32, f32)>>> {
    let found = model.search_pairs(queries, texts, wanted, k)?;
    let (encoding, scoring) = (found.encoding.as_secs_f64(), found.scoring.as_secs_f64());
    let rate = found.n_pairs as f64 / scoring.max(1e-9);
    output::note(format!(
        "{} in {scoring:.2} s ({rate:.0} a second), after {encoding:.2} s for the vectors of all texts",
        polytask_core::plural(found.n_pairs as usize, "pair")
    ));
    Ok(found.hits)
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

fn read_corpus(model: &Model, args: &Args, path: &str) -> Result<Corpus> {
    let given = |role| args.columns.given(role);
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
