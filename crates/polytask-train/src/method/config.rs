//! ConFIG: the direction with equal cosines to all task gradients.
//!
//! - **What:** where one exists, a direction that makes the same angle with every task gradient, so that no task is
//!   given up for another; its length is the sum of the gradients' projections on it.
//! - **Paper:** Liu, Chu, Thuerey: ConFIG: Towards Conflict-free Training of Physics Informed Neural Networks. ICLR
//!   2025 (arXiv 2408.11104), equation 2.
//! - **Rule:** U = the rows over their norms, v = U⁺ 1 / ‖U⁺ 1‖; direction (Σᵢ gᵢ·v) v. As U⁺ 1 = Uᵀ (U Uᵀ)⁺ 1, it is
//!   a weighted sum of the rows, and the weights need their cosines K = U Uᵀ only: a = K⁺ 1 and
//!   wᵢ = (Σⱼ ‖gⱼ‖ (K a)ⱼ / aᵀ K a) aᵢ / ‖gᵢ‖.
//! - **Departures:** none in the mathematics; no row is kept. K⁺ 1 comes from a Cholesky factor with pivoting, cut off
//!   where what is left of a row is below 1e-6 of its length: gradients are computed in f32, and beyond that the
//!   direction would follow their rounding (TorchJD cuts off at the rounding of f64). Where the gradients leave no
//!   direction (two opposite ones) there is no step.
//! - **Cost:** the Gramian (one backward per task over shared rows), then one weighted backward.

use polytask_core::method::Choice;
use polytask_core::{Family, MethodInfo};

use super::adapt::ByGramian;
use super::table::{Claim, Entry, Setup};
use super::{Gramian, GramianWeighting, Method, Needs, Step};
use crate::Result;

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "config",
    title: "ConFIG",
    paper: "Liu, Chu, Thuerey, ICLR 2025",
    family: Family::GramianWeighting,
    about: "follows the direction that makes the same angle with every task gradient",
    cost: "Gramian + one backward",
    kinds: &[],
    params: &[],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling], make };

/// What is left of a unit row, squared, below which it counts as a sum of others.
const RANK: f64 = 1e-12;
/// Length of U⁺ 1, squared, below which it is rounding: it is at least 1 where the cosines can be equal.
const NOTHING: f64 = 1e-18;

struct Config;

fn make(_choice: &Choice, _setup: &Setup) -> Result<Box<dyn Method>> {
    Ok(Box::new(ByGramian { weighting: Config, needs: Needs::NONE }))
}

impl GramianWeighting for Config {
    fn weights(&mut self, _step: &mut Step, gramian: &Gramian) -> Vec<f64> {
        let n = gramian.n;
        let norms: Vec<f64> = (0..n).map(|i| gramian.get(i, i).sqrt()).collect();
        let cosine = |k: usize| gramian.values[k] / norms[k / n] / norms[k % n];
        let cosines = Gramian { n, values: (0..n * n).map(cosine).collect() };
        let a = pseudo_inverse_of_ones(&cosines);
        let along = cosines.times(&a);
        let square = inner(&a, &along);
        if square <= NOTHING {
            return vec![0.0; n];
        }
        // In units of the longest row, for gradients of any size.
        let largest = norms.iter().copied().fold(0.0, f64::max);
        let length: f64 = norms.iter().zip(&along).map(|(norm, k)| norm / largest * k).sum();
        a.iter().zip(&norms).map(|(a, norm)| length / square * a * (largest / norm)).collect()
    }
}

/// K⁺ 1. With K = L Lᵀ and L of full column rank, K⁺ = L (Lᵀ L)⁻² Lᵀ.
fn pseudo_inverse_of_ones(k: &Gramian) -> Vec<f64> {
    let columns = factor(k, RANK);
    let r = columns.len();
    let square = |at: usize| inner(&columns[at / r], &columns[at % r]);
    let inside = factor_of_full_rank(&Gramian { n: r, values: (0..r * r).map(square).collect() });
    let ones: Vec<f64> = columns.iter().map(|column| column.iter().sum()).collect();
    let x = solve(&inside, &solve(&inside, &ones));
    (0..k.n).map(|i| columns.iter().zip(&x).map(|(column, x)| column[i] * x).sum()).collect()
}

/// Columns of a Cholesky factor, the largest pivot first, until no pivot is above `bar`.
fn factor(k: &Gramian, bar: f64) -> Vec<Vec<f64>> {
    let mut columns: Vec<Vec<f64>> = Vec::new();
    let mut left: Vec<f64> = (0..k.n).map(|i| k.get(i, i)).collect();
    while columns.len() < k.n {
        let Some(pivot) = (0..k.n).max_by(|&a, &b| left[a].total_cmp(&left[b])) else { break };
        if left[pivot] <= bar {
            break;
        }
        let known = |i: usize| columns.iter().map(|c| c[i] * c[pivot]).sum::<f64>();
        let column: Vec<f64> = (0..k.n).map(|i| (k.get(i, pivot) - known(i)) / left[pivot].sqrt()).collect();
        left.iter_mut().zip(&column).for_each(|(left, c)| *left -= c * c);
        left[pivot] = 0.0;
        columns.push(column);
    }
    columns
}

/// The lower Cholesky factor of a positive definite matrix, by rows.
fn factor_of_full_rank(matrix: &Gramian) -> Vec<Vec<f64>> {
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for i in 0..matrix.n {
        let mut row: Vec<f64> = Vec::new();
        for j in 0..i {
            let known = inner(&row, &rows[j][..j]);
            row.push((matrix.get(i, j) - known) / rows[j][j]);
        }
        row.push((matrix.get(i, i) - inner(&row, &row)).max(f64::MIN_POSITIVE).sqrt());
        rows.push(row);
    }
    rows
}

/// Solves L Lᵀ x = b.
fn solve(lower: &[Vec<f64>], b: &[f64]) -> Vec<f64> {
    let n = lower.len();
    let mut x = b.to_vec();
    for i in 0..n {
        x[i] = (x[i] - inner(&lower[i][..i], &x[..i])) / lower[i][i];
    }
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|j| lower[j][i] * x[j]).sum();
        x[i] = (x[i] - known) / lower[i][i];
    }
    x
}

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::testing::{FakeProbe, weights};
    use crate::method::toy::{Close, golden, pulling};

    fn method() -> Box<dyn Method> {
        make(&Choice::named("config"), &Setup::of(&["a", "b", "c", "d", "e", "f"])).unwrap()
    }

    #[test]
    fn directions_equal_torchjd() {
        let golden = golden();
        for (case, expected) in golden.jacobians.iter().zip(&golden.config) {
            let rows = pulling(&case.rows);
            let mut probe = FakeProbe::from_rows(&(0..rows.n).map(|i| rows.row(i)).collect::<Vec<_>>());
            let found = weights(method().as_mut(), &mut probe);
            let shortest = rows.squares().into_iter().fold(f64::INFINITY, f64::min).sqrt();
            let size = expected.iter().fold(shortest, |m, v| m.max(v.abs()));
            let over = |v: f64| v / size;
            let found: Vec<f32> =
                rows.weighted(&found, 0..rows.width).iter().map(|v| over(f64::from(*v)) as f32).collect();
            let mut expected: Vec<f64> = expected.iter().map(|v| over(*v)).collect();
            // A direction of zero length is compared with the shortest row.
            let (mut found, one) = (found, [1.0]);
            found.push(1.0);
            expected.extend(one);
            found.close(&expected, 1e-6, &case.name);
        }
    }

    #[test]
    fn all_cosines_with_the_direction_are_equal() {
        for seed in 0..20 {
            let mut probe = FakeProbe::random(seed, 4, 9);
            let rows = crate::method::Probe::rows(&mut probe, crate::method::At::default()).unwrap();
            let direction = rows.weighted(&weights(method().as_mut(), &mut probe), 0..9);
            let cosine = |i: usize| super::super::dot(rows.row(i), &direction) / rows.squares()[i].sqrt();
            assert!(cosine(0) > 0.0 && (1..4).all(|i| (cosine(i) / cosine(0) - 1.0).abs() < 1e-5));
        }
    }

    #[test]
    fn opposite_gradients_give_no_direction() {
        let mut probe = FakeProbe::from_rows(&[&[1.0, 2.0], &[-3.0, -6.0]]);
        assert_eq!(weights(method().as_mut(), &mut probe), [0.0, 0.0]);
    }
}
