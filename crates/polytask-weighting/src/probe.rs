//! What a weighting asks and what it is told: places to evaluate at, Gramians, Jacobians, states.

use std::ops::Range;

use polytask_core::Rng;
use polytask_nn::trunk::products;
use rayon::prelude::*;

use crate::Result;

/// Where a probe evaluates. Displacements are added for this evaluation only.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct At<'a> {
    /// 0 is the step's batch; k the k-th extra one.
    pub batch: usize,
    /// Added to the shared trainable parameters, `[params]`.
    pub displacement: Option<&'a [f32]>,
    /// Added to the parameters of each present task's head, `[tasks][head params]`.
    pub heads: Option<&'a [Vec<f32>]>,
    /// Added to the trunk's output states, `[rows, d_hidden]`; the trunk itself is not run again.
    pub states: Option<&'a [f32]>,
}

/// Inner products of task gradients, `[tasks, tasks]`, row-major, f64.
#[derive(Debug, Clone, PartialEq)]
pub struct Gramian {
    /// Number of tasks.
    pub n: usize,
    /// The values.
    pub values: Vec<f64>,
}

impl Gramian {
    /// The inner product of tasks `i` and `j`.
    pub fn get(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.n + j]
    }

    /// Cosine of tasks `i` and `j`; `None` where a gradient is zero.
    pub fn cosine(&self, i: usize, j: usize) -> Option<f64> {
        let norm = self.get(i, i).sqrt() * self.get(j, j).sqrt();
        (norm > 0.0 && norm.is_finite()).then(|| (self.get(i, j) / norm).clamp(-1.0, 1.0))
    }

    /// Share of pairs of tasks whose inner product is negative; none for a single task.
    pub fn conflicting(&self) -> Option<f64> {
        let pairs = self.n * self.n.saturating_sub(1) / 2;
        let upper = (0..self.n).flat_map(|i| (i + 1..self.n).map(move |j| (i, j)));
        let negative = upper.filter(|&(i, j)| self.get(i, j) < 0.0).count();
        (pairs > 0).then(|| negative as f64 / pairs as f64)
    }

    /// The product with a vector of task weights, `[tasks]`.
    pub fn times(&self, weights: &[f64]) -> Vec<f64> {
        let row = |i: usize| (0..self.n).map(|j| self.get(i, j) * weights[j]).sum();
        (0..self.n).map(row).collect()
    }

    /// The Gramian of the tasks at `kept` only.
    #[must_use]
    pub fn select(&self, kept: &[usize]) -> Self {
        let values = kept.iter().flat_map(|&i| kept.iter().map(move |&j| self.get(i, j))).collect();
        Self { n: kept.len(), values }
    }
}

/// Task gradients, `[tasks, params]`, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Jacobian {
    /// Number of tasks.
    pub n: usize,
    /// Number of parameters.
    pub width: usize,
    /// The values.
    pub values: Vec<f32>,
}

impl Jacobian {
    /// The gradient of task `i`.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.width..(i + 1) * self.width]
    }

    /// The gradient of task `i`, to be changed.
    pub fn row_mut(&mut self, i: usize) -> &mut [f32] {
        &mut self.values[i * self.width..(i + 1) * self.width]
    }

    /// The squared norm of each row, `[tasks]`.
    pub fn squares(&self) -> Vec<f64> {
        (0..self.n).map(|i| dot(self.row(i), self.row(i))).collect()
    }

    /// The sum of the rows times `weights` over the columns of `span`, in f64; a row of weight 0 is not touched.
    pub fn weighted(&self, weights: &[f64], span: Range<usize>) -> Vec<f32> {
        let mut sum = vec![0.0; span.len()];
        sum.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, sum)| {
            let from = span.start + chunk * CHUNK;
            let mut wide = vec![0.0_f64; sum.len()];
            for (i, &w) in weights.iter().enumerate().filter(|(_, w)| **w != 0.0) {
                let row = &self.row(i)[from..from + sum.len()];
                wide.iter_mut().zip(row).for_each(|(s, &g)| *s += w * f64::from(g));
            }
            sum.iter_mut().zip(wide).for_each(|(s, w)| *s = w as f32);
        });
        sum
    }

    /// The Jacobian of the tasks at `kept` only.
    #[must_use]
    pub fn select(&self, kept: &[usize]) -> Self {
        let values = kept.iter().flat_map(|&i| self.row(i)).copied().collect();
        Self { n: kept.len(), width: self.width, values }
    }

    /// The inner products of the rows, summed in f64 over the columns of `span`.
    pub fn gramian(&self, span: Range<usize>) -> Gramian {
        let rows: Vec<&[f32]> = (0..self.n).map(|i| &self.row(i)[span.clone()]).collect();
        Gramian { n: self.n, values: products::pairs(&rows) }
    }
}

/// Values per unit of parallel work.
const CHUNK: usize = 1 << 14;

/// Inner product in f64, in a fixed order: the same on any number of threads.
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    products::dot(a, b)
}

/// A tensor in the vector of shared trainable parameters: weightings work by tensor or block, or leave out norms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Name of its block: `layer.3`; the parts of a block follow each other.
    pub block: String,
    /// Name of the tensor.
    pub tensor: String,
    /// Its place in `[params]`.
    pub range: Range<usize>,
    /// Whether it is a matrix (biases and norms are not).
    pub matrix: bool,
}

/// The trunk's output states of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputStates {
    /// `[rows, width]`.
    pub values: Vec<f32>,
    /// Values per state.
    pub width: usize,
    /// First row of each sample, and after the last one the number of rows, `[samples + 1]`.
    pub samples: Vec<usize>,
}

/// One task's loss and gradients.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskGradient {
    /// Its loss.
    pub loss: f64,
    /// Its gradient in the run's gradient space, as a row of the Jacobian.
    pub row: Vec<f32>,
    /// The gradient of its head, `[head params]`.
    pub head: Vec<f32>,
}

impl TaskGradient {
    /// Whether all its numbers are finite.
    pub fn is_finite(&self) -> bool {
        self.loss.is_finite() && self.row.iter().chain(&self.head).all(|v| v.is_finite())
    }
}

/// Losses and gradients of all present tasks at one place.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskGradients {
    /// Losses, `[tasks]`.
    pub losses: Vec<f64>,
    /// Gradients in the run's gradient space.
    pub rows: Jacobian,
    /// Gradients of the heads, `[tasks][head params]`.
    pub heads: Vec<Vec<f32>>,
}

/// Losses of all present tasks and the gradient of a weighted sum of them at one place.
#[derive(Debug, Clone, PartialEq)]
pub struct JointGradient {
    /// Losses, `[tasks]`.
    pub losses: Vec<f64>,
    /// Gradient of the weighted sum with respect to the shared trainable parameters, `[params]`.
    pub shared: Vec<f32>,
    /// Gradients of the heads of each task's own loss, weight 1, `[tasks][head params]`.
    pub heads: Vec<Vec<f32>>,
}

/// What a weighting can ask during a step.
///
/// Tasks are those present in the step's batch, in suite order; a task without known targets there is absent from
/// every list. In an extra batch such a task has loss NaN and a zero row. Losses carry the suite's `loss_weight`.
/// Every evaluation of one batch uses the same dropout masks; none but the main one changes running statistics.
/// Displaced weights are put back even when the evaluation fails.
pub trait Probe {
    /// Optimiser step, from 1.
    fn step(&self) -> u64;
    /// Epoch of this step, from 0.
    fn epoch(&self) -> u64;
    /// Suite indices of the tasks present.
    fn tasks(&self) -> &[usize];
    /// The learning rate of this step.
    fn lr(&self) -> f64;
    /// Draws of the weighting for this step; every call gives the same stream from its start.
    fn rng(&self) -> Rng;
    /// Loss of each task present.
    fn losses(&mut self, at: At) -> Result<Vec<f64>>;
    /// Gramian in the run's gradient space (parameters or representation).
    fn gramian(&mut self, at: At) -> Result<Gramian>;
    /// Task gradients in the run's gradient space.
    fn rows(&mut self, at: At) -> Result<Jacobian>;
    /// Gradient of the weighted sum of losses with respect to the shared trainable parameters, `[params]`.
    fn gradient(&mut self, at: At, weights: &[f64]) -> Result<Vec<f32>>;
    /// Gradient of each present task's own loss with respect to its head, `[tasks][head params]`.
    fn heads(&mut self, at: At) -> Result<Vec<Vec<f32>>>;
    /// The trunk's output states.
    fn states(&mut self, at: At) -> Result<OutputStates>;
    /// The tensors of the shared trainable parameters, in the order of `[params]`.
    fn parts(&self) -> Vec<Part>;
    /// The shared trainable parameters, `[params]`.
    fn shared(&self) -> Vec<f32>;
    /// The parameters of the head of the `i`-th present task, `[head params]`.
    fn head(&self, i: usize) -> Vec<f32>;

    /// Loss and gradients of the `i`-th present task alone; a loop that runs only this task's part is cheaper.
    fn task(&mut self, at: At, i: usize) -> Result<TaskGradient> {
        let (loss, row) = (self.losses(at)?[i], self.rows(at)?.row(i).to_vec());
        Ok(TaskGradient { loss, row, head: self.heads(at)?.swap_remove(i) })
    }

    /// Losses, rows and heads' gradients together; a loop that evaluates once is cheaper.
    fn gradients(&mut self, at: At) -> Result<TaskGradients> {
        Ok(TaskGradients { losses: self.losses(at)?, rows: self.rows(at)?, heads: self.heads(at)? })
    }

    /// Losses, the gradient of a weighted sum and heads' gradients together; a loop that evaluates once is cheaper.
    fn joint(&mut self, at: At, weights: &[f64]) -> Result<JointGradient> {
        let (losses, shared) = (self.losses(at)?, self.gradient(at, weights)?);
        Ok(JointGradient { losses, shared, heads: self.heads(at)? })
    }

    /// Inner product of each task's gradient with `direction`, `[tasks]`.
    fn products(&mut self, at: At, direction: &[f32]) -> Result<Vec<f64>> {
        let rows = self.rows(at)?;
        Ok((0..rows.n).map(|i| dot(rows.row(i), direction)).collect())
    }

    /// The Gramian of each block of [`Probe::parts`] (parameters only), lowest block first.
    fn block_gramians(&mut self, at: At) -> Result<Vec<Gramian>> {
        let spans = blocks(&self.parts());
        let rows = self.rows(at)?;
        Ok(spans.into_iter().map(|span| rows.gramian(span)).collect())
    }
}

/// The place in `[params]` of each block of `parts`.
pub fn blocks(parts: &[Part]) -> Vec<Range<usize>> {
    let same = |a: &Part, b: &Part| a.block == b.block;
    let span = |run: &[Part]| run[0].range.start..run[run.len() - 1].range.end;
    parts.chunk_by(same).map(span).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_sums_of_long_rows_are_those_of_their_values() {
        let width = 2 * CHUNK + 13;
        // Whole numbers, so that no order rounds.
        let values: Vec<f32> = (0..2 * width).map(|k| ((k * 37) % 11) as f32 - 5.0).collect();
        let rows = Jacobian { n: 2, width, values };
        let plain: f32 = rows.row(0).iter().zip(rows.row(1)).map(|(a, b)| a * b).sum();
        assert_eq!(dot(rows.row(0), rows.row(1)), f64::from(plain));
        let span = 5..width - 3;
        let sum = rows.weighted(&[2.0, -1.0], span.clone());
        for (k, found) in span.zip(&sum) {
            assert_eq!(*found, 2.0 * rows.row(0)[k] - rows.row(1)[k]);
        }
    }
}
