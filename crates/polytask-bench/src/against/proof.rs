//! Equal answers: what the sides compute is compared before their times are.

use anyhow::{Context, Result, ensure};
use polytask_nn::States;
use serde_json::Value;

use super::Answers;

/// Smallest cosine of two vectors that count as equal.
const COSINE: f64 = 0.9999;
/// Largest relative difference of gradients that count as equal.
const GRADIENT: f64 = 1e-3;

/// The smallest cosine of two vectors of the same row.
pub(crate) fn cosines(ours: &States, theirs: &Answers) -> Result<f64> {
    let (n, found) = (ours.values.len(), theirs.values.len());
    ensure!(n == found, "the peer gave {found} values, expected {n}");
    let rows = ours.values.chunks(ours.width).zip(theirs.values.chunks(ours.width));
    let (row, least) = rows
        .map(|(a, b)| cosine(a, b))
        .enumerate()
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .context("there is nothing to compare")?;
    // A cosine that is not a number fails too.
    ensure!(
        least >= COSINE,
        "row {row}: the cosine of both answers is {least:.6}, expected at least {COSINE}"
    );
    Ok(least)
}

/// -1 where a vector is 0 or not finite: such vectors equal nothing.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    if cosine.is_finite() { cosine } else { -1.0 }
}

/// The largest relative difference of the norms of a block's gradients.
pub(crate) fn norms(ours: &[(String, f64)], theirs: &Answers) -> Result<f64> {
    let mut largest = 0.0;
    for (block, norm) in ours {
        let other = theirs.report["norms"].get(block).and_then(Value::as_f64);
        let other = other.with_context(|| format!("the peer gave no gradient norm of block `{block}`"))?;
        let difference = (norm - other).abs() / norm.abs().max(f64::MIN_POSITIVE);
        // Written so that a difference that is not a number fails too.
        let is_close = difference <= GRADIENT;
        ensure!(is_close, "block `{block}`: gradient norm {norm:.6e}, the peer's {other:.6e}");
        largest = f64::max(largest, difference);
    }
    Ok(largest)
}

/// The largest difference of inner products, relative to the product of both gradients' norms.
pub(crate) fn products(ours: &[f64], theirs: &Answers) -> Result<f64> {
    let theirs: Option<Vec<f64>> =
        theirs.report["gramian"].as_array().and_then(|values| values.iter().map(Value::as_f64).collect());
    let theirs = theirs.filter(|theirs| theirs.len() == ours.len());
    let theirs = theirs.with_context(|| format!("the peer gave no {} inner products", ours.len()))?;
    let n = ours.len().isqrt();
    let mut largest = 0.0;
    for (at, (a, b)) in ours.iter().zip(&theirs).enumerate() {
        let (i, j) = (at / n, at % n);
        let scale = (ours[i * n + i] * ours[j * n + j]).sqrt().max(f64::MIN_POSITIVE);
        let difference = (a - b).abs() / scale;
        let is_close = difference <= GRADIENT;
        ensure!(is_close, "tasks {i} and {j}: inner product {a:.6e}, the peer's {b:.6e}");
        largest = f64::max(largest, difference);
    }
    Ok(largest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answers(values: &[f32], report: Value) -> Answers {
        Answers { values: values.to_vec(), report }
    }

    #[test]
    fn vectors_of_other_directions_of_no_length_or_of_another_number_are_refused() {
        let ours = States { values: vec![1.0, 0.0, 0.0, 2.0], width: 2 };
        assert_eq!(cosines(&ours, &answers(&[3.0, 0.0, 0.0, 1.0], Value::Null)).unwrap(), 1.0);
        for bad in [&[1.0, 0.0, 0.1, 2.0][..], &[0.0, 0.0, 0.0, 2.0], &[f32::NAN, 0.0, 0.0, 2.0], &[1.0, 0.0]]
        {
            assert!(cosines(&ours, &answers(bad, Value::Null)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_gradient_norm_that_differs_or_lacks_is_refused_by_its_block() {
        let ours = [("words".to_owned(), 2.0), ("layer.0".to_owned(), 1.0)];
        let close = answers(&[], json!({ "norms": { "words": 2.001, "layer.0": 1.0 } }));
        assert!((norms(&ours, &close).unwrap() - 5e-4).abs() < 1e-9);
        for bad in [json!({ "words": 2.0, "layer.0": 1.01 }), json!({ "words": 2.0 }), json!(null)] {
            let error = norms(&ours, &answers(&[], json!({ "norms": bad }))).unwrap_err().to_string();
            assert!(error.contains("block"), "{error}");
        }
    }

    #[test]
    fn inner_products_are_held_against_the_norms_of_their_gradients() {
        let ours = [4.0, 0.0, 0.0, 9.0];
        let of = |values: Value| products(&ours, &answers(&[], json!({ "gramian": values })));
        // 0.003 of 2 · 3 is five parts in ten thousand.
        assert!((of(json!([4.0, 0.003, 0.003, 9.0])).unwrap() - 5e-4).abs() < 1e-12);
        assert!(of(json!([4.0, 0.03, 0.03, 9.0])).is_err());
        assert!(of(json!([4.0, 0.0, 0.0])).is_err());
    }
}
