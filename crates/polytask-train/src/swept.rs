//! What one sweep of the tasks' cotangents gave: the Gramian of each block, and the gradients themselves when they fit
//! the budget (`train.rows_mb`). With them a Gramian method's step is a weighted sum of rows, and the weighted
//! backward is spared.

use polytask_nn::trunk::sinks;
use polytask_nn::{GradSink, Params, TaskGrad};
use rayon::prelude::*;

use polytask_weighting::Gramian;

/// Values per unit of parallel work.
const CHUNK: usize = 1 << 14;

/// Inner products, and perhaps gradients, of some tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct Swept {
    n: usize,
    products: sinks::GramianSink,
    rows: Option<sinks::RowsSink>,
}

impl Swept {
    /// To be filled by a sweep of `n` tasks over `n_blocks` blocks, `rows` with their gradients.
    pub fn new(n: usize, n_blocks: usize, rows: Option<sinks::RowsSink>) -> Self {
        Self { n, products: sinks::GramianSink::new(n, n_blocks), rows }
    }

    /// Inner products over all blocks.
    pub fn gramian(&self) -> Gramian {
        Gramian { n: self.n, values: self.products.total() }
    }

    /// Inner products over each trained block, lowest first; zeros where nothing reached it.
    pub fn blocks(&self, trainable: &[bool]) -> Vec<Gramian> {
        let trained = (0..trainable.len()).filter(|&block| trainable[block]);
        let of_block = |block| match self.products.block_total(block) {
            Some(values) => Gramian { n: self.n, values: values.to_vec() },
            None => Gramian { n: self.n, values: vec![0.0; self.n * self.n] },
        };
        trained.map(of_block).collect()
    }

    /// Σᵢ wᵢ gᵢ, `[blocks][values]`, with the weights `of_block` says, empty for blocks that are frozen or were not
    /// reached; `None` when the gradients were not kept.
    pub fn sum<'w>(
        &self,
        trainable: &[bool],
        of_block: impl Fn(usize) -> &'w [f64],
    ) -> Option<Vec<Vec<f32>>> {
        let rows = self.rows.as_ref()?;
        let block = |block: usize| {
            let reached = trainable[block] && self.products.block_total(block).is_some();
            let span = rows.range(block).filter(|_| reached);
            span.map_or_else(Vec::new, |span| {
                let parts: Vec<&[f32]> = (0..self.n).map(|i| &rows.row(i)[span.clone()]).collect();
                weighted(&parts, of_block(block))
            })
        };
        Some((0..trainable.len()).map(block).collect())
    }

    /// The buffer of the gradients, for the next step.
    pub fn into_rows(self) -> Option<sinks::RowsSink> {
        self.rows
    }
}

impl GradSink for Swept {
    fn block(&mut self, block: usize, grads: &[TaskGrad<'_>]) -> polytask_nn::Result<()> {
        if let Some(rows) = &mut self.rows {
            rows.block(block, grads)?;
        }
        self.products.block(block, grads)
    }
}

/// The weighted sum of equally long vectors; those of weight 0 are not read.
fn weighted(parts: &[&[f32]], weights: &[f64]) -> Vec<f32> {
    let mut sum = vec![0.0_f32; parts.first().map_or(0, |part| part.len())];
    sum.par_chunks_mut(CHUNK).enumerate().for_each(|(k, sum)| {
        for (part, &weight) in parts.iter().zip(weights).filter(|(_, w)| **w != 0.0) {
            let part = &part[k * CHUNK..][..sum.len()];
            sum.iter_mut().zip(part).for_each(|(s, g)| *s += weight as f32 * g);
        }
    });
    sum
}

/// Keeps the gradients of a step's sweep when they fit, in a buffer that lives from step to step.
#[derive(Debug, Clone, Default)]
pub struct Keeper {
    /// Most bytes.
    pub budget: usize,
    /// The buffer of an earlier step.
    pub spare: Option<sinks::RowsSink>,
    /// This step's sweep.
    pub swept: Option<Swept>,
}

impl Keeper {
    /// With this many MiB.
    pub fn of(megabytes: usize, spare: Option<sinks::RowsSink>) -> Self {
        Self { budget: megabytes.saturating_mul(1 << 20), spare, swept: None }
    }

    /// A zeroed buffer for the gradients of `n` tasks, when they fit.
    pub fn buffer(&mut self, trunk: &Params, n: usize, lowest: usize) -> Option<sinks::RowsSink> {
        let width: usize = trunk.blocks.iter().skip(lowest).map(|block| block.values.len()).sum();
        if n * width * size_of::<f32>() > self.budget {
            return None;
        }
        match self.spare.take().filter(|rows| rows.width() == width && rows.values().len() == n * width) {
            Some(mut rows) => {
                rows.reset();
                Some(rows)
            }
            None => Some(sinks::RowsSink::new(trunk, n, lowest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use polytask_nn::{Block, BlockGrad};

    use super::*;

    fn layout() -> Params {
        let block = |name: &str, n: usize| Block::zeros(name, &[("w", &[n], true)]);
        Params { blocks: vec![block("low", 2), block("middle", 3), block("top", 2)] }
    }

    fn feed(swept: &mut Swept) {
        let grad = |task, values| TaskGrad { task, grad: BlockGrad::Dense(values) };
        swept.block(2, &[grad(0, &[1.0, 2.0]), grad(1, &[3.0, -1.0])]).unwrap();
        swept.block(0, &[grad(1, &[5.0, 0.5])]).unwrap();
    }

    #[test]
    fn a_sum_of_kept_rows_has_the_weights_of_each_block_and_leaves_out_what_was_not_reached() {
        let mut keeper = Keeper::of(1, None);
        let rows = keeper.buffer(&layout(), 2, 0);
        let mut swept = Swept::new(2, 3, rows);
        feed(&mut swept);
        let weights = [[1.0, 2.0], [9.0, 9.0], [1.0, -1.0]];
        let sum = swept.sum(&[true, true, true], |block| &weights[block]).unwrap();
        assert_eq!(sum, [vec![10.0, 1.0], vec![], vec![-2.0, 3.0]]);
        let sum = swept.sum(&[false, true, true], |block| &weights[block]).unwrap();
        assert_eq!(sum, [vec![], vec![], vec![-2.0, 3.0]]);
    }

    #[test]
    fn block_products_add_up_and_are_zero_where_nothing_came() {
        let mut swept = Swept::new(2, 3, None);
        feed(&mut swept);
        let blocks = swept.blocks(&[true, true, true]);
        assert_eq!(blocks[1].values, [0.0; 4]);
        assert_eq!(blocks[2].values, [5.0, 1.0, 1.0, 10.0]);
        assert_eq!(swept.gramian().values, [5.0, 1.0, 1.0, 10.0 + 25.25]);
        assert!(swept.sum(&[true; 3], |_| &[1.0, 1.0]).is_none(), "nothing was kept");
    }

    #[test]
    fn rows_beyond_the_budget_are_not_kept_and_a_buffer_is_used_again_clean() {
        let mut keeper = Keeper { budget: 2 * 7 * 4, ..Keeper::default() };
        assert!(keeper.buffer(&layout(), 3, 0).is_none());
        let mut swept = Swept::new(2, 3, keeper.buffer(&layout(), 2, 0));
        feed(&mut swept);
        keeper.spare = swept.into_rows();
        let place = keeper.spare.as_ref().unwrap().values().as_ptr();
        let again = keeper.buffer(&layout(), 2, 0).unwrap();
        assert!(again.values().iter().all(|v| *v == 0.0) && again.values().as_ptr() == place);
        keeper.spare = Some(again);
        assert_eq!(keeper.buffer(&layout(), 2, 1).unwrap().width(), 5);
    }
}
