//! `polytask embed`: texts to vectors.

use std::path::PathBuf;

use anyhow::Result;
use polytask_model::Model;
use serde_json::json;

use crate::columns::Columns;
use crate::lines::{EmptyTexts, for_pieces};
use crate::models;
use crate::npy::VectorFile;
use polytask_terminal::output::{self, Outcome};

/// Turn texts into vectors
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask embed --model runs/first/model --input texts.jsonl --output vectors.npy
  echo '{\"text\": \"hello\"}' | polytask embed --model runs/first/model --input - --output out.jsonl

  polytask embed --model all-MiniLM-L6-v2 --input mails.csv --columns text=message

Each input line is {\"text\": \"…\"}; row i of the output is line i, so an empty line is an error. CSV, TSV
and Parquet are read too, and all of them compressed (.gz, .zst). The text stands in the field `text`, in that of
the column the model was trained on, or in the one that --columns names.

Exit codes: 0 done, 2 could not run.")]
pub(crate) struct Args {
    /// Folder of a run, of a model (of ours or of sentence-transformers), or an encoder's name as in a suite
    #[arg(long, short)]
    model: PathBuf,
    /// File of texts, or - for JSON lines on standard input
    #[arg(long, short)]
    input: String,
    /// File ending in .npy or .jsonl; JSON lines on standard output otherwise
    #[arg(long, short)]
    output: Option<PathBuf>,
    #[command(flatten)]
    columns: Columns,
    /// The same as `--columns text=FIELD`
    #[arg(long, hide = true, conflicts_with = "columns")]
    field: Option<String>,
    /// The model's prompt to put before each text, by name [default: the model's own choice]
    #[arg(long, value_name = "NAME")]
    prompt: Option<String>,
    /// The task whose vectors are wanted, for a model whose tasks have vectors of their own
    #[arg(long, short)]
    task: Option<String>,
    /// Print what was done as one JSON object
    #[arg(long, requires = "output")]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    args.columns.check(&["text"])?;
    let model = Model::load(&models::folder_or_encoder(&args.model)?)?;
    model.symbols.text()?;
    model.prompt(args.prompt.as_deref())?;
    model.view(args.task.as_deref())?;
    let width = model.encoder.d_embedding();
    let names = match &args.field {
        Some(field) => vec![field.as_str()],
        None => args.columns.of_text(&model.tasks, args.task.as_deref()),
    };
    let mut file = args.output.as_deref().map(|path| VectorFile::create(path, width)).transpose()?;
    let mut empty = EmptyTexts::default();
    for_pieces(&args.input, |rows| {
        let texts = rows.iter().map(|row| row.text_of(&names)).collect::<Result<Vec<_>, _>>()?;
        rows.iter().zip(&texts).for_each(|(row, text)| empty.see(row, text.trim().is_empty()));
        let vectors = model.embed(&texts, args.task.as_deref(), args.prompt.as_deref())?;
        match &mut file {
            Some(file) => Ok(file.push(&vectors)?),
            None => {
                (0..vectors.n_rows()).try_for_each(|i| output::json(&json!({ "embedding": vectors.row(i) })))
            }
        }
    })?;
    empty.tell("embedded");
    if let Some(file) = file {
        let rows = file.finish()?;
        if args.json {
            output::json(&json!({ "rows": rows, "width": width, "output": args.output }))?;
        }
    }
    Ok(Outcome::Done)
}
