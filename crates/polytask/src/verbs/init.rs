//! `polytask init`: a suite file to start from.

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_core::{atomic, suite};

use crate::output::{self, Outcome};

/// Write a commented suite file to start from
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  polytask init > suite.toml\n  polytask init --data data/ --out suite.toml\n\nExit codes: 0 done, 2 could not run.")]
pub(crate) struct Args {
    /// Folder whose data files become tasks; without it, an example is written
    #[arg(long)]
    data: Option<PathBuf>,
    /// File to write; standard output otherwise
    #[arg(long, short)]
    out: Option<PathBuf>,
    /// Replace the file when it exists
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let text = suite::template(args.data.as_deref().unwrap_or(Path::new(".")));
    let Some(out) = &args.out else {
        output::line(text.trim_end())?;
        return Ok(Outcome::Done);
    };
    if out.exists() && !args.force {
        return output::refuse(format!("{} exists", out.display()), "`--force`, or another `--out`");
    }
    atomic::write(out, text.as_bytes())?;
    output::note(format!("wrote {}; next: polytask check {}", out.display(), out.display()));
    Ok(Outcome::Done)
}
