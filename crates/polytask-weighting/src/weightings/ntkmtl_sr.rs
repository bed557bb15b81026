//! NTKMTL-SR: NTKMTL at the shared representation, with several mini-batches.
//!
//! - **What:** as `ntkmtl`, but the kernel is that of the losses of `n` mini-batches of the step's batch, taken at the
//!   trunk's output states instead of its parameters, where gradients are at hand before the trunk's backward.
//! - **Paper:** Qin, Wang, Liao, Yan: NTKMTL: Mitigating Task Imbalance in Multi-Task Learning from Neural Tangent Kernel
//!   Perspective. NeurIPS 2025 (arXiv 2510.18258), the variant for a shared representation.
//! - **Rule:** Kᵢ[a, b] = ∇L_a · ∇L_b over the mini-batches of task i, λᵢ its largest eigenvalue, wᵢ = (mean λ /
//!   λᵢ)^`exponent`, and one backward of Σ wᵢ lᵢ. Mini-batches hold different samples, so their gradients at the states do
//!   not overlap: Kᵢ is diagonal and λᵢ the largest of its entries.
//! - **Departures:** a mini-batch holds a share of the samples the task has in the step (in suites with texts of
//!   their own for each task, shares of the whole batch would hold one task each). Its gradient is the batch's gradient
//!   at its states, times all samples over its own: exact for losses that are means over samples, an approximation for
//!   contrastive ones. The mean of λ stands where the authors' program has the sum, a constant for a fixed
//!   number of tasks.
//! - **Scale:** as `ntkmtl`'s, at the representation. Heads get the weights too, as in the authors' program.
//! - **Cost:** one backward, as plain training.

use std::ops::Range as Span;

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use super::ntkmtl::{EXPONENT, evened};
use crate::Result;
use crate::adapt::Present;
use crate::table::{Claim, Entry, Setup};
use crate::{At, Needs, OutputStates, Probe, Spaces, Update, Weighting, dot};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "ntkmtl-sr",
    title: "NTKMTL-SR",
    paper: "Qin, Wang, Liao, Yan, NeurIPS 2025",
    family: Family::GramianWeighting,
    about: "evens out how fast tasks learn, by their tangent kernels at the trunk's output",
    cost: "one backward",
    kinds: &[],
    params: &[
        EXPONENT,
        ParamInfo {
            name: "n",
            about: "number of mini-batches the samples of a task are split into",
            default: "4",
            range: Range::Integer { min: 1 },
        },
    ],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling], make };

struct NtkMtlSr {
    exponent: f64,
    n: usize,
}

fn make(choice: &Choice, _setup: &Setup) -> Result<Box<dyn Weighting>> {
    let n = choice.param(&INFO, "n").as_u64().unwrap_or(4) as usize;
    Ok(Box::new(NtkMtlSr { exponent: choice.real(&INFO, "exponent"), n }))
}

impl Weighting for NtkMtlSr {
    fn needs(&self) -> Needs {
        Needs { rows: true, spaces: Spaces::Representation, weighted_heads: true, ..Needs::NONE }
    }

    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        if probe.tasks().len() == 1 {
            return Ok(Present::new(probe, None)?.plain());
        }
        let rows = probe.rows(At::default())?;
        let samples = spans(&probe.states(At::default())?);
        let squares: Vec<f64> = (0..rows.n).map(|i| dot(rows.row(i), rows.row(i))).collect();
        let present = Present::new(probe, Some(&squares))?;
        if present.pulling.len() < 2 {
            return Ok(present.plain());
        }
        let largest = |&i: &usize| largest_eigenvalue(rows.row(i), &samples, self.n);
        let eigenvalues: Vec<f64> = present.pulling.iter().map(largest).collect();
        Ok(present.weighted(&evened(&eigenvalues, self.exponent)))
    }
}

/// The values of each sample in a row of gradients of the states.
fn spans(states: &OutputStates) -> Vec<Span<usize>> {
    states.samples.windows(2).map(|w| w[0] * states.width..w[1] * states.width).collect()
}

/// The largest eigenvalue of a task's kernel over `n` mini-batches, from its gradient of the states.
fn largest_eigenvalue(row: &[f32], samples: &[Span<usize>], n: usize) -> f64 {
    let squares: Vec<f64> = samples.iter().map(|span| dot(&row[span.clone()], &row[span.clone()])).collect();
    let own: Vec<f64> = squares.into_iter().filter(|square| *square > 0.0).collect();
    let of_part = |part: &[f64]| {
        let factor = own.len() as f64 / part.len() as f64;
        factor * factor * part.iter().sum::<f64>()
    };
    own.chunks(own.len().div_ceil(n).max(1)).map(of_part).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::gramian_steps;

    #[test]
    fn weights_equal_those_of_the_kernels_of_mini_batch_losses() {
        for case in gramian_steps("ntkmtl-sr") {
            let samples: Vec<Span<usize>> = case.samples.windows(2).map(|w| w[0]..w[1]).collect();
            let largest: Vec<f64> =
                case.rows.iter().map(|row| largest_eigenvalue(row, &samples, case.parts)).collect();
            case.check(&evened(&largest, 0.5), 1e-6);
        }
    }

    #[test]
    fn only_a_task_s_own_samples_are_split() {
        let row = [0.0, 3.0, 0.0, 4.0, 0.0];
        let samples: Vec<Span<usize>> = (0..5).map(|i| i..i + 1).collect();
        assert_eq!(largest_eigenvalue(&row, &samples, 1), 25.0);
        assert_eq!(largest_eigenvalue(&row, &samples, 2), 4.0 * 16.0);
        assert_eq!(largest_eigenvalue(&row, &samples, 9), 4.0 * 16.0);
    }
}
