//! Equal weights: the sum of the task losses.
//!
//! - **What:** every loss has weight 1, so the trunk follows the sum of the task gradients. The reference every
//!   other method is compared with.
//! - **Paper:** none (linear scalarisation, "EW", "LS").
//! - **Rule:** wᵢ = 1; with `reduce = "mean"`, wᵢ = 1/m for the m tasks of the step.
//! - **Departures:** a sum by default, not a mean. A task's share of the step then does not depend on how many other tasks
//!   are in the batch, its head learns at the single-task rate, and one task is plain training exactly. With m
//!   tasks the trunk's gradient is m times the mean's; under AdamW, which divides by the gradient's size, the two
//!   train alike up to clipping. Suite-level preferences stand in `loss_weight` of each task.
//! - **Cost:** one backward.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use crate::Result;
use crate::adapt::ByLoss;
use crate::table::{Claim, Entry, Setup};
use crate::{LossWeighting, Step, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "equal",
    title: "Equal weights",
    paper: "",
    family: Family::LossWeighting,
    about: "follows the sum of the task losses",
    cost: "one backward",
    kinds: &[],
    params: &[ParamInfo {
        name: "reduce",
        about: "whether losses are summed, or averaged over the tasks of the step",
        default: "\"sum\"",
        range: Range::OneOf(&["sum", "mean"]),
    }],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry =
    Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling, Claim::Separate], make };

struct Equal {
    mean: bool,
}

fn make(choice: &Choice, _setup: &Setup) -> Result<Box<dyn Weighting>> {
    let mean = choice.param(&INFO, "reduce").as_str() == Some("mean");
    Ok(Box::new(ByLoss(Equal { mean })))
}

impl LossWeighting for Equal {
    fn weights(&mut self, step: &mut Step) -> Vec<f64> {
        let m = step.tasks.len();
        vec![if self.mean { 1.0 / m as f64 } else { 1.0 }; m]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeProbe, weights};

    #[test]
    fn every_task_has_weight_one_in_trunk_and_head() {
        let mut method = make(&Choice::named("equal"), &Setup::of(&["a", "b", "c"])).unwrap();
        let mut probe = FakeProbe::random(1, 3, 5);
        assert_eq!(weights(method.as_mut(), &mut probe), [1.0, 1.0, 1.0]);
    }

    #[test]
    fn the_mean_counts_the_tasks_of_the_step() {
        let mut choice = Choice::named("equal");
        choice.params.insert("reduce".into(), "mean".into());
        let mut method = make(&choice, &Setup::of(&["a", "b", "c", "d"])).unwrap();
        for n in 1..=4 {
            let found = weights(method.as_mut(), &mut FakeProbe::random(1, n, 5));
            assert_eq!(found, vec![1.0 / n as f64; n]);
        }
    }
}
