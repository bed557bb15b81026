//! `polytask bench search`: rows of vectors or of words, built and asked.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use polytask_core::{Purpose, Rng, atomic};
use polytask_index::lexicon::{self, LexicalPart, LexicalScratch, Lexicon, LexiconWriter};
use polytask_index::vectors::SearchScratch;
use polytask_index::{Flat, GraphParams, Hnsw, Index, VectorStore};
use polytask_nn::topk;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::json;

use super::against::{self, Answers, Comparison, Place, fields};
use super::measure::{Process, Times, measure};
use polytask_terminal::output::{self, Outcome};
use polytask_terminal::suites;

/// Rows per query.
const K: usize = 10;
/// Groups that vectors lie in, as those of texts do.
const GROUPS: usize = 1000;
/// Words that texts are drawn from.
const WORDS: usize = 30_000;
/// Least share of the nearest rows that both sides of a comparison of graphs must find.
const LEAST: f64 = 0.9;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask bench search --rows 20000
  polytask bench search --rows 200000 --by int8
  polytask bench search --against faiss
  polytask bench search --against hnswlib --breadth 64
  polytask bench search --against bm25s --rows 100000

Rows are unit vectors in a thousand groups, or texts of 20 to 80 words whose frequencies fall as those of a language do;
every query wants ten. Both sides build once and are asked all queries at once and one by one. Against faiss both look at
every row and must find the same; against hnswlib both have the same neighbours and breadth, and what share of the nearest
rows each finds is printed; against bm25s the scores must be equal. Times are whole passes over the queries in
milliseconds.")]
pub(super) struct Args {
    /// Rows
    #[arg(long, default_value_t = 20_000, value_parser = polytask_terminal::count)]
    rows: usize,
    /// Numbers of a vector
    #[arg(long, default_value_t = 384, value_parser = polytask_terminal::count)]
    width: usize,
    /// Queries
    #[arg(long, default_value_t = 1000, value_parser = polytask_terminal::count)]
    queries: usize,
    /// What is searched [default: what the peer does, else f32]
    #[arg(long, value_enum)]
    by: Option<By>,
    /// Rows of a graph looked at by a query
    #[arg(long, default_value_t = 96, value_parser = polytask_terminal::count)]
    breadth: usize,
    /// Passes measured (in each round, with --against)
    #[arg(long, default_value_t = 5, value_parser = polytask_terminal::count)]
    runs: usize,
    /// Worker threads; 0 means all cores
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Measure beside a peer
    #[arg(long, value_parser = ["faiss", "hnswlib", "bm25s"])]
    against: Option<String>,
    #[command(flatten)]
    options: against::Options,
}

// Without comments on its values, which would stretch the help.
/// What is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum By {
    F32,
    F16,
    Int8,
    Bit,
    Graph,
    Bm25,
}

impl Args {
    fn by(&self) -> By {
        let peers = match self.against.as_deref() {
            Some("hnswlib") => By::Graph,
            Some("bm25s") => By::Bm25,
            _ => By::F32,
        };
        self.by.unwrap_or(peers)
    }

    fn graph(&self) -> GraphParams {
        GraphParams { breadth: self.breadth, ..GraphParams::default() }
    }
}

#[derive(Serialize)]
struct Part {
    mix: &'static str,
    #[serde(flatten)]
    times: Times,
}

#[derive(Serialize)]
struct Figures {
    bench: &'static str,
    rows: usize,
    queries: usize,
    /// Share of the nearest rows that were found; of words nothing is to be missed.
    recall: Option<f64>,
    mixes: Vec<Part>,
    #[serde(flatten)]
    process: Process,
}

pub(super) fn run(args: &Args) -> Result<Outcome> {
    suites::set_threads(args.threads)?;
    if let Some(peer) = &args.against {
        return compare(args, peer);
    }
    let figures = match args.by() {
        By::Bm25 => of_words(args)?,
        _ => of_vectors(args)?,
    };
    if args.json {
        output::json(&figures)?;
        return Ok(Outcome::Done);
    }
    for Part { mix, times } in &figures.mixes {
        output::line(format!("{mix:<10} {times}"))?;
    }
    let recall = figures.recall.map_or(String::new(), |recall| format!("recall@{K} {recall:.4}, "));
    output::line(format!("{recall}{}", figures.process))?;
    Ok(Outcome::Done)
}

/// Unit vectors in groups, and queries of the same kind.
fn vectors(args: &Args) -> (Vec<f32>, Vec<f32>) {
    let centre = |group: usize| Rng::new(5, Purpose::Bench, &[group as u64]);
    let centres: Vec<Vec<f32>> = (0..GROUPS)
        .map(|group| {
            let mut rng = centre(group);
            (0..args.width).map(|_| rng.uniform() as f32 - 0.5).collect()
        })
        .collect();
    let of = |n: usize, kind: u64| {
        let mut values = vec![0.0; n * args.width];
        values.par_chunks_mut(args.width).enumerate().for_each(|(row, values)| {
            let mut rng = Rng::new(6, Purpose::Bench, &[kind, row as u64]);
            let centre = &centres[rng.below(GROUPS)];
            values.iter_mut().zip(centre).for_each(|(v, c)| *v = c + rng.uniform() as f32 - 0.5);
        });
        topk::normalised(values, args.width)
    };
    (of(args.rows, 0), of(args.queries, 1))
}

/// An index of vectors, by what is asked for.
fn index_of(args: &Args, rows: &[f32]) -> Box<dyn Index> {
    let mut index: Box<dyn Index> = match args.by() {
        By::Graph => Box::new(Hnsw::new(args.width, args.graph())),
        By::F16 => Box::new(Flat::new(args.width, VectorStore::F16)),
        By::Int8 => Box::new(Flat::new(args.width, VectorStore::Int8)),
        By::Bit => Box::new(Flat::new(args.width, VectorStore::Bit)),
        By::F32 | By::Bm25 => Box::new(Flat::new(args.width, VectorStore::F32)),
    };
    index.add(rows);
    index
}

/// The best rows of every query.
fn at_once(args: &Args, index: &dyn Index, rows: &[f32], queries: &[f32]) -> Result<Vec<Vec<(u32, f32)>>> {
    match args.by() {
        By::F32 => Ok(topk::top_k(queries, rows, args.width, K)?),
        By::Graph => Ok(queries
            .par_chunks(args.width)
            .map_init(SearchScratch::default, |scratch, query| {
                let mut best = Vec::new();
                index.search(query, K, None, scratch, &mut best);
                best
            })
            .collect()),
        _ => {
            let mut all = Vec::new();
            one_by_one(args, index, queries, |best| all.push(best.to_vec()));
            Ok(all)
        }
    }
}

fn one_by_one(args: &Args, index: &dyn Index, queries: &[f32], mut take: impl FnMut(&[(u32, f32)])) {
    let (mut scratch, mut best) = (SearchScratch::default(), Vec::new());
    for query in queries.chunks(args.width) {
        index.search(query, K, None, &mut scratch, &mut best);
        take(&best);
    }
}

fn of_vectors(args: &Args) -> Result<Figures> {
    let (rows, queries) = vectors(args);
    let start = Instant::now();
    let index = index_of(args, &rows);
    let build = start.elapsed().as_secs_f64() * 1e3;
    let batch = measure(args.runs, 1, || at_once(args, &*index, &rows, &queries).map(drop))?;
    let single = measure(args.runs, 1, || {
        one_by_one(args, &*index, &queries, |_| {});
        Ok(())
    })?;
    let process = Process::now();
    let exact = topk::top_k(&queries, &rows, args.width, K)?;
    let found = at_once(args, &*index, &rows, &queries)?;
    let recall = share(&exact, found.iter().map(|found| found.iter().map(|(row, _)| *row).collect()));
    Ok(figures(args, [build], batch, single, (Some(recall), process)))
}

fn figures(
    args: &Args,
    build: [f64; 1],
    batch: Vec<f64>,
    single: Vec<f64>,
    (recall, process): (Option<f64>, Process),
) -> Figures {
    let part = |mix, times| Part { mix, times: Times::of(times) };
    let mixes = vec![part("build", build.to_vec()), part("at once", batch), part("one by one", single)];
    Figures { bench: "search", rows: args.rows, queries: args.queries, recall, mixes, process }
}

/// Which share of the nearest rows was found.
fn share(exact: &[Vec<(u32, f32)>], found: impl Iterator<Item = Vec<u32>>) -> f64 {
    let hits = |(exact, found): (&Vec<(u32, f32)>, Vec<u32>)| {
        exact.iter().filter(|(row, _)| found.contains(row)).count()
    };
    let all: usize = exact.iter().map(Vec::len).sum();
    exact.iter().zip(found).map(hits).sum::<usize>() as f64 / all.max(1) as f64
}

/// Texts whose words fall in frequency, and queries of 3 to 8 words.
fn texts(args: &Args) -> (Vec<String>, Vec<String>) {
    let word = |rng: &mut Rng| format!("w{}", (WORDS as f64).powf(rng.uniform()) as usize);
    let of = |n: usize, kind: u64, shortest: usize, span: usize| {
        let text = |row: usize| {
            let mut rng = Rng::new(7, Purpose::Bench, &[kind, row as u64]);
            let n = shortest + rng.below(span);
            (0..n).map(|_| word(&mut rng)).collect::<Vec<_>>().join(" ")
        };
        (0..n).into_par_iter().map(text).collect()
    };
    (of(args.rows, 0, 20, 61), of(args.queries, 1, 3, 6))
}

/// An index of words, in a folder that vanishes.
fn lexicon_of(rows: &[String]) -> Result<Lexicon> {
    let folder = tempfile::tempdir()?;
    let mut writer = LexiconWriter::default();
    rows.iter().for_each(|row| writer.push(row));
    writer.finish(folder.path())?;
    Ok(Lexicon::open(folder.path())?)
}

/// The best scores of every query, at once or one by one.
fn by_words(lexicon: &Lexicon, queries: &[String], is_at_once: bool) -> Vec<Vec<f32>> {
    let parts = [LexicalPart { lexicon, alive: None, among: None }];
    let one = |scratch: &mut LexicalScratch, query: &String| -> Vec<f32> {
        lexicon::search(&parts, query, K, scratch).iter().map(|(_, _, score)| *score).collect()
    };
    if is_at_once {
        return queries.par_iter().map_init(LexicalScratch::default, one).collect();
    }
    let mut scratch = LexicalScratch::default();
    queries.iter().map(|query| one(&mut scratch, query)).collect()
}

fn of_words(args: &Args) -> Result<Figures> {
    let (rows, queries) = texts(args);
    let start = Instant::now();
    let lexicon = lexicon_of(&rows)?;
    let build = start.elapsed().as_secs_f64() * 1e3;
    let time = |is_at_once| {
        measure(args.runs, 1, || {
            let _: () = drop(by_words(&lexicon, &queries, is_at_once));
            Ok(())
        })
    };
    Ok(figures(args, [build], time(true)?, time(false)?, (None, Process::now())))
}

fn compare(args: &Args, peer: &str) -> Result<Outcome> {
    let place = Place::new(&args.options)?;
    let numbers = [
        ("--rows", args.rows),
        ("--width", args.width),
        ("--queries", args.queries),
        ("--breadth", args.breadth),
        ("--runs", args.runs),
        ("--threads", args.threads),
    ];
    let mut ours: Vec<String> =
        numbers.iter().flat_map(|(name, n)| [(*name).to_owned(), n.to_string()]).collect();
    let by = clap::ValueEnum::to_possible_value(&args.by()).map(|value| value.get_name().to_owned());
    ours.extend(by.into_iter().flat_map(|by| ["--by".to_owned(), by]));
    let graph = args.graph();
    let mut job = fields([
        ("peer", json!(peer)),
        ("width", json!(args.width)),
        ("neighbours", json!(graph.neighbours)),
        ("build_breadth", json!(graph.build_breadth)),
        ("breadth", json!(graph.breadth)),
        ("runs", json!(args.runs)),
    ]);
    let (files, prove) = match args.by() {
        By::Bm25 => words_and_proof(args, place.work())?,
        _ => vectors_and_proof(args, place.work())?,
    };
    job.extend(files);
    let comparison = Comparison {
        bench: "search",
        peer: match peer {
            "hnswlib" => "hnswlib",
            "bm25s" => "bm25s",
            _ => "faiss",
        },
        what: format!(
            "search, {} rows, {} queries, {}",
            args.rows,
            args.queries,
            ours.last().map_or("", |by| by)
        ),
        script: "search.py",
        ours,
        job,
        axes: vec![against::threads(args.threads)],
        trial: fields([("most", json!(100)), ("runs", json!(2))]),
        variant: None,
        prove,
    };
    against::run(&comparison, &place, &args.options, args.json)
}

type Prepared<'a> = (against::Fields, against::Prove<'a>);

/// The vectors as files, and the proof that both sides find the nearest.
fn vectors_and_proof<'a>(args: &Args, work: &Path) -> Result<Prepared<'a>> {
    let (rows, queries) = vectors(args);
    let paths = [("rows", &rows), ("queries", &queries)];
    let mut files = against::Fields::new();
    for (name, values) in paths {
        let path = work.join(format!("{name}.f32"));
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        atomic::write(&path, &bytes)?;
        files.insert(name.to_owned(), json!(super::argument(&path)));
    }
    let index = index_of(args, &rows);
    let exact = topk::top_k(&queries, &rows, args.width, K)?;
    let found = at_once(args, &*index, &rows, &queries)?;
    let ours = share(&exact, found.iter().map(|found| found.iter().map(|(row, _)| *row).collect()));
    let least = if args.by() == By::Graph { LEAST } else { 0.999 };
    let prove = move |theirs: &Answers| {
        let theirs =
            share(&exact, theirs.values.chunks(K).map(|rows| rows.iter().map(|row| *row as u32).collect()));
        for (side, found) in [("polytask", ours), ("the peer", theirs)] {
            ensure!(found >= least, "{side} finds {found:.4} of the nearest rows, expected at least {least}");
        }
        Ok(vec![("recall@10 of polytask", ours), ("recall@10 of the peer", theirs)])
    };
    Ok((files, Box::new(prove)))
}

/// The texts as a file, and the proof that both sides score the same.
fn words_and_proof<'a>(args: &Args, work: &Path) -> Result<Prepared<'a>> {
    let (rows, queries) = texts(args);
    let path = work.join("texts.json");
    atomic::write_json(&path, &json!({ "rows": rows, "queries": queries }))?;
    let ours = by_words(&lexicon_of(&rows)?, &queries, true);
    let prove = move |theirs: &Answers| {
        let mut largest = 0.0_f32;
        for (row, (ours, theirs)) in ours.iter().zip(theirs.values.chunks(K)).enumerate() {
            let padded = ours.iter().copied().chain(std::iter::repeat(0.0));
            let difference = theirs.iter().zip(padded).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            ensure!(difference <= 1e-3, "query {row}: a score differs by {difference}");
            largest = largest.max(difference);
        }
        Ok(vec![("largest difference of a score", f64::from(largest))])
    };
    Ok((fields([("texts", json!(super::argument(&path)))]), Box::new(prove)))
}
