//! `polytask info`: what this build is and what it uses of this machine.

use std::path::PathBuf;

use anyhow::Result;
use polytask_data::PullOptions;
use polytask_nn::trunk::simd;
use serde::Serialize;

use polytask_terminal::output::{self, Outcome};
use polytask_terminal::suites;

/// Say what this build is and what it uses of this machine
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask info
  polytask info --json

POLYTASK_SIMD=portable (or avx2, avx512, neon) makes polytask's own kernels use these vector instructions instead
of the widest ones found; the products of training and of attention always use the widest.

Exit codes: 0 done, 2 POLYTASK_SIMD names instructions this processor lacks.")]
pub(crate) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Info {
    version: &'static str,
    /// Of the source tree it was built from; empty outside a repository.
    commit: &'static str,
    target: String,
    /// Of the row kernels.
    instructions: &'static str,
    /// All that this processor has, narrowest first.
    available: Vec<&'static str>,
    threads: usize,
    precision: &'static str,
    cache: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    suites::set_threads(0)?;
    let info = Info {
        version: env!("CARGO_PKG_VERSION"),
        commit: env!("POLYTASK_COMMIT"),
        target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        instructions: simd::active(),
        available: simd::available(),
        threads: rayon::current_num_threads(),
        precision: "f32",
        cache: PullOptions::from_environment().cache,
    };
    if args.json {
        output::json(&info)?;
        return Ok(Outcome::Done);
    }
    let commit = if info.commit.is_empty() { String::new() } else { format!(" (commit {})", info.commit) };
    output::line(format!("polytask      {}{commit} for {}", info.version, info.target))?;
    output::line(format!(
        "instructions  {} (this processor has: {})",
        info.instructions,
        info.available.join(", ")
    ))?;
    output::line(format!("threads       {}", info.threads))?;
    output::line(format!("precision     {}", info.precision))?;
    output::line(format!("cache         {}", info.cache.display()))?;
    Ok(Outcome::Done)
}
