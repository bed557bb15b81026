//! Probabilities of boundaries and classes by the heads of a model.

use std::ops::Range;

use polytask_core::Problem;
use polytask_segment::{Crossing, PairBand};
use serde_json::Value;

use super::{Combine, PlaceScores, SegmenterInfo};
use crate::{Input, Model, Question, Result};

/// The label of two sentences of one topic.
pub(crate) const SAME: &str = "same";

/// The scores of the places behind some sentences of a text, and the classes of these sentences.
pub(super) fn scores<S: AsRef<str>>(
    model: &Model,
    info: &SegmenterInfo,
    sentences: &[S],
    block: Range<usize>,
) -> Result<PlaceScores> {
    Ok(Heard::new(model, info, sentences, block, info.crossing)?.scores(info.crossing))
}

/// What the heads say of the pairs across the places behind some sentences of a text.
pub(super) struct Heard {
    n_sentences: usize,
    /// The places that are meant.
    places: Range<usize>,
    band: PairBand,
    /// The classes of the sentences before them.
    classes: Vec<Vec<f64>>,
}

impl Heard {
    /// Asks about all pairs that `widest`, or anything narrower, judges by.
    pub(super) fn new<S: AsRef<str>>(
        model: &Model,
        info: &SegmenterInfo,
        sentences: &[S],
        block: Range<usize>,
        widest: Crossing,
    ) -> Result<Self> {
        let n_sentences = sentences.len();
        // The place behind the last sentence of the text is none.
        let places = block.start..block.end.min(n_sentences.saturating_sub(1));
        let pairs = PairBand::pairs(widest.asked(&places, n_sentences), n_sentences, widest.width);
        let first = pairs.first().map_or(block.start, |pair| pair.0.min(block.start));
        let last = pairs.iter().map(|pair| pair.1 + 1).fold(block.end, usize::max);
        let asked = Asked { model, info, sentences };
        let (same, mut classes) = asked.answers(&pairs, first..last)?;
        let together = |(at, pair): (usize, &(usize, usize))| {
            let agreed = || agreement(&classes[pair.0 - first], &classes[pair.1 - first]);
            match info.combine {
                Combine::Stp => same[at],
                Combine::Tc => agreed(),
                Combine::Mean => f64::midpoint(same[at], agreed()),
            }
        };
        let same: Vec<f64> = pairs.iter().enumerate().map(together).collect();
        if same.iter().any(|probability| !probability.is_finite()) {
            let what = format!("segmentation `{}` gave a probability that is not finite", info.name);
            return Err(Problem::new(what).try_this("train the model again").into());
        }
        classes.drain(..(block.start - first).min(classes.len()));
        classes.truncate(block.len());
        Ok(Self { n_sentences, places, band: PairBand::new(pairs, same), classes })
    }

    /// The scores of its places.
    pub(super) fn scores(&self, crossing: Crossing) -> PlaceScores {
        let asked = crossing.asked(&self.places, self.n_sentences);
        let change = |place| self.band.change(crossing, place, self.n_sentences);
        let scores: Vec<f64> = asked.clone().map(change).collect();
        let own = self.places.start - asked.start..self.places.end.max(self.places.start) - asked.start;
        let can_end = crossing.can_end(&scores)[own.clone()].to_vec();
        PlaceScores { scores: scores[own].to_vec(), can_end, classes: self.classes.clone() }
    }
}

/// A text whose heads are asked.
struct Asked<'a, S> {
    model: &'a Model,
    info: &'a SegmenterInfo,
    sentences: &'a [S],
}

impl<S: AsRef<str>> Asked<'_, S> {
    /// The probability of one topic of each pair, where that head decides, and the classes of some sentences, where a head
    /// says any.
    fn answers(&self, pairs: &[(usize, usize)], classed: Range<usize>) -> Result<(Vec<f64>, Vec<Vec<f64>>)> {
        let Self { model, info, sentences } = self;
        let mut questions = Vec::new();
        let stp = info.stp.as_deref().filter(|_| info.combine != Combine::Tc && !pairs.is_empty());
        if let Some(stp) = stp {
            let rows = pairs.iter().map(|&pair| self.sides(pair)).collect();
            questions.push(Question { task: model.task(stp)?, rows });
        }
        if let Some(tc) = &info.tc {
            let rows = classed.map(|at| vec![Input::Text(sentences[at].as_ref().to_owned())]).collect();
            questions.push(Question { task: model.task(tc)?, rows });
        }
        if questions.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let mut answers = model.predict(&questions, None)?.answers.into_iter();
        let same = if stp.is_some() { answers.next() } else { None };
        let same = same.iter().flatten().map(|answer| probability(answer, SAME)).collect();
        let labels = info.labels(model);
        let classes = |answer| labels.iter().map(|label| probability(answer, label)).collect();
        Ok((same, answers.next().iter().flatten().map(classes).collect()))
    }

    /// The texts that end and begin with the sentences of a pair.
    fn sides(&self, (first, second): (usize, usize)) -> Vec<Input> {
        let join = |range: Range<usize>| {
            let texts: Vec<&str> = self.sentences[range].iter().map(AsRef::as_ref).collect();
            Input::Text(texts.join(" "))
        };
        let (context, end) = (self.info.context.max(1), first + 1);
        let until = (second + context).min(self.sentences.len());
        vec![join(end.saturating_sub(context)..end), join(second..until)]
    }
}

/// The probability that both are of one class.
fn agreement(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn probability(answer: &Value, label: &str) -> f64 {
    answer["scores"][label].as_f64().unwrap_or(f64::NAN)
}
