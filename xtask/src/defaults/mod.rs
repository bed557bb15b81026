//! `cargo xtask defaults --data DIR`: what a suite that names only data comes to, beside its probe and a tuned grid.
//!
//! Each cell is a set of data at a number of labelled rows, alone or with others in one suite. The default run and the
//! runs of the grid see the same rows: a tenth of them is valid, by which the grid's winner is chosen. The default's
//! settings were chosen on the sets of [`sets::Role::Development`]; the other sets were scored once, those of
//! [`sets::Role::HeldOut`] when nothing was to be changed any more. Cells go to `results/defaults.json` one by one, and a cell that is
//! there is not run again: remove the file when the program changes what such a run gives.

mod cells;
mod page;
mod read;
mod rows;
mod run;
mod sets;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use polytask_core::atomic;

use crate::options::Options;
use crate::root::root;
use run::Outcome;

/// Where the outcomes are kept, and the page made from them.
pub(crate) const RESULTS: &str = "results/defaults.json";
pub(crate) const PAGE: &str = "docs/defaults-measured.md";

/// The page of what was found.
///
/// # Errors
/// When the text is not what [`run()`] writes.
pub(crate) fn page(text: &str) -> Result<String> {
    Ok(page::page(&serde_json::from_str(text)?))
}

/// Runs the cells that are not there yet; `--only PART` takes those whose name holds a word, `--binary PATH` another
/// build than `target/release/polytask`.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let options = Options::parse(arguments, &["data", "only", "work", "binary"], &[])?;
    let data = PathBuf::from(options.require("data")?);
    let work = options.get("work").map_or_else(|| root().join("target/defaults"), PathBuf::from);
    let binary = options.get("binary").map_or_else(|| root().join("target/release/polytask"), PathBuf::from);
    let place = root().join(RESULTS);
    let mut outcomes = known(&place)?;
    for cell in cells::all() {
        let is_asked = options.get("only").is_none_or(|part| cell.name.contains(part));
        if !is_asked || outcomes.iter().any(|outcome| outcome.cell == cell.name) {
            continue;
        }
        let outcome =
            run::cell(&cell, &binary, &data, &work).with_context(|| format!("cell {}", cell.name))?;
        println!("{}", page::line(&outcome));
        outcomes.push(outcome);
        keep(&place, &outcomes)?;
    }
    println!("{}", page::table(&outcomes));
    Ok(ExitCode::SUCCESS)
}

fn known(place: &Path) -> Result<Vec<Outcome>> {
    if !place.exists() {
        return Ok(Vec::new());
    }
    let file: File = serde_json::from_slice(&std::fs::read(place)?)?;
    Ok(file.cells)
}

fn keep(place: &Path, cells: &[Outcome]) -> Result<()> {
    let command = "cargo xtask defaults --data DIR".to_owned();
    let file =
        File { command, grid: run::GRID.iter().map(ToString::to_string).collect(), cells: cells.to_vec() };
    Ok(atomic::write(place, format!("{}\n", serde_json::to_string_pretty(&file)?).as_bytes())?)
}

/// `results/defaults.json`.
#[derive(serde::Serialize, serde::Deserialize)]
struct File {
    /// What made it.
    command: String,
    /// The settings of the grid.
    grid: Vec<String>,
    /// What was found.
    cells: Vec<Outcome>,
}
