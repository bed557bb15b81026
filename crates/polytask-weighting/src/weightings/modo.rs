//! MoDo: weights from two independent batches.
//!
//! - **What:** the weights descend on the length of the weighted gradient, whose slope is estimated without bias
//!   because its two factors come from different batches; the direction is that of the step's own batch.
//! - **Paper:** Chen, Fernando, Ying, Chen: Three-Way Trade-Off in Multi-Objective Learning: Optimization,
//!   Generalization and Conflict-Avoidance. NeurIPS 2023, algorithm 1.
//! - **Rule:** λ ← Π(λ − γ (J₁ (J₂ᵀ λ) + ρ λ)), Π the projection on the simplex, J₁ and J₂ of the two extra batches; direction
//!   Jᵀ λ. λ starts uniform.
//! - **Departures:** heads step with the gradient on the step's own batch (LibMTL: the mean over the three). A task
//!   absent from the extra batch of J₁ keeps its λ and takes part with an equal share; λ of the others is
//!   scaled to sum to 1 before the rule.
//! - **Scale:** weights sum to 1, a mean where `equal` is a sum.
//! - **Cost:** three forwards, and one backward per task and two more; the rows of one batch are kept.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use crate::Result;
use crate::batches::{Others, solve};
use crate::simplex::{Simplex, project};
use crate::table::{Claim, Entry, Setup};
use crate::{At, Needs, Probe, Spaces, Update, Weighting, dot};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "modo",
    title: "MoDo",
    paper: "Chen, Fernando, Ying, Chen, NeurIPS 2023",
    family: Family::Aggregator,
    about: "learns weights by the slopes that two more batches give without bias",
    cost: "three forwards, two backwards and one per task",
    kinds: &[],
    params: &[
        ParamInfo { name: "gamma", about: "rate of the weights", default: "0.001", range: Range::Positive },
        ParamInfo {
            name: "rho",
            about: "pull of the weights towards equal ones",
            default: "0.1",
            range: Range::Real { min: 0.0, max: f64::INFINITY },
        },
    ],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation], make };

struct MoDo {
    gamma: f64,
    rho: f64,
    lambda: Simplex,
}

fn make(choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    let (gamma, rho) = (choice.real(&INFO, "gamma"), choice.real(&INFO, "rho"));
    Ok(Box::new(MoDo { gamma, rho, lambda: Simplex::new(setup.tasks.len()) }))
}

impl Weighting for MoDo {
    fn needs(&self) -> Needs {
        Needs { rows: true, spaces: Spaces::Parameters, extra_batches: 2, extra_forwards: 2, ..Needs::NONE }
    }

    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        solve(probe, |probe, others: &Others| {
            let lambda = self.lambda.of(&others.tasks);
            let along = probe.gradient(At { batch: 2, ..At::default() }, &others.spread(&lambda))?;
            let slope = |k: usize| dot(others.rows.row(k), &along) + self.rho * lambda[k];
            let moved: Vec<f64> = (0..lambda.len()).map(|k| lambda[k] - self.gamma * slope(k)).collect();
            if moved.iter().all(|l| l.is_finite()) {
                self.lambda.set(&others.tasks, &project(&moved));
            }
            Ok(self.lambda.of(&others.tasks))
        })
    }

    fn state(&self) -> Vec<f64> {
        self.lambda.state()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        self.lambda.restore(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::{check_sequences, golden};

    #[test]
    fn successive_directions_equal_libmtl() {
        check_sequences(&golden().modo, |setup| make(&Choice::named("modo"), setup).unwrap(), 1e-6);
    }
}
