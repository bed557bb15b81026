//! Quadratic and cone programs, solved by an interior-point library.

use clarabel::algebra::CscMatrix;
use clarabel::solver::SupportedConeT::{NonnegativeConeT, SecondOrderConeT};
use clarabel::solver::{DefaultSettings, DefaultSolver, IPSolver, SolverStatus, SupportedConeT};

use crate::Gramian;

/// Gap between primal and dual value asked for; a direction is then right to about the square root of this.
const GAP: f64 = 1e-12;
/// Residuals asked for: at the edge of a ball rounding leaves no less.
const RESIDUAL: f64 = 1e-8;
/// What is still taken of both when rounding ends the search before.
const REDUCED: f64 = 1e-6;

/// argmin of vᵀ H v over v ≥ `lower` (element by element), H positive definite; `None` when the solver gives up.
pub(crate) fn shortest_above(h: &Gramian, lower: &[f64]) -> Option<Vec<f64>> {
    let n = h.n;
    let upper = (0..n).flat_map(|j| (0..=j).map(move |i| (i, j, h.get(i, j))));
    let objective = sparse(n, n, upper);
    // −v + s = −lower, s ≥ 0.
    let constraints = sparse(n, n, (0..n).map(|i| (i, i, -1.0)));
    let bounds: Vec<f64> = lower.iter().map(|l| -l).collect();
    solve(&objective, &vec![0.0; n], (&constraints, &bounds), &[NonnegativeConeT(n)])
}

/// argmax over y in the ball of `radius` around 0 of minᵢ (Aᵢ·(c + y)) / bᵢ, with one row Aᵢ per task; `None` when
/// the solver gives up.
pub(crate) fn farthest_in_ball(
    rows: &[Vec<f64>],
    sizes: &[f64],
    centre: &[f64],
    radius: f64,
) -> Option<Vec<f64>> {
    let (n, d) = (rows.len(), centre.len());
    // Unknowns y and t: bᵢ t − Aᵢ·y + s = Aᵢ·c with s ≥ 0, and (radius, y) in the second-order cone.
    let gain =
        rows.iter().enumerate().flat_map(|(i, row)| row.iter().enumerate().map(move |(j, a)| (i, j, -a)));
    let level = sizes.iter().enumerate().map(|(i, &b)| (i, d, b));
    let ball = (0..d).map(|j| (n + 1 + j, j, -1.0));
    let constraints = sparse(n + 1 + d, d + 1, gain.chain(level).chain(ball));
    let mut bounds: Vec<f64> = rows.iter().map(|row| super::inner(row, centre)).collect();
    bounds.push(radius);
    bounds.resize(n + 1 + d, 0.0);
    let mut slope = vec![0.0; d + 1];
    slope[d] = -1.0;
    let cones = [NonnegativeConeT(n), SecondOrderConeT(d + 1)];
    let mut found = solve(&sparse(d + 1, d + 1, []), &slope, (&constraints, &bounds), &cones)?;
    found.truncate(d);
    Some(found)
}

/// A matrix from its entries (row, column, value).
fn sparse(rows: usize, columns: usize, entries: impl IntoIterator<Item = (usize, usize, f64)>) -> CscMatrix {
    let (mut i, mut j, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for (row, column, value) in entries {
        i.push(row);
        j.push(column);
        values.push(value);
    }
    CscMatrix::new_from_triplets(rows, columns, i, j, values)
}

/// argmin of ½ xᵀ P x + qᵀ x with b − A x in the cones.
fn solve(
    p: &CscMatrix,
    q: &[f64],
    (a, b): (&CscMatrix, &[f64]),
    cones: &[SupportedConeT<f64>],
) -> Option<Vec<f64>> {
    let mut solver = DefaultSolver::new(p, q, a, b, cones, settings()).ok()?;
    solver.solve();
    let solution = &solver.solution;
    let sound = matches!(solution.status, SolverStatus::Solved | SolverStatus::AlmostSolved);
    (sound && solution.x.iter().all(|v| v.is_finite())).then(|| solution.x.clone())
}

fn settings() -> DefaultSettings<f64> {
    DefaultSettings {
        verbose: false,
        max_threads: 1,
        tol_gap_abs: GAP,
        tol_gap_rel: GAP,
        tol_feas: RESIDUAL,
        reduced_tol_gap_abs: REDUCED,
        reduced_tol_gap_rel: REDUCED,
        reduced_tol_feas: REDUCED,
        ..DefaultSettings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: &[f64], b: &[f64]) {
        assert!(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-7), "{a:?} {b:?}");
    }

    #[test]
    fn bounds_that_already_hold_are_the_answer() {
        let h = Gramian { n: 2, values: vec![1.0, 0.5, 0.5, 2.0] };
        close(&shortest_above(&h, &[1.0, 1.0]).unwrap(), &[1.0, 1.0]);
    }

    #[test]
    fn a_conflict_lifts_the_other_weight_until_the_products_are_not_negative() {
        // v1 is held at 1; v2 is free and minimises 1 − 1.6 v2 + v2², at 0.8.
        let h = Gramian { n: 2, values: vec![1.0, -0.8, -0.8, 1.0] };
        close(&shortest_above(&h, &[1.0, 0.0]).unwrap(), &[1.0, 0.8]);
    }

    #[test]
    fn the_farthest_point_of_a_ball_serves_the_worse_of_two_rows() {
        // Rows e1 and e2, centre e1: e2 is worse, until it has caught up.
        let rows = [vec![1.0, 0.0], vec![0.0, 1.0]];
        close(&farthest_in_ball(&rows, &[1.0, 1.0], &[1.0, 0.0], 0.5).unwrap(), &[0.0, 0.5]);
        let half = 0.5_f64.sqrt() * 2.0;
        // (1 − x, √(4 − x²)) with both entries equal.
        let found = farthest_in_ball(&rows, &[1.0, 1.0], &[1.0, 0.0], 2.0).unwrap();
        assert!((1.0 + found[0] - found[1]).abs() < 1e-7 && found[1] > half - 0.7, "{found:?}");
        assert!((found[0].hypot(found[1]) - 2.0).abs() < 1e-7);
    }
}
