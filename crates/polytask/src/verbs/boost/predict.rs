//! `polytask predict` of boosted trees.

use std::path::Path;

use anyhow::Result;
use polytask_boost::suite::{BoostModel, TaskOutputs};
use polytask_core::input::table::TABLE;
use polytask_data::Symbols;
use polytask_model::InputReading;
use serde_json::{Map, Value, json};

use super::super::predict::{Args, check_absent, refuse_labels, tell_unknown};
use super::texts::{Encoded, TextRow, shown, with_vectors};
use crate::lines::for_pieces;
use polytask_terminal::output::{self, Outcome};

/// Answers the rows of a file.
pub(crate) fn run(args: &Args, folder: &Path) -> Result<Outcome> {
    refuse_labels(args)?;
    let model = BoostModel::load(folder)?;
    let encoded = Encoded::of_model(&model, folder)?;
    let symbols = Symbols::Table(model.table.clone());
    let columns = InputReading::of(&symbols, &[]);
    let fields = model.texts.as_ref().map(|texts| shown(columns.fields(), &texts.columns));
    let fields = fields.unwrap_or_else(|| columns.fields().to_vec());
    args.columns.check(&fields.iter().map(String::as_str).collect::<Vec<_>>())?;
    refuse_renamed_text(&model, args)?;
    let chosen = args.task.iter().map(|name| model.task(name)).collect::<Result<Vec<_>, _>>()?;
    if args.list {
        return list(&model, &fields);
    }
    let Some(input) = &args.input else {
        return output::refuse(format!("the model reads {}", TABLE.plural), format!("`{}`", TABLE.flag));
    };
    let tasks: Vec<&TaskOutputs> = if chosen.is_empty() { model.tasks.iter().collect() } else { chosen };
    let reading = InputReading::of(&symbols, args.columns.pairs());
    let (mut n, mut strangers) = (0, 0);
    for_pieces(input, |rows| {
        if n == 0 {
            check_absent(&fields_of(&reading, &model), args, &rows[0])?;
        }
        n += rows.len();
        let rows = with_vectors(rows, model.texts.as_ref(), encoded.as_ref())?;
        strangers += answer(&model, &tasks, &reading, &rows, args)?;
        Ok(())
    })?;
    tell_unknown(&reading);
    if strangers > 0 {
        let rows = polytask_core::plural(strangers, "row");
        let group = model.group.as_deref().unwrap_or_default();
        output::note(format!(
            "{rows} of no `{group}` that train had: answered by the shared trees at the median gate"
        ));
    }
    if n == 0 {
        output::note(format!("{input} has no rows: nothing was predicted"));
    }
    Ok(Outcome::Done)
}

/// The fields that are read, a text once.
fn fields_of(reading: &InputReading, model: &BoostModel) -> Vec<String> {
    let texts = model.texts.as_ref().map_or(&[][..], |texts| &texts.columns);
    shown(reading.fields(), texts)
}

/// A text is read under its own name: that of its numbers hangs on it.
fn refuse_renamed_text(model: &BoostModel, args: &Args) -> Result<()> {
    let texts = model.texts.as_ref().map_or(&[][..], |texts| &texts.columns);
    match args.columns.pairs().iter().find(|(column, _)| texts.contains(column)) {
        Some((column, field)) => {
            let what =
                format!("--columns {column}={field}: `{column}` is a column of texts, read by its own name");
            output::refuse(what, format!("rename the column `{field}` to `{column}`"))
        }
        None => Ok(()),
    }
}

fn list(model: &BoostModel, fields: &[String]) -> Result<Outcome> {
    for TaskOutputs { info, .. } in &model.tasks {
        let (name, kind, labels) = (&info.name, &info.kind, &info.labels);
        output::json(&json!({ "task": name, "kind": kind, "inputs": ["row"], "labels": labels,
                    "bounds": info.bounds, "features": fields, "group": model.group }))?;
    }
    Ok(Outcome::Done)
}

/// Prints a line per row; how many rows are of a group that train did not have.
fn answer(
    model: &BoostModel,
    tasks: &[&TaskOutputs],
    reading: &InputReading,
    rows: &[TextRow<'_>],
    args: &Args,
) -> Result<usize> {
    let symbols = rows.iter().map(|row| reading.symbols(row)).collect::<Result<Vec<Vec<u32>>, _>>()?;
    let view = model.view();
    let viewed = view.rows(symbols.iter().map(Vec::as_slice))?;
    let (margins, n) = (model.margins(&viewed), model.n_margins());
    for row in margins.chunks_exact(n) {
        if args.task.len() == 1 {
            output::json(&tasks[0].answer(row)?)?;
            continue;
        }
        let answer = |task: &&TaskOutputs| Ok((task.info.name.clone(), task.answer(row)?));
        output::json(&tasks.iter().map(answer).collect::<Result<Map<String, Value>>>()?)?;
    }
    let is_strange = |group: &&Option<usize>| model.group.is_some() && group.is_none();
    Ok(viewed.groups.iter().filter(is_strange).count())
}
