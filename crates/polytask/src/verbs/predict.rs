//! `polytask predict`: a task's labels, tags or numbers.

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_core::HeadForm;
use polytask_train::model::{Model, ModelTask};
use serde_json::{Map, Value, json};

use crate::columns::Columns;
use crate::lines::{Row, for_pieces};
use crate::models;
use crate::output::{self, Outcome};

/// Predict a task's labels, tags or numbers
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask predict --model runs/first --list
  polytask predict --model runs/first --task intent --text 'where is my card?'
  polytask predict --model runs/first --task entail --text 'a man sleeps' --text 'a man rests'
  polytask predict --model runs/first --task intent --input texts.jsonl > labels.jsonl
  polytask predict --model runs/first --input mails.csv.gz --columns text=message
  polytask predict --model runs/digits --task digit --image seven.png

An input line holds the kind's inputs: {\"text\": …}, {\"a\": …, \"b\": …}, {\"tokens\": […]} or {\"image\": FILE},
the file relative to the input's folder; --list shows them. CSV, TSV and Parquet are read too, and all of them
compressed (.gz, .zst). A field is looked for under the name that --columns gives, the column's in the suite the
model was trained with, the input's own name, and the usual names that training knows.

Output is a JSON line per line of input, in order. Of --task it holds
  a label:  {\"label\": \"x\", \"score\": 0.9, \"scores\": {\"x\": 0.9, \"y\": 0.1}}
  labels:   {\"labels\": [\"x\"], \"scores\": {\"x\": 0.9, \"y\": 0.2}}, those of at least 0.5 in `labels`
  a number: {\"value\": 3.2}, of several {\"values\": […]}; of a similarity {\"cosine\": 0.8, \"score\": 4.1}
  tags:     {\"words\": […], \"tags\": […]}
and without --task {TASK: …} for all tasks whose inputs the first line has.

Exit codes: 0 done, 2 could not run.")]
pub(crate) struct Args {
    /// Folder of a run or of a trained model
    #[arg(long, short)]
    model: PathBuf,
    /// The task; all tasks that the input fits otherwise
    #[arg(long, short)]
    task: Option<String>,
    /// File of rows, or - for JSON lines on standard input
    #[arg(long, short, conflicts_with = "text")]
    input: Option<String>,
    /// A text, given in place of --input; twice for pairs
    #[arg(long)]
    text: Vec<String>,
    /// A file of an image, given in place of --input
    #[arg(long, conflicts_with_all = ["input", "text"], value_name = "FILE")]
    image: Vec<String>,
    #[command(flatten)]
    columns: Columns,
    /// Show the tasks of the model
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let model = Model::load(&models::folder(&args.model)?)?;
    let chosen = args.task.as_deref().map(|name| model.task(name)).transpose()?;
    let roles = model.tasks.iter().filter(|task| chosen.is_none_or(|of| of.info.name == task.info.name));
    let mut roles: Vec<&str> = roles.flat_map(|task| task.kind.inputs).copied().collect();
    roles.sort_unstable();
    roles.dedup();
    args.columns.check(&roles)?;
    if args.list {
        return list(&model);
    }
    match &args.input {
        Some(input) => from_lines(&model, args, input)?,
        None => from_arguments(&model, args)?,
    }
    Ok(Outcome::Done)
}

fn list(model: &Model) -> Result<Outcome> {
    for task in &model.tasks {
        let (name, kind) = (&task.info.name, task.kind);
        output::json(
            &json!({ "task": name, "kind": kind.name, "inputs": kind.inputs, "columns": task.info.columns,
                     "labels": task.info.labels }),
        )?;
    }
    Ok(Outcome::Done)
}

fn from_arguments(model: &Model, args: &Args) -> Result<()> {
    let (given, reads_images) =
        (if args.image.is_empty() { &args.text } else { &args.image }, model.reads_images());
    if given.is_empty() {
        let remedy =
            if reads_images { "`--image FILE` or `--input FILE`" } else { "`--text TEXT` or `--input FILE`" };
        return output::refuse("nothing to predict", remedy);
    }
    if args.image.is_empty() == reads_images {
        let (reads, remedy) =
            if reads_images { ("images", "`--image FILE`") } else { ("texts", "`--text TEXT`") };
        return output::refuse(format!("the model reads {reads}"), remedy);
    }
    if let Some(name) = &args.task {
        output::json(&one(model, model.task(name)?, given)?)
    } else {
        let n = given.len();
        let predictions = all(model, given)?;
        if predictions.is_empty() {
            return output::refuse(
                format!("no task reads {n} {}", if reads_images { "images" } else { "texts" }),
                "`polytask predict --list` shows what each reads",
            );
        }
        output::json(&predictions)
    }
}

/// One prediction; the number of texts must be the kind's.
fn one(model: &Model, task: &ModelTask, texts: &[String]) -> Result<Value> {
    let inputs = task.kind.inputs;
    if texts.len() != inputs.len() {
        let what = format!(
            "task `{}` reads {} ({}), found {}",
            task.info.name,
            polytask_core::plural(inputs.len(), "text"),
            inputs.join(", "),
            texts.len()
        );
        return output::refuse(what, "give `--text` once per input");
    }
    Ok(model.predict(task, &[texts.to_vec()])?.remove(0))
}

/// Every task that reads this many texts, by name; retrieval tasks rank a corpus and are left out.
fn all(model: &Model, texts: &[String]) -> Result<Map<String, Value>> {
    let fits = |task: &&ModelTask| task.kind.inputs.len() == texts.len() && task.kind.name != "retrieval";
    let predict = |task: &ModelTask| Ok((task.info.name.clone(), one(model, task, texts)?));
    model.tasks.iter().filter(fits).map(predict).collect()
}

fn from_lines(model: &Model, args: &Args, input: &str) -> Result<()> {
    if let Some(name) = &args.task {
        let task = model.task(name)?;
        let mut n = 0;
        for_pieces(input, |rows| {
            n += rows.len();
            of_rows(model, task, args, input, rows)?.iter().try_for_each(output::json)
        })?;
        tell_if_empty(input, n);
        return Ok(());
    }
    let (mut fitting, mut n) = (None, 0);
    for_pieces(input, |rows| {
        n += rows.len();
        if fitting.is_none() {
            fitting = Some(fitting_tasks(model, args, &rows[0])?);
        }
        let mut lines = vec![Map::new(); rows.len()];
        for task in fitting.iter().flatten() {
            for (line, value) in lines.iter_mut().zip(of_rows(model, task, args, input, rows)?) {
                line.insert(task.info.name.clone(), value);
            }
        }
        lines.iter().try_for_each(output::json)
    })?;
    tell_if_empty(input, n);
    Ok(())
}

/// No output is right for no rows, but seldom what was meant.
fn tell_if_empty(input: &str, n: usize) {
    if n == 0 {
        output::note(format!("{input} has no rows: nothing was predicted"));
    }
}

/// The tasks whose inputs a row has; retrieval tasks rank a corpus and are left out.
fn fitting_tasks<'a>(model: &'a Model, args: &Args, row: &Row) -> Result<Vec<&'a ModelTask>> {
    let has_all =
        |task: &ModelTask| args.columns.of_task(task).iter().all(|names| row.first_of(names).is_some());
    let fits = |task: &&ModelTask| task.kind.name != "retrieval" && has_all(task);
    let fitting: Vec<&ModelTask> = model.tasks.iter().filter(fits).collect();
    if fitting.is_empty() {
        let what = format!("no task reads these columns: found `{}`", row.fields().join("`, `"));
        let remedy = "`--columns text=NAME` for the column of an input; `--list` shows what each task reads";
        return output::refuse(what, remedy);
    }
    Ok(fitting)
}

/// A task's predictions of some rows.
fn of_rows(model: &Model, task: &ModelTask, args: &Args, input: &str, rows: &[Row]) -> Result<Vec<Value>> {
    let columns = args.columns.of_task(task);
    let mut texts = rows.iter().map(|row| inputs(task, &columns, row)).collect::<Result<Vec<_>>>()?;
    if model.reads_images() {
        texts.iter_mut().flatten().for_each(|file| *file = beside(input, file));
    }
    Ok(model.predict(task, &texts)?)
}

/// A file that a line names, from the folder of the input; from the working folder for standard input.
fn beside(input: &str, file: &str) -> String {
    let folder = Path::new(input).parent().filter(|_| input != "-").unwrap_or(Path::new(""));
    folder.join(file).to_string_lossy().into_owned()
}

/// The kind's inputs of a line.
fn inputs(task: &ModelTask, columns: &[Vec<&str>], row: &Row) -> Result<Vec<String>> {
    let is_tagging = task.kind.head == HeadForm::TokenLinear;
    let read = |names: &Vec<&str>| if is_tagging { row.words_of(names) } else { row.text_of(names) };
    Ok(columns.iter().map(read).collect::<Result<_, _>>()?)
}
