//! Iterated spherical interpolation of task vectors (Self Positioning, arXiv 2410.15035), on their inner products alone:
//! everything stays in the span of the vectors.

use polytask_core::{Error, Problem};

use crate::Result;

/// Sines below this are of parallel vectors, which a line joins.
const PARALLEL: f64 = 1e-6;
/// Angles this near to a half turn have no one arc.
const OPPOSITE: f64 = 1e-3;
/// Step of the central differences.
const H: f64 = 1e-6;

/// A place on the sphere of the task vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    /// Factor of each vector.
    pub factors: Vec<f64>,
    /// Angle between what was merged before and each vector from the second on.
    pub angles: Vec<f64>,
}

/// The place of relative weights `a`, for vectors with the inner products `g`: one vector after the other, the running
/// merge with the mean weight of those in it.
///
/// # Errors
/// A vector that is zero, or opposite to what was merged before it.
pub fn position(a: &[f64], g: &[Vec<f64>]) -> Result<Position> {
    let n = a.len();
    if let Some(zero) = (0..n).find(|&k| g[k][k] <= 0.0) {
        let what = format!("task vector {} is zero, so it has no direction", zero + 1);
        return Err(Error::from(Problem::new(what).try_this("leave that model out")).into());
    }
    let mut factors = vec![0.0; n];
    factors[..1].fill(1.0);
    let mut angles = Vec::new();
    for k in 1..n {
        let angle = angle(&factors, g, k);
        if angle > std::f64::consts::PI - OPPOSITE {
            let what = format!("task vector {} is opposite to the merge of those before it", k + 1);
            return Err(Error::from(Problem::new(what).try_this("leave one out, or `--form free`")).into());
        }
        let before = a[..k].iter().sum::<f64>() / k as f64;
        let (old, new) = ends(a[k] / (before + a[k]), angle);
        factors[..k].iter_mut().for_each(|c| *c *= old);
        factors[k] = new;
        angles.push(angle);
    }
    Ok(Position { factors, angles })
}

/// The angle between a merge and a vector.
fn angle(c: &[f64], g: &[Vec<f64>], k: usize) -> f64 {
    let by = |row: &[f64]| c.iter().zip(row).map(|(c, g)| c * g).sum::<f64>();
    let square: f64 = c.iter().zip(g).map(|(c, row)| c * by(row)).sum();
    (by(&g[k]) / (square * g[k][k]).sqrt()).clamp(-1.0, 1.0).acos()
}

/// Factors of the ends of an arc, `share` from the first to the second.
fn ends(share: f64, angle: f64) -> (f64, f64) {
    let sine = angle.sin();
    if sine < PARALLEL {
        return (1.0 - share, share);
    }
    (((1.0 - share) * angle).sin() / sine, (share * angle).sin() / sine)
}

/// `[factor][weight]` slopes of the factors by the weights, by central differences.
///
/// # Errors
/// As [`position`].
pub(super) fn slopes(a: &[f64], g: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
    let moved = |i: usize, by: f64| {
        let mut a = a.to_vec();
        a[i] += by;
        position(&a, g).map(|position| position.factors)
    };
    let columns = (0..a.len()).map(|i| {
        let (up, down) = (moved(i, H)?, moved(i, -H)?);
        Ok(up.iter().zip(&down).map(|(u, d)| (u - d) / (2.0 * H)).collect::<Vec<f64>>())
    });
    let columns: Vec<Vec<f64>> = columns.collect::<Result<_>>()?;
    Ok((0..a.len()).map(|k| columns.iter().map(|column| column[k]).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn reals(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    }

    fn rows(value: &Value) -> Vec<Vec<f64>> {
        value.as_array().unwrap().iter().map(reals).collect()
    }

    fn close(found: &[f64], expected: &[f64]) {
        let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-6;
        assert!(
            found.len() == expected.len() && found.iter().zip(expected).all(near),
            "{found:?} {expected:?}"
        );
    }

    #[test]
    fn places_and_slopes_equal_the_independent_implementation() {
        let golden: Value = serde_json::from_str(include_str!("positions_golden.json")).unwrap();
        for case in golden.as_array().unwrap() {
            let (a, g, lambda) = (reals(&case["a"]), rows(&case["gram"]), case["lambda"].as_f64().unwrap());
            let scaled = |v: &[f64]| v.iter().map(|v| lambda * v).collect::<Vec<f64>>();
            let found = position(&a, &g).unwrap();
            close(&scaled(&found.factors), &reals(&case["coefficients"]));
            close(&found.angles, &reals(&case["angles"]));
            for (found, expected) in slopes(&a, &g).unwrap().iter().zip(rows(&case["dc_da"])) {
                close(&scaled(found), &expected);
            }
            let c = scaled(&found.factors);
            let square: f64 = (0..c.len())
                .flat_map(|i| (0..c.len()).map(move |j| (i, j)))
                .map(|(i, j)| c[i] * g[i][j] * c[j])
                .sum();
            close(&[square.sqrt()], &[case["merged_norm"].as_f64().unwrap()]);
        }
    }

    #[test]
    fn zero_and_opposite_vectors_are_refused_and_parallel_ones_joined_by_a_line() {
        let told = |g: &[Vec<f64>]| position(&[1.0, 1.0], g).unwrap_err().to_string();
        assert!(told(&[vec![1.0, 0.0], vec![0.0, 0.0]]).contains("task vector 2 is zero"));
        assert!(told(&[vec![1.0, -1.0], vec![-1.0, 1.0]]).contains("opposite"));
        close(&position(&[1.0, 3.0], &[vec![1.0, 2.0], vec![2.0, 4.0]]).unwrap().factors, &[0.25, 0.75]);
        close(&position(&[1.0], &[vec![2.0]]).unwrap().factors, &[1.0]);
    }
}
