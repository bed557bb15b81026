//! `polytask bench passages`: documents cut where topics change, beside windows of a fixed size.

mod collection;
mod score;

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_core::report::Interval;
use polytask_index::{ChunkBy, Chunking, EndTopics, IndexEncoder, chunk};
use polytask_model::{Model, Segmenter, choose_segmenter, read_segmenters};
use polytask_nn::topk;
use polytask_segment::TilingThreshold;
use serde::Serialize;

use self::collection::Collection;
use self::score::{Placed, WORDS};
use polytask_terminal::output::{self, Outcome};
use polytask_terminal::suites;

/// Sentences on each side that `TextTiling` compares.
const WIDTH: usize = 2;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask bench passages --data data/
  polytask bench passages --data data/ --set openings --segmenter runs/topics

abstracts joins ten abstracts of SciFact to a document and asks its test claims; openings are the test documents of
wikiseg_synth, where the first sentence of an opening is taken out and asks for the rest. Documents are cut after so many
tokens, at sentences up to so many, where topics change (texttiling, and the heads of --segmenter) and where they truly
do; all passages are embedded by one model and ranked by cosine.

nDCG@10 counts the share of an answer that a passage holds and none before it did; recall is the share of it in the first
200 words, so that long passages gain nothing by their length. Differences are paired by query, with 95 % intervals.")]
pub(super) struct Args {
    /// Folder with the folders of the data sets
    #[arg(long)]
    data: PathBuf,
    /// What is asked
    #[arg(long, value_enum, default_value_t = Set::Abstracts)]
    set: Set,
    /// Folder of a model; all-MiniLM-L6-v2 from the cache otherwise
    #[arg(long)]
    model: Option<PathBuf>,
    /// Model whose heads say where topics change, too
    #[arg(long)]
    segmenter: Option<PathBuf>,
    /// Tokens of a window (repeatable)
    #[arg(long = "window", default_values_t = [64, 128, 254], value_parser = polytask_terminal::count)]
    windows: Vec<usize>,
    /// Documents of joined abstracts
    #[arg(long, default_value_t = 100, value_parser = polytask_terminal::count)]
    documents: usize,
    /// Worker threads; 0 means all cores
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

// Without comments on its values, which would stretch the help: the text above says what they are.
/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Set {
    Abstracts,
    Openings,
}

/// A way to cut, with what it came to.
#[derive(Debug, Serialize)]
struct Way {
    name: String,
    passages: usize,
    words: f64,
    ndcg: f64,
    recall: f64,
    /// Against each window: what it has more, of nDCG and of recall.
    against: Vec<(String, Option<Interval>, Option<Interval>)>,
    #[serde(skip)]
    by_query: Vec<(f64, f64)>,
}

pub(super) fn run(args: &Args) -> Result<Outcome> {
    suites::set_threads(args.threads)?;
    let collection = match args.set {
        Set::Abstracts => Collection::abstracts(&args.data, args.documents)?,
        Set::Openings => Collection::openings(&args.data)?,
    };
    let encoder = super::Common { model: args.model.clone(), threads: args.threads, json: args.json };
    let folder = encoder.folder()?;
    let encoder = IndexEncoder::new(Model::load(&folder)?, &super::argument(&folder), None, None)?;
    let texts: Vec<&str> = collection.queries.iter().map(|query| query.text.as_str()).collect();
    let queries = encoder.queries(&texts, None)?;
    let bench = Bench { collection: &collection, encoder: &encoder, queries: &queries };
    let mut ways = bench.windows(args)?;
    let n_windows = ways.len();
    ways.extend(bench.segments(args, &folder)?);
    let (windows, segments) = ways.split_at_mut(n_windows);
    segments.iter_mut().for_each(|way| way.compare(windows));
    print(args, &collection, &ways)?;
    Ok(Outcome::Done)
}

struct Bench<'a> {
    collection: &'a Collection,
    encoder: &'a IndexEncoder,
    queries: &'a [f32],
}

impl Bench<'_> {
    /// Windows of each size, after any word and at sentences.
    fn windows(&self, args: &Args) -> Result<Vec<Way>> {
        let mut ways = Vec::new();
        for (by, name) in [(ChunkBy::Tokens, "windows of"), (ChunkBy::Sentences, "sentences up to")] {
            for &window in &args.windows {
                let tokens = window.min(self.encoder.most_tokens());
                let chunking = Chunking { by, tokens, overlap: 0 };
                ways.push(self.way(format!("{name} {tokens} tokens"), chunking, None)?);
            }
        }
        Ok(ways)
    }

    /// Segments by depths of the same vectors, by learned heads, and as they truly are.
    fn segments(&self, args: &Args, folder: &Path) -> Result<Vec<Way>> {
        let tokens = self.encoder.most_tokens();
        let chunking = Chunking { by: ChunkBy::Segments, tokens, overlap: 0 };
        let tiling = Segmenter::text_tiling(Model::load(folder)?, WIDTH, TilingThreshold::default())?;
        let mut ways = vec![self.way("segments (texttiling)".into(), chunking, Some(&*ends(&tiling)))?];
        if let Some(run) = &args.segmenter {
            let info = choose_segmenter(read_segmenters(run)?, None)?;
            let learned = Segmenter::learned(Model::load(run)?, info)?;
            ways.push(self.way("segments (learned)".into(), chunking, Some(&*ends(&learned)))?);
        }
        ways.push(self.true_parts()?);
        Ok(ways)
    }

    fn way(&self, name: String, chunking: Chunking, topics: Option<&EndTopics<'_>>) -> Result<Way> {
        let (mut texts, mut placed) = (Vec::new(), Vec::new());
        for (number, document) in self.collection.documents.iter().enumerate() {
            let count = |texts: &[&str]| self.encoder.count(texts);
            chunk::cut(document, chunking, &count, topics, &mut |passage| {
                placed.push(Placed::new(number, passage.start..passage.end, &passage.text));
                texts.push(passage.text);
                Ok(())
            })?;
        }
        self.judge(name, &texts, &placed)
    }

    /// Each text that was joined, as a passage.
    fn true_parts(&self) -> Result<Way> {
        let (mut texts, mut placed) = (Vec::new(), Vec::new());
        let documents = self.collection.documents.iter().zip(&self.collection.parts);
        for (number, (document, parts)) in documents.enumerate() {
            for part in parts {
                let text: String = document.text.chars().skip(part.start).take(part.len()).collect();
                placed.push(Placed::new(number, part.clone(), &text));
                texts.push(text);
            }
        }
        self.judge("true segments".into(), &texts, &placed)
    }

    fn judge(&self, name: String, texts: &[String], placed: &[Placed]) -> Result<Way> {
        let vectors = self.encoder.passages(texts)?;
        let found = topk::top_k(self.queries, &vectors, self.encoder.stamp().width, WORDS)?;
        let score = |(query, found): (&collection::Asked, Vec<(u32, f32)>)| {
            let ranked: Vec<&Placed> = found.iter().map(|(row, _)| &placed[*row as usize]).collect();
            (score::ndcg(&ranked, &query.answers), score::recall(&ranked, &query.answers))
        };
        let by_query: Vec<(f64, f64)> = self.collection.queries.iter().zip(found).map(score).collect();
        let mean = |of: fn(&(f64, f64)) -> f64| by_query.iter().map(of).sum::<f64>() / by_query.len() as f64;
        let words: usize = placed.iter().map(|passage| passage.word_ends.len()).sum();
        Ok(Way {
            name,
            passages: placed.len(),
            words: words as f64 / placed.len().max(1) as f64,
            ndcg: mean(|of| of.0),
            recall: mean(|of| of.1),
            against: Vec::new(),
            by_query,
        })
    }
}

/// Where a segmenter ends topics.
fn ends(segmenter: &Segmenter) -> Box<EndTopics<'_>> {
    Box::new(|sentences: &[&str]| {
        let scores = segmenter.scores(sentences)?;
        Ok(segmenter.boundaries(&scores, sentences.len()).marks().to_vec())
    })
}

impl Way {
    fn compare(&mut self, windows: &[Self]) {
        let values =
            |of: &Self, pick: fn(&(f64, f64)) -> f64| of.by_query.iter().map(pick).collect::<Vec<_>>();
        for window in windows {
            let of = |pick| score::difference(&values(self, pick), &values(window, pick));
            let (ndcg, recall) = (of(|of| of.0), of(|of| of.1));
            self.against.push((window.name.clone(), ndcg, recall));
        }
    }
}

fn print(args: &Args, collection: &Collection, ways: &[Way]) -> Result<()> {
    if args.json {
        let (documents, queries) = (collection.documents.len(), collection.queries.len());
        let bench = "passages";
        return output::json(
            &serde_json::json!({ "bench": bench, "documents": documents, "queries": queries, "ways": ways }),
        );
    }
    output::line(format!("{} documents, {} queries", collection.documents.len(), collection.queries.len()))?;
    output::line(format!("{:<28}{:>9}{:>7}{:>9}{:>12}", "", "passages", "words", "nDCG@10", "recall@200w"))?;
    for Way { name, passages, words, ndcg, recall, .. } in ways {
        let (ndcg, recall) = (100.0 * ndcg, 100.0 * recall);
        output::line(format!("{name:<28}{passages:>9}{words:>7.1}{ndcg:>9.2}{recall:>12.2}"))?;
    }
    for way in ways {
        for (window, ndcg, recall) in &way.against {
            let (ndcg, recall) = (points(*ndcg), points(*recall));
            output::line(format!("{} − {window}: nDCG@10 {ndcg}; recall {recall}", way.name))?;
        }
    }
    Ok(())
}

/// A difference in points.
fn points(of: Option<Interval>) -> String {
    let Some(Interval { value, low, high }) = of else { return "unknown".into() };
    format!("{:+.2} [{:+.2}, {:+.2}]", 100.0 * value, 100.0 * low, 100.0 * high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_compared_query_by_query() {
        let way = |name: &str, by_query: Vec<(f64, f64)>| Way {
            name: name.into(),
            passages: 1,
            words: 1.0,
            ndcg: 0.0,
            recall: 0.0,
            against: Vec::new(),
            by_query,
        };
        let windows = [way("w", vec![(0.1, 0.5), (0.3, 0.5), (0.2, 0.5)])];
        let mut own = way("s", vec![(0.2, 0.5), (0.4, 0.5), (0.3, 0.5)]);
        own.compare(&windows);
        let (name, ndcg, recall) = &own.against[0];
        assert_eq!(name, "w");
        assert!((ndcg.unwrap().value - 0.1).abs() < 1e-12 && ndcg.unwrap().low > 0.09);
        assert_eq!(points(*recall), "+0.00 [+0.00, +0.00]");
        assert_eq!(points(None), "unknown");
    }
}
