//! What scores say: predictions beside the truth, and how sure they are.

use polytask_eval::Predictions;

use crate::calibration::Calibration;
use crate::rows::{KnownRows, Right};

/// What scores predict, beside the truth. A row of no label is predicted where there is a label for it.
pub(crate) fn predictions(
    rows: &KnownRows,
    scores: &[f32],
    calibration: &Calibration,
    (n, n_all): (usize, usize),
) -> Predictions {
    match &rows.right {
        Right::One(truth) => {
            let predicted = |row: &[f32]| {
                if n_all > n && calibration.is_none(row) {
                    n as u32
                } else {
                    polytask_core::outputs::largest(row)
                }
            };
            let predicted = scores.chunks(n).map(predicted).collect();
            Predictions::Labels { truth: truth.clone(), predicted, n_labels: n_all }
        }
        Right::Any(truth) => {
            let scores = scores.chunks(n).flat_map(|row| calibration.shares(row, true)).collect();
            Predictions::LabelSets { n_labels: n, truth: truth.clone(), scores }
        }
    }
}

/// Probability of each answer, and whether it is right.
pub(crate) fn answers(rows: &[&[f32]], right: &Right, calibration: &Calibration) -> (Vec<f64>, Vec<bool>) {
    match right {
        Right::One(labels) => {
            let answer = |(row, label): (&&[f32], &u32)| {
                let shares = calibration.shares(row, false);
                let best = polytask_core::outputs::largest(&shares);
                (f64::from(shares[best as usize]), best == *label)
            };
            rows.iter().zip(labels).map(answer).unzip()
        }
        Right::Any(holds) => {
            let shares = rows.iter().flat_map(|row| calibration.shares(row, true)).map(f64::from);
            (shares.collect(), holds.clone())
        }
    }
}
