//! `polytask boost`: boosted trees looked into, extended, and exchanged with XGBoost.

pub(crate) mod predict;
pub(crate) mod texts;
pub(crate) mod trees;

mod exchange;
mod explain;
mod extend;

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_boost::suite::BoostModel;

use crate::models;
use polytask_terminal::output::{self, Outcome};

/// Look into boosted trees, add a group to them, exchange them with XGBoost
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask boost explain runs/school
  polytask boost extend runs/school --group east --input east.csv --target score --out runs/more
  polytask boost export runs/shop --out shop.json
  polytask boost import model.json --out models/theirs

Trees are trained by `polytask train` with `trees` in [model], and answer by `polytask predict`.

Exit codes: 0 done, 2 could not run.")]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show which columns trees read, and which group is unlike the others
    Explain(explain::Args),
    /// Add a group to a model with gates; what it says of the others stays the same to the bit
    Extend(extend::Args),
    /// Write trees as a JSON model of XGBoost
    Export(exchange::Export),
    /// Read a JSON model of XGBoost, so that `predict` answers by it
    Import(exchange::Import),
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    match &args.verb {
        Verb::Explain(args) => explain::run(args),
        Verb::Extend(args) => extend::run(args),
        Verb::Export(args) => exchange::export(args),
        Verb::Import(args) => exchange::import(args),
    }
}

/// The model of boosted trees in a folder, or in its run's.
fn model_of(source: &Path) -> Result<BoostModel> {
    Ok(BoostModel::load(&folder_of(source)?)?)
}

/// The folder of boosted trees that a folder is, or that its run has.
fn folder_of(source: &Path) -> Result<PathBuf> {
    if let Some(folder) = models::trees(source) {
        return Ok(folder);
    }
    let what = format!("folder {} holds no boosted trees", source.display());
    output::refuse(what, "a run of a suite with `trees` in [model]")
}

/// Writes a model into a folder that is free.
fn save(model: &BoostModel, out: &Path, force: bool) -> Result<()> {
    if BoostModel::is_in(out) && !force {
        let what = format!("folder {} holds boosted trees already", out.display());
        return output::refuse(what, "`--force` to replace them, or another `--out`");
    }
    Ok(model.save(out)?)
}
