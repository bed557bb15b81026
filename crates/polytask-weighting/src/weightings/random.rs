//! Random weights of the trunk's gradients.
//!
//! - **What:** a baseline: task gradients are weighted by chance, anew in every step. On average it is the mean.
//! - **Paper:** Lin, Ye, Zhang, Tsang: Reasonable Effectiveness of Random Weighting: A Litmus Test for Multi-Task
//!   Learning. TMLR 2022, on gradients as TorchJD has it.
//! - **Rule:** w = softmax(n), n from the standard normal distribution.
//! - **Departures:** none. Draws belong to the step, so a resumed run repeats them.
//! - **Scale:** of a mean, where `equal` is a sum. Heads step with their own plain gradients; weighting them as well is
//!   `rlw`, which costs one backward.
//! - **Cost:** the Gramian (one backward per task over shared rows), which tells only whose gradient is zero, then one
//!   weighted backward.

use polytask_core::method::Choice;
use polytask_core::{Family, MethodInfo};

use crate::Result;
use crate::adapt::ByGramian;
use crate::shares::softmax;
use crate::table::{Claim, Entry, Setup};
use crate::{Gramian, GramianWeighting, Needs, Step, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "random",
    title: "Random weights",
    paper: "Lin, Ye, Zhang, Tsang, TMLR 2022",
    family: Family::GramianWeighting,
    about: "weights the task gradients of the trunk by chance, anew in every step",
    cost: "Gramian + one backward",
    kinds: &[],
    params: &[],
};

/// Its line in the table. Weights go by place, so the direction does not follow a permutation of tasks.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Scaling], make };

struct Random;

fn make(_choice: &Choice, _setup: &Setup) -> Result<Box<dyn Weighting>> {
    Ok(Box::new(ByGramian { weighting: Random, needs: Needs::NONE }))
}

impl GramianWeighting for Random {
    fn weights(&mut self, step: &mut Step, gramian: &Gramian) -> Vec<f64> {
        let draws: Vec<f64> = (0..gramian.n).map(|_| step.rng.normal()).collect();
        softmax(&draws, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeProbe, gramian_steps, weights};

    #[test]
    fn weights_of_given_draws_equal_torchjd() {
        for case in gramian_steps("random") {
            case.check(&softmax(&case.draws, 1.0), 1e-6);
        }
    }

    #[test]
    fn weights_are_shares_whose_mean_over_many_steps_is_even() {
        let mut method = make(&Choice::named("random"), &Setup::of(&[])).unwrap();
        let mut mean = [0.0; 3];
        for seed in 0..2000 {
            let found = weights(method.as_mut(), &mut FakeProbe::random(seed, 3, 4));
            assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-12 && found.iter().all(|w| *w > 0.0));
            mean.iter_mut().zip(found).for_each(|(m, w)| *m += w / 2000.0);
        }
        assert!(mean.iter().all(|m| (m - 1.0 / 3.0).abs() < 0.02), "{mean:?}");
    }
}
