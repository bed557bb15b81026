//! `polytask predict` of labels that are matched by their descriptions.

use std::path::Path;

use anyhow::Result;
use polytask_core::suite::described;
use polytask_labels::{LabelModel, MatchedTask};
use serde_json::{Map, Value, json};

use super::super::predict::Args;
use crate::lines::{EmptyTexts, Row, for_pieces};
use polytask_terminal::output::{self, Outcome};

/// Answers texts, of a file or of the command line.
pub(crate) fn run(args: &Args, folder: &Path) -> Result<Outcome> {
    let mut model = LabelModel::load(folder)?;
    args.columns.check(&["text"])?;
    let names: Vec<String> = if args.task.is_empty() {
        model.tasks.iter().map(|task| task.name.clone()).collect()
    } else {
        args.task.clone()
    };
    names.iter().try_for_each(|name| model.task(name).map(|_| ()))?;
    if let Some(file) = &args.labels {
        add(&mut model, &names, file)?;
    }
    let tasks = names.iter().map(|name| model.task(name)).collect::<Result<Vec<_>, _>>()?;
    if args.list {
        return list(&tasks);
    }
    match &args.input {
        Some(input) => from_lines(&model, &tasks, args, input)?,
        None if args.text.is_empty() => {
            return output::refuse("nothing to predict", "`--text TEXT` or `--input FILE`");
        }
        None => print(&model, &tasks, &args.text, args)?,
    }
    Ok(Outcome::Done)
}

/// Adds the labels of a file to the one task that is asked.
fn add(model: &mut LabelModel, names: &[String], file: &Path) -> Result<()> {
    let [name] = names else {
        let what = format!("`--labels` is for one task, found {}", names.join(", "));
        return output::refuse(what, "`--task NAME`");
    };
    let more = described(file)?;
    model.add_labels(name, &more)?;
    let labels = polytask_core::plural(more.len(), "label");
    output::note(format!("{labels} added by description: probabilities are not calibrated for them"));
    Ok(())
}

fn list(tasks: &[&MatchedTask]) -> Result<Outcome> {
    for task in tasks {
        let labels: Vec<&str> = task.described.iter().map(|label| label.name.as_str()).collect();
        let means: Map<String, Value> =
            task.described.iter().map(|label| (label.name.clone(), json!(label.description))).collect();
        output::json(&json!({ "task": task.name, "kind": task.kind.name, "inputs": ["text"],
            "columns": task.columns, "labels": labels, "descriptions": means, "added": task.added(),
            "calibrated": task.calibration.is_fitted && task.added().is_empty() }))?;
    }
    Ok(Outcome::Done)
}

fn from_lines(model: &LabelModel, tasks: &[&MatchedTask], args: &Args, input: &str) -> Result<()> {
    let (mut n, mut empty) = (0, EmptyTexts::default());
    for_pieces(input, |rows| {
        n += rows.len();
        let texts = rows.iter().map(|row| text_of(tasks[0], args, row)).collect::<Result<Vec<String>>>()?;
        rows.iter().zip(&texts).for_each(|(row, text)| empty.see(row, text.trim().is_empty()));
        print(model, tasks, &texts, args)
    })?;
    empty.tell("answered");
    if n == 0 {
        output::note(format!("{input} has no rows: nothing was predicted"));
    }
    Ok(())
}

fn text_of(task: &MatchedTask, args: &Args, row: &Row) -> Result<String> {
    let names = args.columns.of("text", &task.columns, task.kind.synonyms_of("text"));
    Ok(row.text_of(&names)?)
}

/// Prints a line per text: of one task that was named its answer, of others the answers by task.
fn print(model: &LabelModel, tasks: &[&MatchedTask], texts: &[String], args: &Args) -> Result<()> {
    let answers = tasks.iter().map(|task| model.answers(task, texts)).collect::<Result<Vec<_>, _>>()?;
    for row in 0..texts.len() {
        if args.task.len() == 1 {
            output::json(&answers[0][row])?;
            continue;
        }
        let named =
            tasks.iter().zip(&answers).map(|(task, answers)| (task.name.clone(), answers[row].clone()));
        output::json(&named.collect::<Map<String, Value>>())?;
    }
    Ok(())
}
