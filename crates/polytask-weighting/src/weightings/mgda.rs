//! MGDA: the shortest vector in the convex hull of the task gradients.
//!
//! - **What:** a direction along which every task improves, as long as there is one; at a Pareto-stationary point
//!   it is zero. With `train.gradients = "representation"` it is MGDA-UB.
//! - **Paper:** Désidéri, Comptes Rendus Mathématique 2012; Sener, Koltun: Multi-Task Learning as Multi-Objective
//!   Optimization. NeurIPS 2018, equations 3 and 6.
//! - **Rule:** w = argmin over the simplex of wᵀ G w; direction Jᵀ w. Frank–Wolfe with exact line search from uniform
//!   weights, by pairwise steps: weight moves from the task with the largest (G w) among those with weight to the one
//!   with the smallest, γ = ((G w)ₐ − (G w)ₜ) / (Gₐₐ + Gₜₜ − 2 Gₐₜ), at most wₐ. It ends when the duality gap
//!   wᵀ G w − minₜ (G w)ₜ is at most `tolerance` times the smallest Gₜₜ (an upper bound of the optimum).
//! - **Normalise:** rows are divided first by their norm (`l2`), their loss (`loss`) or both (`loss+`); the weights
//!   found are then applied to the gradients as they are, divided by the same factors, and scaled to sum to 1.
//! - **Departures:** the papers' Frank–Wolfe steps towards one vertex only and converges slowly near a face; pairwise
//!   steps (Lacoste-Julien & Jaggi, NeurIPS 2015) reach the same minimum at a linear rate. Weights of normalised
//!   forms are scaled to sum to 1, so that the step does not grow as gradients shrink; LibMTL leaves the sum open.
//! - **Scale:** weights sum to 1, a mean where `equal` is a sum. Heads step with their own plain gradients.
//! - **Cost:** the Gramian (one backward per task over shared rows), then one weighted backward.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use crate::Result;
use crate::adapt::ByGramian;
use crate::table::{Claim, Entry, Setup};
use crate::{Gramian, GramianWeighting, Needs, Step, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "mgda",
    title: "MGDA",
    paper: "Désidéri, 2012; Sener, Koltun, NeurIPS 2018",
    family: Family::GramianWeighting,
    about: "follows the shortest vector in the convex hull of the task gradients",
    cost: "Gramian + one backward",
    kinds: &[],
    params: &[
        ParamInfo {
            name: "normalise",
            about: "what each task's gradient is divided by before the weights are sought",
            default: "\"none\"",
            range: Range::OneOf(&["none", "l2", "loss", "loss+"]),
        },
        ParamInfo {
            name: "combine",
            about: "whether gradients are added with weights that sum to 1 (`hull`), or as they were normalised, times the \
                    number of tasks (`rows`)",
            default: "\"hull\"",
            range: Range::OneOf(&["hull", "rows"]),
        },
        ParamInfo {
            name: "max_iterations",
            about: "most steps of the solver",
            default: "1000",
            range: Range::Integer { min: 1 },
        },
        ParamInfo {
            name: "tolerance",
            about: "duality gap at which the solver ends, as a share of the smallest squared gradient norm",
            default: "1e-6",
            range: Range::Real { min: 0.0, max: 1.0 },
        },
    ],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling], make };

/// What rows are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Normalise {
    None,
    L2,
    Loss,
    LossNorm,
}

/// A loss below this (a task that is done) counts as this much.
const SMALLEST_LOSS: f64 = 1e-30;

/// The weighting, for gradients of parameters or representation.
pub(super) struct Mgda {
    normalise: Normalise,
    /// Whether the normalised rows themselves are added, times their number.
    adds_rows: bool,
    max_iterations: usize,
    tolerance: f64,
}

fn make(choice: &Choice, _setup: &Setup) -> Result<Box<dyn Weighting>> {
    Ok(Box::new(ByGramian { weighting: Mgda::new(choice), needs: Needs::NONE }))
}

impl Mgda {
    /// With the parameters given.
    pub(super) fn new(choice: &Choice) -> Self {
        let normalise = match choice.param(&INFO, "normalise").as_str() {
            Some("l2") => Normalise::L2,
            Some("loss") => Normalise::Loss,
            Some("loss+") => Normalise::LossNorm,
            _ => Normalise::None,
        };
        let max_iterations = choice.param(&INFO, "max_iterations").as_u64().unwrap_or(1000) as usize;
        let adds_rows = choice.param(&INFO, "combine").as_str() == Some("rows");
        Self { normalise, adds_rows, max_iterations, tolerance: choice.real(&INFO, "tolerance") }
    }

    /// One over what each row is divided by, `[tasks]`.
    fn factors(&self, losses: &[f64], gramian: &Gramian) -> Vec<f64> {
        let factor = |i: usize| {
            let (loss, norm) = (losses[i].abs().max(SMALLEST_LOSS), gramian.get(i, i).sqrt());
            match self.normalise {
                Normalise::None => 1.0,
                Normalise::L2 => 1.0 / norm,
                Normalise::Loss => 1.0 / loss,
                Normalise::LossNorm => 1.0 / norm / loss,
            }
        };
        (0..gramian.n).map(factor).collect()
    }
}

impl GramianWeighting for Mgda {
    fn weights(&mut self, step: &mut Step, gramian: &Gramian) -> Vec<f64> {
        let factors = self.factors(step.losses, gramian);
        let largest = factors.iter().copied().fold(0.0, f64::max);
        let relative: Vec<f64> = factors.iter().map(|f| f / largest).collect();
        let found = shortest(&rescale(gramian, &relative), self.max_iterations, self.tolerance);
        if self.adds_rows {
            return found.iter().zip(&factors).map(|(w, f)| gramian.n as f64 * w * f).collect();
        }
        let weights: Vec<f64> = found.iter().zip(&relative).map(|(w, f)| w * f).collect();
        let total: f64 = weights.iter().sum();
        weights.into_iter().map(|w| w / total).collect()
    }
}

/// The Gramian of rows times `factors`.
fn rescale(gramian: &Gramian, factors: &[f64]) -> Gramian {
    let n = gramian.n;
    let values = (0..n * n).map(|k| gramian.values[k] * factors[k / n] * factors[k % n]).collect();
    Gramian { n, values }
}

/// argmin over the simplex of wᵀ G w, by pairwise Frank–Wolfe steps from uniform weights.
pub(crate) fn shortest(gramian: &Gramian, max_iterations: usize, tolerance: f64) -> Vec<f64> {
    let n = gramian.n;
    let mut w = vec![1.0 / n as f64; n];
    let bar = tolerance * (0..n).map(|t| gramian.get(t, t)).fold(f64::INFINITY, f64::min);
    for _ in 0..max_iterations {
        let slope = gramian.times(&w);
        let steeper = |&a: &usize, &b: &usize| slope[a].total_cmp(&slope[b]);
        let best = (0..n).min_by(steeper).expect("a solver is asked about two tasks or more");
        let worst = (0..n).filter(|&k| w[k] > 0.0).max_by(steeper).expect("the weights sum to 1");
        let value: f64 = w.iter().zip(&slope).map(|(w, s)| w * s).sum();
        let (fall, curvature) = (slope[worst] - slope[best], curvature(gramian, worst, best));
        if value - slope[best] <= bar || fall <= 0.0 {
            break;
        }
        let step = if curvature > 0.0 { (fall / curvature).min(w[worst]) } else { w[worst] };
        w[best] += step;
        w[worst] -= step;
    }
    w
}

/// Squared distance of two rows.
fn curvature(gramian: &Gramian, a: usize, t: usize) -> f64 {
    gramian.get(a, a) + gramian.get(t, t) - 2.0 * gramian.get(a, t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeProbe, golden, weights};

    fn with(params: &[(&str, serde_json::Value)]) -> Box<dyn Weighting> {
        let mut choice = Choice::named("mgda");
        choice.params.extend(params.iter().map(|(k, v)| ((*k).to_string(), v.clone())));
        make(&choice, &Setup::of(&["a", "b", "c", "d", "e", "f", "g", "h"])).unwrap()
    }

    #[test]
    fn directions_equal_an_independent_solver() {
        for case in golden().mgda {
            let mut method = with(&[("tolerance", 1e-14.into()), ("max_iterations", 1_000_000.into())]);
            let found = weights(method.as_mut(), &mut FakeProbe::of(&case));
            case.check(&found, 1e-6);
        }
    }

    #[test]
    fn default_settings_come_near_the_same_directions() {
        for case in golden().mgda {
            let found = weights(with(&[]).as_mut(), &mut FakeProbe::of(&case));
            case.check(&found, 2e-3);
        }
    }

    #[test]
    fn opposite_gradients_give_no_direction() {
        let mut probe = FakeProbe::from_rows(&[&[1.0, 2.0], &[-2.0, -4.0]]);
        let found = weights(with(&[]).as_mut(), &mut probe);
        assert!((found[0] - 2.0 / 3.0).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn a_short_gradient_inside_the_hull_takes_all_weight() {
        let mut probe = FakeProbe::from_rows(&[&[1.0, 0.0], &[5.0, 1.0], &[4.0, -2.0]]);
        assert_eq!(weights(with(&[]).as_mut(), &mut probe), [1.0, 0.0, 0.0]);
    }

    #[test]
    fn normalised_rows_of_any_length_share_alike() {
        let rows: [&[f32]; 2] = [&[1.0, 0.0], &[0.0, 100.0]];
        let mut probe = FakeProbe::from_rows(&rows);
        probe.set_losses(&[1.0, 1.0]);
        let plain = weights(with(&[]).as_mut(), &mut probe);
        assert!(plain[0] > 0.999);
        let unit = weights(with(&[("normalise", "l2".into())]).as_mut(), &mut probe);
        assert!((unit[0] - 100.0 * unit[1]).abs() < 1e-6, "{unit:?}");
        probe.set_losses(&[1.0, 100.0]);
        let by_loss = weights(with(&[("normalise", "loss".into())]).as_mut(), &mut probe);
        assert!((by_loss[0] - 100.0 * by_loss[1]).abs() < 1e-6, "{by_loss:?}");
    }

    #[test]
    fn unit_rows_may_be_added_as_they_are_times_their_number() {
        // Two rows at a right angle: half of each unit row, twice.
        let mut probe = FakeProbe::from_rows(&[&[2.0, 0.0], &[0.0, 100.0]]);
        let params = [("normalise", "l2".into()), ("combine", "rows".into())];
        let found = weights(with(&params).as_mut(), &mut probe);
        assert!((found[0] - 0.5).abs() < 1e-6 && (found[1] - 0.01).abs() < 1e-8, "{found:?}");
        // Without a normalisation it is the number of tasks times the hull's point.
        let hull = weights(with(&[]).as_mut(), &mut probe);
        let rows = weights(with(&[("combine", "rows".into())]).as_mut(), &mut probe);
        assert!(hull.iter().zip(&rows).all(|(a, b)| (2.0 * a - b).abs() < 1e-9), "{hull:?} {rows:?}");
    }
}
