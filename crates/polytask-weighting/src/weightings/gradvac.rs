//! GradVac: gradients pulled towards the cosines tasks usually have.
//!
//! - **What:** PCGrad acts where a cosine is negative; GradVac remembers the usual cosine of every pair of tasks and
//!   adds just enough of the other task's gradient where today's cosine falls below it. Pairs that usually agree
//!   are made to agree.
//! - **Paper:** Wang, Tsvetkov, Firat, Cao: Gradient Vaccine: Investigating and Improving Multi-task Optimization in
//!   Massively Multilingual Models. ICLR 2021, equation 4 and algorithm 1.
//! - **Rule:** v = gᵢ; for j ≠ i in random order, φ = cos(v, gⱼ); where φ < ρᵢⱼ, v ← v + gⱼ ‖v‖ (ρᵢⱼ √(1−φ²) − φ √(1−ρᵢⱼ²))
//!   / (‖gⱼ‖ √(1−ρᵢⱼ²)); then ρᵢⱼ ← (1−β) ρᵢⱼ + β φ, ρ starting at 0; direction Σᵢ v. Here on coefficients, v = Σ cⱼ gⱼ.
//! - **Granularity:** the whole model, the paper's main choice being one target per layer: that is
//!   `train.gradients = "layer"`, with cosines and targets of their own for each block of the trunk.
//! - **Departures:** LibMTL adds 1e-8 to both denominators; here a target counts as at most 0.999999, which bounds the
//!   correction at 708 times ‖v‖ / ‖gⱼ‖ for tasks that were identical until now, and a v that has vanished (below
//!   1e-6 of gᵢ) stays as it is and teaches no target. The order comes from the step's own draws.
//! - **Cost:** the Gramian (one backward per task over shared rows), then one weighted backward.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use crate::Result;
use crate::adapt::ByGramian;
use crate::solve::square;
use crate::table::{Claim, Entry, Setup};
use crate::{Gramian, GramianWeighting, Needs, Step, Weighting, refuse_state};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "gradvac",
    title: "GradVac",
    paper: "Wang, Tsvetkov, Firat, Cao, ICLR 2021",
    family: Family::GramianWeighting,
    about: "adds other tasks' gradients where a pair's cosine falls below what it usually is",
    cost: "Gramian + one backward",
    kinds: &[],
    params: &[ParamInfo {
        name: "beta",
        about: "share of this step's cosine in a pair's usual one",
        default: "0.5",
        range: Range::Real { min: 0.0, max: 1.0 },
    }],
};

/// Its line in the table. The order of pairs is random, so the direction does not follow a permutation of tasks.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Scaling], make };

/// Largest target: the correction towards 1 has no bound.
const HIGHEST: f64 = 0.999_999;
/// Squared norm of v, as a share of gᵢ's, below which it has no direction.
const NOTHING: f64 = 1e-12;

struct GradVac {
    beta: f64,
    /// Usual cosine of tasks i and j of the suite, `[tasks, tasks]`.
    targets: Vec<f64>,
    n_tasks: usize,
}

fn make(choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    let weighting = GradVac::new(choice.real(&INFO, "beta"), setup.tasks.len());
    Ok(Box::new(ByGramian { weighting, needs: Needs::NONE }))
}

impl GradVac {
    fn new(beta: f64, n_tasks: usize) -> Self {
        Self { beta, targets: vec![0.0; n_tasks * n_tasks], n_tasks }
    }

    /// Coefficients of task `i`'s gradient after its corrections in this order, `[tasks]`.
    fn correct(&mut self, tasks: &[usize], gramian: &Gramian, i: usize, order: &[usize]) -> Vec<f64> {
        let mut c = vec![0.0; gramian.n];
        c[i] = 1.0;
        for &j in order {
            let squared = square(gramian, &c);
            if squared <= NOTHING * gramian.get(i, i) {
                break;
            }
            let (length, other) = (squared.sqrt(), gramian.get(j, j).sqrt());
            let product: f64 = c.iter().enumerate().map(|(k, ck)| ck * gramian.get(j, k)).sum();
            let cosine = (product / (length * other)).clamp(-1.0, 1.0);
            let target = &mut self.targets[tasks[i] * self.n_tasks + tasks[j]];
            if cosine < *target {
                c[j] += length / other * correction(cosine, target.min(HIGHEST));
            }
            *target = (1.0 - self.beta) * *target + self.beta * cosine;
        }
        c
    }
}

/// How much of a unit vector at this cosine a unit vector needs for its cosine to become `target`.
fn correction(cosine: f64, target: f64) -> f64 {
    let sine = |cosine: f64| (1.0 - cosine * cosine).max(0.0).sqrt();
    (target * sine(cosine) - cosine * sine(target)) / sine(target)
}

impl GramianWeighting for GradVac {
    fn weights(&mut self, step: &mut Step, gramian: &Gramian) -> Vec<f64> {
        let mut sum = vec![0.0; gramian.n];
        for i in 0..gramian.n {
            let mut order: Vec<usize> = (0..gramian.n).filter(|&j| j != i).collect();
            step.rng.shuffle(&mut order);
            let corrected = self.correct(step.tasks, gramian, i, &order);
            sum.iter_mut().zip(corrected).for_each(|(s, c)| *s += c);
        }
        sum
    }

    fn state(&self) -> Vec<f64> {
        self.targets.clone()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        refuse_state(state.len(), self.targets.len())?;
        self.targets.copy_from_slice(state);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeProbe, gramian_steps, weights};
    use crate::{At, Probe};

    #[test]
    fn successive_steps_in_given_orders_equal_the_published_algorithm() {
        let (mut method, tasks) = (GradVac::new(0.5, 3), [0, 1, 2]);
        for case in gramian_steps("gradvac") {
            let gramian = case.gramian();
            let mut sum = vec![0.0; gramian.n];
            for (i, order) in case.orders.iter().enumerate() {
                let corrected = method.correct(&tasks, &gramian, i, order);
                sum.iter_mut().zip(corrected).for_each(|(s, c)| *s += c);
            }
            case.check(&sum, 1e-6);
        }
    }

    #[test]
    fn a_corrected_gradient_has_the_target_cosine() {
        let gramian = FakeProbe::from_rows(&[&[1.0, 0.0], &[-3.0, 4.0]]).gramian(At::default()).unwrap();
        for target in [-0.2, 0.0, 0.6, 0.99] {
            let mut method = GradVac::new(0.5, 2);
            method.targets[1] = target;
            let c = method.correct(&[0, 1], &gramian, 0, &[1]);
            let products = gramian.times(&c);
            assert!((products[1] / (square(&gramian, &c).sqrt() * 5.0) - target).abs() < 1e-12);
            assert!((method.targets[1] - 0.5 * (target - 0.6)).abs() < 1e-12);
        }
    }

    #[test]
    fn the_first_step_of_two_tasks_is_pcgrad() {
        let setup = Setup::of(&["a", "b"]);
        for seed in 0..10 {
            let mut probe = FakeProbe::random(seed, 2, 3);
            let mut vaccine = make(&Choice::named("gradvac"), &setup).unwrap();
            let mut surgery = crate::table::make(&Choice::named("pcgrad"), &setup).unwrap();
            let (a, b) = (weights(vaccine.as_mut(), &mut probe), weights(surgery.as_mut(), &mut probe));
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-12), "{a:?} {b:?}");
        }
    }

    #[test]
    fn opposite_gradients_vanish_without_an_endless_correction() {
        let mut method = make(&Choice::named("gradvac"), &Setup::of(&["a", "b"])).unwrap();
        weights(method.as_mut(), &mut FakeProbe::from_rows(&[&[1.0, 1.0], &[1.0, 1.0]]));
        let found = weights(method.as_mut(), &mut FakeProbe::from_rows(&[&[1.0, 0.0], &[-1.0, 0.0]]));
        assert!(found.iter().all(|w| w.is_finite() && w.abs() < 1e4), "{found:?}");
    }
}
