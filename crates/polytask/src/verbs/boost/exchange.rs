//! `polytask boost export` and `import`: models of XGBoost.

use std::path::PathBuf;

use anyhow::Result;
use polytask_boost::suite::BoostModel;
use serde_json::json;

use super::{model_of, save};
use polytask_terminal::output::{self, Outcome};

/// Write trees as a JSON model of XGBoost
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask boost export runs/shop --out shop.json
  polytask boost export runs/school --group 12 --out school-12.json

Its predictions are those of the trees, in the units of the targets. XGBoost has one objective for all targets; another
model is refused. Of a model with gates the trees of one group are written, or those for rows of no known group.

Exit codes: 0 done, 2 could not run.")]
pub(crate) struct Export {
    /// Folder of a run or of its model
    model: PathBuf,
    /// The file to write
    #[arg(long, short)]
    out: PathBuf,
    /// The group (or task) whose trees are written, of a model with gates
    #[arg(long)]
    group: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Read a JSON model of XGBoost, so that `predict` answers by it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask boost import model.json --out models/theirs
  polytask predict --model models/theirs --input rows.csv

Files of XGBoost 1.0 to 3 are read. Columns go by the file's names, f0, f1 and so on without them.

Exit codes: 0 done, 2 could not run.")]
pub(crate) struct Import {
    /// The file
    file: PathBuf,
    /// Folder of the model
    #[arg(long, short)]
    out: PathBuf,
    /// Replace the model in the folder
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn export(args: &Export) -> Result<Outcome> {
    model_of(&args.model)?.export(args.group.as_deref(), &args.out)?;
    tell(args.json, &args.out)
}

pub(super) fn import(args: &Import) -> Result<Outcome> {
    let model = BoostModel::import(&args.file)?;
    save(&model, &args.out, args.force)?;
    tell(args.json, &args.out)
}

fn tell(json: bool, written: &std::path::Path) -> Result<Outcome> {
    if json {
        output::json(&json!({ "written": written }))?;
    } else {
        output::line(format!("written {}", written.display()))?;
    }
    Ok(Outcome::Done)
}
