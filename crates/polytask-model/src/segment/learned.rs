//! Probabilities of boundaries and classes by the heads of a model.

use std::ops::Range;

use polytask_core::Problem;
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
    // The place behind the last sentence of the text is none.
    let places = block.start..block.end.min(sentences.len().saturating_sub(1));
    let classed = block.start..(block.end + 1).min(sentences.len());
    let mut questions = Vec::new();
    let stp = info.stp.as_deref().filter(|_| info.combine != Combine::Tc && !places.is_empty());
    if let Some(stp) = stp {
        let rows = places.clone().map(|place| sides(sentences, place, info.context)).collect();
        questions.push(Question { task: model.task(stp)?, rows });
    }
    if let Some(tc) = &info.tc {
        let rows = classed.map(|at| vec![Input::Text(sentences[at].as_ref().to_owned())]).collect();
        questions.push(Question { task: model.task(tc)?, rows });
    }
    if questions.is_empty() {
        return Ok(PlaceScores::default());
    }
    let mut answers = model.predict(&questions, None)?.answers.into_iter();
    let same = if stp.is_some() { answers.next() } else { None };
    let same: Vec<f64> = same.iter().flatten().map(|answer| probability(answer, SAME)).collect();
    let labels = info.labels(model);
    let mut classes: Vec<Vec<f64>> = answers
        .next()
        .iter()
        .flatten()
        .map(|answer| labels.iter().map(|label| probability(answer, label)).collect())
        .collect();
    let together = |at: usize| match info.combine {
        Combine::Stp => same[at],
        Combine::Tc => agreement(&classes[at], &classes[at + 1]),
        Combine::Mean => f64::midpoint(same[at], agreement(&classes[at], &classes[at + 1])),
    };
    let scores: Vec<f64> = (0..places.len()).map(|at| 1.0 - together(at)).collect();
    if scores.iter().any(|score| !score.is_finite()) {
        let what = format!("segmentation `{}` gave a probability that is not finite", info.name);
        return Err(Problem::new(what).try_this("train the model again").into());
    }
    classes.truncate(block.len());
    Ok(PlaceScores { can_end: vec![true; scores.len()], scores, classes })
}

/// The texts on both sides of the place behind a sentence.
fn sides<S: AsRef<str>>(sentences: &[S], last: usize, context: usize) -> Vec<Input> {
    let join = |range: Range<usize>| {
        let texts: Vec<&str> = sentences[range].iter().map(AsRef::as_ref).collect();
        Input::Text(texts.join(" "))
    };
    let (context, end) = (context.max(1), last + 1);
    vec![join(end.saturating_sub(context)..end), join(end..(end + context).min(sentences.len()))]
}

/// The probability that both are of one class.
fn agreement(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn probability(answer: &Value, label: &str) -> f64 {
    answer["scores"][label].as_f64().unwrap_or(f64::NAN)
}
