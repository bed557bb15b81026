//! `polytask segment`: where topics change in a document.

mod input;
mod print;
mod score;

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_core::Error;
use polytask_model::{FoundSegment, Model, Segmenter, choose_segmenter, read_segmenters};
use polytask_segment::TilingThreshold;
use polytask_segment::document::{DocumentColumns, ROLES};

use crate::columns::Columns;
use crate::models;
use polytask_terminal::output::{self, Outcome};
use polytask_terminal::suites;

use input::ReadText;

/// Roles of the columns of rows that are whole texts.
const TEXT_ROLES: [&str; 2] = ["text", "title"];

/// Find where topics change in documents
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask segment article.txt --model all-MiniLM-L6-v2 --method texttiling
  polytask segment docs/ notes.md --model runs/topics --json > segments.jsonl
  polytask segment meetings.jsonl --model runs/topics --columns sentences=turns
  cat article.txt | polytask segment - --model runs/topics
  polytask segment test.jsonl --model all-MiniLM-L6-v2 --score --train train.jsonl --valid dev.jsonl

Read are text, Markdown, HTML and, in builds with it, PDF; rows of JSONL, CSV, TSV and Parquet with a column `text`, or
with a list of `sentences` (or `turns`). Sentences end by the rules of the Unicode standard; a heading begins a segment.

--method texttiling (Hearst 1997) takes the places where the similarity of neighbours is deepest; it needs no training.
--method learned asks the heads of a model that was trained with a task of the kind `segmentation`, and is what such a
model does by itself.

--json prints a line per segment: document, segment, start and end (characters), sentences, the depth or probability of
the boundary that ends it, class, titles, text. A long text is answered while it is read by learned heads.

--score holds what is found against documents whose segments are known: rows with `sections`, `boundaries` (1 ends a
segment) or `labels`, .ref files of Choi, .txt or .lab files of `label<TAB>sentence` lines. --train says what k and the
trivial rows are made from, --valid chooses the threshold (best F1). Pk and WindowDiff are worth nothing without their
convention, which is printed: --windows, --joined and --k change it.

Exit codes: 0 done, 2 could not run.")]
pub(crate) struct Args {
    /// Files and folders, or - for a text on standard input
    #[arg(required = true, value_name = "DOCS")]
    documents: Vec<PathBuf>,
    /// Folder of a run or a model, or an encoder's name as in a suite
    #[arg(long, short)]
    model: PathBuf,
    /// How segments are found [default: learned where the model learnt it]
    #[arg(long, value_enum)]
    method: Option<Method>,
    /// The segmentation that is meant, for a model with several
    #[arg(long, short)]
    task: Option<String>,
    /// Sentences on each side of a place that are compared (texttiling) [default: 2]
    #[arg(long, value_parser = polytask_terminal::count)]
    width: Option<usize>,
    /// Depth or probability above which a place is a boundary [default: mean depth and half a deviation; what was learnt]
    #[arg(long)]
    threshold: Option<f64>,
    #[command(flatten)]
    columns: Columns,
    #[command(flatten)]
    scoring: score::Options,
    /// Worker threads; 0 means all cores
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

// Without comments on its values, which would stretch the help: the text above says what they are.
/// How segments are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Method {
    Texttiling,
    Learned,
}

/// Sentences on each side that `TextTiling` compares where nothing else is said.
pub(crate) const WIDTH: usize = 2;

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    suites::set_threads(args.threads)?;
    args.columns.check(&[&ROLES[..], &TEXT_ROLES].concat())?;
    args.scoring.check()?;
    input::check_there(&args.documents)?;
    let segmenter = segmenter(args)?;
    if args.scoring.score {
        return score::run(args, segmenter);
    }
    let mut n = 0;
    let skipped = input::read(args, &mut |text| {
        n += 1;
        segment(args, &segmenter, &text)
    })?;
    for skipped in &skipped {
        output::note(format!("skipped {}: {}", skipped.source, skipped.reason));
    }
    if n == 0 {
        return output::refuse(
            "no document could be read",
            "files of text, Markdown, HTML, JSONL, CSV or Parquet",
        );
    }
    Ok(Outcome::Done)
}

/// The segmenter that is meant.
fn segmenter(args: &Args) -> Result<Segmenter> {
    if let Some(threshold) = args.threshold.filter(|threshold| !threshold.is_finite()) {
        return output::refuse(format!("--threshold {threshold}, expected a number"), "`--threshold 0.5`");
    }
    let folder = models::folder_or_encoder(&args.model)?;
    let learnt = read_segmenters(&folder)?;
    let model = Model::load(&folder)?;
    let is_learned = match args.method {
        Some(method) => method == Method::Learned,
        None => !learnt.is_empty(),
    };
    if !is_learned {
        let width = args.width.unwrap_or(WIDTH);
        let threshold = args.threshold.map_or_else(TilingThreshold::default, TilingThreshold::Depth);
        return Ok(Segmenter::text_tiling(model, width, threshold)?);
    }
    if args.width.is_some() {
        let what =
            "`--width` is of `--method texttiling`, and learned heads read what they were trained with";
        return output::refuse(what, "leave it out");
    }
    let segmenter = Segmenter::learned(model, choose_segmenter(learnt, args.task.as_deref())?)?;
    Ok(match args.threshold {
        Some(threshold) => segmenter.above(threshold),
        None => segmenter,
    })
}

/// The columns of documents in sentences.
fn document_columns(columns: &Columns) -> DocumentColumns {
    DocumentColumns::default().named(columns.pairs().iter().map(|(role, column)| (role, column)))
}

/// Characters of a text of one sentence from which on that is told.
const LONG: usize = 300;

fn segment(args: &Args, segmenter: &Segmenter, text: &ReadText) -> Result<()> {
    let sentences: Vec<&str> = text.sentences.iter().map(|bytes| &text.text[bytes.clone()]).collect();
    if sentences.is_empty() {
        output::note(format!("{}: no text in it, so no segments", text.id));
        return Ok(());
    }
    if sentences.len() == 1 && text.text.chars().count() > LONG {
        output::note(format!("{}: no sentence ends in it: the whole text is one segment", text.id));
    }
    let mut printer = print::Printer::new(text, segmenter.score_name(), args.json)?;
    let mut failed = None;
    let result = segmenter.segment(&sentences, &text.ends, &mut |found: FoundSegment| {
        // The way out for an error of printing, as of a closed pipe.
        printer.print(&found).map_err(|error| {
            failed = Some(error);
            Error::Bug("printing failed".into()).into()
        })
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(result?),
    }
}

/// Whether a name means standard input.
fn is_input(path: &Path) -> bool {
    path == Path::new("-")
}
