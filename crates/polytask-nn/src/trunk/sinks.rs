//! What a sweep becomes: a weighted sum, the Gramian, or the Jacobian.
//!
//! All three read gradients block by block and keep a fixed order of summation: the same gradients give the same
//! bytes on any number of threads.

use rayon::prelude::*;

use super::products::{dot, pairs};
use super::shape_error::shape;
use super::{BlockGrad, GradSink, TaskGrad};
use crate::Result;
use crate::params::{Params, Real};

/// Values per unit of parallel work, and per partial sum of an inner product; fixed, so sums are.
const CHUNK: usize = 1 << 14;

/// Σ weightₜ · gradₜ per block: the gradient of a plain step.
///
/// Buffers are kept between steps; [`Sum::reset`] makes it ready for the next one without touching memory that
/// the step did not.
#[derive(Debug)]
pub struct Sum<T = f32> {
    weights: Vec<T>,
    blocks: Vec<Total<T>>,
}

/// The sum of one block.
#[derive(Debug)]
struct Total<T> {
    len: usize,
    /// Empty until a gradient comes.
    values: Vec<T>,
    state: Reached,
}

/// Which values of a block's buffer belong to this step.
#[derive(Debug, Clone, PartialEq)]
enum Reached {
    /// None; the buffer may hold an old dense sum (`stale`) or only zeros.
    Nothing { stale: bool },
    /// Rows of a look-up table, ascending; all others are zero.
    Rows { rows: Vec<u32>, width: usize },
    /// All.
    All,
}

impl<T: Real> Sum<T> {
    /// Sums for the blocks of `layout`; `weights[t]` multiplies the gradients of task t.
    pub fn new(layout: &Params<T>, weights: &[f64]) -> Self {
        let total = |len| Total { len, values: Vec::new(), state: Reached::Nothing { stale: false } };
        let blocks = layout.blocks.iter().map(|block| total(block.values.len())).collect();
        let mut sum = Self { weights: Vec::new(), blocks };
        sum.reset(weights);
        sum
    }

    /// Forgets all gradients and takes the weights of the next step.
    pub fn reset(&mut self, weights: &[f64]) {
        self.weights = weights.iter().map(|&w| T::of(w)).collect();
        for block in &mut self.blocks {
            block.reset();
        }
    }

    /// The summed gradient of a block, one value per parameter; `None` when no task reached it.
    pub fn gradient(&self, block: usize) -> Option<&[T]> {
        let total = self.blocks.get(block)?;
        (!matches!(total.state, Reached::Nothing { .. })).then_some(total.values.as_slice())
    }

    fn weight(&self, task: usize) -> Result<T> {
        match self.weights.get(task) {
            Some(weight) => Ok(*weight),
            None => shape(
                "sum of gradients",
                format!("task {task}"),
                format!("tasks below {}", self.weights.len()),
            ),
        }
    }
}

impl<T: Real> Total<T> {
    fn reset(&mut self) {
        let next = match std::mem::replace(&mut self.state, Reached::Nothing { stale: true }) {
            Reached::Rows { rows, width } => {
                for &row in &rows {
                    self.values[row as usize * width..][..width].fill(T::ZERO);
                }
                Reached::Nothing { stale: false }
            }
            Reached::All => Reached::Nothing { stale: true },
            nothing @ Reached::Nothing { .. } => nothing,
        };
        self.state = next;
    }

    fn add(&mut self, weight: T, grad: BlockGrad<'_, T>) {
        match grad {
            BlockGrad::Dense(grad) => self.add_dense(weight, grad),
            BlockGrad::Sparse { rows, width, values } => self.add_rows(weight, rows, width, values),
            BlockGrad::Part { first, values } => self.add_part(weight, first, values),
        }
    }

    fn add_part(&mut self, weight: T, first: usize, values: &[T]) {
        self.values.resize(self.len, T::ZERO);
        if self.state == (Reached::Nothing { stale: true }) {
            self.values.fill(T::ZERO);
        }
        let part = &mut self.values[first..first + values.len()];
        part.par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK)).for_each(|(sum, grad)| {
            sum.iter_mut().zip(grad).for_each(|(s, g)| *s += weight * *g);
        });
        self.state = Reached::All;
    }

    fn add_dense(&mut self, weight: T, grad: &[T]) {
        let fresh = matches!(self.state, Reached::Nothing { .. });
        self.values.resize(self.len, T::ZERO);
        self.values.par_chunks_mut(CHUNK).zip(grad.par_chunks(CHUNK)).for_each(|(sum, grad)| {
            if fresh {
                sum.iter_mut().zip(grad).for_each(|(s, g)| *s = weight * *g);
            } else {
                sum.iter_mut().zip(grad).for_each(|(s, g)| *s += weight * *g);
            }
        });
        self.state = Reached::All;
    }

    fn add_rows(&mut self, weight: T, rows: &[u32], width: usize, values: &[T]) {
        self.values.resize(self.len, T::ZERO);
        if self.state == (Reached::Nothing { stale: true }) {
            self.values.fill(T::ZERO);
        }
        for (&row, grad) in rows.iter().zip(values.chunks_exact(width.max(1))) {
            let sum = &mut self.values[row as usize * width..][..width];
            sum.iter_mut().zip(grad).for_each(|(s, g)| *s += weight * *g);
        }
        self.state = match std::mem::replace(&mut self.state, Reached::All) {
            Reached::All => Reached::All,
            Reached::Nothing { .. } => Reached::Rows { rows: rows.to_vec(), width },
            Reached::Rows { rows: old, .. } => Reached::Rows { rows: union(&old, rows), width },
        };
    }
}

/// Both ascending lists as one, each value once.
fn union(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut all = [a, b].concat();
    all.sort_unstable();
    all.dedup();
    all
}

/// Refuses a gradient that is not of the block's size, so later slices are in range.
fn check_size<T>(len: usize, block: usize, grad: &TaskGrad<'_, T>) -> Result<()> {
    let fits = match grad.grad {
        BlockGrad::Dense(values) => values.len() == len,
        BlockGrad::Part { first, values } => first + values.len() <= len,
        BlockGrad::Sparse { rows, width, values } => {
            let inside = rows.last().is_none_or(|&last| (last as usize + 1) * width <= len);
            values.len() == rows.len() * width && inside && rows.windows(2).all(|w| w[0] < w[1])
        }
    };
    if fits {
        return Ok(());
    }
    shape(
        &format!("gradient of block {block} for task {}", grad.task),
        "another size",
        format!("{len} values"),
    )
}

/// The length of a block, or an error.
fn known<B>(blocks: &[B], block: usize, len: impl Fn(&B) -> usize) -> Result<usize> {
    match blocks.get(block) {
        Some(found) => Ok(len(found)),
        None => shape("gradient sink", format!("block {block}"), format!("blocks below {}", blocks.len())),
    }
}

impl<T: Real> GradSink<T> for Sum<T> {
    fn block(&mut self, block: usize, grads: &[TaskGrad<'_, T>]) -> Result<()> {
        let len = known(&self.blocks, block, |total| total.len)?;
        for grad in grads {
            check_size(len, block, grad)?;
            let weight = self.weight(grad.task)?;
            self.blocks[block].add(weight, grad.grad);
        }
        Ok(())
    }
}

/// Inner products of all tasks' gradients, `[tasks, tasks]`, per block and in all.
#[derive(Debug, Clone, PartialEq)]
pub struct GramianSink {
    tasks: usize,
    /// `[tasks, tasks]` per block; empty when no task reached it.
    blocks: Vec<Vec<f64>>,
}

impl GramianSink {
    /// For `tasks` tasks over `n_blocks` blocks.
    pub fn new(tasks: usize, n_blocks: usize) -> Self {
        Self { tasks, blocks: vec![Vec::new(); n_blocks] }
    }

    /// Inner products over all blocks, row-major `[tasks, tasks]`; zero where a task is absent.
    pub fn total(&self) -> Vec<f64> {
        let mut total = vec![0.0; self.tasks * self.tasks];
        for block in &self.blocks {
            total.iter_mut().zip(block).for_each(|(t, b)| *t += b);
        }
        total
    }

    /// Inner products over one block, row-major `[tasks, tasks]`; `None` when no task reached it.
    pub fn block_total(&self, block: usize) -> Option<&[f64]> {
        self.blocks.get(block).map(Vec::as_slice).filter(|products| !products.is_empty())
    }

    /// Forgets all products.
    pub fn reset(&mut self) {
        self.blocks.iter_mut().for_each(Vec::clear);
    }
}

impl<T: Real> GradSink<T> for GramianSink {
    fn block(&mut self, block: usize, grads: &[TaskGrad<'_, T>]) -> Result<()> {
        known(&self.blocks, block, |_| 0)?;
        if let Some(grad) = grads.iter().find(|grad| grad.task >= self.tasks) {
            return shape(
                "GramianSink",
                format!("task {}", grad.task),
                format!("tasks below {}", self.tasks),
            );
        }
        let m = self.tasks;
        let products = &mut self.blocks[block];
        products.resize(m * m, 0.0);
        let all = as_rows(grads).map(|rows| pairs(&rows));
        for (i, a) in grads.iter().enumerate() {
            for (j, b) in grads[..=i].iter().enumerate() {
                let product = all.as_ref().map_or_else(|| inner(a.grad, b.grad), |p| p[i * grads.len() + j]);
                products[a.task * m + b.task] += product;
                if a.task != b.task {
                    products[b.task * m + a.task] += product;
                }
            }
        }
        Ok(())
    }
}

/// The gradients as rows when they are of the same consecutive parameters.
fn as_rows<'a, T: Real>(grads: &[TaskGrad<'a, T>]) -> Option<Vec<&'a [T]>> {
    let runs = grads.iter().map(|grad| run(grad.grad)).collect::<Option<Vec<_>>>()?;
    let same = |(first, values): &(usize, &[T])| *first == runs[0].0 && values.len() == runs[0].1.len();
    runs.iter().all(same).then(|| runs.iter().map(|(_, values)| *values).collect())
}

/// Consecutive parameters: where they begin, and their values; none for rows of a table.
fn run<T: Real>(grad: BlockGrad<'_, T>) -> Option<(usize, &[T])> {
    match grad {
        BlockGrad::Dense(values) => Some((0, values)),
        BlockGrad::Part { first, values } => Some((first, values)),
        BlockGrad::Sparse { .. } => None,
    }
}

/// Inner product of two gradients of one block, summed in f64 in a fixed order.
fn inner<T: Real>(a: BlockGrad<'_, T>, b: BlockGrad<'_, T>) -> f64 {
    match (a, b) {
        (
            BlockGrad::Sparse { rows, width, values },
            BlockGrad::Sparse { rows: other_rows, values: other, .. },
        ) => {
            let shared = |(i, row): (usize, &u32)| {
                let j = other_rows.binary_search(row).ok()?;
                Some(dot(&values[i * width..][..width], &other[j * width..][..width]))
            };
            rows.iter().enumerate().filter_map(shared).sum()
        }
        (BlockGrad::Sparse { rows, width, values }, other)
        | (other, BlockGrad::Sparse { rows, width, values }) => {
            let row = |(i, &row): (usize, &u32)| {
                common((row as usize * width, &values[i * width..][..width]), run(other)?)
            };
            rows.iter().enumerate().filter_map(row).sum()
        }
        _ => run(a).zip(run(b)).and_then(|(a, b)| common(a, b)).unwrap_or(0.0),
    }
}

/// The inner product over the parameters that both runs have.
fn common<T: Real>(a: (usize, &[T]), b: (usize, &[T])) -> Option<f64> {
    let (first, end) = (a.0.max(b.0), (a.0 + a.1.len()).min(b.0 + b.1.len()));
    (first < end).then(|| dot(&a.1[first - a.0..end - a.0], &b.1[first - b.0..end - b.0]))
}

/// The Jacobian: one row per task, the parameters of the blocks from `lowest` up, in block order.
#[derive(Debug, Clone, PartialEq)]
pub struct RowsSink<T = f32> {
    tasks: usize,
    width: usize,
    lowest: usize,
    /// Where each block from `lowest` up starts in a row, and its length.
    places: Vec<(usize, usize)>,
    values: Vec<T>,
}

impl<T: Real> RowsSink<T> {
    /// Zeros for `tasks` tasks and the blocks of `layout` from `lowest` up.
    pub fn new(layout: &Params<T>, tasks: usize, lowest: usize) -> Self {
        let mut width = 0;
        let place = |block: &crate::params::Block<T>| {
            let start = width;
            width += block.values.len();
            (start, block.values.len())
        };
        let places = layout.blocks.iter().skip(lowest).map(place).collect();
        Self { tasks, width, lowest, places, values: vec![T::ZERO; tasks * width] }
    }

    /// The Jacobian, row-major `[tasks, parameters]`.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// The gradient of one task.
    pub fn row(&self, task: usize) -> &[T] {
        &self.values[task * self.width..(task + 1) * self.width]
    }

    /// Parameters per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Where a block lies in each row; `None` when it lies below the lowest.
    pub fn range(&self, block: usize) -> Option<std::ops::Range<usize>> {
        let (start, len) = *self.places.get(block.checked_sub(self.lowest)?)?;
        Some(start..start + len)
    }

    /// All zeros again.
    pub fn reset(&mut self) {
        self.values.fill(T::ZERO);
    }
}

impl<T: Real> GradSink<T> for RowsSink<T> {
    fn block(&mut self, block: usize, grads: &[TaskGrad<'_, T>]) -> Result<()> {
        let Some(range) = self.range(block) else {
            return shape(
                "Jacobian",
                format!("block {block}"),
                format!("trainable blocks from {}", self.lowest),
            );
        };
        for grad in grads {
            check_size(range.len(), block, grad)?;
            if grad.task >= self.tasks {
                return shape(
                    "Jacobian",
                    format!("task {}", grad.task),
                    format!("tasks below {}", self.tasks),
                );
            }
            let row = &mut self.values[grad.task * self.width..][range.clone()];
            match grad.grad {
                BlockGrad::Dense(values) => row.copy_from_slice(values),
                BlockGrad::Part { first, values } => {
                    row[first..first + values.len()].copy_from_slice(values);
                }
                BlockGrad::Sparse { rows, width, values } => {
                    for (&r, values) in rows.iter().zip(values.chunks_exact(width.max(1))) {
                        row[r as usize * width..][..width].copy_from_slice(values);
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Block;

    /// A table of 4 rows of 2 and a block of 3.
    fn layout() -> Params {
        Params {
            blocks: vec![
                Block::zeros("table", &[("t", &[4, 2], true)]),
                Block::zeros("b", &[("b", &[3], false)]),
            ],
        }
    }

    const TABLE_A: BlockGrad<'_> =
        BlockGrad::Sparse { rows: &[0, 2], width: 2, values: &[1.0, 2.0, 3.0, 4.0] };
    const TABLE_B: BlockGrad<'_> =
        BlockGrad::Sparse { rows: &[2, 3], width: 2, values: &[10.0, 20.0, 30.0, 40.0] };

    fn feed(sink: &mut dyn GradSink) {
        let grad = |task, grad| TaskGrad { task, grad };
        let dense =
            [grad(0, BlockGrad::Dense(&[1.0, 2.0, 3.0])), grad(2, BlockGrad::Dense(&[-1.0, 0.0, 5.0]))];
        sink.block(1, &dense).unwrap();
        sink.block(0, &[grad(0, TABLE_A), grad(2, TABLE_B)]).unwrap();
    }

    #[test]
    fn the_sum_weighs_every_task() {
        let mut sum = Sum::new(&layout(), &[2.0, 0.0, 0.5]);
        assert!(sum.gradient(1).is_none());
        feed(&mut sum);
        assert_eq!(sum.gradient(1).unwrap(), [1.5, 4.0, 8.5]);
        assert_eq!(sum.gradient(0).unwrap(), [2.0, 4.0, 0.0, 0.0, 11.0, 18.0, 15.0, 20.0]);
    }

    #[test]
    fn a_reset_sum_holds_nothing_of_the_last_step() {
        let mut sum = Sum::new(&layout(), &[2.0, 0.0, 0.5]);
        feed(&mut sum);
        sum.reset(&[1.0]);
        assert!(sum.gradient(0).is_none() && sum.gradient(1).is_none());
        sum.block(0, &[TaskGrad { task: 0, grad: TABLE_B }]).unwrap();
        sum.block(1, &[TaskGrad { task: 0, grad: BlockGrad::Dense(&[1.0, 1.0, 1.0]) }]).unwrap();
        assert_eq!(sum.gradient(0).unwrap(), [0.0, 0.0, 0.0, 0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!(sum.gradient(1).unwrap(), [1.0; 3]);
        let mut dense_table = [1.0; 8];
        dense_table[7] = 2.0;
        sum.reset(&[1.0]);
        sum.block(0, &[TaskGrad { task: 0, grad: BlockGrad::Dense(&dense_table) }]).unwrap();
        sum.reset(&[1.0]);
        sum.block(0, &[TaskGrad { task: 0, grad: TABLE_A }]).unwrap();
        assert_eq!(sum.gradient(0).unwrap(), [1.0, 2.0, 0.0, 0.0, 3.0, 4.0, 0.0, 0.0]);
    }

    #[test]
    fn parts_of_a_block_are_the_block() {
        let values = [[1.0, 2.0, 3.0], [-1.0, 0.5, 4.0]];
        let whole = |sink: &mut dyn GradSink| {
            let grad = |task: usize| TaskGrad { task, grad: BlockGrad::Dense(&values[task]) };
            sink.block(1, &[grad(0), grad(1)]).unwrap();
        };
        let parts = |sink: &mut dyn GradSink| {
            for span in [2..3, 0..2] {
                let part =
                    |task: usize| BlockGrad::Part { first: span.start, values: &values[task][span.clone()] };
                sink.block(1, &[0, 1].map(|task| TaskGrad { task, grad: part(task) })).unwrap();
            }
        };
        let (mut a, mut b) = (Sum::new(&layout(), &[2.0, 3.0]), Sum::new(&layout(), &[2.0, 3.0]));
        whole(&mut a);
        parts(&mut b);
        assert_eq!(a.gradient(1), b.gradient(1));
        b.reset(&[2.0, 3.0]);
        parts(&mut b);
        assert_eq!(a.gradient(1), b.gradient(1), "after a reset");
        let (mut a, mut b) = (GramianSink::new(2, 2), GramianSink::new(2, 2));
        whole(&mut a);
        parts(&mut b);
        assert_eq!(a, b);
        let (mut a, mut b) = (RowsSink::new(&layout(), 2, 0), RowsSink::new(&layout(), 2, 0));
        whole(&mut a);
        parts(&mut b);
        assert_eq!(a, b);
        let outside = BlockGrad::Part { first: 2, values: &[1.0, 1.0] };
        assert!(a.block(1, &[TaskGrad { task: 0, grad: outside }]).is_err());
    }

    #[test]
    fn the_jacobian_has_a_row_per_task_and_zeros_for_absent_ones() {
        let mut rows = RowsSink::new(&layout(), 3, 0);
        feed(&mut rows);
        assert_eq!(rows.row(0), [1.0, 2.0, 0.0, 0.0, 3.0, 4.0, 0.0, 0.0, 1.0, 2.0, 3.0]);
        assert_eq!(rows.row(1), [0.0; 11]);
        assert_eq!(rows.range(1), Some(8..11));
        let mut upper = RowsSink::new(&layout(), 3, 1);
        assert!(upper.range(0).is_none());
        let error = upper.block(0, &[TaskGrad { task: 0, grad: TABLE_A }]).unwrap_err();
        assert!(error.to_string().contains("trainable blocks from 1"));
    }

    #[test]
    fn the_gramian_is_the_jacobian_times_its_transpose() {
        let (mut rows, mut gramian) = (RowsSink::new(&layout(), 3, 0), GramianSink::new(3, 2));
        feed(&mut rows);
        feed(&mut gramian);
        let total = gramian.total();
        for i in 0..3 {
            for j in 0..3 {
                let product: f32 = rows.row(i).iter().zip(rows.row(j)).map(|(a, b)| a * b).sum();
                assert_eq!(total[i * 3 + j], f64::from(product));
            }
        }
        let of_block = |block: usize| gramian.block_total(block).unwrap().to_vec();
        let added: Vec<f64> = of_block(0).iter().zip(of_block(1)).map(|(a, b)| a + b).collect();
        assert_eq!(added, total);
        gramian.reset();
        assert_eq!((gramian.total(), gramian.block_total(0)), (vec![0.0; 9], None));
        let mixed =
            [TaskGrad { task: 0, grad: TABLE_A }, TaskGrad { task: 1, grad: BlockGrad::Dense(&[1.0; 8]) }];
        gramian.block(0, &mixed).unwrap();
        assert_eq!(gramian.total()[1], 10.0);
    }

    #[test]
    fn gradients_of_unknown_tasks_blocks_or_sizes_are_refused() {
        let mut sum = Sum::new(&layout(), &[1.0]);
        let dense = |task| TaskGrad { task, grad: BlockGrad::Dense(&[1.0; 3]) };
        assert!(sum.block(1, &[dense(1)]).is_err());
        assert!(sum.block(0, &[dense(0)]).is_err());
        assert!(sum.block(2, &[dense(0)]).is_err());
        let outside = BlockGrad::Sparse { rows: &[4], width: 2, values: &[1.0, 1.0] };
        assert!(sum.block(0, &[TaskGrad { task: 0, grad: outside }]).is_err());
        assert!(GradSink::<f32>::block(&mut GramianSink::new(1, 2), 1, &[dense(1)]).is_err());
    }
}
