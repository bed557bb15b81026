//! DB-MTL: losses on one scale by their logarithm, gradients on one scale by the largest norm.
//!
//! - **What:** every loss is replaced by its logarithm, and the moving average of each task's gradient is brought to
//!   the norm of the largest one before they are added.
//! - **Paper:** Lin, Jiang, Ye, Zhang, Chen, Chen, Liu, Kwok: Dual-Balancing for Multi-Task Learning. arXiv 2308.12029,
//!   algorithm 1.
//! - **Rule:** gᵢ = ∇ log(lᵢ + 1e-8); at the k-th step bᵢ ← gᵢ + (β / k^s) (bᵢ − gᵢ), from 0; direction
//!   Σᵢ (maxⱼ ‖bⱼ‖ / ‖bᵢ‖) bᵢ. Heads step with the gradient of their logarithmic loss.
//! - **Departures:** no epsilon beside ‖bᵢ‖. A step in which one task pulls alone is plain training, heads included. A
//!   loss below zero counts as zero.
//! - **Scale:** the direction is as long as a sum of m gradients of the largest norm.
//! - **Cost:** the rows (one backward per task), and one more row per task that is kept from step to step and in
//!   checkpoints (there as f64): 22 million shared parameters take 88 MB per task, 176 MB in a checkpoint.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use crate::Result;
use crate::adapt::Present;
use crate::buffers::Buffers;
use crate::table::{Claim, Entry, Setup};
use crate::{At, Direction, Heads, Jacobian, Needs, Probe, Spaces, Update, Weighting, refuse_state};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "db-mtl",
    title: "DB-MTL",
    paper: "Lin, Jiang, Ye, Zhang, Chen, Chen, Liu, Kwok, arXiv 2308.12029",
    family: Family::Aggregator,
    about: "adds moving averages of the gradients of log losses, each brought to the largest norm",
    cost: "one backward per task, gradients kept; a moving average per task kept and saved",
    kinds: &[],
    params: &[
        ParamInfo {
            name: "beta",
            about: "share of the moving average that stays at each step",
            default: "0.9",
            range: Range::Real { min: 0.0, max: 1.0 },
        },
        ParamInfo {
            name: "beta_sigma",
            about: "power of the step by which that share falls",
            default: "0.0",
            range: Range::Real { min: 0.0, max: 10.0 },
        },
    ],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling], make };

/// Added to losses before the logarithm.
const EPS: f64 = 1e-8;

struct DbMtl {
    beta: f64,
    beta_sigma: f64,
    steps: f64,
    buffers: Buffers,
}

fn make(choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    Ok(Box::new(DbMtl {
        beta: choice.real(&INFO, "beta"),
        beta_sigma: choice.real(&INFO, "beta_sigma"),
        steps: 0.0,
        buffers: Buffers::new(setup.tasks.len()),
    }))
}

impl DbMtl {
    /// The direction of the tasks at `pulling`.
    fn direction(
        &mut self,
        probe: &dyn Probe,
        rows: &Jacobian,
        slopes: &[f64],
        pulling: &[usize],
    ) -> Vec<f32> {
        self.steps += 1.0;
        let rate = 1.0 - self.beta / self.steps.powf(self.beta_sigma);
        let tasks: Vec<usize> = pulling.iter().map(|&i| probe.tasks()[i]).collect();
        for (&i, &task) in pulling.iter().zip(&tasks) {
            self.buffers.add(task, probe.step(), rows.row(i), slopes[i], rate);
        }
        let values = tasks.iter().flat_map(|&task| self.buffers.get(task)).copied().collect();
        let tracked = Jacobian { n: tasks.len(), width: rows.width, values };
        let norms: Vec<f64> = tracked.squares().into_iter().map(f64::sqrt).collect();
        let largest = norms.iter().copied().fold(0.0, f64::max);
        let weights: Vec<f64> =
            norms.iter().map(|&norm| if norm > 0.0 { largest / norm } else { 0.0 }).collect();
        tracked.weighted(&weights, 0..rows.width)
    }
}

impl Weighting for DbMtl {
    fn needs(&self) -> Needs {
        // A moving average needs coordinates that mean the same at every step.
        Needs { rows: true, weighted_heads: true, spaces: Spaces::Parameters, ..Needs::NONE }
    }

    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        if probe.tasks().len() == 1 {
            return Ok(Present::new(probe, None)?.plain());
        }
        let (rows, losses) = (probe.rows(At::default())?, probe.losses(At::default())?);
        let present = Present::new(probe, Some(&rows.squares()))?;
        let plain = Direction::Weights(present.spread(&vec![1.0; present.pulling.len()]));
        if present.pulling.len() < 2 {
            return Ok(Update { trunk: plain, heads: present.heads(None) });
        }
        // The derivative of the logarithm.
        let slopes: Vec<f64> = losses.iter().map(|loss| 1.0 / (loss.max(0.0) + EPS)).collect();
        let vector = self.direction(probe, &rows, &slopes, &present.pulling);
        let heads: Heads = present.heads(Some(&slopes));
        let sound = vector.iter().all(|v| v.is_finite());
        Ok(Update { trunk: if sound { Direction::Vector(vector) } else { plain }, heads })
    }

    fn state(&self) -> Vec<f64> {
        std::iter::once(self.steps).chain(self.buffers.state()).collect()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        let Some((steps, buffers)) = state.split_first() else { return refuse_state(0, 1) };
        self.steps = *steps;
        self.buffers.restore(buffers)
    }

    fn mark(&self) -> Vec<f64> {
        vec![self.steps]
    }

    fn rewind(&mut self, mark: &[f64]) -> Result<()> {
        refuse_state(mark.len(), 1)?;
        self.steps = mark[0];
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeProbe;
    use crate::toy::{check_sequences, golden};

    #[test]
    fn successive_directions_equal_libmtl() {
        let with = |setup: &Setup| {
            let mut choice = Choice::named("db-mtl");
            choice.params.insert("beta_sigma".into(), 0.5.into());
            make(&choice, setup).unwrap()
        };
        check_sequences(&golden().db_mtl, with, 1e-6);
    }

    #[test]
    fn heads_follow_the_logarithm_of_their_loss() {
        let mut probe = FakeProbe::random(1, 3, 4);
        probe.set_losses(&[0.5, 2.0, f64::NAN]);
        let mut method = make(&Choice::named("db-mtl"), &Setup::of(&["a", "b", "c"])).unwrap();
        let Heads::Factors(heads) = method.update(&mut probe).unwrap().heads else {
            panic!("expected factors")
        };
        assert!(
            (heads[0] - 2.0).abs() < 1e-6 && (heads[1] - 0.5).abs() < 1e-6 && heads[2] == 0.0,
            "{heads:?}"
        );
    }
}
