//! `polytask index build`: an index of documents.

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_index::{ChunkBy, Chunking, GraphParams, IndexEncoder, IndexSettings, IndexWriter, VectorStore};
use polytask_model::Model;

use super::Reading;
use super::topics::{self, Topics};
use crate::models;
use polytask_terminal::output::{self, Outcome};
use polytask_terminal::suites;

/// Tokens of a passage where nothing else is said and the encoder reads as many.
const TOKENS: usize = 256;

/// Read documents, cut them into passages, embed these and build an index
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask index build runs/first docs/ --out docs.index
  polytask index build all-MiniLM-L6-v2 docs/ notes.md --out docs.index --tokens 128 --overlap 32
  polytask index build runs/first faq.csv --columns text=answer,title=question --out faq.index
  polytask index build runs/first corpus.jsonl --out big.index --store int8 --graph
  polytask index build runs/first docs/ --out docs.index --by segments --segmenter runs/topics

Passages end with sentences (--by sentences), after any word (tokens), where topics change (segments: texttiling by the
index's vectors, or the heads of --segmenter) or with the document (whole), never cross a heading of Markdown or HTML, and
are embedded with the titles above them. A row of JSONL, CSV, TSV or Parquet is a document; its other columns are stored,
to be shown and filtered by. What cannot be read is listed with the reason, and the rest indexed.

Exact vectors are always kept. --store f16, int8 or bit searches a form of them that takes a half, a quarter or a 32nd of
the memory, and ranks what it finds by the exact ones; --graph searches along a graph of neighbours (HNSW). Of a model that
compares the states of tokens (score.json) these are kept too, and rank what vectors and words find.

A build that was ended leaves no index; the same command uses the vectors it had computed. One process at a time writes.

Exit codes: 0 done, 2 could not run.")]
pub(super) struct Args {
    /// Folder of a run or a model, or an encoder's name as in a suite
    model: PathBuf,
    #[command(flatten)]
    reading: Reading,
    /// Folder of the index
    #[arg(long, short)]
    out: PathBuf,
    /// Where passages may end
    #[arg(long, value_enum, default_value_t = By::Sentences)]
    by: By,
    /// Model whose heads say where topics change [default: texttiling by the vectors of the index]
    #[arg(long, value_name = "MODEL")]
    segmenter: Option<PathBuf>,
    /// Most tokens of a passage, titles included [default: 256, or what the encoder reads]
    #[arg(long, value_parser = polytask_terminal::count)]
    tokens: Option<usize>,
    /// Tokens at the end of a passage that begin the next one, at most
    #[arg(long, default_value_t = 0)]
    overlap: usize,
    /// How vectors are searched
    #[arg(long, value_enum, default_value_t = Store::F32)]
    store: Store,
    /// Search along a graph of neighbours
    #[arg(long)]
    graph: bool,
    /// Neighbours of a passage in the graph
    #[arg(long, default_value_t = 16, requires = "graph", value_parser = polytask_terminal::count)]
    neighbours: usize,
    /// Passages looked at for the neighbours of each
    #[arg(long, default_value_t = 200, requires = "graph", value_parser = polytask_terminal::count)]
    build_breadth: usize,
    /// Passages looked at by a query: more find more, and take longer
    #[arg(long, default_value_t = 96, requires = "graph", value_parser = polytask_terminal::count)]
    breadth: usize,
    /// The task whose vectors are meant, for a model whose tasks have vectors of their own
    #[arg(long, short)]
    task: Option<String>,
    /// The model's prompt to put before each passage, by name [default: the model's own choice]
    #[arg(long, value_name = "NAME")]
    corpus_prompt: Option<String>,
    /// Replace an index that is there; it stays until the new one is whole
    #[arg(long)]
    overwrite: bool,
}

// Without comments on their values, which would stretch the help: the text above says what they are.
/// Where passages may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum By {
    Sentences,
    Tokens,
    Segments,
    Whole,
}

/// How vectors are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Store {
    F32,
    F16,
    Int8,
    Bit,
}

pub(super) fn run(args: &Args) -> Result<Outcome> {
    args.reading.check()?;
    if args.segmenter.is_some() && args.by != By::Segments {
        return output::refuse(
            "`--segmenter` says where topics change, and passages end elsewhere",
            "`--by segments`",
        );
    }
    suites::set_threads(args.reading.threads)?;
    let encoder = encoder(&args.model, args.task.as_deref(), args.corpus_prompt.as_deref())?;
    let settings = settings(args, encoder.most_tokens())?;
    let segmenter = args.segmenter.as_deref().map(topics::source).transpose()?;
    let topics = Topics::new(&encoder, args.by == By::Segments, segmenter.as_deref())?;
    let writer = IndexWriter::create(&args.out, encoder.stamp().clone(), settings, args.overwrite)?;
    let mut writer = writer.with_segmenter(segmenter);
    args.reading.add(&args.out, &mut writer, &encoder, topics.ends().as_deref())
}

/// The encoder at a place, which is written down so that it is found from anywhere.
pub(super) fn encoder(model: &Path, task: Option<&str>, corpus_prompt: Option<&str>) -> Result<IndexEncoder> {
    let folder = models::folder_or_encoder(model)?;
    let source = if model.exists() { folder.canonicalize()? } else { model.to_path_buf() };
    Ok(IndexEncoder::new(Model::load(&folder)?, &source.to_string_lossy(), task, corpus_prompt)?)
}

fn settings(args: &Args, most: usize) -> Result<IndexSettings> {
    let tokens = args.tokens.unwrap_or(TOKENS.min(most));
    if tokens > most {
        let what =
            format!("--tokens {tokens}: the encoder reads {most} tokens of a text beside special ones");
        return output::refuse(what, format!("`--tokens {most}` or fewer"));
    }
    if args.overlap >= tokens {
        let what = format!("--overlap {}: a passage has {tokens} tokens, expected fewer", args.overlap);
        return output::refuse(what, format!("`--overlap {}`", tokens / 4));
    }
    let by = match args.by {
        By::Sentences => ChunkBy::Sentences,
        By::Tokens => ChunkBy::Tokens,
        By::Segments => ChunkBy::Segments,
        By::Whole => ChunkBy::Whole,
    };
    let store = match args.store {
        Store::F32 => VectorStore::F32,
        Store::F16 => VectorStore::F16,
        Store::Int8 => VectorStore::Int8,
        Store::Bit => VectorStore::Bit,
    };
    let graph = args.graph.then_some(GraphParams {
        neighbours: args.neighbours,
        build_breadth: args.build_breadth,
        breadth: args.breadth,
    });
    Ok(IndexSettings { chunking: Chunking { by, tokens, overlap: args.overlap }, store, graph })
}
