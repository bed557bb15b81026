//! What is found, held against documents whose segments are known.

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_data::documents;
use polytask_eval::segmentation_table;
use polytask_index::documents::files_of;
use polytask_model::{Segmenter, TrainedOn, judge, tuned};
use polytask_segment::{Convention, SegmentedDocument, WindowStyle};

use super::{Args, document_columns, is_input};
use polytask_terminal::output::{self, Outcome};

/// How what is found is scored.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Hold what is found against the segments that are known
    #[arg(long)]
    pub(super) score: bool,
    /// Documents that k and the trivial rows are made from [default: those that are scored]
    #[arg(long, value_name = "FILE", requires = "score")]
    train: Option<PathBuf>,
    /// Documents to choose the threshold on
    #[arg(long, value_name = "FILE", requires = "score", conflicts_with = "threshold")]
    valid: Option<PathBuf>,
    /// Sentences between the ends of a window [default: half the mean segment, at least 2]
    #[arg(long, requires = "score", value_parser = polytask_terminal::count)]
    k: Option<usize>,
    /// How many windows are counted: n-k (segeval) or n-k+1 (nltk)
    #[arg(long, value_enum, default_value_t = Windows::Segeval, requires = "score")]
    windows: Windows,
    /// Score all documents as one, each end a boundary found for nothing
    #[arg(long, requires = "score")]
    joined: bool,
}

/// How many windows are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Windows {
    Segeval,
    Nltk,
}

impl Options {
    /// Refuses files that are not there.
    pub(super) fn check(&self) -> Result<()> {
        let named: Vec<PathBuf> = self.train.iter().chain(&self.valid).cloned().collect();
        super::input::check_there(&named)
    }
}

pub(super) fn run(args: &Args, segmenter: Segmenter) -> Result<Outcome> {
    let options = &args.scoring;
    let documents = read(args, &args.documents)?;
    let trained_on = match &options.train {
        Some(file) => TrainedOn::of(&read(args, std::slice::from_ref(file))?)?,
        None => TrainedOn::of(&documents)?,
    };
    let convention = Convention {
        k: options.k.unwrap_or_else(|| trained_on.k()),
        windows: match options.windows {
            Windows::Segeval => WindowStyle::Segeval,
            Windows::Nltk => WindowStyle::Nltk,
        },
        joined: options.joined,
    };
    let (segmenter, on_valid) = match &options.valid {
        Some(file) => {
            let tuned = tuned(segmenter, &read(args, std::slice::from_ref(file))?, &[])?;
            (tuned.segmenter, Some(tuned.f1))
        }
        None => (segmenter, None),
    };
    let mut found = judge(&segmenter, &documents, trained_on, convention)?;
    found.f1_on_valid = on_valid;
    if args.json {
        output::json(&found)?;
    } else {
        output::line(segmentation_table(&found, output::width()).trim_end())?;
    }
    Ok(Outcome::Done)
}

/// All documents of some files and folders.
fn read(args: &Args, paths: &[PathBuf]) -> Result<Vec<SegmentedDocument>> {
    let (columns, mut all) = (document_columns(&args.columns), Vec::new());
    if paths.iter().any(|path| is_input(path)) {
        return output::refuse("`--score` reads files, found -", "the name of a file");
    }
    let (files, unlisted) = files_of(paths);
    if let Some(skipped) = unlisted.first() {
        return output::refuse(format!("{}: {}", skipped.source, skipped.reason), "files that can be read");
    }
    for file in &files {
        all.extend(documents::read(&file.path, &columns)?);
    }
    if all.is_empty() {
        let shown: Vec<String> = paths.iter().map(|path| Path::display(path).to_string()).collect();
        return output::refuse(format!("{} holds no document", shown.join(", ")), "a file with documents");
    }
    Ok(all)
}
