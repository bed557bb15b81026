//! ExcessMTL: weight grows with how far a task still is from its optimum, so that label noise does not count.
//!
//! - **What:** a noisy task keeps a high loss at its optimum but has no excess risk left; the excess is estimated
//!   from gradients, and weights grow by it multiplicatively.
//! - **Paper:** He et al.: Robust Multi-Task Learning with Excess Risks. ICML 2024.
//! - **Rule:** sᵢ += gᵢ² element by element; eᵢ = gᵢᵀ (gᵢ / √(sᵢ + 1e-7)), in units of its value at the task's first
//!   step; from the second step on wᵢ ← wᵢ exp(η eᵢ), then w ← m w / Σ w. w starts at 1.
//! - **Departures:** none where every task pulls in every step. Otherwise the step's tasks share among
//!   themselves the weight they had, and others keep s, e and w; a step in which one task pulls alone is plain
//!   training. The first step alone sets the unit of the excess, as in the authors' code: steps of equal weights before
//!   it, so that the unit is of a network that has learned something, are not offered. The head of a task whose trunk gradient is
//!   zero trains with weight 1. Sums of squares are kept in f32. On representations, whose size follows the batch, s has no
//!   meaning: `train.gradients = "full"`.
//! - **Scale:** weights sum to m like those of `equal`; heads are scaled too.
//! - **Cost:** the rows (one backward per task over shared rows), one weighted backward, and memory and state
//!   of the size of the parameters times the tasks.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use crate::Result;
use crate::adapt::Present;
use crate::buffers::Buffers;
use crate::table::{Claim, Entry, Setup};
use crate::{At, Needs, Probe, Spaces, Update, Weighting, dot, refuse_state};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "excess-mtl",
    title: "ExcessMTL",
    paper: "He et al., ICML 2024",
    family: Family::LossWeighting,
    about: "gives more weight to tasks that are further from their own optimum",
    cost: "rows + one backward",
    kinds: &[],
    params: &[ParamInfo {
        name: "step_size",
        about: "how fast weights follow the excess risks",
        default: "0.01",
        range: Range::Positive,
    }],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Ratios], make };

/// Added under the root.
const EPS: f64 = 1e-7;

/// What is known of a task beside its sums of squares.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Known {
    log_weight: f64,
    /// Excess at its first step; 0 before.
    initial: f64,
}

struct ExcessRisks {
    step_size: f64,
    /// By task of the suite.
    known: Vec<Known>,
    /// Sums of squared gradients.
    squares: Buffers,
}

fn make(choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    let n = setup.tasks.len();
    let (known, squares) = (vec![Known::default(); n], Buffers::new(n));
    Ok(Box::new(ExcessRisks { step_size: choice.real(&INFO, "step_size"), known, squares }))
}

impl ExcessRisks {
    /// Takes in a task's gradient; the excess risk estimated with it.
    fn excess(&mut self, task: usize, step: u64, gradient: &[f32]) -> f64 {
        self.squares.change(task, step, gradient, |sum, g| (sum + g * g).min(f64::from(f32::MAX)));
        let pairs = gradient.iter().zip(self.squares.get(task));
        pairs.map(|(&g, &sum)| f64::from(g).powi(2) / (f64::from(sum) + EPS).sqrt()).sum()
    }

    /// Takes in a task's gradient and lets its weight grow.
    fn grow(&mut self, task: usize, step: u64, gradient: &[f32]) {
        let excess = self.excess(task, step, gradient);
        let known = &mut self.known[task];
        if known.initial == 0.0 {
            known.initial = excess;
        } else {
            known.log_weight += self.step_size * excess / known.initial;
        }
    }

    /// The logarithm of the weight these tasks have together.
    fn log_total(&self, tasks: &[usize]) -> f64 {
        let logs = tasks.iter().map(|&task| self.known[task].log_weight);
        let largest = logs.clone().fold(f64::NEG_INFINITY, f64::max);
        largest + logs.map(|log| (log - largest).exp()).sum::<f64>().ln()
    }
}

impl Weighting for ExcessRisks {
    fn needs(&self) -> Needs {
        Needs { rows: true, spaces: Spaces::Parameters, weighted_heads: true, ..Needs::NONE }
    }

    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        if probe.tasks().len() == 1 {
            return Ok(Present::new(probe, None)?.plain());
        }
        let rows = probe.rows(At::default())?;
        let squares: Vec<f64> = (0..rows.n).map(|i| dot(rows.row(i), rows.row(i))).collect();
        let present = Present::new(probe, Some(&squares))?;
        if present.pulling.len() < 2 {
            return Ok(present.plain());
        }
        let tasks = present.pulling_tasks();
        let before = self.log_total(&tasks);
        let step = probe.step();
        present.pulling.iter().for_each(|&i| self.grow(present.tasks[i], step, rows.row(i)));
        let grown = self.log_total(&tasks) - before;
        tasks.iter().for_each(|&task| self.known[task].log_weight -= grown);
        Ok(present.weighted(&tasks.iter().map(|&t| self.known[t].log_weight.exp()).collect::<Vec<_>>()))
    }

    fn state(&self) -> Vec<f64> {
        self.mark().into_iter().chain(self.squares.state()).collect()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        let n = 2 * self.known.len();
        if state.len() < n {
            return refuse_state(state.len(), n);
        }
        self.rewind(&state[..n])?;
        self.squares.restore(&state[n..])
    }

    fn mark(&self) -> Vec<f64> {
        self.known.iter().flat_map(|known| [known.log_weight, known.initial]).collect()
    }

    fn rewind(&mut self, mark: &[f64]) -> Result<()> {
        refuse_state(mark.len(), 2 * self.known.len())?;
        for (known, pair) in self.known.iter_mut().zip(mark.chunks_exact(2)) {
            *known = Known { log_weight: pair[0], initial: pair[1] };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::follow_rows;
    use crate::testing::{FakeProbe, weights};

    #[test]
    fn weights_equal_libmtl() {
        follow_rows("excess-mtl");
    }

    #[test]
    fn tasks_of_a_step_share_the_weight_they_had_and_others_keep_theirs() {
        let mut method = make(&Choice::named("excess-mtl"), &Setup::of(&["a", "b", "c"])).unwrap();
        let step = |method: &mut dyn Weighting, seed, tasks: &[usize]| {
            let mut probe = FakeProbe::random(seed, tasks.len(), 5).with_tasks(tasks).at_step(seed);
            weights(method, &mut probe)
        };
        assert_eq!(step(method.as_mut(), 1, &[0, 1, 2]), [1.0; 3]);
        let all = step(method.as_mut(), 2, &[0, 1, 2]);
        let pair = step(method.as_mut(), 3, &[0, 2]);
        assert!((pair[0] + pair[1] - all[0] - all[2]).abs() < 1e-12 && pair[0] != all[0]);
        let state = method.state();
        assert_eq!(step(method.as_mut(), 4, &[1]), [1.0]);
        assert_eq!(method.state(), state);
        assert_eq!(state[2].exp(), all[1]);
    }

    #[test]
    fn a_step_tried_again_counts_once_and_what_undoes_it_is_small() {
        let mut method = make(&Choice::named("excess-mtl"), &Setup::of(&["a", "b", "c"])).unwrap();
        let probe = |step: u64| FakeProbe::random(step, 3, 50).at_step(step);
        weights(method.as_mut(), &mut probe(1));
        let mark = method.mark();
        assert_eq!(mark.len(), 6);
        let first = weights(method.as_mut(), &mut probe(2));
        let after = method.state();
        method.rewind(&mark).unwrap();
        assert_eq!(weights(method.as_mut(), &mut probe(2)), first);
        assert_eq!(method.state(), after);
        assert!(method.rewind(&mark[1..]).is_err());
    }

    #[test]
    fn a_truncated_state_is_refused() {
        let mut method = make(&Choice::named("excess-mtl"), &Setup::of(&["a", "b"])).unwrap();
        weights(method.as_mut(), &mut FakeProbe::random(1, 2, 5));
        let state = method.state();
        for n in 0..state.len() {
            assert!(method.restore(&state[..n]).is_err(), "{n}");
        }
        method.restore(&state).unwrap();
        assert_eq!(method.state(), state);
    }
}
