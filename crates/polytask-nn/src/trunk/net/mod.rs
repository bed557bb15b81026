//! Networks that start from random weights: convolutional ones and perceptrons on images, perceptrons on rows of a
//! table, with a hand-written backward.
//!
//! A batch's ids are the bytes of images, channel by channel, or the symbols of a row's columns; every input has as many
//! as the network reads, and its configuration says which values these are. Inside, values lie with channels innermost,
//! so that maps are rows of states as they come: [`Trunk::layout`] gives each image one row per place (one in all for a
//! vector); a row of a table is an image of one place. `graph::Graph` is the network as data; `conv` and its neighbours are the work.
//! All sums have a fixed order: results do not depend on the number of threads.
//!
//! Batch norms use the moments of the whole batch in training passes ([`Mode::train`]) and running ones otherwise, and
//! in frozen blocks always. A pass changes no statistics: [`Trunk::update_statistics`] takes those of one saved pass,
//! so a loop that calls it for the step's own forward alone keeps perturbed and extra passes out. Since such a norm
//! couples the images of a batch, every task then has a gradient on every image, and each costs a backward of its own.
//! These networks have no dropout of their own (heads have theirs), and keep their activations (`recompute` is ignored).

mod backward;
mod config;
mod conv;
mod graph;
mod image;
mod max_pool;
mod mistake;
mod narrow;
mod nets;
mod norm;
mod patches;
mod stack;
mod table;
#[cfg(test)]
mod tests;

use polytask_core::{Layout, PackedBatch, Purpose, Rng};

pub use self::config::NetConfig;
use self::config::NetValues;
use self::conv::Conv;
use self::graph::{Graph, Node, Op, Start};
pub use self::image::ImageConfig;
use self::max_pool::MaxPool;
use self::norm::{BatchNorm, LayerNorm, Moments};
use self::patches::Images;
pub use self::table::TableConfig;
use super::check;
use super::pool::{Buf, Pool};
use super::shape_error::shape;
use super::{Cotangent, GradSink, Mode, SavedForward, States, Trunk};
use crate::Result;
use crate::params::{Block, Params};

/// Images that go through a network together when nothing is saved.
const GROUP: usize = 64;

/// Share of a new batch in the running statistics, as in PyTorch.
const MOMENTUM: f32 = 0.1;

/// A network in f32 kernels.
#[derive(Debug)]
pub struct NetTrunk {
    config: NetConfig,
    input: NetValues,
    graph: Graph,
    /// Number of values of each block.
    sizes: Vec<usize>,
    /// The last node that reads each value.
    last_reader: Vec<usize>,
    pool: Pool,
}

/// What a pass keeps for its backward.
struct NetSaved {
    n: usize,
    mode: Mode,
    /// Values by index; `None` where no trained block needs them.
    values: Vec<Option<Buf>>,
    /// What batch norms used, by node.
    moments: Vec<Option<Moments>>,
}

impl NetTrunk {
    /// The network of a configuration.
    ///
    /// # Errors
    /// [`crate::Error::Core`] when the configuration cannot be built.
    pub fn new(config: NetConfig) -> Result<Self> {
        let config = config.checked()?;
        let Some(graph) = config.graph() else {
            return shape("network", "inputs too small for it", "what `NetConfig::checked` accepts");
        };
        let sizes = graph.layout::<f32>().blocks.iter().map(|block| block.values.len()).collect();
        let mut last_reader = vec![0; graph.last() + 1];
        for (i, node) in graph.nodes.iter().enumerate() {
            inputs(node).for_each(|value| last_reader[value] = i);
        }
        Ok(Self { input: config.values(), config, graph, sizes, last_reader, pool: Pool::default() })
    }

    /// Its configuration.
    pub fn config(&self) -> &NetConfig {
        &self.config
    }

    /// Fresh parameters: weights normal with variance 2 / fan-in (He et al. 2015), biases 0, norms the identity.
    pub fn init(&self, seed: u64) -> Params {
        let mut params = self.graph.layout::<f32>();
        for (b, (block, tensors)) in params.blocks.iter_mut().zip(&self.graph.blocks).enumerate() {
            for (i, tensor) in tensors.iter().enumerate() {
                let mut rng = Rng::new(seed, Purpose::Init, &[b as u64, i as u64]);
                block.tensor_mut(i).fill_with(|| match tensor.start {
                    Start::Normal(variance) => (variance.sqrt() * rng.normal()) as f32,
                    Start::Constant(value) => value as f32,
                });
            }
        }
        params
    }

    fn check(&self, params: &Params, batch: &PackedBatch, lowest: usize) -> Result<()> {
        let found: Vec<usize> = params.blocks.iter().map(|block| block.values.len()).collect();
        if found != self.sizes {
            return shape(
                self.config.name(),
                format!("blocks of {found:?} values"),
                format!("{:?}", self.sizes),
            );
        }
        if lowest > self.sizes.len() {
            return shape(
                self.config.name(),
                format!("lowest block {lowest}"),
                format!("at most {}", self.sizes.len()),
            );
        }
        (0..batch.n_sequences()).try_for_each(|s| self.config.check(&batch.ids[batch.rows(s)]))
    }

    /// The values of some inputs.
    fn values(&self, batch: &PackedBatch, inputs: std::ops::Range<usize>) -> Buf {
        let size = self.graph.shape(0).len();
        let mut x = self.pool.take(inputs.len() * size);
        x.chunks_exact_mut(size)
            .zip(inputs)
            .for_each(|(values, input)| self.input.write(&batch.ids[batch.rows(input)], values));
        x
    }

    /// Runs the nodes of blocks `from..to` on a value of `n` images.
    fn run(&self, params: &Params, x: Buf, n: usize, (from, to): (usize, usize), mode: Mode) -> NetSaved {
        let mut values: Vec<Option<Buf>> = (0..=self.graph.last()).map(|_| None).collect();
        let mut moments = vec![None; self.graph.last()];
        values[self.graph.value_below(from)] = Some(x);
        for (i, node) in self.graph.nodes.iter().enumerate() {
            if node.block < from || node.block >= to {
                continue;
            }
            let out = self.node(params, node, &values, n, mode, &mut moments[i]);
            values[i + 1] = Some(out);
            for value in inputs(node).filter(|&v| self.last_reader[v] == i && !self.is_kept(v, mode)) {
                values[value] = None;
            }
        }
        NetSaved { n, mode, values, moments }
    }

    /// Whether the backward reads a value: a trained node made it or reads it.
    fn is_kept(&self, value: usize, mode: Mode) -> bool {
        let is_trained = |node: &Node| node.block >= mode.lowest;
        let is_made = value > 0 && is_trained(&self.graph.nodes[value - 1]);
        mode.save && (is_made || is_trained(&self.graph.nodes[self.last_reader[value]]))
    }

    /// The output of a node.
    fn node(
        &self,
        params: &Params,
        node: &Node,
        values: &[Option<Buf>],
        n: usize,
        mode: Mode,
        moments: &mut Option<Moments>,
    ) -> Buf {
        let (block, pool) = (&params.blocks[node.block], &self.pool);
        let x = values[node.input].as_deref().unwrap_or(&[]);
        match node.op {
            Op::Conv { .. } => {
                let images = Images { values: x, size: node.from.len(), order: None };
                self.conv(block, node).forward(&images, n)
            }
            Op::MaxPool => self.max_pool(node).forward(x, n),
            Op::LayerNorm => self.layer_norm(block, node).forward(x),
            Op::BatchNorm { plus } => {
                let is_frozen = node.block < mode.lowest || mode.still.contains(node.block);
                let used = if mode.train && !is_frozen {
                    Moments::of(pool, x, node.out.channels)
                } else {
                    let (mean, variance) = (block.tensor(node.tensor + 2), block.tensor(node.tensor + 3));
                    Moments { mean: mean.to_vec(), variance: variance.to_vec(), rows: 0 }
                };
                let plus = plus.and_then(|value| values[value].as_deref());
                let y = self.batch_norm(block, node).forward(x, &used, plus);
                *moments = Some(used);
                y
            }
        }
    }

    fn conv<'a>(&'a self, block: &'a Block, node: &Node) -> Conv<'a> {
        let bias = matches!(node.op, Op::Conv { bias: true, .. }).then(|| block.tensor(node.tensor + 1));
        Conv::new(node, block.tensor(node.tensor), bias, &self.pool)
    }

    fn max_pool(&self, node: &Node) -> MaxPool<'_> {
        MaxPool { from: node.from, out: node.out, relu: node.relu, pool: &self.pool }
    }

    fn layer_norm<'a>(&'a self, block: &'a Block, node: &Node) -> LayerNorm<'a> {
        LayerNorm { weight: block.tensor(node.tensor), bias: block.tensor(node.tensor + 1), pool: &self.pool }
    }

    fn batch_norm<'a>(&'a self, block: &'a Block, node: &Node) -> BatchNorm<'a> {
        let (weight, bias) = (block.tensor(node.tensor), block.tensor(node.tensor + 1));
        BatchNorm { weight, bias, relu: node.relu, pool: &self.pool }
    }

    /// A pass through blocks `from..to`; `below` are the states under `from`.
    fn pass(
        &self,
        params: &Params,
        batch: &PackedBatch,
        (from, to): (usize, usize),
        below: &[f32],
        mode: Mode,
    ) -> (States, Option<NetSaved>) {
        let (first, last) = (self.graph.value_below(from), self.graph.value_below(to));
        let (size, out) = (self.graph.shape(first).len(), self.graph.shape(last));
        let width = if to == self.sizes.len() { out.channels } else { out.len() };
        let start = |images: std::ops::Range<usize>| {
            if first == 0 {
                return self.values(batch, images);
            }
            let mut x = self.pool.take(images.len() * size);
            x.copy_from_slice(&below[images.start * size..images.end * size]);
            x
        };
        let n = batch.n_sequences();
        if mode.save || mode.train {
            let saved = self.run(params, start(0..n), n, (from, to), mode);
            let values = saved.values[last].as_deref().unwrap_or(&[]).to_vec();
            let states = States { values, width };
            return (states, mode.save.then_some(saved));
        }
        let mut states = States { values: Vec::with_capacity(n * out.len()), width };
        for group in (0..n).step_by(GROUP) {
            let images = group..(group + GROUP).min(n);
            let done = self.run(params, start(images.clone()), images.len(), (from, to), mode);
            states.values.extend_from_slice(done.values[last].as_deref().unwrap_or(&[]));
        }
        (states, None)
    }
}

/// The values a node reads.
fn inputs(node: &Node) -> impl Iterator<Item = usize> + use<> {
    let plus = if let Op::BatchNorm { plus } = node.op { plus } else { None };
    std::iter::once(node.input).chain(plus)
}

fn saved_box(saved: Option<NetSaved>) -> SavedForward {
    saved.map_or_else(|| Box::new(()) as SavedForward, |saved| Box::new(saved))
}

impl Trunk<f32> for NetTrunk {
    fn d_hidden(&self) -> usize {
        self.graph.states().channels
    }

    fn max_positions(&self) -> usize {
        self.config.n_symbols()
    }

    fn vocab_size(&self) -> usize {
        (self.config.last_symbol() as usize).saturating_add(1)
    }

    fn n_blocks(&self) -> usize {
        self.sizes.len()
    }

    fn symbols_per_pass(&self) -> usize {
        4 * GROUP * self.config.n_symbols()
    }

    fn is_coupled(&self) -> bool {
        self.graph.nodes.iter().any(|node| matches!(node.op, Op::BatchNorm { .. }))
    }

    fn rows_per_sequence(&self) -> Option<usize> {
        Some(self.graph.states().places())
    }

    fn layout(&self, batch: &PackedBatch) -> Layout {
        Layout::even(batch.n_sequences(), self.graph.states().places())
    }

    fn layout_below(&self, batch: &PackedBatch, lowest: usize) -> (Layout, usize) {
        (Layout::even(batch.n_sequences(), 1), self.graph.shape(self.graph.value_below(lowest)).len())
    }

    fn forward(&self, params: &Params, batch: &PackedBatch, mode: Mode) -> Result<(States, SavedForward)> {
        self.check(params, batch, mode.lowest)?;
        let blocks = (0, self.n_blocks());
        let (states, saved) = rayon::scope(|_| self.pass(params, batch, blocks, &[], mode));
        Ok((states, saved_box(saved)))
    }

    fn forward_below(&self, params: &Params, batch: &PackedBatch, lowest: usize) -> Result<States> {
        self.check(params, batch, lowest)?;
        let mode = Mode { lowest, ..Mode::EVAL };
        let width = self.layout_below(batch, lowest).1;
        let (states, _) = rayon::scope(|_| self.pass(params, batch, (0, lowest), &[], mode));
        Ok(States { width, ..states })
    }

    fn forward_from(
        &self,
        params: &Params,
        batch: &PackedBatch,
        below: &States,
        mode: Mode,
    ) -> Result<(States, SavedForward)> {
        self.check(params, batch, mode.lowest)?;
        let expected = batch.n_sequences() * self.layout_below(batch, mode.lowest).1;
        if mode.lowest > 0 && below.values.len() != expected {
            let found = format!("{} cached values", below.values.len());
            return shape(self.config.name(), found, expected.to_string());
        }
        let blocks = (mode.lowest, self.n_blocks());
        let (states, saved) = rayon::scope(|_| self.pass(params, batch, blocks, &below.values, mode));
        Ok((states, saved_box(saved)))
    }

    fn vjp(
        &self,
        params: &Params,
        saved: &SavedForward,
        cotangents: &[Cotangent],
        sink: &mut dyn GradSink<f32>,
    ) -> Result<()> {
        let Some(saved) = saved.downcast_ref::<NetSaved>() else {
            return shape("backward", "nothing saved by this trunk", "what a forward with `save` returned");
        };
        let states = self.graph.states();
        check::cotangents(states.channels, &Layout::even(saved.n, states.places()), cotangents)?;
        rayon::scope(|_| self.sweep(params, saved, cotangents, sink))
    }

    fn update_statistics(&self, params: &mut Params, saved: &SavedForward) {
        let Some(saved) = saved.downcast_ref::<NetSaved>() else { return };
        for (node, used) in self.graph.nodes.iter().zip(&saved.moments) {
            let Some(used) = used.as_ref().filter(|used| used.rows > 0) else { continue };
            let block = &mut params.blocks[node.block];
            // The running variance is the unbiased one.
            let factor = used.rows as f32 / (used.rows as f32 - 1.0).max(1.0);
            let move_to = |to: &mut f32, new: f32| *to += MOMENTUM * (new - *to);
            block
                .tensor_mut(node.tensor + 2)
                .iter_mut()
                .zip(&used.mean)
                .for_each(|(m, new)| move_to(m, *new));
            let variance = block.tensor_mut(node.tensor + 3).iter_mut().zip(&used.variance);
            variance.for_each(|(v, new)| move_to(v, factor * *new));
        }
    }
}
