//! The backward of the composed trunk: one run of the engine's own backward per cotangent.

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor};
use polytask_core::token_id;
use rayon::prelude::*;

use super::super::check;
use super::super::graph::FRONT;
use super::super::shape_error::shape;
use super::super::{BlockGrad, Cotangent, GradSink, SavedForward, TaskGrad, Trunk};
use super::{Composed, ComposedSaved};
use crate::Result;
use crate::params::Real;

/// A task's gradients, block by block; `None` below its lowest block.
type TaskBlocks<T> = (usize, Vec<Option<Vec<T>>>);

impl<T: Real> Composed<T> {
    /// Feeds the sink with the gradients of all cotangents.
    pub(super) fn backward<'a>(
        &self,
        saved: &'a SavedForward,
        cotangents: &[Cotangent<T>],
        sink: &mut dyn GradSink<T>,
    ) -> Result<&'a ComposedSaved> {
        let Some(saved) = saved.downcast_ref::<ComposedSaved>().filter(|saved| saved.mode.save) else {
            return shape("backward", "nothing saved by this trunk", "what a forward with `save` returned");
        };
        check::cotangents(saved.states.dim(1)?, &saved.batch.layout(), cotangents)?;
        let mut order: Vec<&Cotangent<T>> = cotangents.iter().collect();
        order.sort_by_key(|cotangent| cotangent.task);
        let grads: Vec<Vec<Option<Vec<T>>>> =
            order.par_iter().map(|cotangent| Self::gradients(saved, cotangent)).collect::<Result<_>>()?;
        let mut tasks: Vec<TaskBlocks<T>> = Vec::new();
        for (cotangent, blocks) in order.iter().zip(grads) {
            match tasks.last_mut().filter(|(task, _)| *task == cotangent.task) {
                Some((_, sums)) => add_blocks(sums, blocks),
                None => tasks.push((cotangent.task, blocks)),
            }
        }
        let is_table = self.graph.front.is_table();
        for block in (usize::from(is_table)..self.n_blocks()).rev() {
            let grads: Vec<TaskGrad<'_, T>> = tasks.iter().filter_map(|task| dense(task, block)).collect();
            if !grads.is_empty() {
                sink.block(block, &grads)?;
            }
        }
        if is_table {
            self.sink_words(saved, cotangents, &tasks, sink)?;
        }
        Ok(saved)
    }

    /// Cotangents at the states below the first block.
    pub(super) fn inputs(saved: &ComposedSaved, cotangents: &[Cotangent<T>]) -> Result<Vec<Cotangent<T>>> {
        let d = saved.below.dim(1)?;
        let reach = cotangents.iter().filter(|cotangent| cotangent.lowest <= saved.mode.lowest);
        let of = |cotangent: &Cotangent<T>| -> Result<Cotangent<T>> {
            let grads = Self::grads(saved, cotangent)?;
            let all: Vec<T> = match grads.get(&saved.below) {
                Some(grad) => grad.flatten_all()?.to_vec1()?,
                None => vec![T::ZERO; saved.batch.n_rows() * d],
            };
            let rows = cotangent.sequences.iter().flat_map(|&s| saved.batch.rows(s as usize));
            let values: Vec<T> = rows.flat_map(|row| all[row * d..(row + 1) * d].iter().copied()).collect();
            Ok(Cotangent { values: values.into(), sequences: cotangent.sequences.clone(), ..*cotangent })
        };
        let mut inputs = reach.map(of).collect::<Result<Vec<_>>>()?;
        inputs.sort_by_key(|cotangent| cotangent.task);
        Ok(inputs)
    }

    /// The backward of one cotangent over the whole graph.
    fn grads(saved: &ComposedSaved, cotangent: &Cotangent<T>) -> Result<GradStore> {
        let d = saved.states.dim(1)?;
        let mut dz = vec![T::ZERO; saved.batch.n_rows() * d];
        let mut values = cotangent.values.as_slice();
        for &sequence in &cotangent.sequences {
            let rows = saved.batch.rows(sequence as usize);
            let (own, rest) = values.split_at(rows.len() * d);
            dz[rows.start * d..rows.end * d].copy_from_slice(own);
            values = rest;
        }
        let dz = Tensor::from_vec(dz, saved.states.shape(), &Device::Cpu)?;
        Ok((&saved.states * dz)?.sum_all()?.backward()?)
    }

    /// All gradients of one cotangent, blocks of its own depth only.
    fn gradients(saved: &ComposedSaved, cotangent: &Cotangent<T>) -> Result<Vec<Option<Vec<T>>>> {
        let grads = Self::grads(saved, cotangent)?;
        let lowest = cotangent.lowest.max(saved.mode.lowest);
        let of = |(block, leaves): (usize, &Vec<Tensor>)| -> Result<Option<Vec<T>>> {
            if block < lowest || leaves.is_empty() {
                return Ok(None);
            }
            let mut flat = Vec::new();
            for leaf in leaves {
                match grads.get(leaf) {
                    Some(grad) => flat.extend(grad.flatten_all()?.to_vec1::<T>()?),
                    None => flat.resize(flat.len() + leaf.elem_count(), T::ZERO),
                }
            }
            Ok(Some(flat))
        };
        saved.leaves.iter().enumerate().map(of).collect()
    }

    /// Token ids of the sequences of a task's cotangents that reach the words, ascending, each once.
    fn touched(saved: &ComposedSaved, cotangents: &[Cotangent<T>], task: usize) -> Vec<u32> {
        let own = cotangents.iter().filter(|c| c.task == task && c.lowest == FRONT);
        let rows = own.flat_map(|c| c.sequences.iter().flat_map(|&s| saved.batch.rows(s as usize)));
        let mut ids: Vec<u32> = rows.map(|row| token_id(saved.symbols.ids[row])).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn sink_words(
        &self,
        saved: &ComposedSaved,
        cotangents: &[Cotangent<T>],
        tasks: &[TaskBlocks<T>],
        sink: &mut dyn GradSink<T>,
    ) -> Result<()> {
        let d = self.graph.width_below(FRONT + 1);
        let sparse = |(task, blocks): &TaskBlocks<T>| {
            let table = blocks[FRONT].as_ref()?;
            let rows = Self::touched(saved, cotangents, *task);
            let values: Vec<T> = rows.iter().flat_map(|&r| &table[r as usize * d..][..d]).copied().collect();
            Some((*task, rows, values))
        };
        let grads: Vec<(usize, Vec<u32>, Vec<T>)> = tasks.iter().filter_map(sparse).collect();
        let grads: Vec<TaskGrad<'_, T>> = grads
            .iter()
            .map(|(task, rows, values)| TaskGrad {
                task: *task,
                grad: BlockGrad::Sparse { rows, width: d, values },
            })
            .collect();
        if grads.is_empty() { Ok(()) } else { sink.block(FRONT, &grads) }
    }
}

/// A task's gradient of a block, when it reaches that far.
fn dense<T>((task, blocks): &TaskBlocks<T>, block: usize) -> Option<TaskGrad<'_, T>> {
    let grad = BlockGrad::Dense(blocks[block].as_ref()?);
    Some(TaskGrad { task: *task, grad })
}

/// `sums += blocks`, where either may be absent.
fn add_blocks<T: Real>(sums: &mut [Option<Vec<T>>], blocks: Vec<Option<Vec<T>>>) {
    for (sum, block) in sums.iter_mut().zip(blocks) {
        match (sum.as_mut(), block) {
            (Some(sum), Some(block)) => sum.iter_mut().zip(block).for_each(|(s, b)| *s += b),
            (None, Some(block)) => *sum = Some(block),
            (_, None) => {}
        }
    }
}
