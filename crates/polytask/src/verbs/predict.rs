//! `polytask predict`: a task's labels, tags or numbers.

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_core::HeadForm;
use polytask_train::model::{Model, ModelTask};
use serde_json::{Map, Value, json};

use crate::lines::{Row, for_pieces};
use crate::output::{self, Outcome};

/// Predict a task's labels, tags or numbers
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask predict --model runs/first/model --list
  polytask predict --model runs/first/model --task intent --text 'where is my card?'
  polytask predict --model runs/first/model --task entail --text 'a man sleeps' --text 'a man rests'
  polytask predict --model runs/first/model --task intent --input texts.jsonl > labels.jsonl
  polytask predict --model runs/digits/model --task digit --image seven.png

An input line holds the kind's inputs: {\"text\": …}, {\"a\": …, \"b\": …}, {\"tokens\": […]} or {\"image\": FILE},
the file relative to the input's folder; --list shows them. One line of output per line of input, in order.

Exit codes: 0 done, 2 could not run.")]
pub(crate) struct Args {
    /// Folder of a trained model
    #[arg(long, short)]
    model: PathBuf,
    /// The task; all tasks that fit the input otherwise
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
    /// Show the tasks of the model
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let model = Model::load(&args.model)?;
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
            &json!({ "task": name, "kind": kind.name, "inputs": kind.inputs, "labels": task.info.labels }),
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
            "task `{}` reads {} texts ({}), found {}",
            task.info.name,
            inputs.len(),
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
    let Some(name) = &args.task else {
        return output::refuse("`--input` needs a task", "`--task NAME`; `--list` shows them");
    };
    let task = model.task(name)?;
    for_pieces(input, |rows| {
        let mut texts = rows.iter().map(|row| inputs(task, row)).collect::<Result<Vec<_>>>()?;
        if model.reads_images() {
            texts.iter_mut().flatten().for_each(|file| *file = beside(input, file));
        }
        model.predict(task, &texts)?.iter().try_for_each(output::json)
    })
}

/// A file that a line names, from the folder of the input; from the working folder for standard input.
fn beside(input: &str, file: &str) -> String {
    let folder = Path::new(input).parent().filter(|_| input != "-").unwrap_or(Path::new(""));
    folder.join(file).to_string_lossy().into_owned()
}

/// The kind's inputs of a line.
fn inputs(task: &ModelTask, row: &Row) -> Result<Vec<String>> {
    let is_tagging = task.kind.head == HeadForm::TokenLinear;
    let read = |role: &&str| if is_tagging { row.words(role) } else { row.text(role) };
    Ok(task.kind.inputs.iter().map(read).collect::<Result<_, _>>()?)
}
