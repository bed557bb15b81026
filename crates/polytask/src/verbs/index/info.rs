//! `polytask index info`: what is in an index.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use polytask_core::plural;
use polytask_index::{IndexManifest, OpenIndex};
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

/// What an index holds, counted.
struct Facts {
    documents: usize,
    passages: usize,
    /// Passages whose documents were removed.
    removed: usize,
    words: usize,
    /// Bytes by the name of the file, over all segments.
    bytes: BTreeMap<String, u64>,
    /// Documents that have a field, by its name.
    fields: BTreeMap<String, usize>,
}

impl Facts {
    fn of(index: &OpenIndex) -> Result<Self> {
        let manifest = &index.manifest;
        let mut bytes = BTreeMap::new();
        for (name, stamp) in manifest.segments.iter().flat_map(|entry| &entry.files) {
            *bytes.entry(name.clone()).or_default() += stamp.bytes;
        }
        Ok(Self {
            documents: manifest.live_documents(),
            passages: manifest.live_rows(),
            removed: manifest.segments.iter().map(|entry| entry.rows - entry.live_rows()).sum(),
            words: index.segments.iter().map(|segment| segment.lexicon.n_words()).sum(),
            bytes,
            fields: fields(index)?,
        })
    }

    fn lines(&self, manifest: &IndexManifest) -> [String; 6] {
        let (encoder, settings) = (&manifest.encoder, &manifest.settings);
        let chunking = settings.chunking;
        let by = serde_json::to_value(chunking.by).unwrap_or_default();
        let graph = settings.graph.map_or(String::new(), |graph| {
            format!(", graph of {} neighbours, breadth {}", graph.neighbours, graph.breadth)
        });
        let tokens = encoder.tokens.as_ref().map_or(String::new(), |tokens| {
            format!(
                ", states of tokens compared by {} (width {}, f16)",
                tokens.score.choice.name, tokens.width
            )
        });
        let of = manifest.segmenter.as_ref().map_or(String::new(), |model| format!(" of {model}"));
        let mib = self.bytes.values().sum::<u64>() as f64 / f64::from(1 << 20);
        let (by, segments) = (by.as_str().unwrap_or_default(), plural(manifest.segments.len(), "segment"));
        let hash = encoder.hash.get(..12).unwrap_or(&encoder.hash);
        let (passages, documents, words) = (
            plural(self.passages, "passage"),
            plural(self.documents, "document"),
            plural(self.words, "word"),
        );
        [
            format!("{passages} in {documents}, {words}"),
            format!("encoder   {} (width {}, hash {hash})", encoder.source, encoder.width),
            format!(
                "passages  by {by}{of}, at most {} tokens, overlap {}",
                chunking.tokens, chunking.overlap
            ),
            format!("vectors   {}{graph}{tokens}", settings.store.name()),
            format!("disk      {mib:.1} MiB in {segments}, {} passages removed", self.removed),
            format!("fields    {}", self.field_names()),
        ]
    }

    fn field_names(&self) -> String {
        let names: Vec<String> = self.fields.iter().map(|(name, n)| format!("{name} ({n})")).collect();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    }
}

pub(super) fn run(args: &Args) -> Result<Outcome> {
    let index = OpenIndex::open(&args.index)?;
    if args.verify {
        index.verify()?;
    }
    let (manifest, facts) = (&index.manifest, Facts::of(&index)?);
    if args.json {
        let Facts { documents, passages, removed, words, bytes, fields } = facts;
        output::json(&json!({
            "index": args.index, "documents": documents, "passages": passages, "removed_passages": removed,
            "segments": manifest.segments.len(), "words": words, "bytes": bytes, "fields": fields,
            "encoder": manifest.encoder, "settings": manifest.settings, "segmenter": manifest.segmenter, "generation": manifest.generation,
            "verified": args.verify,
        }))?;
        return Ok(Outcome::Done);
    }
    facts.lines(manifest).iter().try_for_each(output::line)?;
    if args.verify {
        output::line("every file is as it was written")?;
    }
    Ok(Outcome::Done)
}
