//! `polytask predict`: a task's labels, tags or numbers.

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_core::near;
use polytask_model::{Input, InputReading, Model, ModelTask, Question};
use serde_json::{Map, Value, json};

use crate::columns::Columns;
use crate::lines::{EmptyTexts, Row, for_pieces};
use crate::models;
use polytask_terminal::output::{self, Outcome};

/// Predict a task's labels, tags or numbers
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask predict --model runs/first --list
  polytask predict --model runs/first --task intent --text 'where is my card?'
  polytask predict --model runs/first --task entail --text 'a man sleeps' --text 'a man rests'
  polytask predict --model runs/first --task intent --input texts.jsonl > labels.jsonl
  polytask predict --model runs/first --task intent,urgency,tags --input texts.jsonl
  polytask predict --model runs/first --input mails.csv.gz --columns text=message
  polytask predict --model runs/digits --task digit --image seven.png
  polytask predict --model runs/shop --input customers.csv --columns age=years
  polytask predict --model runs/few --labels more.toml --input mails.jsonl

An input line holds the kind's inputs: {\"text\": …}, {\"a\": …, \"b\": …}, {\"tokens\": […]} or {\"image\": FILE},
the file relative to the input's folder; of a table the columns it was trained on, {\"age\": 39, \"job\": \"clerk\"};
--list shows them. CSV, TSV and Parquet are read too, and all of them
compressed (.gz, .zst). A field is looked for under the name that --columns gives, the column's in the suite the
model was trained with, the input's own name, and the usual names that training knows.

Output is a JSON line per line of input, in order. Of one --task it holds
  a label:  {\"label\": \"x\", \"score\": 0.9, \"scores\": {\"x\": 0.9, \"y\": 0.1}}
  labels:   {\"labels\": [\"x\"], \"scores\": {\"x\": 0.9, \"y\": 0.2}}, those of at least 0.5 in `labels`
  of an order: {\"label\": \"high\", \"place\": 1.8}, places counted from 0
  a number: {\"value\": 3.2}, of several {\"values\": […]}; of a similarity {\"cosine\": 0.8, \"score\": 4.1}
  tags:     {\"words\": […], \"tags\": […]}
  of described labels also \"calibrated\", and \"none\" where a row may be of none of them
of several tasks {TASK: …}; without --task these are all tasks whose inputs the first line has. However many tasks
there are, every distinct text is encoded once.

Exit codes: 0 done, 2 could not run.")]
pub(crate) struct Args {
    /// Folder of a run or of a trained model
    #[arg(long, short)]
    model: PathBuf,
    /// The task, or several by commas or repeated; all tasks that the input fits otherwise
    #[arg(long, short, value_delimiter = ',')]
    pub(super) task: Vec<String>,
    /// File of rows, or - for JSON lines on standard input
    #[arg(long, short, conflicts_with = "text")]
    pub(super) input: Option<String>,
    /// A text, given in place of --input; twice for pairs
    #[arg(long)]
    pub(super) text: Vec<String>,
    /// A file of an image, given in place of --input
    #[arg(long, conflicts_with_all = ["input", "text"], value_name = "FILE")]
    image: Vec<String>,
    #[command(flatten)]
    pub(super) columns: Columns,
    /// The model's prompt to put before each text, by name [default: the model's own choice]
    #[arg(long, value_name = "NAME")]
    prompt: Option<String>,
    /// Labels to add by their descriptions, a TOML file of lines name = "description" (a model that matches them)
    #[arg(long, value_name = "FILE")]
    pub(super) labels: Option<PathBuf>,
    /// Show the tasks of the model
    #[arg(long)]
    pub(super) list: bool,
}

impl Args {
    /// Where the model is meant to be.
    pub(super) fn model(&self) -> &Path {
        &self.model
    }
}

/// Refuses labels where none are matched by their descriptions.
pub(super) fn refuse_labels(args: &Args) -> Result<()> {
    if args.labels.is_none() {
        return Ok(());
    }
    let what = "`--labels` adds labels by their descriptions, which the heads of this model do not read";
    output::refuse(what, "a run of `head = \"label-cross\"`")
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    refuse_labels(args)?;
    let model = Model::load(&models::folder(&args.model)?)?;
    let chosen = args.task.iter().map(|name| model.task(name)).collect::<Result<Vec<_>, _>>()?;
    let of_roles = if chosen.is_empty() { model.tasks.iter().collect() } else { chosen.clone() };
    let mut roles: Vec<&str> = of_roles.iter().flat_map(|task| task.kind.input_roles()).copied().collect();
    let table = InputReading::of(&model.symbols, &[]);
    if !table.fields().is_empty() {
        roles = table.fields().iter().map(String::as_str).collect();
    }
    roles.sort_unstable();
    roles.dedup();
    args.columns.check(&roles)?;
    model.prompt(args.prompt.as_deref())?;
    if args.list {
        return list(&model);
    }
    match &args.input {
        Some(input) => from_lines(&model, &chosen, args, input)?,
        None => from_arguments(&model, &chosen, args)?,
    }
    Ok(Outcome::Done)
}

fn list(model: &Model) -> Result<Outcome> {
    let reading = InputReading::of(&model.symbols, &[]);
    let features = reading.fields();
    for task in &model.tasks {
        let (name, kind) = (&task.info.name, task.kind);
        let mut line = json!({ "task": name, "kind": kind.name, "inputs": kind.inputs, "columns": task.info.columns,
                    "labels": task.info.labels, "bounds": task.info.bounds });
        if !features.is_empty() {
            line["features"] = json!(features);
        }
        output::json(&line)?;
    }
    Ok(Outcome::Done)
}

fn from_arguments(model: &Model, chosen: &[&ModelTask], args: &Args) -> Result<()> {
    let read = model.input();
    let given: Vec<(&str, Input)> = (args.text.iter().map(|text| ("--text", text.as_str().into())))
        .chain(args.image.iter().map(|file| ("--image", Input::Image(file.clone()))))
        .collect();
    if given.is_empty() {
        let own = if read.flag.starts_with("--input") { "" } else { "` or `--input FILE" };
        return output::refuse("nothing to predict", format!("`{}{own}`", read.flag));
    }
    if !given.iter().all(|(flag, _)| read.flag.starts_with(flag)) {
        return output::refuse(format!("the model reads {}", read.plural), format!("`{}`", read.flag));
    }
    let tasks = if chosen.is_empty() { fitting_arguments(model, given.len())? } else { chosen.to_vec() };
    tasks.iter().try_for_each(|task| check_count(task, given.len()))?;
    let row: Vec<Input> = given.into_iter().map(|(_, input)| input).collect();
    let questions: Vec<Question> =
        tasks.iter().map(|task| Question { task, rows: vec![row.clone()] }).collect();
    print(model, &questions, args)
}

/// Refuses another number of inputs than the kind's.
fn check_count(task: &ModelTask, n: usize) -> Result<()> {
    let (inputs, input) = (task.kind.inputs, task.kind.input);
    if n == inputs.len() {
        return Ok(());
    }
    let noun = polytask_core::plural(inputs.len(), input.name);
    let what = format!("task `{}` reads {noun} ({}), found {n}", task.info.name, inputs.join(", "));
    output::refuse(what, format!("give `{}` once per input", input.flag))
}

/// Every task that reads this many texts; retrieval tasks rank a corpus and are left out.
fn fitting_arguments(model: &Model, n: usize) -> Result<Vec<&ModelTask>> {
    let fits = |task: &&ModelTask| task.kind.inputs.len() == n && task.kind.answers_rows();
    let fitting: Vec<&ModelTask> = model.tasks.iter().filter(fits).collect();
    if fitting.is_empty() {
        return output::refuse(
            format!("no task reads {n} {}", model.input().plural),
            "`polytask predict --list` shows what each reads",
        );
    }
    Ok(fitting)
}

fn from_lines(model: &Model, chosen: &[&ModelTask], args: &Args, input: &str) -> Result<()> {
    let (mut tasks, mut n, mut empty) = (chosen.to_vec(), 0, EmptyTexts::default());
    let reading = InputReading::of(&model.symbols, args.columns.pairs());
    for_pieces(input, |rows| {
        n += rows.len();
        if n == rows.len() {
            check_absent(reading.fields(), args, &rows[0])?;
        }
        if tasks.is_empty() {
            tasks = fitting_tasks(model, &reading, args, &rows[0])?;
        }
        let names: Vec<_> = tasks.iter().map(|task| args.columns.of_task(task)).collect();
        let questions = reading.questions(&tasks, &names, rows)?;
        for (i, row) in rows.iter().enumerate() {
            empty.see(row, questions.iter().any(|of| of.rows[i].iter().any(Input::is_empty)));
        }
        print(model, &questions, args)
    })?;
    empty.tell("answered");
    tell_unknown(&reading);
    // No output is right for no rows, but seldom what was meant.
    if n == 0 {
        output::note(format!("{input} has no rows: nothing was predicted"));
    }
    Ok(())
}

/// Prints a line per row: of one task that was named its answer, of others the answers by task.
fn print(model: &Model, questions: &[Question<'_>], args: &Args) -> Result<()> {
    let answers = model.predict(questions, args.prompt.as_deref())?.answers;
    if args.task.len() == 1 {
        return answers[0].iter().try_for_each(output::json);
    }
    let names: Vec<&String> = questions.iter().map(|question| &question.task.info.name).collect();
    let mut answers: Vec<_> = answers.into_iter().map(Vec::into_iter).collect();
    for _ in 0..questions.first().map_or(0, |question| question.rows.len()) {
        let row = names.iter().zip(&mut answers);
        let row = row.map(|(name, answers)| ((*name).clone(), answers.next().unwrap_or_default()));
        output::json(&row.collect::<Map<String, Value>>())?;
    }
    Ok(())
}

/// The tasks whose inputs a row has; retrieval tasks rank a corpus and are left out.
fn fitting_tasks<'a>(
    model: &'a Model,
    reading: &InputReading,
    args: &Args,
    row: &Row,
) -> Result<Vec<&'a ModelTask>> {
    let has_all = |task: &ModelTask| reading.fits(row, &args.columns.of_task(task));
    let fits = |task: &&ModelTask| task.kind.answers_rows() && has_all(task);
    let fitting: Vec<&ModelTask> = model.tasks.iter().filter(fits).collect();
    if fitting.is_empty() {
        let absent = args.columns.pairs().iter().find(|(_, column)| row.first_of(&[column]).is_none());
        if let Some((role, column)) = absent {
            let found = row.fields();
            let what =
                format!("--columns {role}={column}: no column `{column}`, found `{}`", found.join("`, `"));
            return output::refuse(what, near::advice(column, &found));
        }
        let what = format!("no task reads these columns: found `{}`", row.fields().join("`, `"));
        let role = reading.fields().first().map_or("text", String::as_str);
        let remedy = format!(
            "`--columns {role}=NAME` for the column of an input; `--list` shows what each task reads"
        );
        return output::refuse(what, remedy);
    }
    let is_left = |task: &&ModelTask| task.kind.answers_rows() && !has_all(task);
    let left: Vec<String> = model.tasks.iter().filter(is_left).map(|task| lacking(task, args)).collect();
    if !left.is_empty() {
        output::note(format!("not answered, for want of their columns: {}", left.join("; ")));
    }
    Ok(fitting)
}

/// A task with the columns it would be answered from.
fn lacking(task: &ModelTask, args: &Args) -> String {
    let columns = args.columns.of_task(task);
    let names: Vec<&str> = columns.iter().filter_map(|names| names.first().copied()).collect();
    format!("{} (`{}`)", task.info.name, names.join("`, `"))
}

/// Says which columns of a table the first row lacks, where it has others; refuses those that are there under another
/// name, or not under the one that was given.
pub(super) fn check_absent(fields: &[String], args: &Args, row: &Row) -> Result<()> {
    let found = row.fields();
    let absent: Vec<&String> = fields.iter().filter(|field| !found.contains(&field.as_str())).collect();
    if absent.is_empty() || absent.len() == fields.len() {
        return Ok(());
    }
    let others: Vec<&str> =
        found.iter().copied().filter(|name| !fields.iter().any(|field| field == name)).collect();
    for field in &absent {
        let given = args.columns.pairs().iter().find(|(_, to)| to == *field);
        let near = near::nearest(field, &others);
        if let Some((column, _)) = given {
            let what =
                format!("--columns {column}={field}: no column `{field}`, found `{}`", found.join("`, `"));
            return output::refuse(what, near::advice(field, &found));
        }
        if let Some(near) = near {
            let what = format!("no column `{field}`, which the model reads: found `{}`", found.join("`, `"));
            return output::refuse(what, format!("`--columns {field}={near}`"));
        }
    }
    let note = format!("the model reads {} as well, which the first row lacks: unknown", near::list(&absent));
    output::note(note);
    Ok(())
}

/// Says which fields held categories that the model does not know.
pub(super) fn tell_unknown(reading: &InputReading) {
    for (field, n) in reading.unknown() {
        let cells = polytask_core::plural(n, "cell");
        output::note(format!("column `{field}`: {cells} with a category that train did not have: unknown"));
    }
}
