//! Average precision of label probabilities.
//!
//! AP = Σ (Rₙ − Rₙ₋₁) Pₙ over the distinct thresholds, without interpolation: scikit-learn's
//! `average_precision_score`. A label without a true example has no AP and is left out of the mean (scikit-learn warns and
//! counts it as 0, which says how many labels a small split lacks, not how good a model is).

use super::{Metric, PreparedMetric, Unit, info, ratio};
use crate::predictions::Predictions;

/// AP of all (row, label) decisions together; with one label the plain binary AP.
pub(super) static AP: Metric = Metric {
    info: info(
        "ap",
        "Average precision",
        "Area under precision over recall, all labels' decisions in one list.",
    ),
    unit: Unit::Share,
    higher_is_better: true,
    reference: "scikit-learn average_precision_score(average=\"micro\")",
    prepare: |predictions, _| match predictions {
        Predictions::LabelSets { n_labels, truth, scores } => {
            let n = truth.len();
            let curve = Curve::new((0..n).map(|i| (i / n_labels.max(&1), truth[i], scores[i])).collect());
            Some(Box::new(Micro(curve)))
        }
        _ => None,
    },
};

/// Mean of the labels' AP.
pub(super) static MAP_MACRO: Metric = Metric {
    info: info("map_macro", "Mean average precision", "Mean average precision of the labels that occur."),
    unit: Unit::Share,
    higher_is_better: true,
    reference: "scikit-learn average_precision_score(average=\"macro\") over the labels that occur",
    prepare: |predictions, _| match predictions {
        Predictions::LabelSets { n_labels, truth, scores } => {
            let rows = truth.len() / (*n_labels).max(1);
            let column = |label: usize| {
                let cell = |row: usize| (row, truth[row * n_labels + label], scores[row * n_labels + label]);
                Curve::new((0..rows).map(cell).collect())
            };
            Some(Box::new(Macro((0..*n_labels).map(column).collect())))
        }
        _ => None,
    },
};

/// Decisions by falling score, equal scores grouped.
struct Curve {
    /// (row, is true), highest score first.
    order: Vec<(u32, bool)>,
    /// Where each group of equal scores ends.
    ends: Vec<usize>,
}

impl Curve {
    fn new(mut cells: Vec<(usize, bool, f32)>) -> Self {
        cells.sort_by(|a, b| b.2.total_cmp(&a.2));
        let ends = (1..=cells.len()).filter(|&i| i == cells.len() || cells[i].2 != cells[i - 1].2).collect();
        Self { order: cells.into_iter().map(|(row, truth, _)| (row as u32, truth)).collect(), ends }
    }

    /// AP of the rows as often as `counts` says; `None` without a true example.
    fn value(&self, counts: &[u32]) -> Option<f64> {
        let (mut sum, mut right, mut seen, mut start) = (0.0, 0.0, 0.0, 0);
        for &end in &self.ends {
            let mut gained = 0.0;
            for &(row, truth) in &self.order[start..end] {
                let count = f64::from(counts[row as usize]);
                seen += count;
                gained += if truth { count } else { 0.0 };
            }
            right += gained;
            sum += gained * ratio(right, seen, 0.0);
            start = end;
        }
        (right > 0.0).then(|| sum / right)
    }
}

struct Micro(Curve);

impl PreparedMetric for Micro {
    fn value(&self, counts: &[u32]) -> f64 {
        if counts.iter().all(|&count| count == 0) {
            return f64::NAN;
        }
        self.0.value(counts).unwrap_or(0.0)
    }

    /// A true example drawn twice stands beside itself at its own threshold and raises the precision there.
    fn is_biased(&self) -> bool {
        true
    }
}

/// The labels' curves.
struct Macro(Vec<Curve>);

impl PreparedMetric for Macro {
    fn value(&self, counts: &[u32]) -> f64 {
        if counts.iter().all(|&count| count == 0) {
            return f64::NAN;
        }
        let values: Vec<f64> = self.0.iter().filter_map(|curve| curve.value(counts)).collect();
        ratio(values.iter().sum(), values.len() as f64, 0.0)
    }

    /// As each label's AP is; the mean over labels scatters less and is moved as far.
    fn is_biased(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::predictions::Predictions;
    use crate::score;

    #[test]
    fn a_label_without_true_examples_is_left_out() {
        let truth = vec![true, false, false, false];
        let half = Predictions::LabelSets { n_labels: 2, truth, scores: vec![0.9, 0.1, 0.1, 0.2] };
        assert_eq!(score("map_macro", &half).unwrap(), 1.0);
        assert_eq!(score("ap", &half).unwrap(), 1.0);
    }

    #[test]
    fn equal_scores_share_one_threshold_whatever_their_order() {
        let ap = |truth: Vec<bool>| {
            let scores = vec![0.5; truth.len()];
            score("ap", &Predictions::LabelSets { n_labels: 1, truth, scores }).unwrap()
        };
        assert_eq!(ap(vec![true, false, false, false]), 0.25);
        assert_eq!(ap(vec![false, false, false, true]), 0.25);
    }
}
