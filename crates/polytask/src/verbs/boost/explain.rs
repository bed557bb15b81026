//! `polytask boost explain`: importance of columns, gates and gains of groups.

use std::path::PathBuf;

use anyhow::Result;
use polytask_core::files;
use polytask_core::report::RunReport;

use polytask_terminal::output::{self, Outcome};

/// Show which columns trees read, and which group is unlike the others
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask boost explain runs/school
  polytask boost explain runs/school --top 20
  polytask boost explain runs/school --json

Gain is a column's share of what all splits gained; shuffled are the points of 100 (RMSE and MAE: units of the target)
that the main metric loses when the column's values are put in another order.

Exit codes: 0 done, 2 could not run.")]
pub(crate) struct Args {
    /// Folder of a run
    run: PathBuf,
    /// Lines of each table
    #[arg(long, default_value_t = 15)]
    top: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let path = args.run.join("report.json");
    if !path.is_file() {
        let what = format!("folder {} holds no report.json, expected a finished run", args.run.display());
        return output::refuse(what, "the folder that `polytask train --out` was given");
    }
    let bytes = files::read(&path, files::LARGE).map_err(polytask_core::Error::io("read", &path))?;
    let report: RunReport = match serde_json::from_slice(&bytes) {
        Ok(report) => report,
        Err(error) => {
            return output::refuse(format!("{}: {error}", path.display()), "the file as the run wrote it");
        }
    };
    let Some(trees) = &report.trees else {
        let what = format!("the run in {} trained a network, expected trees", args.run.display());
        return output::refuse(what, "`polytask saliency` looks into networks");
    };
    if args.json {
        output::json(trees)?;
    } else {
        polytask_eval::trees::tables(trees, args.top, output::width()).iter().try_for_each(output::line)?;
    }
    Ok(Outcome::Done)
}
