//! What is chosen on documents whose segments are known: the threshold, and the pairs that learned heads are asked about.

use polytask_core::Problem;
use polytask_segment::{Boundaries, Crossing, SegmentedDocument, best_threshold};

use super::learned::Heard;
use super::{PlaceScores, SegmentMethod, Segmenter, blocks, judge};
use crate::Result;

/// A segmenter with what was chosen.
pub struct Tuned {
    /// With the best threshold.
    pub segmenter: Segmenter,
    /// F1 of exact boundaries on the documents it was chosen on.
    pub f1: f64,
    /// What was tried, each with its F1 there; empty where only a threshold was chosen.
    pub tried: Vec<(String, f64)>,
}

/// Chooses the threshold that gives the best F1 of exact boundaries on some documents, and of some ways to ask learned
/// heads about a place the one with the best F1 (of equal ones the first).
///
/// # Errors
/// When the segments of a document are not known or none has a boundary.
pub fn tuned(segmenter: Segmenter, documents: &[SegmentedDocument], crossings: &[Crossing]) -> Result<Tuned> {
    let known = judge::known(documents)?;
    let own = match &segmenter.method {
        SegmentMethod::Learned(info) if crossings.is_empty() => vec![info.crossing],
        SegmentMethod::Learned(_) => crossings.to_vec(),
        SegmentMethod::TextTiling { .. } => vec![Crossing::NEIGHBOURS],
    };
    let mut places = vec![Vec::new(); own.len()];
    for (document, boundaries) in documents.iter().zip(&known) {
        for (places, found) in places.iter_mut().zip(segmenter.readings(&document.sentences, &own)?) {
            let scored = found.scores.iter().zip(boundaries.marks()).zip(&found.can_end);
            let scored = scored.filter(|(_, can_end)| **can_end);
            places.extend(scored.map(|((score, is_true), _)| (*score, *is_true)));
        }
    }
    let n_true = known.iter().map(Boundaries::count).sum();
    let (mut best, mut tried) = (None::<(Crossing, f64, f64)>, Vec::new());
    for (crossing, places) in own.into_iter().zip(places) {
        let Some((threshold, f1)) = best_threshold(places, n_true) else { continue };
        tried.push((crossing.name(), f1));
        if best.is_none_or(|(.., known)| f1 > known) {
            best = Some((crossing, threshold, f1));
        }
    }
    let Some((crossing, threshold, f1)) = best else {
        let what = "no document to choose the threshold on has a boundary";
        return Err(Problem::new(what).try_this("documents of several segments").into());
    };
    if tried.len() < 2 {
        tried.clear();
    }
    Ok(Tuned { segmenter: segmenter.asking(crossing).above(threshold), f1, tried })
}

impl Segmenter {
    /// The scores of all places of a text, in each of some ways to ask learned heads.
    pub(super) fn readings<S: AsRef<str> + Sync>(
        &self,
        sentences: &[S],
        crossings: &[Crossing],
    ) -> Result<Vec<PlaceScores>> {
        let info = match &self.method {
            SegmentMethod::TextTiling { width, .. } => return Ok(vec![self.depths(sentences, *width)?]),
            SegmentMethod::Learned(info) => info,
        };
        let width = crossings.iter().map(|crossing| crossing.width).max().unwrap_or(1);
        let widest = Crossing { width, peaks: crossings.iter().any(|crossing| crossing.peaks) };
        let mut all = vec![PlaceScores::default(); crossings.len()];
        for block in blocks(sentences.len()) {
            let heard = Heard::new(&self.model, info, sentences, block, widest)?;
            for (all, crossing) in all.iter_mut().zip(crossings) {
                all.extend(heard.scores(*crossing));
            }
        }
        Ok(all)
    }

    /// The same by other pairs, where heads are asked.
    #[must_use]
    pub fn asking(mut self, by: Crossing) -> Self {
        if let SegmentMethod::Learned(info) = &mut self.method {
            info.crossing = by;
        }
        self
    }
}
