//! Passages of an index.

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_index::{
    Condition, EmbeddedTexts, Explained, Found, Hit, IndexEncoder, OpenIndex, Passage, SearchMode, Wanted,
};
use polytask_model::{Model, SearchOptions};
use serde_json::{Value, json};

use super::{Args, short};
use crate::models;
use polytask_terminal::output::{self, Outcome};

/// Passages that are ranked anew where nothing else is said.
const RERANKED: usize = 50;

/// How an index is searched.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// By what passages rank
    #[arg(long, value_enum, default_value_t = Mode::Hybrid)]
    mode: Mode,
    /// A condition on a stored field (repeatable: all must hold)
    #[arg(long = "where", value_name = "FIELD=VALUE")]
    conditions: Vec<String>,
    /// Say why each passage was found
    #[arg(long)]
    explain: bool,
    /// Find each document once, by its best passage
    #[arg(long)]
    per_document: bool,
    /// Look at every row, also where the index has a graph or keeps token states
    #[arg(long)]
    exact: bool,
    /// Model that ranks the first passages anew, by its own score
    #[arg(long, value_name = "MODEL")]
    rerank: Option<PathBuf>,
    /// How many passages it ranks [default: 50, or --top]
    #[arg(long, value_name = "N", requires = "rerank", value_parser = polytask_terminal::count)]
    rerank_top: Option<usize>,
}

impl Options {
    /// Refuses what only an index can do, where there is none.
    pub(super) fn check_unused(&self) -> Result<()> {
        let given = [
            ("--mode", self.mode != Mode::Hybrid),
            ("--where", !self.conditions.is_empty()),
            ("--explain", self.explain),
            ("--per-document", self.per_document),
            ("--exact", self.exact),
            ("--rerank", self.rerank.is_some()),
        ];
        match given.iter().find(|(_, is_given)| *is_given) {
            Some((name, _)) => {
                let what =
                    format!("`{name}` needs an index, and a corpus is searched by the vectors of a model");
                output::refuse(what, "`polytask index build MODEL CORPUS --out INDEX`, then search that")
            }
            None => Ok(()),
        }
    }
}

// Without comments on its values, which would stretch the help: the examples' text says what they are.
/// By what passages rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    Hybrid,
    Dense,
    Bm25,
}

impl From<Mode> for SearchMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Hybrid => Self::Hybrid,
            Mode::Dense => Self::Dense,
            Mode::Bm25 => Self::Bm25,
        }
    }
}

/// A passage with the reason it was found.
struct Answer {
    hit: Hit,
    /// Rank and score before it was ranked anew.
    first: Option<(usize, f32)>,
    explained: Option<Explained>,
}

/// Searches the index in `folder`.
pub(super) fn run(args: &Args, folder: &Path) -> Result<Outcome> {
    args.columns.check(&["query"])?;
    let options = &args.in_index;
    let conditions: Vec<Condition> =
        options.conditions.iter().map(|text| Condition::parse(text)).collect::<Result<_, _>>()?;
    let queries = args.queries(&[])?;
    let index = OpenIndex::open(folder)?;
    let reranker = options.rerank.as_deref().map(load).transpose()?;
    let k = if reranker.is_some() { options.rerank_top.unwrap_or(RERANKED).max(args.k) } else { args.k };
    let embedded = match options.mode {
        Mode::Bm25 => EmbeddedTexts::default(),
        Mode::Hybrid | Mode::Dense => {
            encoder_of(&index, args)?.embedded_queries(&queries, args.prompt.as_deref())?
        }
    };
    let wanted = Wanted {
        mode: options.mode.into(),
        k,
        conditions: &conditions,
        once_per_document: options.per_document,
        exact: options.exact,
        tokens: embedded.tokens.as_ref(),
    };
    let all = index.search(&queries, &embedded.vectors, &wanted)?;
    for (query, found) in queries.iter().zip(all) {
        let answers = answers(&index, reranker.as_ref(), (&query.text, found), args)?;
        if args.json || args.input.is_some() {
            let hits: Vec<Value> = answers.iter().map(Answer::json).collect::<Result<_>>()?;
            output::json(&query.json(&hits))?;
        } else {
            output::line(&query.text)?;
            if answers.is_empty() {
                output::line("  nothing found")?;
            }
            (1..).zip(&answers).try_for_each(|(rank, answer)| answer.print(rank))?;
        }
    }
    Ok(Outcome::Done)
}

fn load(model: &Path) -> Result<Model> {
    let model = Model::load(&models::folder_or_pulled(model)?)?;
    model.symbols.text()?;
    Ok(model)
}

/// The encoder of an index, where it lies or where --model says.
fn encoder_of(index: &OpenIndex, args: &Args) -> Result<IndexEncoder> {
    let stamp = &index.manifest.encoder;
    let stored = PathBuf::from(&stamp.source);
    let source = args.model.as_deref().unwrap_or(&stored);
    if args.model.is_none() && stored.is_absolute() && !stored.exists() {
        let what = format!("encoder {} of index {} is not there", stamp.source, index.folder().display());
        return output::refuse(what, "`--model FOLDER` says where it is now; `--mode bm25` needs none");
    }
    let model = load(source)?;
    let encoder = IndexEncoder::new(
        model,
        &source.to_string_lossy(),
        stamp.task.as_deref(),
        stamp.corpus_prompt.as_deref(),
    )?;
    index.check_encoder(encoder.stamp())?;
    Ok(encoder)
}

/// What was found for a query, ranked anew where a model is to do that.
fn answers(
    index: &OpenIndex,
    reranker: Option<&Model>,
    (query, found): (&str, Vec<Found>),
    args: &Args,
) -> Result<Vec<Answer>> {
    let explained = |found: &Found| args.in_index.explain.then(|| index.explain(query, found));
    let Some(model) = reranker else {
        let answer =
            |found: &Found| Ok(Answer { hit: index.hit(found)?, first: None, explained: explained(found) });
        return found.iter().map(answer).collect();
    };
    let hits: Vec<Hit> = found.iter().map(|found| index.hit(found)).collect::<Result<_, _>>()?;
    let n = args.in_index.rerank_top.unwrap_or(hits.len()).min(hits.len());
    let options = SearchOptions { k: args.k.min(n), ..SearchOptions::default() };
    let texts: Vec<String> = hits[..n].iter().map(indexed).collect();
    let ranked = model.rank(query, &texts, options)?;
    let answer = |(at, score): (u32, f32)| {
        let at = at as usize;
        let hit = Hit { score, ..hits[at].clone() };
        Answer { hit, first: Some((at + 1, found[at].score)), explained: explained(&found[at]) }
    };
    let ranked = ranked.into_iter().map(answer);
    // Those that were not ranked anew follow in their own order.
    let rest = (n..hits.len()).map(|at| Answer {
        hit: hits[at].clone(),
        first: None,
        explained: explained(&found[at]),
    });
    Ok(ranked.chain(rest).take(args.k).collect())
}

/// The text that stands for a passage in an index.
fn indexed(hit: &Hit) -> String {
    let (titles, text) = (hit.titles.clone(), hit.text.clone());
    Passage { start: hit.start, end: hit.end, titles, text }.indexed()
}

impl Answer {
    fn json(&self) -> Result<Value> {
        let mut value = serde_json::to_value(&self.hit)?;
        if let Some((rank, score)) = self.first {
            value["before_reranking"] = json!({ "rank": rank, "score": score });
        }
        if let Some(explained) = &self.explained {
            value["explained"] = serde_json::to_value(explained)?;
        }
        Ok(value)
    }

    fn print(&self, rank: usize) -> Result<()> {
        let Hit { source, start, end, titles, score, text, .. } = &self.hit;
        let titles = if titles.is_empty() { String::new() } else { format!("  {}", titles.join(" > ")) };
        output::line(format!("{rank:>3}  {score:.4}  {source} {start}..{end}{titles}"))?;
        output::line(format!("     {}", short(text)))?;
        if let Some((rank, score)) = self.first {
            output::line(format!("     before reranking: rank {rank} ({score:.4})"))?;
        }
        self.explained.as_ref().map_or(Ok(()), |why| output::line(format!("     {}", words(why))))
    }
}

/// Why a passage was found, in words.
fn words(why: &Explained) -> String {
    let way = |name: &str, way: Option<(usize, f32)>| match way {
        Some((rank, score)) => format!("{name}: rank {rank} ({score:.4})"),
        None => format!("{name}: not among the first"),
    };
    let matched: Vec<String> = why.words.iter().map(|of| format!("{} {:.2}", of.word, of.score)).collect();
    let matched = if matched.is_empty() { "none".to_owned() } else { matched.join(", ") };
    format!("{}; {}; words: {matched}", way("vectors", why.dense), way("BM25", why.bm25))
}
