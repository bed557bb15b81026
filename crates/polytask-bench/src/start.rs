//! `polytask bench start`: from the start of the process to the first vector on disk.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use polytask_core::atomic;
use serde::Serialize;
use serde_json::json;
use tempfile::TempDir;

use super::measure::{Process, Times, measure};
use super::texts;
use super::{Common, leftovers};
use polytask_terminal::output::{self, Outcome};
use polytask_terminal::suites;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask bench start
  polytask bench start --runs 20 --json

Runs `polytask embed` on one text as a process of its own, model files in the system's cache. Times are wall
milliseconds of the whole process, memory is that of the largest of these processes.")]
pub(super) struct Args {
    #[command(flatten)]
    common: Common,
    /// Processes measured
    #[arg(long, default_value_t = 10, value_parser = polytask_terminal::count)]
    runs: usize,
}

#[derive(Serialize)]
struct Figures {
    bench: &'static str,
    #[serde(flatten)]
    times: Times,
    #[serde(flatten)]
    process: Process,
}

pub(super) fn run(args: &Args) -> Result<Outcome> {
    suites::set_threads(args.common.threads)?;
    let model = args.common.folder()?;
    let folder = folder()?;
    let times = Times::of(measure(args.runs, 1, || embed_once(&model, folder.path()))?);
    let figures = Figures { bench: "start", times, process: Process::children() };
    if args.common.json {
        output::json(&figures)?;
    } else {
        output::line(format!("process start to first embedding: {}, {}", figures.times, figures.process))?;
    }
    Ok(Outcome::Done)
}

/// One process that embeds one text, with as many threads as this one was told to use.
fn embed_once(model: &Path, folder: &Path) -> Result<()> {
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    let said = Command::new(program)
        .arg("embed")
        .args(["--model".as_ref(), model])
        .args(["--input".as_ref(), folder.join("text.jsonl").as_path()])
        .args(["--output".as_ref(), folder.join("vector.npy").as_path()])
        .env("RAYON_NUM_THREADS", rayon::current_num_threads().to_string())
        .stdin(Stdio::null())
        .output()
        .context("cannot start this program again")?;
    ensure!(said.status.success(), "embed failed: {}", String::from_utf8_lossy(&said.stderr).trim());
    Ok(())
}

/// A folder with the text; it vanishes with its value.
fn folder() -> Result<TempDir> {
    leftovers::sweep(&std::env::temp_dir(), |name| name.starts_with(leftovers::PREFIX));
    let folder = tempfile::Builder::new()
        .prefix(leftovers::PREFIX)
        .tempdir()
        .context("cannot create a temporary folder")?;
    let line = format!("{}\n", json!({ "text": texts::short().texts[0] }));
    atomic::write(&folder.path().join("text.jsonl"), line.as_bytes())?;
    Ok(folder)
}
