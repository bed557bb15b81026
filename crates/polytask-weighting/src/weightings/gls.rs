//! GLS: the geometric mean of the losses.
//!
//! - **What:** all losses count in relation to themselves, times the size they have in common.
//! - **Paper:** Chennupati et al.: MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss Strategy for
//!   Multi-Task Learning. CVPR Workshops 2019.
//! - **Rule:** minimise L = (Π lᵢ)^(1/m) over the m tasks of the step, so wᵢ = L / (m lᵢ).
//! - **Departures:** computed as exp of the mean logarithm, which neither overflows nor loses small losses; a loss
//!   below 1e-20 counts as that. LibMTL's code follows the same gradient but reports other weights, lᵢ / (m Π l).
//! - **Scale:** with equal losses wᵢ = 1/m, a mean where `equal` is a sum; one task alone is plain training.
//! - **Cost:** one backward.

use polytask_core::method::Choice;
use polytask_core::{Family, MethodInfo};

use crate::Result;
use crate::adapt::ByLoss;
use crate::table::{Claim, Entry, Setup};
use crate::{LossWeighting, Step, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "gls",
    title: "Geometric loss strategy",
    paper: "Chennupati et al., CVPR Workshops 2019",
    family: Family::LossWeighting,
    about: "follows the geometric mean of the task losses",
    cost: "one backward",
    kinds: &[],
    params: &[],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry =
    Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling, Claim::Ratios], make };

/// A loss below this counts as this much.
const SMALLEST_LOSS: f64 = 1e-20;

struct Geometric;

fn make(_choice: &Choice, _setup: &Setup) -> Result<Box<dyn Weighting>> {
    Ok(Box::new(ByLoss(Geometric)))
}

impl LossWeighting for Geometric {
    fn weights(&mut self, step: &mut Step) -> Vec<f64> {
        let m = step.losses.len() as f64;
        let logs: Vec<f64> = step.losses.iter().map(|loss| loss.max(SMALLEST_LOSS).ln()).collect();
        let mean = logs.iter().sum::<f64>() / m;
        logs.iter().map(|log| (mean - log).exp() / m).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::golden::follow;

    #[test]
    fn weights_equal_the_gradient_of_libmtl_s_loss() {
        follow("gls");
    }
}
