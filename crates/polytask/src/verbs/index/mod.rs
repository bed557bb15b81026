//! `polytask index`: documents of files and folders, to be searched.

mod add;
mod build;
mod change;
mod info;
mod topics;

use anyhow::Result;
use polytask_core::plural;
use polytask_index::change::Embedding;
use polytask_index::documents::files_of;
use polytask_index::{Added, EndTopics, IndexEncoder, IndexWriter, RowColumns, Skipped};
use polytask_terminal::progress::WorkProgress;
use serde_json::json;

use std::path::{Path, PathBuf};

use crate::columns::Columns;
use polytask_terminal::output::{self, Outcome};

/// Skipped files that are listed for a reader.
const LISTED: usize = 20;

/// Build an index of documents, change it, or say what is in it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask index build runs/first docs/ --out docs.index
  polytask index build all-MiniLM-L6-v2 corpus.jsonl --out corpus.index --by whole --store int8
  polytask index add docs.index docs/
  polytask index remove docs.index old.md --where 'year<2015'
  polytask index info docs.index

Exit codes: 0 done, 2 could not run.")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Read documents, cut them into passages, embed these and build an index
    Build(build::Args),
    /// Add documents, and replace those that have changed
    Add(add::Args),
    /// Remove documents by name or by stored fields
    Remove(change::RemoveArgs),
    /// Make one segment of all, without what was removed
    Compact(change::CompactArgs),
    /// Say what is in an index
    Info(info::Args),
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    match &args.what {
        What::Build(args) => build::run(args),
        What::Add(args) => add::run(args),
        What::Remove(args) => change::remove(args),
        What::Compact(args) => change::compact(args),
        What::Info(args) => info::run(args),
    }
}

/// Which documents are read, and what is said of it.
#[derive(Debug, clap::Args)]
struct Reading {
    /// Files and folders: text, Markdown, HTML, PDF; JSONL, CSV, TSV and Parquet, where each row is a document
    #[arg(required = true, value_name = "DOCS")]
    documents: Vec<PathBuf>,
    #[command(flatten)]
    columns: Columns,
    /// Worker threads; 0 means all cores
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
    /// Print what was done as one JSON object
    #[arg(long)]
    json: bool,
}

impl Reading {
    /// The columns of rows: those that are named, else those of the last change.
    fn row_columns(&self, default: RowColumns) -> RowColumns {
        let of = |role: &str, names: Vec<String>| match self.columns.given(role) {
            Some(column) => vec![column.to_owned()],
            None => names,
        };
        RowColumns {
            text: of("text", default.text),
            title: of("title", default.title),
            id: of("id", default.id),
        }
    }

    /// Refuses arguments that cannot be, before anything is made.
    fn check(&self) -> Result<()> {
        self.columns.check(&["text", "title", "id"])?;
        match self.documents.iter().find(|path| path.symlink_metadata().is_err()) {
            Some(absent) => {
                let what = format!("{} does not exist", absent.display());
                output::refuse(what, "a file or a folder that is there")
            }
            None => Ok(()),
        }
    }

    /// Adds the documents to an index and says what was done.
    fn add(
        &self,
        index: &Path,
        writer: &mut IndexWriter,
        encoder: &IndexEncoder,
        topics: Option<&EndTopics<'_>>,
    ) -> Result<Outcome> {
        let (files, unlisted) = files_of(&self.documents);
        let columns = self.row_columns(writer.manifest().columns.clone());
        let total = files.iter().map(|file| file.length).sum();
        let bar = WorkProgress::new("index", total, self.quiet);
        let embedding = Embedding {
            stamp: encoder.stamp(),
            embed: &|texts| encoder.embedded_passages(texts),
            count: &|texts| encoder.count(texts),
            topics,
        };
        let mut added = writer.add(&files, &columns, &embedding, &mut |progress| {
            let words = format!("{} documents, {} passages", progress.documents, progress.passages);
            bar.set(progress.bytes, &words);
        })?;
        bar.finish();
        added.skipped.splice(0..0, unlisted);
        self.tell(index, writer, &added)
    }

    fn tell(&self, index: &Path, writer: &IndexWriter, added: &Added) -> Result<Outcome> {
        let manifest = writer.manifest();
        list_skipped(&added.skipped);
        if manifest.live_rows() == 0 {
            let what = format!("no document could be read: index {} was not written", index.display());
            return output::refuse(what, "files of text, Markdown, HTML, JSONL, CSV, TSV or Parquet");
        }
        if self.json {
            let in_all = json!({ "documents": manifest.live_documents(), "passages": manifest.live_rows() });
            output::json(&json!({ "index": index, "added": added, "in_all": in_all }))?;
        } else {
            let Added { documents, replaced, unchanged, passages, embedded, .. } = added;
            output::line(format!(
                "{}: {} new, {replaced} replaced, {unchanged} unchanged; {} ({embedded} embedded)",
                index.display(),
                plural(*documents, "document"),
                plural(*passages, "passage"),
            ))?;
            let (documents, rows) = (manifest.live_documents(), manifest.live_rows());
            output::line(format!("in all {}, {}", plural(documents, "document"), plural(rows, "passage")))?;
        }
        Ok(Outcome::Done)
    }
}

/// Says what was not read, and why.
fn list_skipped(skipped: &[Skipped]) {
    for Skipped { source, reason } in skipped.iter().take(LISTED) {
        output::note(format!("skipped {source}: {reason}"));
    }
    if skipped.len() > LISTED {
        output::note(format!("and {} more; --json lists all", skipped.len() - LISTED));
    }
}
