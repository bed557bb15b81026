//! `polytask boost extend`: one more group.

use std::path::PathBuf;

use anyhow::Result;
use polytask_boost::RobustParams;
use polytask_boost::suite::BoostModel;
use polytask_core::Cell;
use polytask_core::target::number;
use polytask_data::Symbols;
use polytask_model::InputReading;
use serde_json::json;

use super::texts::{Encoded, with_vectors};
use super::{folder_of, save};
use crate::lines::{Row, for_pieces};
use polytask_terminal::output::{self, Outcome};

/// Add a group to a model with gates; what it says of the others stays the same to the bit
#[derive(Debug, clap::Args)]
#[command(override_usage = "polytask boost extend [OPTIONS] <MODEL>\n       \
                           --group <GROUP> --input <FILE> --target <COLUMN> --out <DIR>")]
#[command(after_help = "\
Examples:
  polytask boost extend runs/school --group east --input east.csv --target score --out runs/more

The group's gate is set by Newton's method on its rows, and it gets trees of its own; all others stay as they are.

Exit codes: 0 done, 2 could not run.")]
pub(crate) struct Args {
    /// Folder of a run or of its model
    model: PathBuf,
    /// Name of the new group
    #[arg(long)]
    group: String,
    /// File of its rows
    #[arg(long, short)]
    input: String,
    /// Column of the target
    #[arg(long)]
    target: String,
    /// Rounds of its own trees [default: as many as those of the run's groups]
    #[arg(long, value_parser = polytask_terminal::count)]
    own: Option<usize>,
    /// Folder of the new model
    #[arg(long, short)]
    out: PathBuf,
    /// Replace the model in the folder
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<Outcome> {
    let folder = folder_of(&args.model)?;
    let model = BoostModel::load(&folder)?;
    check(&model, args)?;
    let encoded = Encoded::of_model(&model, &folder)?;
    let reading = InputReading::of(&Symbols::Table(model.table.clone()), &[]);
    let (mut symbols, mut targets) = (Vec::new(), Vec::new());
    for_pieces(&args.input, |rows| {
        for (row, read) in rows.iter().zip(with_vectors(rows, model.texts.as_ref(), encoded.as_ref())?) {
            symbols.push(reading.symbols(&read)?);
            targets.push(target(&model, row, args)?);
        }
        Ok(())
    })?;
    if symbols.is_empty() {
        return output::refuse(
            format!("{} has no rows, expected those of the group", args.input),
            "another `--input`",
        );
    }
    if targets.iter().all(|target| target.is_nan()) {
        let what = format!("column `{}` of {} has no known target", args.target, args.input);
        return output::refuse(what, "rows of the group with what is true of them");
    }
    let stored = model.robust.clone().unwrap_or_default();
    let params = RobustParams { own: args.own.unwrap_or(stored.own.max(1)), ..stored };
    let extended = model.extended(&args.group, &symbols, &targets, &params)?;
    save(&extended, &args.out, args.force)?;
    encoded.as_ref().map(|encoded| encoded.save(&args.out)).transpose()?;
    let (group, rows) = (&args.group, symbols.len());
    if args.json {
        output::json(&json!({ "group": group, "rows": rows, "written": args.out }))?;
    } else {
        output::line(format!(
            "group `{group}` with {}: written {}",
            polytask_core::plural(rows, "row"),
            args.out.display()
        ))?;
    }
    Ok(Outcome::Done)
}

/// Refuses a group without a name and a target that the model reads.
fn check(model: &BoostModel, args: &Args) -> Result<()> {
    if args.group.trim().is_empty() {
        return output::refuse("--group is empty: no row names such a group", "the name its rows have");
    }
    if model.table.columns.iter().any(|column| column.name == args.target) {
        let what = format!("column `{}` is one the model reads, expected its target", args.target);
        return output::refuse(what, format!("the column of task `{}`", model.tasks[0].info.name));
    }
    Ok(())
}

/// The target of a row: a number, or the number of its label; NaN where it is unknown.
fn target(model: &BoostModel, row: &Row, args: &Args) -> Result<f64> {
    let column = &args.target;
    if row.first_of(&[column]).is_none() {
        let found = row.fields();
        let what = format!("no column `{column}` in {}, found `{}`", args.input, found.join("`, `"));
        return output::refuse(what, polytask_core::near::advice(column, &found));
    }
    let Some(cell) = row.cell(column).filter(|cell| !cell.is_missing()) else { return Ok(f64::NAN) };
    let labels = &model.tasks[0].info.labels;
    let wrong = |what: String, remedy: &str| {
        output::refuse(format!("{}: column `{column}`: {what}", args.input), remedy)
    };
    if labels.is_empty() {
        return number(&cell).or_else(|mistake| wrong(mistake.what, "a number, or an empty cell"));
    }
    let text = Cell::to_text(&cell).unwrap_or_default();
    match labels.iter().position(|label| *label == text) {
        Some(label) => Ok(label as f64),
        None => wrong(
            format!("label `{text}`, expected one of {}", labels.join(", ")),
            "a label that training had",
        ),
    }
}
