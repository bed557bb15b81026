//! Linear models beside scikit-learn's (`xtask/parity/linear_fit.py`), and the objective beside finite differences.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Golden {
    width: usize,
    strength: f64,
    features: Vec<f32>,
    weights: Vec<f32>,
    labels: Vec<u32>,
    label_outputs: Vec<f64>,
    sets: Vec<f32>,
    set_outputs: Vec<f64>,
    numbers: Vec<f32>,
    number_outputs: Vec<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden.json")).unwrap()
}

fn data(target: Target, n_outputs: usize) -> (LinearData, Golden) {
    let golden = golden();
    let (features, weights) = (golden.features.clone(), golden.weights.clone());
    (LinearData::new(features, golden.width, target, weights, n_outputs), golden)
}

/// The outputs of a fit on the features as they were given.
fn outputs(data: &LinearData, golden: &Golden, fit: &LinearFit) -> Vec<Vec<f64>> {
    let (weight, bias) = data.unscaled(fit);
    let of_row = |row: &[f32]| {
        let one = |(w, b): (&[f32], &f32)| {
            w.iter().zip(row).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>() + f64::from(*b)
        };
        weight.chunks(golden.width).zip(&bias).map(one).collect()
    };
    golden.features.chunks(golden.width).map(of_row).collect()
}

fn assert_close(found: impl Iterator<Item = f64>, expected: &[f64]) {
    let found: Vec<f64> = found.collect();
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() < 2e-3, "{f} {e}");
    }
}

#[test]
fn logistic_regression_of_one_label_equals_scikit_learns() {
    let (data, golden) = data(Target::Label(golden().labels), 3);
    let fit = data.fit(golden.strength, None);
    let probabilities = outputs(&data, &golden, &fit).into_iter().flat_map(|row| {
        let sum: f64 = row.iter().map(|o| o.exp()).sum();
        row.into_iter().map(move |o| o.exp() / sum)
    });
    assert_close(probabilities, &golden.label_outputs);
}

#[test]
fn logistic_regressions_of_several_labels_equal_scikit_learns() {
    let (data, golden) = data(Target::Labels { n_labels: 3, values: golden().sets }, 3);
    let fit = data.fit(golden.strength, None);
    let probabilities = outputs(&data, &golden, &fit).into_iter().flatten().map(|o| 1.0 / (1.0 + (-o).exp()));
    assert_close(probabilities, &golden.set_outputs);
}

#[test]
fn ridge_regression_equals_scikit_learns() {
    let (data, golden) = data(Target::Numbers { width: 2, values: golden().numbers }, 2);
    let fit = data.fit(golden.strength, None);
    assert_close(outputs(&data, &golden, &fit).into_iter().flatten(), &golden.number_outputs);
}

#[test]
fn a_start_elsewhere_ends_at_the_same_model() {
    let (data, golden) = data(Target::Label(golden().labels), 3);
    let strong = data.fit(10.0, None);
    let (cold, warm) = (data.fit(golden.strength, None), data.fit(golden.strength, Some(&strong)));
    assert_close(warm.values.into_iter(), &cold.values);
}

#[test]
fn gradients_equal_finite_differences_where_targets_are_missing_too() {
    let mut numbers = golden().numbers;
    numbers[3] = f32::NAN;
    let targets = [
        (Target::Label(golden().labels), 3),
        (Target::Labels { n_labels: 3, values: golden().sets }, 3),
        (Target::Numbers { width: 2, values: numbers }, 2),
    ];
    for (target, n_outputs) in targets {
        let (data, _) = data(target, n_outputs);
        let at: Vec<f64> = (0..n_outputs * (data.width + 1)).map(|i| (i as f64).sin() * 0.5).collect();
        let (_, gradient) = data.objective(&at, 0.1);
        for i in 0..at.len() {
            let value = |h: f64| {
                let mut at = at.clone();
                at[i] += h;
                data.objective(&at, 0.1).0
            };
            let slope = (value(1e-2) - value(-1e-2)) / 2e-2;
            assert!((slope - gradient[i]).abs() < 2e-3, "{i}: {slope} {}", gradient[i]);
        }
    }
}

#[test]
fn outputs_without_rows_or_columns_are_zeros() {
    let data = LinearData::new(Vec::new(), 3, Target::Label(Vec::new()), Vec::new(), 2);
    assert_eq!(data.fit(1.0, None).values, [0.0; 8]);
}
