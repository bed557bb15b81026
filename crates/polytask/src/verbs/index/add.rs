//! `polytask index add`: further documents, and those that have changed.

use std::path::PathBuf;

use anyhow::Result;
use polytask_index::{ChunkBy, IndexWriter, OpenIndex};

use super::topics::Topics;
use super::{Reading, build};
use polytask_terminal::output::Outcome;
use polytask_terminal::suites;

/// Add documents, and replace those that have changed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask index add docs.index docs/
  polytask index add docs.index new.md --model runs/first

Documents have names (their path below the folder that is given, or the id of a row). One that is there already, word for
word, stays as it is; another text of the same name takes its place. Nothing is embedded twice. The index is what it was
until the change is whole, whatever ends the process.

Exit codes: 0 done, 2 could not run.")]
pub(super) struct Args {
    /// An index
    index: PathBuf,
    #[command(flatten)]
    reading: Reading,
    /// Where the index's encoder is now
    #[arg(long, short)]
    model: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Outcome> {
    args.reading.check()?;
    suites::set_threads(args.reading.threads)?;
    let mut writer = IndexWriter::open(&args.index)?;
    let stamp = writer.manifest().encoder.clone();
    let source = args.model.clone().unwrap_or_else(|| PathBuf::from(&stamp.source));
    let encoder = build::encoder(&source, stamp.task.as_deref(), stamp.corpus_prompt.as_deref())?;
    OpenIndex::open(&args.index)?.check_encoder(encoder.stamp())?;
    let manifest = writer.manifest();
    let by_topics = manifest.settings.chunking.by == ChunkBy::Segments;
    let topics = Topics::new(&encoder, by_topics, manifest.segmenter.as_deref())?;
    args.reading.add(&args.index, &mut writer, &encoder, topics.ends().as_deref())
}
