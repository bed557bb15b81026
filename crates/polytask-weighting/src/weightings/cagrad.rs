//! CAGrad: near the mean gradient, the direction that serves the worst-off task best.
//!
//! - **What:** among all directions within a ball around the mean gradient, the one along which the task that gains
//!   least gains most.
//! - **Paper:** Liu, Liu, Jin, Stone, Liu: Conflict-Averse Gradient Descent for Multi-task Learning. NeurIPS 2021,
//!   equation 2 and algorithm 1.
//! - **Rule:** d = argmax minᵢ gᵢ·d over ‖d − g₀‖ ≤ c ‖g₀‖, g₀ the mean gradient; then divided by 1 + c² (`rescale` 1),
//!   1 + c (2) or nothing (0).
//! - **Solved as it stands**, a second-order cone program in coordinates of the gradients' span. The paper solves its
//!   dual, min over the simplex of g_w·g₀ + c ‖g₀‖ ‖g_w‖, and puts d = g₀ + c ‖g₀‖ g_w / ‖g_w‖. Where g_w is not zero
//!   at the minimum, the two are the same.
//! - **Departures:** where g_w is zero there (some tasks cancel, none of the others can be served better), the paper's
//!   formula divides zero by zero, its implementation and LibMTL's follow rounding, and TorchJD takes no
//!   step; here the step is one of the best directions of the ball, as the definition says. No 1e-8 is added anywhere.
//!   TorchJD does not rescale: its CAGrad is `rescale = 0`. A mean gradient of length zero (below 1e-7 of the whole
//!   Jacobian's) has a ball of radius zero: the step is the mean, which is zero.
//! - **Scale:** of a mean, where `equal` is a sum. Heads step with their own plain gradients.
//! - **Cost:** the Gramian (one backward per task over shared rows), then one weighted backward.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use crate::Result;
use crate::adapt::ByGramian;
use crate::solve::{RANK, Spectrum, cosines, farthest_in_ball, norms, square};
use crate::table::{Claim, Entry, Setup};
use crate::{Gramian, GramianWeighting, Needs, Step, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "cagrad",
    title: "CAGrad",
    paper: "Liu, Liu, Jin, Stone, Liu, NeurIPS 2021",
    family: Family::GramianWeighting,
    about: "serves the worst-off task best, within a ball around the mean gradient",
    cost: "Gramian + one backward",
    kinds: &[],
    params: &[
        ParamInfo {
            name: "c",
            about: "radius of the ball as a share of the mean gradient's norm; 0 is the mean",
            default: "0.5",
            range: Range::Real { min: 0.0, max: 100.0 },
        },
        ParamInfo {
            name: "rescale",
            about: "what the direction is divided by: 1 + c², 1 + c or nothing",
            default: "\"1+c2\"",
            range: Range::OneOf(&["1+c2", "1+c", "none"]),
        },
    ],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling], make };

/// Squared norm of the mean gradient, as a share of the trace, that is rounding.
const NOTHING: f64 = 1e-14;

struct CaGrad {
    c: f64,
    divisor: f64,
}

fn make(choice: &Choice, _setup: &Setup) -> Result<Box<dyn Weighting>> {
    let c = choice.real(&INFO, "c");
    let divisor = match choice.param(&INFO, "rescale").as_str() {
        Some("none") => 1.0,
        Some("1+c") => 1.0 + c,
        _ => 1.0 + c * c,
    };
    Ok(Box::new(ByGramian { weighting: CaGrad { c, divisor }, needs: Needs::NONE }))
}

impl GramianWeighting for CaGrad {
    fn weights(&mut self, _step: &mut Step, gramian: &Gramian) -> Vec<f64> {
        let mean = 1.0 / gramian.n as f64;
        let away = self.away(gramian).unwrap_or_else(|| vec![0.0; gramian.n]);
        away.into_iter().map(|w| (mean + w) / self.divisor).collect()
    }
}

impl CaGrad {
    /// Weights of the best direction less those of the mean; `None` where the ball is a point or the solver gives up.
    fn away(&self, gramian: &Gramian) -> Option<Vec<f64>> {
        let n = gramian.n;
        let trace: f64 = (0..n).map(|i| gramian.get(i, i)).sum();
        let length = square(gramian, &vec![1.0 / n as f64; n]);
        if self.c == 0.0 || length <= NOTHING * trace {
            return None;
        }
        let (norms, length) = (norms(gramian), length.sqrt());
        // Task i's unit gradient is Λ^½ Vᵀ eᵢ in the span of the unit gradients.
        let spectrum = Spectrum::new(&cosines(gramian)).above(RANK * n as f64);
        let roots: Vec<f64> = spectrum.values.iter().map(|value| value.sqrt()).collect();
        let unit = |i: usize| roots.iter().zip(&spectrum.vectors).map(|(root, v)| root * v[i]).collect();
        let rows: Vec<Vec<f64>> = (0..n).map(unit).collect();
        let shares: Vec<f64> = norms.iter().map(|norm| norm / length / n as f64).collect();
        let centre: Vec<f64> = spectrum.coordinates(&shares).iter().zip(&roots).map(|(c, r)| c * r).collect();
        let smallest = norms.iter().copied().fold(f64::INFINITY, f64::min);
        let sizes: Vec<f64> = norms.iter().map(|norm| smallest / norm).collect();
        let moved = farthest_in_ball(&rows, &sizes, &centre, self.c)?;
        let weights = spectrum.combine(moved.iter().zip(&roots).map(|(y, root)| y / root));
        Some(weights.iter().zip(&norms).map(|(w, norm)| w * length / norm).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeProbe, gramian_golden, weights};

    fn with(c: f64, rescale: &str) -> Box<dyn Weighting> {
        let mut choice = Choice::named("cagrad");
        choice.params.extend([("c".to_string(), c.into()), ("rescale".to_string(), rescale.into())]);
        make(&choice, &Setup::of(&[])).unwrap()
    }

    #[test]
    fn directions_equal_the_dual_solved_by_another_method() {
        for (params, case) in gramian_golden("cagrad") {
            let mut method = make(&params, &Setup::of(&[])).unwrap();
            case.check(&weights(method.as_mut(), &mut FakeProbe::of(&case)), 1e-4);
        }
    }

    #[test]
    fn a_ball_of_radius_zero_gives_the_mean() {
        let mut probe = FakeProbe::random(3, 4, 6);
        assert_eq!(weights(with(0.0, "none").as_mut(), &mut probe), [0.25; 4]);
    }

    #[test]
    fn rescaling_divides_the_same_direction() {
        let mut probe = FakeProbe::random(3, 4, 6);
        let plain = weights(with(0.5, "none").as_mut(), &mut probe);
        for (rescale, divisor) in [("1+c2", 1.25), ("1+c", 1.5)] {
            let found = weights(with(0.5, rescale).as_mut(), &mut probe);
            assert!(found.iter().zip(&plain).all(|(f, p)| (f * divisor - p).abs() < 1e-12));
        }
    }

    #[test]
    fn tasks_that_cancel_leave_a_direction_of_the_ball_that_hurts_none() {
        // g1 and g2 cancel; the best that can be done for the worst-off is 0, and g3 still gains.
        let mut probe = FakeProbe::from_rows(&[&[1.0, 0.0], &[-1.0, 0.0], &[0.0, 3.0]]);
        let w = weights(with(0.5, "none").as_mut(), &mut probe);
        let d = [w[0] - w[1], 3.0 * w[2]];
        assert!(d[0].abs() < 1e-6 && (0.5..=1.5 + 1e-9).contains(&d[1]), "{d:?}");
    }

    #[test]
    fn opposite_gradients_of_one_length_give_no_direction() {
        let mut probe = FakeProbe::from_rows(&[&[1.0, 2.0], &[-1.0, -2.0]]);
        assert_eq!(weights(with(0.5, "none").as_mut(), &mut probe), [0.5, 0.5]);
    }
}
