//! Rows of a split with known targets, as heads read them.

use polytask_core::suite::TaskSpec;
use polytask_core::{Split, TargetType};
use polytask_data::{Dataset, Targets};
use polytask_nn::objective::Target;

use crate::features::Features;

/// Rows whose target is known; those of none of the labels are apart.
#[derive(Debug, Clone)]
pub(crate) struct KnownRows {
    /// Their places in the split.
    pub(crate) rows: Vec<usize>,
    pub(crate) sequences: Vec<Vec<u32>>,
    /// What is right; for rows of no label the number of labels.
    pub(crate) right: Right,
    pub(crate) weights: Vec<f32>,
}

/// What is right in some rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Right {
    /// A label each.
    One(Vec<u32>),
    /// Whether each label holds, `[rows, labels]`.
    Any(Vec<bool>),
}

impl KnownRows {
    /// The known rows of a task in a split, of `n_labels` labels that are described.
    pub(crate) fn of(dataset: &Dataset, task: usize, split: Split, n_labels: usize) -> Option<Self> {
        let (inputs, targets) = (dataset.rows(task, split)?, dataset.tasks[task].targets.get(&split)?);
        let rows: Vec<usize> = (0..targets.len()).filter(|&row| targets.is_known(row)).collect();
        if rows.is_empty() {
            return None;
        }
        let weights = dataset.weights(task, split);
        let right = match targets {
            Targets::Label(labels) => Right::One(rows.iter().filter_map(|&row| labels[row]).collect()),
            Targets::Labels(sets) => {
                let holds = |row: &usize| {
                    let set = sets[*row].as_deref().unwrap_or(&[]);
                    (0..n_labels as u32).map(|label| set.contains(&label)).collect::<Vec<_>>()
                };
                Right::Any(rows.iter().flat_map(holds).collect())
            }
            _ => return None,
        };
        Some(Self {
            sequences: rows.iter().map(|&row| dataset.texts.tokens(inputs.inputs(row)[0]).to_vec()).collect(),
            weights: rows.iter().map(|&row| weights[row]).collect(),
            right,
            rows,
        })
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Places of the rows of a label, and of those of none.
    pub(crate) fn scoped(&self, n_labels: usize) -> (Vec<usize>, Vec<usize>) {
        let is_known = |&row: &usize| match &self.right {
            Right::One(labels) => (labels[row] as usize) < n_labels,
            Right::Any(_) => true,
        };
        (0..self.len()).partition(is_known)
    }

    /// Some rows as what a head learns from.
    pub(crate) fn examples(&self, features: &Features, places: &[usize], n_labels: usize) -> Examples {
        Examples {
            features: features.pick(places),
            right: self.right.pick(places, n_labels),
            weights: places.iter().map(|&place| self.weights[place]).collect(),
        }
    }
}

impl Right {
    pub(crate) fn pick(&self, places: &[usize], n_labels: usize) -> Self {
        match self {
            Self::One(labels) => Self::One(places.iter().map(|&place| labels[place]).collect()),
            Self::Any(holds) => {
                let row = |&place: &usize| holds[place * n_labels..(place + 1) * n_labels].iter().copied();
                Self::Any(places.iter().flat_map(row).collect())
            }
        }
    }

    /// As the target of a loss.
    pub(crate) fn target(&self, n_labels: usize) -> Target {
        match self {
            Self::One(labels) => Target::Label(labels.clone()),
            Self::Any(holds) => {
                let values = holds.iter().map(|&holds| f32::from(u8::from(holds))).collect();
                Target::Labels { n_labels, values }
            }
        }
    }

    /// Rows of each label.
    pub(crate) fn counts(&self, n_labels: usize) -> Vec<usize> {
        let mut counts = vec![0; n_labels];
        match self {
            Self::One(labels) => labels.iter().for_each(|&label| counts[label as usize] += 1),
            Self::Any(holds) => {
                holds
                    .iter()
                    .enumerate()
                    .filter(|(_, holds)| **holds)
                    .for_each(|(i, _)| counts[i % n_labels] += 1);
            }
        }
        counts
    }
}

/// What a head learns from: rows of the labels.
#[derive(Debug, Clone)]
pub struct Examples {
    /// The texts.
    pub features: Features,
    pub(crate) right: Right,
    /// Weight of each row.
    pub weights: Vec<f32>,
}

impl Examples {
    /// Rows of one label each.
    pub fn of_labels(features: Features, labels: Vec<u32>) -> Self {
        let weights = vec![1.0; labels.len()];
        Self { features, right: Right::One(labels), weights }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// Some of the rows.
    pub(crate) fn pick(&self, places: &[usize], n_labels: usize) -> Self {
        Self {
            features: self.features.pick(places),
            right: self.right.pick(places, n_labels),
            weights: places.iter().map(|&place| self.weights[place]).collect(),
        }
    }

    /// These rows, then others of one label each.
    #[must_use]
    pub(crate) fn with(&self, other: &Self) -> Self {
        let right = match (&self.right, &other.right) {
            (Right::One(a), Right::One(b)) => Right::One([&a[..], b].concat()),
            (Right::Any(a), Right::Any(b)) => Right::Any([&a[..], b].concat()),
            (own, _) => own.clone(),
        };
        let weights = [&self.weights[..], &other.weights].concat();
        Self { features: self.features.with(&other.features), right, weights }
    }

    /// Share of rows whose right label has the largest score (of rows and labels that are right, where several may hold),
    /// and the mean loss.
    pub fn judged(&self, scores: &[f32], n_labels: usize) -> (f64, f64) {
        let n = self.len().max(1) as f64;
        match &self.right {
            Right::One(labels) => {
                let rows = || scores.chunks(n_labels).zip(labels);
                let right =
                    rows().filter(|(row, label)| polytask_core::outputs::largest(row) == **label).count();
                let loss: f64 = rows().map(|(row, label)| -log_share(row, *label as usize, 1.0)).sum();
                (right as f64 / n, loss / n)
            }
            Right::Any(holds) => {
                let pairs = || scores.iter().zip(holds);
                let right = pairs().filter(|(score, holds)| (**score >= 0.0) == **holds).count();
                let loss: f64 = pairs().map(|(score, holds)| binary_loss(f64::from(*score), *holds)).sum();
                (right as f64 / holds.len().max(1) as f64, loss / holds.len().max(1) as f64)
            }
        }
    }
}

/// Logarithm of the share of a label among scores that are divided by a temperature.
pub(crate) fn log_share(scores: &[f32], label: usize, temperature: f64) -> f64 {
    let at = |score: &f32| f64::from(*score) / temperature;
    let top = scores.iter().map(at).fold(f64::NEG_INFINITY, f64::max);
    at(&scores[label]) - top - scores.iter().map(|score| (at(score) - top).exp()).sum::<f64>().ln()
}

/// `log(1 + e^s) − y s`.
pub(crate) fn binary_loss(score: f64, holds: bool) -> f64 {
    score.max(0.0) + (-score.abs()).exp().ln_1p() - if holds { score } else { 0.0 }
}

/// Whether a row may have several labels.
pub(crate) fn is_set(task: &TaskSpec) -> bool {
    task.kind.target_type() == TargetType::Labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::tests::single;

    #[test]
    fn scores_are_judged_by_the_largest_and_by_the_share_of_the_right_one() {
        let rows = Examples::of_labels(single(&[&[1.0], &[1.0]]), vec![1, 0]);
        let (accuracy, loss) = rows.judged(&[0.0, 2.0, 0.0, 2.0], 2);
        let share = 1.0 / (1.0 + (-2.0_f64).exp());
        assert_eq!(accuracy, 0.5);
        assert!((loss + f64::midpoint(share.ln(), (1.0 - share).ln())).abs() < 1e-9);
    }

    #[test]
    fn several_labels_are_judged_one_by_one() {
        let right = Right::Any(vec![true, false, false, false]);
        let rows = Examples { features: single(&[&[1.0], &[1.0]]), right, weights: vec![1.0; 2] };
        assert_eq!(rows.right.counts(2), [1, 0]);
        let (right, loss) = rows.judged(&[3.0, -3.0, 1.0, -1.0], 2);
        assert_eq!(right, 0.75);
        assert!(
            (loss
                - (2.0 * binary_loss(3.0, true) + binary_loss(1.0, false) + binary_loss(-1.0, false)) / 4.0)
                .abs()
                < 1e-9
        );
    }
}
