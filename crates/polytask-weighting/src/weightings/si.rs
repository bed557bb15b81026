//! Scale-invariant weighting: the sum of the logarithms of the losses.
//!
//! - **What:** a loss counts by how much it falls in relation to itself; its unit does not matter.
//! - **Paper:** none of its own; the scale-invariant baseline of Navon et al.: Multi-Task Learning as a Bargaining
//!   Game. ICML 2022.
//! - **Rule:** minimise Σ log lᵢ, so wᵢ = 1 / lᵢ.
//! - **Departures:** wᵢ = 1 / (max(lᵢ, 0) + 1e-8), which bounds w for a loss that has become 0.
//! - **Scale:** one task alone is plain training at w = 1 / l, which AdamW and clipping mostly cancel.
//! - **Cost:** one backward.

use polytask_core::method::Choice;
use polytask_core::{Family, MethodInfo};

use crate::Result;
use crate::adapt::ByLoss;
use crate::table::{Claim, Entry, Setup};
use crate::{LossWeighting, Step, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "si",
    title: "Scale-invariant weighting",
    paper: "baseline of Navon et al., ICML 2022",
    family: Family::LossWeighting,
    about: "follows the sum of the logarithms of the task losses",
    cost: "one backward",
    kinds: &[],
    params: &[],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry =
    Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling, Claim::Separate], make };

/// Added to every loss.
const EPS: f64 = 1e-8;

struct ScaleInvariant;

fn make(_choice: &Choice, _setup: &Setup) -> Result<Box<dyn Weighting>> {
    Ok(Box::new(ByLoss(ScaleInvariant)))
}

impl LossWeighting for ScaleInvariant {
    fn weights(&mut self, step: &mut Step) -> Vec<f64> {
        step.losses.iter().map(|loss| 1.0 / (loss.max(0.0) + EPS)).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::golden::follow;

    #[test]
    fn weights_equal_the_gradient_of_the_sum_of_logarithms() {
        follow("si");
    }
}
