//! Accuracy, F1 and Matthews' coefficient of predicted labels.
//!
//! Reference: scikit-learn's `accuracy_score`, `f1_score`, `matthews_corrcoef`. Macro-F1 averages over the
//! labels that are true or predicted at least once (one label per row) or over all labels (label sets), as
//! there. In a resample, labels that only the resample misses are left out instead of counting as 0, which
//! would pull every interval below the score; on all rows the value is the reference's.

use super::{Metric, PreparedMetric, Unit, info, ratio};
use crate::predictions::Predictions;

/// Share of right predictions.
pub(super) static ACCURACY: Metric = Metric {
    info: info(
        "accuracy",
        "Accuracy",
        "Share of right predictions: labels, whole label sets, or tags of single words.",
    ),
    unit: Unit::Share,
    higher_is_better: true,
    reference: "scikit-learn accuracy_score",
    prepare: |predictions, _| Some(Box::new(Accuracy::new(predictions)?)),
};

/// Mean of the labels' F1.
pub(super) static MACRO_F1: Metric = Metric {
    info: info("macro_f1", "Macro-F1", "Mean over labels of the harmonic mean of precision and recall."),
    unit: Unit::Share,
    higher_is_better: true,
    reference: "scikit-learn f1_score(average=\"macro\")",
    prepare: |predictions, _| Some(Box::new(MacroF1(Decisions::new(predictions)?))),
};

/// F1 of all decisions together.
pub(super) static MICRO_F1: Metric = Metric {
    info: info("micro_f1", "Micro-F1", "F1 of all labels' decisions counted together."),
    unit: Unit::Share,
    higher_is_better: true,
    reference: "scikit-learn f1_score(average=\"micro\")",
    prepare: |predictions, _| Some(Box::new(MicroF1(Decisions::new(predictions)?))),
};

/// Matthews' correlation coefficient.
pub(super) static MCC: Metric = Metric {
    info: info(
        "mcc",
        "Matthews correlation",
        "Correlation of true and predicted labels over all classes (Gorodkin 2004); 0 for a constant.",
    ),
    unit: Unit::Coefficient,
    higher_is_better: true,
    reference: "scikit-learn matthews_corrcoef",
    prepare: |predictions, _| match predictions {
        Predictions::Labels { truth, predicted, n_labels } => {
            Some(Box::new(Mcc { truth: truth.clone(), predicted: predicted.clone(), n_labels: *n_labels }))
        }
        _ => None,
    },
};

/// Right decisions and decisions of each row.
struct Accuracy {
    rows: Vec<(u32, u32)>,
}

impl Accuracy {
    fn new(predictions: &Predictions) -> Option<Self> {
        let rows = match predictions {
            Predictions::Labels { truth, predicted, .. } => {
                truth.iter().zip(predicted).map(|(t, p)| (u32::from(t == p), 1)).collect()
            }
            Predictions::LabelSets { n_labels, truth, scores } => {
                let width = (*n_labels).max(1);
                let rows = truth.chunks(width).zip(scores.chunks(width));
                rows.map(|(t, s)| (u32::from(t.iter().zip(s).all(|(&t, &s)| t == (s >= 0.5))), 1)).collect()
            }
            Predictions::Tags { truth, predicted, .. } => truth
                .iter()
                .zip(predicted)
                .map(|(t, p)| (t.iter().zip(p).filter(|(t, p)| t == p).count() as u32, t.len() as u32))
                .collect(),
            _ => return None,
        };
        Some(Self { rows })
    }
}

impl PreparedMetric for Accuracy {
    fn value(&self, counts: &[u32]) -> f64 {
        let (mut right, mut all) = (0_u64, 0_u64);
        for (&(r, n), &count) in self.rows.iter().zip(counts) {
            right += u64::from(r) * u64::from(count);
            all += u64::from(n) * u64::from(count);
        }
        ratio(right as f64, all as f64, f64::NAN)
    }
}

/// The labels that are true and those that are predicted, row by row.
struct Decisions {
    /// Labels of row r: `labels[starts[r]..starts[r + 1]]`, as (label, is true, is predicted).
    labels: Vec<(u32, bool, bool)>,
    starts: Vec<usize>,
    n_labels: usize,
    /// Labels macro-F1 averages over, and how many of them are true or predicted anywhere.
    averaged: usize,
    supported: usize,
}

/// How often a label is rightly predicted, predicted, true.
#[derive(Clone, Copy, Default)]
struct Tally {
    right: u64,
    predicted: u64,
    truth: u64,
}

impl Tally {
    fn f1(self) -> f64 {
        ratio(2.0 * self.right as f64, (self.predicted + self.truth) as f64, 0.0)
    }
}

impl Decisions {
    fn new(predictions: &Predictions) -> Option<Self> {
        let mut decisions =
            Self { labels: Vec::new(), starts: vec![0], n_labels: 0, averaged: 0, supported: 0 };
        match predictions {
            Predictions::Labels { truth, predicted, n_labels } => {
                decisions.n_labels = *n_labels;
                truth.iter().zip(predicted).for_each(|(&t, &p)| decisions.push_label(t, p));
            }
            Predictions::LabelSets { n_labels, truth, scores } => {
                decisions.n_labels = *n_labels;
                let width = (*n_labels).max(1);
                truth.chunks(width).zip(scores.chunks(width)).for_each(|(t, s)| decisions.push_set(t, s));
            }
            _ => return None,
        }
        let tallies = decisions.tally(&vec![1; predictions.n_rows()]);
        decisions.supported = tallies.iter().filter(|t| t.predicted + t.truth > 0).count();
        let all_labels = matches!(predictions, Predictions::LabelSets { .. });
        decisions.averaged = if all_labels { decisions.n_labels } else { decisions.supported };
        Some(decisions)
    }

    fn push_label(&mut self, truth: u32, predicted: u32) {
        self.labels.push((truth, true, truth == predicted));
        if truth != predicted {
            self.labels.push((predicted, false, true));
        }
        self.starts.push(self.labels.len());
    }

    fn push_set(&mut self, truth: &[bool], scores: &[f32]) {
        for (label, (&t, &s)) in truth.iter().zip(scores).enumerate() {
            if t || s >= 0.5 {
                self.labels.push((label as u32, t, s >= 0.5));
            }
        }
        self.starts.push(self.labels.len());
    }

    fn tally(&self, counts: &[u32]) -> Vec<Tally> {
        let mut tallies = vec![Tally::default(); self.n_labels];
        for (row, &count) in self.starts.windows(2).zip(counts) {
            for &(label, truth, predicted) in &self.labels[row[0]..row[1]] {
                let tally = &mut tallies[label as usize];
                tally.right += u64::from(truth && predicted) * u64::from(count);
                tally.predicted += u64::from(predicted) * u64::from(count);
                tally.truth += u64::from(truth) * u64::from(count);
            }
        }
        tallies
    }
}

struct MacroF1(Decisions);

impl PreparedMetric for MacroF1 {
    fn value(&self, counts: &[u32]) -> f64 {
        if counts.iter().all(|&count| count == 0) {
            return f64::NAN;
        }
        let (mut sum, mut supported) = (0.0, 0_usize);
        for tally in self.0.tally(counts).into_iter().filter(|t| t.predicted + t.truth > 0) {
            sum += tally.f1();
            supported += 1;
        }
        let share = ratio(self.0.supported as f64, self.0.averaged as f64, 0.0);
        ratio(sum, supported as f64, 0.0) * share
    }

    /// F1 of a label with few rows is bent downwards (a ratio), and labels go missing from resamples.
    fn is_biased(&self) -> bool {
        true
    }
}

struct MicroF1(Decisions);

impl PreparedMetric for MicroF1 {
    fn value(&self, counts: &[u32]) -> f64 {
        if counts.iter().all(|&count| count == 0) {
            return f64::NAN;
        }
        let all = self.0.tally(counts).into_iter().fold(Tally::default(), |sum, t| Tally {
            right: sum.right + t.right,
            predicted: sum.predicted + t.predicted,
            truth: sum.truth + t.truth,
        });
        all.f1()
    }
}

struct Mcc {
    truth: Vec<u32>,
    predicted: Vec<u32>,
    n_labels: usize,
}

impl PreparedMetric for Mcc {
    fn value(&self, counts: &[u32]) -> f64 {
        let (mut truth, mut predicted) = (vec![0.0; self.n_labels], vec![0.0; self.n_labels]);
        let (mut right, mut n) = (0.0, 0.0);
        for ((&t, &p), &count) in self.truth.iter().zip(&self.predicted).zip(counts) {
            let count = f64::from(count);
            truth[t as usize] += count;
            predicted[p as usize] += count;
            right += if t == p { count } else { 0.0 };
            n += count;
        }
        if n == 0.0 {
            return f64::NAN;
        }
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let both = right * n - dot(&truth, &predicted);
        let spread = (n * n - dot(&truth, &truth)) * (n * n - dot(&predicted, &predicted));
        ratio(both, spread.sqrt(), 0.0)
    }
}

#[cfg(test)]
mod tests {
    use crate::predictions::Predictions;
    use crate::{resampled, score};

    #[test]
    fn a_resample_without_a_label_does_not_count_it_as_zero() {
        let right = Predictions::LabelSets {
            n_labels: 2,
            truth: vec![true, false, false, true],
            scores: vec![0.9, 0.1, 0.1, 0.9],
        };
        assert_eq!(score("macro_f1", &right).unwrap(), 1.0);
        assert_eq!(resampled("macro_f1", &right, &[0, 0]), 1.0);
        let labels = Predictions::Labels { truth: vec![0, 1], predicted: vec![0, 1], n_labels: 9 };
        assert_eq!(resampled("macro_f1", &labels, &[1, 1]), 1.0);
    }

    #[test]
    fn degenerate_labels_follow_the_reference() {
        let constant = Predictions::Labels { truth: vec![0, 1], predicted: vec![1, 1], n_labels: 2 };
        assert_eq!(score("mcc", &constant).unwrap(), 0.0);
        let none = Predictions::LabelSets { n_labels: 2, truth: vec![false; 4], scores: vec![0.0; 4] };
        assert_eq!(score("macro_f1", &none).unwrap(), 0.0);
        assert_eq!(score("micro_f1", &none).unwrap(), 0.0);
        let empty = Predictions::Labels { truth: vec![], predicted: vec![], n_labels: 0 };
        for metric in ["accuracy", "macro_f1", "micro_f1", "mcc"] {
            assert!(score(metric, &empty).unwrap().is_nan(), "{metric}");
        }
    }
}
