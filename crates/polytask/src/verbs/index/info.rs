//! `polytask index info`: what is in an index.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use polytask_core::plural;
use polytask_index::OpenIndex;
use serde_json::json;

use polytask_terminal::output::{self, Outcome};

/// Say what is in an index
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask index info docs.index
  polytask index info docs.index --verify --json

Exit codes: 0 done, 2 could not run (with --verify also: a file is damaged).")]
pub(super) struct Args {
    /// An index
    index: PathBuf,
    /// Hold every file against the hash it had when it was written
    #[arg(long)]
    verify: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Stored fields and how many documents have each.
fn fields(index: &OpenIndex) -> Result<BTreeMap<String, usize>> {
    let mut all = BTreeMap::new();
    for segment in &index.segments {
        for document in segment.live_documents() {
            document?.1.fields.into_iter().for_each(|(name, _)| *all.entry(name).or_default() += 1);
        }
    }
    Ok(all)
}

pub(super) fn run(args: &Args) -> Result<Outcome> {
    let index = OpenIndex::open(&args.index)?;
    if args.verify {
        index.verify()?;
    }
    let (manifest, fields) = (&index.manifest, fields(&index)?);
    let mut bytes: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, stamp) in manifest.segments.iter().flat_map(|entry| &entry.files) {
        *bytes.entry(name).or_default() += stamp.bytes;
    }
    let (documents, passages) = (manifest.live_documents(), manifest.live_rows());
    let removed: usize = manifest.segments.iter().map(|entry| entry.rows - entry.live_rows()).sum();
    let words: usize = index.segments.iter().map(|segment| segment.lexicon.n_words()).sum();
    if args.json {
        output::json(&json!({
            "index": args.index, "documents": documents, "passages": passages, "removed_passages": removed,
            "segments": manifest.segments.len(), "words": words, "bytes": bytes, "fields": fields,
            "encoder": manifest.encoder, "settings": manifest.settings, "generation": manifest.generation,
            "verified": args.verify,
        }))?;
        return Ok(Outcome::Done);
    }
    let (encoder, settings) = (&manifest.encoder, &manifest.settings);
    let chunking = settings.chunking;
    let by = serde_json::to_value(chunking.by)?;
    let graph = settings.graph.map_or(String::new(), |graph| {
        format!(", graph of {} neighbours, breadth {}", graph.neighbours, graph.breadth)
    });
    let mib = bytes.values().sum::<u64>() as f64 / f64::from(1 << 20);
    let names: Vec<String> = fields.iter().map(|(name, n)| format!("{name} ({n})")).collect();
    let lines = [
        format!(
            "{} in {}, {}",
            plural(passages, "passage"),
            plural(documents, "document"),
            plural(words, "word")
        ),
        format!(
            "encoder   {} (width {}, hash {})",
            encoder.source,
            encoder.width,
            encoder.hash.get(..12).unwrap_or(&encoder.hash)
        ),
        format!(
            "passages  by {}, at most {} tokens, overlap {}",
            by.as_str().unwrap_or_default(),
            chunking.tokens,
            chunking.overlap
        ),
        format!("vectors   {}{graph}", settings.store.name()),
        format!(
            "disk      {mib:.1} MiB in {}, {removed} passages removed",
            plural(manifest.segments.len(), "segment")
        ),
        format!("fields    {}", if names.is_empty() { "none".into() } else { names.join(", ") }),
    ];
    lines.iter().try_for_each(output::line)?;
    if args.verify {
        output::line("every file is as it was written")?;
    }
    Ok(Outcome::Done)
}
