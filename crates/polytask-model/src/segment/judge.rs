//! How well a segmenter does on documents whose segments are known, beside what needs no reading.

use polytask_core::Problem;
use polytask_core::segmentation::{SegmentClasses, SegmentationReport, SegmentationRow};
use polytask_eval::{Predictions, score};
use polytask_segment::metric::half_segment;
use polytask_segment::{Boundaries, Convention, SegmentScores, SegmentedDocument, Trivial, boundaries};

use super::{PlaceScores, SegmentMethod, Segmenter};
use crate::Result;

/// What the documents say that the trivial rows and k are made from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainedOn {
    /// Sentences of a mean segment.
    pub mean_segment: f64,
    /// Share of the places between two sentences that are boundaries.
    pub rate: f64,
}

impl TrainedOn {
    /// The statistics of documents whose segments are known.
    ///
    /// # Errors
    /// When there is no place between two sentences.
    pub fn of(documents: &[SegmentedDocument]) -> Result<Self> {
        let all = known(documents)?;
        let found = boundaries::mean_segment(&all).zip(boundaries::rate(&all));
        let (mean_segment, rate) = found.ok_or_else(|| {
            let what = "no document has two sentences, expected some whose segments are known";
            Problem::new(what).try_this("a file with longer documents")
        })?;
        Ok(Self { mean_segment, rate })
    }

    /// Half its mean segment: the usual distance of a window.
    pub fn k(&self) -> usize {
        half_segment(self.mean_segment)
    }
}

/// The true boundaries of all documents.
pub(super) fn known(documents: &[SegmentedDocument]) -> Result<Vec<Boundaries>> {
    let known = |document: &SegmentedDocument| {
        document.boundaries().ok_or_else(|| {
            let what = format!("document `{}` does not say where its segments end", document.id);
            let remedy = "`sections`, `boundaries` or `labels`, one value per sentence";
            Problem::new(what).try_this(remedy).into()
        })
    };
    documents.iter().map(known).collect()
}

/// Scores a segmenter on documents whose segments are known.
///
/// # Errors
/// When the segments of a document are not known.
pub fn judge(
    segmenter: &Segmenter,
    documents: &[SegmentedDocument],
    trained_on: TrainedOn,
    convention: Convention,
) -> Result<SegmentationReport> {
    let known = known(documents)?;
    let (mut found, mut all) = (Vec::with_capacity(documents.len()), Vec::new());
    for document in documents {
        let scores = segmenter.scores(&document.sentences)?;
        found.push(segmenter.boundaries(&scores, document.sentences.len()));
        all.push(scores);
    }
    let score =
        |found: &[Boundaries]| SegmentScores::of(&known.iter().zip(found).collect::<Vec<_>>(), convention);
    let own = score(&found);
    let mut rows = vec![row(segmenter.name(), &own)];
    for trivial in Trivial::rows(trained_on.mean_segment, trained_on.rate) {
        let of = |(i, document): (usize, &SegmentedDocument)| trivial.boundaries(document.sentences.len(), i);
        rows.push(row(trivial.name(), &score(&documents.iter().enumerate().map(of).collect::<Vec<_>>())));
    }
    Ok(SegmentationReport {
        name: segmenter.name(),
        split: String::new(),
        convention: convention.to_string(),
        n_documents: own.n_documents,
        n_skipped: own.n_skipped,
        mean_segment: trained_on.mean_segment,
        rate: trained_on.rate,
        threshold: segmenter.fixed_threshold(),
        f1_on_valid: None,
        tried: Vec::new(),
        rows,
        classes: classes(segmenter, documents, &all)?,
    })
}

fn row(name: String, scores: &SegmentScores) -> SegmentationRow {
    let &SegmentScores { pk, window_diff, precision, recall, f1, f1_near, .. } = scores;
    SegmentationRow { name, pk, window_diff, precision, recall, f1, f1_near }
}

/// The classes a segmenter says, held against those that are known to it.
fn classes(
    segmenter: &Segmenter,
    documents: &[SegmentedDocument],
    scores: &[PlaceScores],
) -> Result<Option<SegmentClasses>> {
    let SegmentMethod::Learned(info) = &segmenter.method else { return Ok(None) };
    let labels = info.labels(&segmenter.model);
    let (mut truth, mut predicted) = (Vec::new(), Vec::new());
    for (document, scores) in documents.iter().zip(scores) {
        let Some(classes) = &document.classes else { continue };
        for (class, said) in classes.iter().zip(&scores.classes) {
            let Some(class) = class else { continue };
            let Some(label) = labels.iter().position(|label| label == class) else {
                let shown = polytask_core::cell::shorten(class);
                let what = format!(
                    "document `{}` has the label `{shown}`, which the model does not know",
                    document.id
                );
                return Err(Problem::new(what).try_this("the labels of train, or null for unknown").into());
            };
            let best = (0..said.len()).max_by(|&a, &b| said[a].total_cmp(&said[b]).then(b.cmp(&a)));
            truth.push(label as u32);
            predicted.push(best.unwrap_or(0) as u32);
        }
    }
    if truth.is_empty() || labels.is_empty() {
        return Ok(None);
    }
    let count = |label: usize| truth.iter().filter(|&&of| of as usize == label).count();
    let supports = labels.iter().enumerate().map(|(at, label)| (label.clone(), count(at))).collect();
    let predictions = Predictions::Labels { truth, predicted, n_labels: labels.len() };
    let of = |name| score(name, &predictions);
    Ok(Some(SegmentClasses { accuracy: of("accuracy")?, macro_f1: of("macro_f1")?, supports }))
}
