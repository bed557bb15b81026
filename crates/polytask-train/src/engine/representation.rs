//! Gradients at the trunk's output.

use polytask_nn::trunk::products;

use super::{Engine, Evaluation, PartGradient};
use crate::assemble::StepBatch;
use crate::cotangents::place;
use polytask_weighting::{Gramian, Jacobian};

impl Engine<'_> {
    /// Inner products of the gradients at the trunk's output; they are not copied where all tasks read the same
    /// sequences.
    pub fn representation_gramian(
        &self,
        batch: &StepBatch,
        evaluation: &Evaluation,
        tasks: &[usize],
    ) -> Gramian {
        let parts: Option<Vec<&PartGradient>> = tasks.iter().map(|&task| evaluation.part(task)).collect();
        let same = |parts: &Vec<&PartGradient>| {
            parts.windows(2).all(|pair| pair[0].cotangent.sequences == pair[1].cotangent.sequences)
        };
        if let Some(parts) = parts.filter(same) {
            let rows: Vec<&[f32]> = parts.iter().map(|part| &part.cotangent.values[..]).collect();
            return Gramian { n: rows.len(), values: products::pairs(&rows) };
        }
        let rows = self.representation_rows(batch, evaluation, tasks);
        rows.gramian(0..rows.width)
    }

    /// The gradients at the trunk's output, `[tasks, rows × d_hidden]`.
    pub fn representation_rows(
        &self,
        batch: &StepBatch,
        evaluation: &Evaluation,
        tasks: &[usize],
    ) -> Jacobian {
        let d_hidden = self.trunk.d_hidden();
        let width = batch.layout.n_rows() * d_hidden;
        let mut values = vec![0.0; tasks.len() * width];
        for (&task, row) in tasks.iter().zip(values.chunks_mut(width.max(1))) {
            if let Some(part) = evaluation.part(task) {
                place(batch, &part.cotangent, d_hidden, row);
            }
        }
        Jacobian { n: tasks.len(), width, values }
    }
}
