//! Random loss weighting: new random weights at every step.
//!
//! - **What:** the litmus test of its paper: a method that is no better than random weights has shown little.
//! - **Paper:** Lin, Ye, Zhang, Tsang: Reasonable Effectiveness of Random Weighting. TMLR 2022 (2111.10603).
//! - **Rule:** w = softmax(n), n ~ N(0, I), drawn anew at every step.
//! - **Departures:** none. Every task of the suite has its own draw, and the weights of a step's tasks sum to 1.
//! - **Scale:** a mean where `equal` is a sum; one task alone is plain training.
//! - **Cost:** one backward.

use polytask_core::method::Choice;
use polytask_core::{Family, MethodInfo};

use crate::Result;
use crate::adapt::ByLoss;
use crate::shares::softmax;
use crate::table::{Claim, Entry, Setup};
use crate::{LossWeighting, Step, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "rlw",
    title: "Random loss weighting",
    paper: "Lin, Ye, Zhang, Tsang, TMLR 2022",
    family: Family::LossWeighting,
    about: "draws weights anew at every step: softmax of normal draws",
    cost: "one backward",
    kinds: &[],
    params: &[],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry =
    Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling, Claim::Ratios], make };

/// The number of the suite's tasks.
struct RandomWeights(usize);

fn make(_choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    Ok(Box::new(ByLoss(RandomWeights(setup.tasks.len()))))
}

impl LossWeighting for RandomWeights {
    fn weights(&mut self, step: &mut Step) -> Vec<f64> {
        let draws: Vec<f64> = (0..self.0).map(|_| step.rng.normal()).collect();
        weights(&draws, step.tasks)
    }
}

/// The weights of `tasks` for the draws of all tasks.
fn weights(draws: &[f64], tasks: &[usize]) -> Vec<f64> {
    softmax(&tasks.iter().map(|&task| draws[task]).collect::<Vec<_>>(), 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{close, golden};
    use crate::testing::{FakeProbe, TASKS};

    #[test]
    fn weights_of_injected_draws_equal_libmtl() {
        let cases = &golden().rlw;
        assert!(cases.len() >= 30);
        for (draws, expected) in cases {
            close(&weights(draws, &(0..draws.len()).collect::<Vec<_>>()), expected, 1e-12, "rlw");
        }
    }

    #[test]
    fn every_step_has_its_own_weights_and_the_same_step_the_same() {
        let mut method = make(&Choice::named("rlw"), &Setup::of(&TASKS)).unwrap();
        let probe = FakeProbe::random(1, 4, 3);
        let mut weights = |step| crate::testing::weights(method.as_mut(), &mut probe.clone().at_step(step));
        let (first, second) = (weights(1), weights(2));
        assert_eq!(first, weights(1));
        assert!(first.iter().zip(&second).all(|(a, b)| a != b), "{first:?} {second:?}");
        assert!((first.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
}
