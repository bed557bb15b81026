//! Word vectors: a look-up, whose gradient is row-sparse.

use candle_core::{Device, Tensor};
use polytask_core::{PackedBatch, token_id};
use rayon::prelude::*;

use super::{Front, FrontPass, FrontShare};
use crate::Result;
use crate::trunk::elementwise::add;
use crate::trunk::layers::TensorShape;
use crate::trunk::pool::{Buf, Pool};
use crate::trunk::stack::{CHUNK, Group};
use crate::trunk::{BlockGrad, Cotangent, GradSink, TaskGrad};

/// A table with a row per token.
#[derive(Debug)]
pub(in crate::trunk) struct Words {
    table: TensorShape,
}

impl Words {
    /// A table `[rows, width]`.
    pub(in crate::trunk) fn new(table: &str, rows: usize, width: usize) -> Self {
        Self { table: TensorShape::matrix(table, rows, width) }
    }
}

impl Front for Words {
    fn name(&self) -> &'static str {
        "words"
    }

    fn tensors(&self) -> Vec<TensorShape> {
        vec![self.table.clone()]
    }

    fn width(&self) -> usize {
        self.table.shape[1]
    }

    fn vocab_size(&self) -> usize {
        self.table.shape[0]
    }

    fn is_table(&self) -> bool {
        true
    }

    fn forward(&self, pass: FrontPass<'_>, out: &mut [f32]) {
        let d = self.width();
        let least = CHUNK.max(pass.threads.least());
        out.par_chunks_mut(d).zip(&pass.symbols.ids).with_min_len(least).for_each(|(row, &id)| {
            row.copy_from_slice(&pass.values[token_id(id) as usize * d..][..d]);
        });
    }

    fn backward(
        &self,
        pass: FrontPass<'_>,
        shares: &[FrontShare<'_>],
        block: usize,
        sink: &mut dyn GradSink<f32>,
    ) -> Result<()> {
        let d = self.width();
        let sparse = |(share, group): &(&FrontShare<'_>, &Group)| {
            let row_and_id =
                |row: usize| (token_id(pass.symbols.ids[share.stack.rows[row] as usize]), row as u32);
            let mut order: Vec<(u32, u32)> = group.rows.clone().map(row_and_id).collect();
            order.sort_unstable();
            let mut ids: Vec<u32> = order.iter().map(|&(id, _)| id).collect();
            ids.dedup();
            let mut sums = pass.pool.zeros(ids.len() * d);
            let mut at = 0;
            for (id, row) in order {
                at += usize::from(ids[at] != id);
                add(&mut sums[at * d..][..d], &share.g[row as usize * d..][..d]);
            }
            (ids, sums)
        };
        let groups: Vec<_> = shares
            .iter()
            .flat_map(|share| share.stack.groups.iter().map(move |group| (share, group)))
            .collect();
        let grads: Vec<(Vec<u32>, Buf)> = groups.par_iter().map(sparse).collect();
        let grads: Vec<TaskGrad<'_>> = grads
            .iter()
            .zip(&groups)
            .map(|((rows, values), (_, group))| TaskGrad {
                task: group.task,
                grad: BlockGrad::Sparse { rows, width: d, values },
            })
            .collect();
        sink.block(block, &grads)
    }

    fn plain(&self, tensors: &[Tensor], symbols: &PackedBatch) -> Result<Tensor> {
        let ids: Vec<u32> = symbols.ids.iter().map(|&symbol| token_id(symbol)).collect();
        Ok(tensors[0].index_select(&Tensor::new(ids, &Device::Cpu)?, 0)?)
    }
}

/// Stacked cotangent values.
pub(in crate::trunk) fn stack_values(pool: &Pool, cotangents: &[&Cotangent]) -> Buf {
    let mut g = pool.take(cotangents.iter().map(|c| c.values.len()).sum());
    let mut at = 0;
    for cotangent in cotangents {
        g[at..at + cotangent.values.len()].copy_from_slice(&cotangent.values);
        at += cotangent.values.len();
    }
    g
}
