//! `polytask mine`: hard negatives for training a search.

mod folder;
mod input;
mod written;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;
use polytask_core::plural;
use polytask_model::Model;
use polytask_nn::topk;
use polytask_retrieve::mine::Mined;
use polytask_retrieve::{Bm25, Bm25Params, Guard, MinedQuery, Miner, Vocabulary};
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::input::Mining;
use self::written::{Shape, Written};
use crate::columns::Columns;
use crate::models;
use polytask_terminal::output::{self, Outcome};

/// Largest share of an answer's cosine that a negative has, where nothing else is said.
const SHARE: f32 = 0.95;
/// Queries that are worked on, and written, together.
const PIECE: usize = 1024;

/// Find hard negatives for training a search: passages that rank high and do not answer
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Examples:
  polytask mine --pairs train.jsonl --output mined.jsonl
  polytask mine --pairs train.jsonl --model runs/first --output mined.jsonl
  polytask mine --beir scifact --model runs/first --output mined.jsonl
  polytask mine --queries queries.jsonl --corpus corpus.jsonl --qrels train.tsv --output mined.jsonl
  polytask mine --pairs qa.csv --columns query=question,positive=answer --output mined.jsonl

--beir names a folder with corpus, queries and qrels/train, as BEIR has them. A row of --pairs has a query and its positive (a list where it has several); the corpus is --corpus and all positives.
Passages are ranked by BM25, by a model's cosines where --model names one, or by both in turn. What ranks high is often an
answer nobody marked: ranks up to --skip are passed over, and where a model ranks, a negative scores at most --share of the
query's lowest answer. Known answers, passages with their text and the query itself are never negatives.

Lines have a shape: `rows` (query, positives, negatives: a line per query, as a task of kind `retrieval` reads them), or
those of sentence-transformers, `triplet` (anchor, positive, negative) and `n-tuple` (anchor, positive, negative_1 …
negative_n; queries with fewer are left out).

The file is written a thousand queries at a time; after an interruption the same command with --resume goes on.

Exit codes: 0 done, 2 could not run.")]
pub(crate) struct Args {
    /// File of rows with a query and its positives
    #[arg(long, conflicts_with_all = ["queries", "qrels"], required_unless_present_any = ["queries", "beir"])]
    pairs: Option<String>,
    /// Folder of BEIR's layout: its corpus, its queries and the judgements of train
    #[arg(long, conflicts_with_all = ["pairs", "queries", "qrels", "corpus"])]
    beir: Option<PathBuf>,
    /// File of queries, each with an id
    #[arg(long, requires = "qrels", requires = "corpus")]
    queries: Option<String>,
    /// File of judgements: which passages answer which query
    #[arg(long)]
    qrels: Option<PathBuf>,
    /// File of passages
    #[arg(long, short)]
    corpus: Option<String>,
    /// Model or encoder whose cosines rank passages: a folder, or a name as in a suite
    #[arg(long, short)]
    model: Option<PathBuf>,
    /// What ranks passages [default: both with --model, else bm25]
    #[arg(long, value_enum)]
    by: Option<By>,
    /// Negatives per query
    #[arg(short, default_value_t = 4, value_parser = polytask_terminal::count)]
    n: usize,
    /// First ranks that are passed over, known answers not counted
    #[arg(long, default_value_t = 3)]
    skip: usize,
    /// Ranks that are looked at
    #[arg(long, default_value_t = 50, value_parser = polytask_terminal::count)]
    depth: usize,
    /// Largest cosine of a negative, as a share of the query's lowest answer's; 0 for no such limit [default: 0.95
    /// where a model ranks]
    #[arg(long)]
    share: Option<f32>,
    /// Least distance of a negative's cosine from the query's lowest answer's
    #[arg(long)]
    margin: Option<f32>,
    /// What a line is
    #[arg(long, value_enum, default_value_t = Shape::Rows)]
    shape: Shape,
    /// File of JSON lines
    #[arg(long, short)]
    output: PathBuf,
    /// Go on with a file that an interrupted run left
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    columns: Columns,
    /// The task whose vectors are compared, for a model whose tasks have vectors of their own
    #[arg(long, short)]
    task: Option<String>,
    /// Worker threads; 0 means all cores
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print what was found as one JSON object
    #[arg(long)]
    json: bool,
}

// Without comments on its values, which would stretch the help: the examples' text says what they are.
/// What ranks passages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum By {
    Bm25,
    Model,
    Both,
}

/// What was found, over all queries.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Totals {
    queries: usize,
    /// Queries with fewer negatives than asked for.
    short: usize,
    negatives: usize,
    /// Candidates that a limit kept out.
    guarded: usize,
    /// Sum of the cosines of lowest answers, and how many there are.
    answers: (f64, usize),
    /// Sum of the cosines of negatives.
    cosines: f64,
}

/// What ranks the passages of a corpus.
struct Ranks {
    model: Option<Model>,
    bm25: Option<(Vocabulary, Bm25)>,
    /// Vectors of all passages; empty without a model.
    vectors: Vec<f32>,
    width: usize,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let args = &folder::named(args)?;
    polytask_terminal::suites::set_threads(args.threads)?;
    args.columns.check(&["query", "positive", "positives", "text", "title", "id"])?;
    let by = by(args)?;
    check_limits(args, by)?;
    if args.skip >= args.depth {
        let what = format!("--skip {} passes over all {} ranks of --depth", args.skip, args.depth);
        return output::refuse(what, "a larger --depth");
    }
    let mining = Mining::read(args)?;
    let model = model(args, by)?;
    let mut written = Written::open(args, &settings(args, by, &mining, model.as_ref()))?;
    if written.done() > 0 {
        output::note(format!("going on after {}", plural(written.done(), "query")));
    }
    let ranks = Ranks::new(args, by, &mining, model)?;
    let mut totals = written.totals().clone();
    for first in (written.done()..mining.queries.len()).step_by(PIECE) {
        let piece = first..(first + PIECE).min(mining.queries.len());
        let mined = ranks.mine(args, &mining, piece.clone())?;
        totals.add(&mined, args.n, ranks.model.is_some());
        written.push(&mining, piece.clone(), &mined, &totals)?;
        output::note(format!("{} of {}", piece.end, plural(mining.queries.len(), "query")));
    }
    let lines = written.finish()?;
    tell(args, &totals, &ranks, lines)?;
    Ok(Outcome::Done)
}

/// Refuses limits that cannot be, or that nothing would look at.
fn check_limits(args: &Args, by: By) -> Result<()> {
    if let Some(share) = args.share.filter(|share| !(0.0..=1.0).contains(share)) {
        return output::refuse(format!("--share is {share}, expected 0 to 1"), "`--share 0.95`");
    }
    if let Some(margin) = args.margin.filter(|margin| !(0.0..=2.0).contains(margin)) {
        return output::refuse(format!("--margin is {margin}, expected 0 to 2"), "`--margin 0.1`");
    }
    let given = [
        ("--share", args.share.is_some()),
        ("--margin", args.margin.is_some()),
        ("--task", args.task.is_some()),
        ("--model", args.model.is_some()),
    ];
    match given.iter().find(|(_, is_given)| *is_given && by == By::Bm25) {
        Some((name, _)) => {
            let what = format!("{name} is of a model's cosines, but passages are ranked by BM25 alone");
            output::refuse(what, format!("leave out {name}, or `--by both` with a --model"))
        }
        None => Ok(()),
    }
}

/// The model whose cosines rank, where one does.
fn model(args: &Args, by: By) -> Result<Option<Model>> {
    match (&args.model, by) {
        (Some(source), By::Model | By::Both) => {
            let model = Model::load(&models::folder_or_encoder(source)?)?;
            model.symbols.text()?;
            Ok(Some(model))
        }
        _ => Ok(None),
    }
}

/// What ranks passages, where that can be.
fn by(args: &Args) -> Result<By> {
    match (args.by, &args.model) {
        (None, None) => Ok(By::Bm25),
        (None, Some(_)) => Ok(By::Both),
        (Some(By::Model | By::Both), None) => {
            output::refuse("--by model without a model", "`--model` with a run's folder or an encoder's name")
        }
        (Some(by), _) => Ok(by),
    }
}

/// All that decides what is written, to tell another run's file by.
fn settings(args: &Args, by: By, mining: &Mining, model: Option<&Model>) -> String {
    let Args { n, skip, depth, share, margin, shape, task, .. } = args;
    let (weights, data) = (model.map(|model| model.encoder.weights_hash()), mining.hash());
    let version = env!("CARGO_PKG_VERSION");
    let told = format!(
        "{version} {by:?} {weights:?} {n} {skip} {depth} {share:?} {margin:?} {shape:?} {task:?} {data} {:?}",
        Bm25Params::default()
    );
    polytask_core::hash::sha256(told.as_bytes())
}

impl Ranks {
    fn new(args: &Args, by: By, mining: &Mining, model: Option<Model>) -> Result<Self> {
        let bm25 = (by != By::Model).then(|| {
            let mut vocabulary = Vocabulary::default();
            let terms: Vec<Vec<u32>> = mining.corpus.iter().map(|text| vocabulary.learn(text)).collect();
            let index = Bm25::new(&terms, Bm25Params::default());
            (vocabulary, index)
        });
        let (mut vectors, mut width) = (Vec::new(), 0);
        if let Some(model) = &model {
            width = model.encoder.d_embedding();
            for (i, texts) in mining.corpus.chunks(PIECE).enumerate() {
                vectors.extend(model.embed(texts, args.task.as_deref(), None)?.values);
                let done = (i * PIECE + texts.len()).to_string();
                output::note(format!("embedded {done} of {}", plural(mining.corpus.len(), "passage")));
            }
            vectors = topk::normalised(vectors, width);
        }
        Ok(Self { model, bm25, vectors, width })
    }

    /// The negatives of some queries.
    fn mine(&self, args: &Args, mining: &Mining, piece: std::ops::Range<usize>) -> Result<Vec<Mined>> {
        let texts: Vec<&str> =
            mining.queries[piece.clone()].iter().map(|query| query.text.as_str()).collect();
        let terms: Vec<Vec<u32>> = match &self.bm25 {
            Some((vocabulary, _)) => texts.iter().map(|text| vocabulary.terms(text)).collect(),
            None => vec![Vec::new(); texts.len()],
        };
        let vectors = match &self.model {
            Some(model) => {
                topk::normalised(model.embed(&texts, args.task.as_deref(), None)?.values, self.width)
            }
            None => Vec::new(),
        };
        let queries = &mining.queries[piece];
        let known: Vec<_> = queries.iter().map(|query| (mining.answers(query), mining.own(query))).collect();
        let asked = known.iter().enumerate().map(|(i, (answers, own))| MinedQuery {
            terms: &terms[i],
            vector: vectors.get(i * self.width..(i + 1) * self.width).unwrap_or_default(),
            answers,
            own,
        });
        let miner = Miner {
            bm25: self.bm25.as_ref().map(|(_, index)| index),
            vectors: &self.vectors,
            width: self.width,
        };
        Ok(miner.mine(&asked.collect::<Vec<_>>(), args.n, self.guard(args))?)
    }

    /// What keeps a passage from being a negative; limits of cosines only where a model gives these.
    fn guard(&self, args: &Args) -> Guard {
        let is_scored = self.model.is_some();
        Guard {
            skip: args.skip,
            depth: args.depth,
            share: Some(args.share.unwrap_or(SHARE)).filter(|share| is_scored && *share > 0.0),
            margin: args.margin.filter(|_| is_scored),
        }
    }
}

impl Totals {
    fn add(&mut self, mined: &[Mined], wanted: usize, is_scored: bool) {
        for query in mined {
            self.queries += 1;
            self.short += usize::from(query.negatives.len() < wanted);
            self.negatives += query.negatives.len();
            self.guarded += query.guarded;
            if let Some(answer) = query.answer.filter(|_| is_scored) {
                self.answers.0 += f64::from(answer);
                self.answers.1 += 1;
                self.cosines += query.negatives.iter().map(|negative| f64::from(negative.score)).sum::<f64>();
            }
        }
    }

    /// The mean cosines of lowest answers and of negatives, where a model scored them.
    fn means(&self) -> Option<(f64, f64)> {
        let (sum, n) = self.answers;
        (n > 0 && self.negatives > 0).then(|| (sum / n as f64, self.cosines / self.negatives as f64))
    }
}

/// Answers that lie further above the negatives than this leave a contrastive loss little to do.
const EASY: f64 = 0.35;

/// Says what was found, and what is odd about it.
fn tell(args: &Args, totals: &Totals, ranks: &Ranks, lines: usize) -> Result<()> {
    let means = totals.means();
    if args.json {
        output::json(&json!({
            "output": args.output,
            "lines": lines,
            "queries": totals.queries,
            "negatives": totals.negatives,
            "short": totals.short,
            "guarded": totals.guarded,
            "answer_cosine": means.map(|(answer, _)| answer),
            "negative_cosine": means.map(|(_, negative)| negative),
        }))?;
    } else {
        let (path, queries) = (args.output.display(), plural(totals.queries, "query"));
        output::line(format!("{path}: {lines} lines, {} negatives for {queries}", totals.negatives))?;
    }
    if totals.short > 0 {
        tell_short(args, totals);
    }
    if let Some((answer, negative)) = means {
        output::note(format!("mean cosine: lowest answers {answer:.3}, negatives {negative:.3}"));
        if answer - negative > EASY {
            tell_easy(args, ranks.bm25.is_some());
        }
    }
    Ok(())
}

/// Says how many queries have too few negatives, and what gives them more.
fn tell_short(args: &Args, totals: &Totals) {
    let (queries, n) = (plural(totals.queries, "query"), args.n);
    let left_out = if args.shape == Shape::NTuple { " and are left out" } else { "" };
    let remedy = match totals.guarded {
        0 => "a larger --depth or a smaller --skip finds more where the corpus has more".to_owned(),
        guarded => format!(
            "{guarded} candidates were too near to an answer: a larger --share or a smaller --margin takes them"
        ),
    };
    output::note(format!("{} of {queries} have fewer than {n} negatives{left_out}; {remedy}", totals.short));
}

/// Says that the negatives are easy, and what gives harder ones.
fn tell_easy(args: &Args, has_bm25: bool) {
    let remedy = match (has_bm25, args.skip) {
        (true, _) => "`--by model`",
        (false, 1..) => "a smaller --skip",
        (false, 0) => "a larger --share, or a better model",
    };
    output::note(format!(
        "the negatives are easy for this model (more than {EASY} below the answers): a loss on them is flat; try {remedy}"
    ));
}

/// Numbers of a sorted, deduplicated list.
fn ascending(numbers: impl IntoIterator<Item = u32>) -> Vec<u32> {
    numbers.into_iter().collect::<BTreeSet<u32>>().into_iter().collect()
}
