//! Nash-MTL: the Nash bargaining solution of the tasks.
//!
//! - **What:** tasks bargain for the direction; the agreement maximises the product of their gains.
//! - **Paper:** Navon, Shamsian, Achituve, Maron, Kawaguchi, Chechik, Fetaya: Multi-Task Learning as a Bargaining Game.
//!   ICML 2022, claim 3.2 and algorithm 1.
//! - **Rule:** w > 0 with G w = 1 / w, element by element; direction Jᵀ w, shortened to `max_norm` where it is longer.
//! - **Solved** as the minimum of the strictly convex ½ wᵀ G w − Σ log wᵢ by damped Newton steps on cosines, exactly
//!   (FairGrad at α = 1). The published implementation linearises a concave part of another form of the problem up to
//!   20 times (`optim_niter`) from the last step's weights and stops at a residual of 1e-3: its fixed point is
//!   the one found here, but it often stops short of it. `optim_niter` has no meaning here, nor has a warm start.
//! - **Gradients that cancel** have no such w: as for FairGrad, weights are then large, the direction next to nothing.
//! - **Departures:** G is not divided by its Frobenius norm, so the direction has length √m before the limit, as the
//!   paper's equation says; with the limit at 1, as published, this does not show. Heads get the weights, as in the
//!   published implementation, but after the limit, so that trunk and heads keep their proportion. Between solutions
//!   (`update_weights_every`) the weights of the last one are used again with its shortening, without a Gramian; a
//!   task that had no part in it makes the method solve at once. A task that pulls alone follows its own gradient,
//!   shortened to `max_norm` as any direction; one whose trunk gradient is zero trains its head with weight 1.
//! - **Scale:** the method sets it, whatever the size of losses and gradients: the length is `max_norm`. Tune the rate.
//! - **Cost:** the Gramian (one backward per task over shared rows) in steps that solve, then one weighted backward.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use super::fairgrad::fair;
use crate::Result;
use crate::adapt::ByGramian;
use crate::solve::square;
use crate::table::{Claim, Entry, Setup};
use crate::{Gramian, GramianWeighting, Needs, Step, Weighting, refuse_state};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "nash-mtl",
    title: "Nash-MTL",
    paper: "Navon, Shamsian, Achituve, Maron, Kawaguchi, Chechik, Fetaya, ICML 2022",
    family: Family::GramianWeighting,
    about: "follows the Nash bargaining solution: the product of the tasks' gains is as large as can be",
    cost: "Gramian + one backward",
    kinds: &[],
    params: &[
        ParamInfo {
            name: "update_weights_every",
            about: "steps from one solution to the next; in between its weights are used again",
            default: "1",
            range: Range::Integer { min: 1 },
        },
        ParamInfo {
            name: "max_norm",
            about: "largest norm of the direction; 0 means no limit",
            default: "1.0",
            range: Range::Real { min: 0.0, max: 1e6 },
        },
    ],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation], make };

struct NashMtl {
    every: u64,
    max_norm: f64,
    /// Steps since the last solution, that one included.
    age: u64,
    /// The weight each task of the suite had in it; 0 where it had no part.
    last: Vec<f64>,
}

fn make(choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    let weighting = NashMtl {
        every: choice.param(&INFO, "update_weights_every").as_u64().unwrap_or(1),
        max_norm: choice.real(&INFO, "max_norm"),
        age: 0,
        last: vec![0.0; setup.tasks.len()],
    };
    Ok(Box::new(ByGramian { weighting, needs: Needs { weighted_heads: true, ..Needs::NONE } }))
}

impl GramianWeighting for NashMtl {
    fn kept(&mut self, step: &Step) -> Option<Vec<f64>> {
        let weights: Vec<f64> = step.tasks.iter().map(|&task| self.last[task]).collect();
        let fresh = self.age < self.every && weights.iter().all(|w| *w > 0.0);
        self.age += u64::from(fresh);
        fresh.then_some(weights)
    }

    fn weights(&mut self, step: &mut Step, gramian: &Gramian) -> Vec<f64> {
        let mut weights = fair(gramian, 1.0);
        let norm = square(gramian, &weights).sqrt();
        if self.max_norm > 0.0 && norm > self.max_norm {
            weights.iter_mut().for_each(|w| *w *= self.max_norm / norm);
        }
        self.age = 1;
        self.last.fill(0.0);
        step.tasks.iter().zip(&weights).for_each(|(&task, w)| self.last[task] = *w);
        weights
    }

    fn longest(&self) -> Option<f64> {
        Some(self.max_norm).filter(|limit| *limit > 0.0)
    }

    fn state(&self) -> Vec<f64> {
        std::iter::once(self.age as f64).chain(self.last.iter().copied()).collect()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        refuse_state(state.len(), 1 + self.last.len())?;
        self.age = state[0] as u64;
        self.last.copy_from_slice(&state[1..]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeProbe, TASKS, gramian_golden, weights};

    fn with(params: &[(&str, serde_json::Value)]) -> Box<dyn Weighting> {
        let mut choice = Choice::named("nash-mtl");
        choice.params.extend(params.iter().map(|(k, v)| ((*k).to_string(), v.clone())));
        make(&choice, &Setup::of(&["a", "b", "c", "d", "e", "f", "g", "h"])).unwrap()
    }

    #[test]
    fn directions_equal_an_independent_solver() {
        for (params, case) in gramian_golden("nash-mtl") {
            let mut method = with(&params.params.iter().map(|(k, v)| (&**k, v.clone())).collect::<Vec<_>>());
            case.check(&weights(method.as_mut(), &mut FakeProbe::of(&case)), 1e-4);
        }
    }

    #[test]
    fn the_direction_has_the_length_asked_for_whatever_the_gradients() {
        for size in [1e-10_f32, 1.0, 1e10] {
            let rows: [&[f32]; 2] = [&[size, 0.0], &[0.0, 2.0 * size]];
            for (limit, length) in [(0.0, 2.0_f64.sqrt()), (1.0, 1.0), (7.0, 2.0_f64.sqrt())] {
                let w =
                    weights(with(&[("max_norm", limit.into())]).as_mut(), &mut FakeProbe::from_rows(&rows));
                let found = (w[0] * f64::from(size)).hypot(w[1] * 2.0 * f64::from(size));
                assert!((found - length).abs() < 1e-6, "{size} {limit} {found}");
            }
        }
    }

    #[test]
    fn a_task_that_pulls_alone_obeys_the_limit_and_the_others_heads_go_on() {
        for rows in [&[&[6.0_f32, 8.0][..]][..], &[&[6.0, 8.0], &[0.0, 0.0]]] {
            for (limit, weight) in [(1.0, 0.1), (5.0, 0.5), (20.0, 1.0), (0.0, 1.0)] {
                let update =
                    with(&[("max_norm", limit.into())]).update(&mut FakeProbe::from_rows(rows)).unwrap();
                let crate::Heads::Factors(heads) = update.heads else { panic!("expected factors") };
                let found = update.trunk.weights().unwrap()[0];
                assert!((found - weight).abs() < 1e-6, "{limit} {found}");
                assert!(
                    (heads[0] - weight).abs() < 1e-6 && heads[1..].iter().all(|head| *head == 1.0),
                    "{heads:?}"
                );
            }
        }
    }

    #[test]
    fn weights_are_used_again_until_they_are_due_or_another_task_comes() {
        let mut method = with(&[("update_weights_every", 3.into())]);
        let solved = |seed: u64| weights(with(&[]).as_mut(), &mut FakeProbe::random(seed, 3, 5));
        for (seed, of) in [(1, 1), (2, 1), (3, 1), (4, 4), (5, 4)] {
            let found = weights(method.as_mut(), &mut FakeProbe::random(seed, 3, 5));
            assert_eq!(found, solved(of), "{seed}");
        }
        let mut more = FakeProbe::random(6, 4, 5);
        assert_eq!(weights(method.as_mut(), &mut more), weights(with(&[]).as_mut(), &mut more));
        // Two of the four: known, so their weights are used again.
        let mut fewer = FakeProbe::random(7, 2, 5).with_tasks(&[1, 3]);
        let all = weights(with(&[]).as_mut(), &mut more);
        assert_eq!(weights(method.as_mut(), &mut fewer), [all[1], all[3]]);
    }

    #[test]
    fn a_restored_method_uses_the_same_weights_again() {
        let every = || with(&[("update_weights_every", 3.into())]);
        let (mut whole, mut resumed) = (every(), every());
        weights(whole.as_mut(), &mut FakeProbe::random(1, TASKS.len(), 9));
        resumed.restore(&whole.state()).unwrap();
        for seed in 2..6 {
            let mut probe = FakeProbe::random(seed, TASKS.len(), 9);
            assert_eq!(weights(resumed.as_mut(), &mut probe), weights(whole.as_mut(), &mut probe));
        }
    }
}
