//! `polytask index remove` and `polytask index compact`.

use std::path::PathBuf;

use anyhow::Result;
use polytask_core::plural;
use polytask_index::{Condition, IndexWriter};
use serde_json::json;

use polytask_terminal::output::{self, Outcome};

/// Remove documents by name or by stored fields
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask index remove docs.index guide/old.md
  polytask index remove docs.index --where 'year<2015' --where lang=de

Names are those that `polytask search` shows as `id`. Removed documents are found no more at once; their bytes go when the
index is compacted, which happens by itself when they are the larger part.

Exit codes: 0 done, 1 a name was not there, 2 could not run.")]
pub(super) struct RemoveArgs {
    /// An index
    index: PathBuf,
    /// Names of documents
    #[arg(value_name = "ID", required_unless_present = "conditions")]
    ids: Vec<String>,
    /// A condition on a stored field (repeatable: all must hold)
    #[arg(long = "where", value_name = "FIELD=VALUE")]
    conditions: Vec<String>,
    /// Print what was done as one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn remove(args: &RemoveArgs) -> Result<Outcome> {
    let conditions: Vec<Condition> =
        args.conditions.iter().map(|text| Condition::parse(text)).collect::<Result<_, _>>()?;
    let mut writer = IndexWriter::open(&args.index)?;
    let (removed, missing) = writer.remove(&args.ids, &conditions)?;
    let left = writer.manifest().live_documents();
    if args.json {
        output::json(&json!({ "index": args.index, "removed": removed, "missing": missing, "left": left }))?;
    } else {
        output::line(format!("{} removed, {left} left", plural(removed, "document")))?;
    }
    missing.iter().for_each(|id| output::note(format!("no document is called `{id}`")));
    Ok(if missing.is_empty() { Outcome::Done } else { Outcome::Missed })
}

/// Make one segment of all, without what was removed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask index compact docs.index

Exit codes: 0 done, 2 could not run.")]
pub(super) struct CompactArgs {
    /// An index
    index: PathBuf,
    /// Print what was done as one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn compact(args: &CompactArgs) -> Result<Outcome> {
    let mut writer = IndexWriter::open(&args.index)?;
    let before = writer.manifest().segments.len();
    writer.compact()?;
    let (rows, after) = (writer.manifest().live_rows(), writer.manifest().segments.len());
    if args.json {
        output::json(&json!({ "index": args.index, "segments": after, "before": before, "passages": rows }))?;
    } else {
        output::line(format!("{before} segments became {after}, with {}", plural(rows, "passage")))?;
    }
    Ok(Outcome::Done)
}
