//! What a model said beside what is true: the one input of every metric.

use polytask_core::{Problem, Result};
use serde::{Deserialize, Serialize};

/// What one query brought back, and what would have answered it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Ranking {
    /// Passages found, with their score, in any order and each at most once.
    pub retrieved: Vec<(u32, f32)>,
    /// Passages that answer the query, with a grade above 0; empty = unknown, the query is left out.
    pub relevant: Vec<(u32, f32)>,
}

/// Truth and predictions of one split of one task, row by row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Predictions {
    /// One label per row.
    Labels {
        /// The true label of each row.
        truth: Vec<u32>,
        /// The predicted label of each row.
        predicted: Vec<u32>,
        /// Size of the label set.
        n_labels: usize,
    },
    /// Any number of labels per row; a label is predicted when its probability is at least 0.5.
    LabelSets {
        /// Size of the label set.
        n_labels: usize,
        /// Whether each label holds, `[rows, labels]`.
        truth: Vec<bool>,
        /// Probability of each label, `[rows, labels]`.
        scores: Vec<f32>,
    },
    /// One or several numbers per row.
    Numbers {
        /// Numbers per row.
        width: usize,
        /// The true numbers, `[rows, width]`; NaN = unknown.
        #[serde(deserialize_with = "nulls_are_nan")]
        truth: Vec<f64>,
        /// The predicted numbers, `[rows, width]`.
        #[serde(deserialize_with = "nulls_are_nan")]
        predicted: Vec<f64>,
    },
    /// One tag per word, a sentence per row.
    Tags {
        /// The tags' names (`B-PER`, `O`), in the order of their indices.
        labels: Vec<String>,
        /// The true tag of each word.
        truth: Vec<Vec<u32>>,
        /// The predicted tag of each word.
        predicted: Vec<Vec<u32>>,
    },
    /// A ranked list per query.
    Rankings {
        /// The queries.
        rankings: Vec<Ranking>,
        /// Ids of the passages by index: equal scores are ordered by id, descending. Empty: by index, descending.
        ids: Vec<String>,
    },
}

/// JSON has no NaN: it is written as `null` and must come back.
fn nulls_are_nan<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let values = Vec::<Option<f64>>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}

impl Predictions {
    /// What the rows hold, for error messages.
    pub fn form(&self) -> &'static str {
        match self {
            Self::Labels { .. } => "labels",
            Self::LabelSets { .. } => "label sets",
            Self::Numbers { .. } => "numbers",
            Self::Tags { .. } => "tags",
            Self::Rankings { .. } => "rankings",
        }
    }

    /// Number of rows, whether or not their truth is known.
    pub fn n_rows(&self) -> usize {
        match self {
            Self::Labels { truth, .. } => truth.len(),
            Self::LabelSets { n_labels, truth, .. } => truth.len() / (*n_labels).max(1),
            Self::Numbers { width, truth, .. } => truth.len() / (*width).max(1),
            Self::Tags { truth, .. } => truth.len(),
            Self::Rankings { rankings, .. } => rankings.len(),
        }
    }

    /// Rows whose truth is known, at least in part, ascending: the examples a score is about.
    pub fn known_rows(&self) -> Vec<u32> {
        let known = |row: usize| match self {
            Self::Numbers { width, truth, .. } => {
                truth[row * width..(row + 1) * width].iter().any(|v| !v.is_nan())
            }
            Self::Rankings { rankings, .. } => !rankings[row].relevant.is_empty(),
            _ => true,
        };
        (0..self.n_rows()).filter(|&row| known(row)).map(|row| row as u32).collect()
    }

    /// Refuses predictions whose parts do not fit each other.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Labels { truth, predicted, n_labels } => {
                same("labels", truth.len(), predicted.len())?;
                let largest = truth.iter().chain(predicted).copied().max();
                in_range("label", largest, *n_labels)
            }
            Self::LabelSets { n_labels, truth, scores } => {
                same("label probabilities", truth.len(), scores.len())?;
                divisible("label sets", truth.len(), *n_labels)
            }
            Self::Numbers { width, truth, predicted } => {
                same("numbers", truth.len(), predicted.len())?;
                divisible("numbers", truth.len(), *width)
            }
            Self::Tags { labels, truth, predicted } => check_tags(labels, truth, predicted),
            Self::Rankings { rankings, ids } => check_rankings(rankings, ids),
        }
    }
}

/// Number of examples a score of these predictions is about (rows with a known truth).
pub fn n_examples(predictions: &Predictions) -> usize {
    predictions.known_rows().len()
}

fn same(what: &str, truth: usize, predicted: usize) -> Result<()> {
    if truth == predicted {
        return Ok(());
    }
    Err(Problem::new(format!("{what}: {truth} true values, {predicted} predicted, expected as many")).into())
}

fn divisible(what: &str, length: usize, width: usize) -> Result<()> {
    if length == 0 || (width > 0 && length.is_multiple_of(width)) {
        return Ok(());
    }
    Err(Problem::new(format!("{what}: {length} values do not fill rows of {width}")).into())
}

fn in_range(what: &str, largest: Option<u32>, n: usize) -> Result<()> {
    match largest {
        Some(index) if index as usize >= n => {
            Err(Problem::new(format!("{what} {index} found, expected an index below {n}")).into())
        }
        _ => Ok(()),
    }
}

fn check_tags(labels: &[String], truth: &[Vec<u32>], predicted: &[Vec<u32>]) -> Result<()> {
    same("sentences", truth.len(), predicted.len())?;
    for (row, (t, p)) in truth.iter().zip(predicted).enumerate() {
        if t.len() != p.len() {
            let what =
                format!("sentence {row}: {} true tags, {} predicted, expected as many", t.len(), p.len());
            return Err(Problem::new(what).into());
        }
    }
    in_range("tag", truth.iter().chain(predicted).flatten().copied().max(), labels.len())
}

fn check_rankings(rankings: &[Ranking], ids: &[String]) -> Result<()> {
    let mut seen = Vec::new();
    for (query, ranking) in rankings.iter().enumerate() {
        for (what, list) in [("retrieved", &ranking.retrieved), ("relevant", &ranking.relevant)] {
            seen.clear();
            seen.extend(list.iter().map(|&(passage, _)| passage));
            seen.sort_unstable();
            if let Some([twice, ..]) = seen.windows(2).find(|pair| pair[0] == pair[1]) {
                let what = format!("query {query}: passage {twice} stands twice among its {what}");
                return Err(Problem::new(what).into());
            }
            if !ids.is_empty() {
                in_range("passage", seen.last().copied(), ids.len())?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_truth_are_not_examples() {
        let truth = vec![1.0, f64::NAN, f64::NAN, f64::NAN];
        let numbers = Predictions::Numbers { width: 2, truth, predicted: vec![0.0; 4] };
        assert_eq!((numbers.n_rows(), numbers.known_rows()), (2, vec![0]));
        let known = Ranking { retrieved: vec![], relevant: vec![(0, 1.0)] };
        let rankings = Predictions::Rankings { rankings: vec![Ranking::default(), known], ids: vec![] };
        assert_eq!(n_examples(&rankings), 1);
    }

    #[test]
    fn parts_that_do_not_fit_are_refused_in_words() {
        let bad = [
            Predictions::Labels { truth: vec![0], predicted: vec![], n_labels: 2 },
            Predictions::Labels { truth: vec![0], predicted: vec![2], n_labels: 2 },
            Predictions::LabelSets { n_labels: 2, truth: vec![true; 3], scores: vec![0.0; 3] },
            Predictions::LabelSets { n_labels: 0, truth: vec![true; 3], scores: vec![0.0; 3] },
            Predictions::Numbers { width: 1, truth: vec![0.0], predicted: vec![] },
            Predictions::Tags { labels: vec!["O".into()], truth: vec![vec![0]], predicted: vec![vec![]] },
            Predictions::Tags { labels: vec![], truth: vec![vec![0]], predicted: vec![vec![0]] },
            Predictions::Rankings {
                rankings: vec![Ranking { retrieved: vec![(1, 0.5), (1, 0.4)], relevant: vec![] }],
                ids: vec![],
            },
            Predictions::Rankings {
                rankings: vec![Ranking { retrieved: vec![(1, 0.5)], relevant: vec![] }],
                ids: vec!["a".into()],
            },
        ];
        for predictions in bad {
            assert!(predictions.check().is_err(), "{predictions:?}");
        }
    }
}
