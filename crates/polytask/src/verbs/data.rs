//! `polytask data`: what a suite's data looks like, and what leaks.

use std::path::PathBuf;

use anyhow::Result;
use polytask_core::input::InputSpec;
use polytask_core::input::table::{ColumnForm, TableColumn, TableSpec};
use polytask_core::input::text::TEXT;
use polytask_core::report::{DataCard, TaskCard};
use polytask_core::words::{plural, verb};
use polytask_core::{Split, near};
use polytask_train::prepare::symbols_only;

use polytask_terminal::output::{self, Outcome};
use polytask_terminal::progress::TerminalProgress;
use polytask_terminal::suites;

/// Categories of a column that are shown.
const SHOWN: usize = 6;

/// Describe a suite's data: counts, labels, lengths, duplicates, leakage
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  polytask data suite.toml\n\nExit codes: 0 done, 2 the suite or its data are wrong."
)]
pub(crate) struct Args {
    /// The suite file
    suite: PathBuf,
    /// Change a setting first: task.sts.limit=1000
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let suite = suites::load(&args.suite, &args.set)?;
    let symbols = symbols_only(&suite, &mut TerminalProgress::new(true))?;
    let dataset = polytask_data::build(&suite, &*symbols)?;
    let card = polytask_data::card(&suite, &dataset);
    if args.json {
        let mut card = serde_json::to_value(&card)?;
        if let InputSpec::Table(table) = &dataset.input {
            card["columns"] = serde_json::to_value(&table.columns)?;
        }
        output::json(&card)?;
        return Ok(Outcome::Done);
    }
    let reads_texts = *suite.input() == TEXT;
    for task in &card.tasks {
        show_task(task, reads_texts)?;
    }
    match &dataset.input {
        InputSpec::Table(table) => show_columns(table)?,
        _ => show_whole(&card)?,
    }
    for warning in &dataset.warnings {
        output::line(format!("warning: {warning}"))?;
    }
    Ok(Outcome::Done)
}

/// The columns of a table, and what train says of each.
fn show_columns(table: &TableSpec) -> Result<()> {
    output::line(format!("{} of the table:", plural(table.columns.len(), "column")))?;
    for TableColumn { name, form } in &table.columns {
        let what = match form {
            ColumnForm::Number { mean, std, has_missing } => {
                let missing = if *has_missing { ", some missing" } else { "" };
                format!("numbers, mean {mean:.4}, standard deviation {std:.4}{missing}")
            }
            ColumnForm::Category { names } => {
                let shown: Vec<&String> = names.iter().take(SHOWN).collect();
                let more = if names.len() > SHOWN { ", …" } else { "" };
                format!("{} categories: {}{more}", names.len(), near::list(&shown))
            }
            ColumnForm::Text => "texts, which the encoder reads".into(),
            ColumnForm::Image => "images, which the encoder of images reads".into(),
            ColumnForm::Silent => "not read: train has one value, or none".into(),
        };
        output::line(format!("  {name:<28} {what}"))?;
    }
    Ok(())
}

fn show_task(task: &TaskCard, reads_texts: bool) -> Result<()> {
    output::line(format!("{} ({})", task.task, task.kind))?;
    for split in [Split::Train, Split::Valid, Split::Test].map(Split::name) {
        let Some(rows) = task.rows.get(split) else { continue };
        let labelled = task.labelled.get(split).copied().unwrap_or(0);
        let leaked = task.leaked.get(split).copied().unwrap_or(0);
        let leak = if leaked > 0 { format!(", {leaked} also in train") } else { String::new() };
        output::line(format!("  {split:<6} {rows:>8} rows, {labelled} with a known target{leak}"))?;
    }
    let cut =
        if reads_texts { format!("; texts cut at the limit: {}", task.truncated) } else { String::new() };
    output::line(format!("  duplicates in train: {}{cut}", task.duplicates))?;
    bars("labels in train", task.labels.iter().map(|(label, n)| (label.clone(), *n)).collect())?;
    bars("values in train", task.values.iter().map(|(edge, n)| (format!("from {edge:.3}"), *n)).collect())?;
    if !reads_texts {
        return Ok(());
    }
    bars("tokens per text", task.lengths.iter().map(|(longest, n)| (format!("to {longest}"), *n)).collect())
}

/// A small bar chart; of many labels the ten largest and the smallest are shown.
fn bars(title: &str, mut counts: Vec<(String, usize)>) -> Result<()> {
    if counts.is_empty() {
        return Ok(());
    }
    let (n, largest) = (counts.len(), counts.iter().map(|(_, n)| *n).max().unwrap_or(1).max(1));
    if n > 14 {
        counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        let last = counts.pop();
        counts.truncate(10);
        counts.extend(last.map(|(label, n)| (format!("… {label}"), n)));
    }
    output::line(format!("  {title} ({n}):"))?;
    for (label, n) in counts {
        let bar = "█".repeat((n * 30).div_ceil(largest));
        output::line(format!("    {label:<28} {n:>7} {bar}"))?;
    }
    Ok(())
}

fn show_whole(card: &DataCard) -> Result<()> {
    output::line(format!("{}, {}", plural(card.texts, "distinct text"), plural(card.tokens, "token")))?;
    if card.leaks.is_empty() {
        output::line("no text of a valid or test split is trained on by another task")?;
    }
    for leak in &card.leaks {
        let (texts, split, task) = (leak.texts, &leak.split, &leak.task);
        let whole = match leak.pairs {
            0 => String::new(),
            n => format!(", {} of them whole", plural(n, "pair")),
        };
        output::line(format!(
            "leak: {} of {task}'s {split} split {} trained on by {}{whole}",
            plural(texts, "text"),
            verb(texts, "is", "are"),
            leak.trained_by
        ))?;
    }
    Ok(())
}
