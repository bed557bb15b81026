//! MoCo: weights from tracked gradients.
//!
//! - **What:** every task's gradient, scaled to the size of its loss, is tracked by a moving average, so that the
//!   weights are not found from the noise of one batch; the direction is made of the averages.
//! - **Paper:** Fernando, Shen, Liu, Chaudhury, Murugesan, Chen: Mitigating Gradient Bias in Multi-objective
//!   Learning: A Provably Convergent Approach. ICLR 2023; rule as in LibMTL, from the authors' code.
//! - **Rule:** at the k-th step gᵢ ← lᵢ gᵢ / ‖gᵢ‖; yᵢ ← yᵢ − (β / k^s) (yᵢ − gᵢ); λ ← softmax(λ − (γ / k^t) (Y Yᵀ + ρ I) λ);
//!   direction Yᵀ λ. Y starts at 0 and λ uniform.
//! - **Departures:** no epsilon beside ‖gᵢ‖. Tasks absent from a step, or with a zero gradient, keep yᵢ and λᵢ; λ of the
//!   others is scaled to sum to 1 before the rule and gets their former share after it. The soft-max of a λ that is
//!   a soft-max already pulls it towards uniform (as in the code).
//! - **Scale:** weights sum to 1, a mean where `equal` is a sum.
//! - **Cost:** the rows (one backward per task), and one more row per task that is kept from step to step and in
//!   checkpoints (there as f64): 22 million shared parameters take 88 MB per task, 176 MB in a checkpoint.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use crate::Result;
use crate::adapt::ByRows;
use crate::buffers::Buffers;
use crate::shares::softmax;
use crate::simplex::Simplex;
use crate::table::{Entry, Setup};
use crate::{Aggregator, Jacobian, Needs, Spaces, Step, Weighting, refuse_state};

const DECAY: Range = Range::Real { min: 0.0, max: 10.0 };

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "moco",
    title: "MoCo",
    paper: "Fernando, Shen, Liu, Chaudhury, Murugesan, Chen, ICLR 2023",
    family: Family::Aggregator,
    about: "weighs moving averages of task gradients by a soft-max that avoids conflict",
    cost: "one backward per task, gradients kept; a moving average per task kept and saved",
    kinds: &[],
    params: &[
        ParamInfo {
            name: "beta",
            about: "rate of the moving averages",
            default: "0.5",
            range: Range::Real { min: 0.0, max: 1.0 },
        },
        ParamInfo {
            name: "beta_sigma",
            about: "power of the step by which that rate falls",
            default: "0.5",
            range: DECAY,
        },
        ParamInfo { name: "gamma", about: "rate of the weights", default: "0.1", range: Range::Positive },
        ParamInfo {
            name: "gamma_sigma",
            about: "power of the step by which that rate falls",
            default: "0.5",
            range: DECAY,
        },
        ParamInfo {
            name: "rho",
            about: "pull of the weights towards equal ones",
            default: "0.0",
            range: Range::Real { min: 0.0, max: f64::INFINITY },
        },
    ],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[], make };

struct MoCo {
    beta: (f64, f64),
    gamma: (f64, f64),
    rho: f64,
    steps: f64,
    lambda: Simplex,
    buffers: Buffers,
}

fn make(choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    let real = |name| choice.real(&INFO, name);
    let aggregator = MoCo {
        beta: (real("beta"), real("beta_sigma")),
        gamma: (real("gamma"), real("gamma_sigma")),
        rho: real("rho"),
        steps: 0.0,
        lambda: Simplex::new(setup.tasks.len()),
        buffers: Buffers::new(setup.tasks.len()),
    };
    // A moving average needs coordinates that mean the same at every step.
    let needs = Needs { spaces: Spaces::Parameters, ..Needs::NONE };
    Ok(Box::new(ByRows { aggregator, needs }))
}

impl Aggregator for MoCo {
    fn direction(&mut self, step: &mut Step, jacobian: &Jacobian) -> Vec<f32> {
        self.steps += 1.0;
        let rate = |(size, decay): (f64, f64)| size / self.steps.powf(decay);
        for (i, &task) in step.tasks.iter().enumerate() {
            let norm = crate::dot(jacobian.row(i), jacobian.row(i)).sqrt();
            let factor = step.losses[i] / norm;
            self.buffers.add(task, step.number, jacobian.row(i), factor, rate(self.beta));
        }
        let values = step.tasks.iter().flat_map(|&task| self.buffers.get(task)).copied().collect();
        let tracked = Jacobian { values, ..*jacobian };
        let lambda = self.lambda.of(step.tasks);
        let pull = tracked.gramian(0..tracked.width).times(&lambda);
        let logits = lambda.iter().zip(pull).map(|(l, p)| l - rate(self.gamma) * (p + self.rho * l));
        let lambda = softmax(&logits.collect::<Vec<_>>(), 1.0);
        self.lambda.set(step.tasks, &lambda);
        tracked.weighted(&lambda, 0..tracked.width)
    }

    fn state(&self) -> Vec<f64> {
        self.mark().into_iter().chain(self.buffers.state()).collect()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        let n = 1 + self.lambda.len();
        if state.len() < n {
            return refuse_state(state.len(), n);
        }
        self.rewind(&state[..n])?;
        self.buffers.restore(&state[n..])
    }

    fn mark(&self) -> Vec<f64> {
        std::iter::once(self.steps).chain(self.lambda.state()).collect()
    }

    fn rewind(&mut self, mark: &[f64]) -> Result<()> {
        let Some((steps, lambda)) = mark.split_first() else { return refuse_state(0, 1 + self.lambda.len()) };
        self.steps = *steps;
        self.lambda.restore(lambda)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::{check_sequences, golden};

    #[test]
    fn successive_directions_equal_libmtl() {
        check_sequences(&golden().moco, |setup| make(&Choice::named("moco"), setup).unwrap(), 1e-6);
    }
}
