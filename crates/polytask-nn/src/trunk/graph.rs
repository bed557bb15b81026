//! A network on packed rows as data: a front that makes rows of symbols, and blocks of layers above it.
//!
//! A block is the unit of freezing, of optimiser state and of files. Its layers are nodes in the order they run; each
//! reads the block's input or an earlier node, and perhaps adds the rows of another. What two parts of a network
//! would do apart and can do in one pass over memory (bias, dropout, residual and norm; activation and product) is
//! one layer: fusion is chosen where a network is composed.

use std::borrow::Cow;
use std::ops::Range;

use polytask_core::PackedBatch;
use polytask_core::rng::{self, Purpose, Rng};

use super::Mode;
use super::fronts::{Front, Words};
use super::layers::{Layer, Lora, Start, TensorShape};
use crate::params::{Block, Params, Real};

/// Index of the front's block.
pub const FRONT: usize = 0;

/// Rows of a pass that keeps nothing.
const ROWS_PER_PASS: usize = 8192;

/// The node number of a block's input.
pub(in crate::trunk) const INPUT: usize = 0;

/// A network: composed once, run by the packed trunk and by the reference.
#[derive(Debug)]
pub struct Graph {
    /// What makes rows of symbols.
    pub(in crate::trunk) front: Box<dyn Front>,
    /// The blocks above it, lowest first.
    pub(in crate::trunk) blocks: Vec<BlockGraph>,
    /// Longest input, in symbols.
    pub(in crate::trunk) max_positions: usize,
    /// Learned rows before those of every input: the adapter of the front.
    pub(in crate::trunk) prompt: Option<Prompt>,
    /// The blocks that have an adapter, ascending: each adapter is a parameter block above all others.
    pub(in crate::trunk) adapted: Vec<usize>,
}

/// Learned rows before those of every input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::trunk) struct Prompt {
    pub(in crate::trunk) rows: usize,
    pub(in crate::trunk) width: usize,
}

/// The layers of a block.
#[derive(Debug)]
pub(in crate::trunk) struct BlockGraph {
    pub(in crate::trunk) name: String,
    pub(in crate::trunk) nodes: Vec<Node>,
    /// Values per row of its input.
    width: usize,
    /// How often rows pass through it, with the same parameters (ALBERT).
    pub(in crate::trunk) times: usize,
}

/// A layer and what it reads.
#[derive(Debug)]
pub(in crate::trunk) struct Node {
    pub(in crate::trunk) layer: Box<dyn Layer>,
    /// Number of the node whose rows go in: [`INPUT`], or one more than the node's index.
    pub(in crate::trunk) input: usize,
    /// The node whose rows are added.
    pub(in crate::trunk) residual: Option<usize>,
    /// Where its parameters lie.
    pub(in crate::trunk) home: Home,
    /// Its parameters in the block, or in the block's adapter.
    pub(in crate::trunk) range: Range<usize>,
    /// The adapter of its matrix.
    pub(in crate::trunk) adapter: Option<NodeAdapter>,
}

/// Where the parameters of a node lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::trunk) enum Home {
    /// In the block itself.
    Base,
    /// In the block's adapter.
    Adapter,
}

/// The adapter of a node's matrix.
#[derive(Debug)]
pub(in crate::trunk) struct NodeAdapter {
    pub(in crate::trunk) lora: Lora,
    /// Its parameters in the adapter's block.
    pub(in crate::trunk) range: Range<usize>,
}

impl BlockGraph {
    /// A block without layers, on rows of `width` values.
    pub(in crate::trunk) fn new(name: impl Into<String>, width: usize) -> Self {
        Self { name: name.into(), nodes: Vec::new(), width, times: 1 }
    }

    /// The same block, through which rows pass several times.
    #[must_use]
    pub(in crate::trunk) fn repeated(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// How the pass of a number through it runs: with masks of its own.
    pub(in crate::trunk) fn mode_of(mode: &Mode, pass: usize) -> Mode {
        let seed = if pass == 0 { mode.seed } else { rng::key(mode.seed, Purpose::Dropout, &[pass as u64]) };
        Mode { seed, ..*mode }
    }

    /// Adds a layer; its node number.
    pub(in crate::trunk) fn add(&mut self, layer: impl Layer + 'static, input: usize) -> usize {
        self.node(Box::new(layer), (input, None), Home::Base)
    }

    /// Adds a layer that adds the rows of another node.
    pub(in crate::trunk) fn add_with(
        &mut self,
        layer: impl Layer + 'static,
        input: usize,
        residual: usize,
    ) -> usize {
        self.node(Box::new(layer), (input, Some(residual)), Home::Base)
    }

    /// The same block without its layers.
    pub(in crate::trunk) fn emptied(&self) -> Self {
        Self::new(self.name.clone(), self.width).repeated(self.times)
    }

    /// Adds a layer that reads a node and perhaps adds the rows of another; its node number.
    pub(in crate::trunk) fn node(
        &mut self,
        layer: Box<dyn Layer>,
        (input, residual): (usize, Option<usize>),
        home: Home,
    ) -> usize {
        let start = self.end(home);
        let range = start..start + layer.tensors().iter().map(TensorShape::len).sum::<usize>();
        self.nodes.push(Node { layer, input, residual, home, range, adapter: None });
        self.nodes.len()
    }

    /// Number of parameters.
    pub(in crate::trunk) fn len(&self) -> usize {
        self.end(Home::Base)
    }

    /// Number of parameters of its layers that lie in one place.
    fn end(&self, home: Home) -> usize {
        self.nodes.iter().rfind(|node| node.home == home).map_or(0, |node| node.range.end)
    }

    /// Values per row of its output.
    pub(in crate::trunk) fn width(&self) -> usize {
        self.nodes.last().map_or(self.width, |node| node.layer.width())
    }

    /// The last node that reads the rows of a node in the forward; the last node's are the block's output.
    pub(in crate::trunk) fn last_reader(&self, number: usize) -> usize {
        let reads = |node: &Node| node.input == number || node.residual == Some(number);
        self.nodes.iter().rposition(reads).unwrap_or(self.nodes.len())
    }

    /// Whether the backward of some node reads the rows of this one.
    pub(in crate::trunk) fn is_read_again(&self, number: usize) -> bool {
        self.nodes.iter().any(|node| node.input == number && node.layer.reads_input())
    }

    /// Number of parameters of its adapter.
    fn adapter_len(&self) -> usize {
        let beside = self.nodes.iter().filter_map(|node| Some(node.adapter.as_ref()?.range.end)).max();
        beside.unwrap_or(0).max(self.end(Home::Adapter))
    }

    fn adapter_tensors(&self) -> Vec<TensorShape> {
        let of = |node: &Node| {
            if node.home == Home::Adapter {
                return Some(node.layer.tensors());
            }
            let (adapter, (matrix, _)) = (node.adapter.as_ref()?, node.layer.matrix()?);
            Some(adapter.lora.tensors(matrix))
        };
        self.nodes.iter().filter_map(of).flatten().collect()
    }

    fn tensors(&self) -> Vec<TensorShape> {
        let own = self.nodes.iter().filter(|node| node.home == Home::Base);
        own.flat_map(|node| node.layer.tensors()).collect()
    }
}

impl Graph {
    /// A network of blocks above a table of word vectors `[rows, width]`; blocks without parameters are left out.
    pub(in crate::trunk) fn new(
        (table, rows, width): (&str, usize, usize),
        max_positions: usize,
        blocks: impl IntoIterator<Item = BlockGraph>,
    ) -> Self {
        Self::above(Words::new(table, rows, width), max_positions, blocks)
    }

    /// A network of blocks above a front that reads at most `max_positions` symbols of an input.
    pub(in crate::trunk) fn above(
        front: impl Front + 'static,
        max_positions: usize,
        blocks: impl IntoIterator<Item = BlockGraph>,
    ) -> Self {
        let blocks = blocks.into_iter().filter(|block| !block.nodes.is_empty()).collect();
        Self { front: Box::new(front), blocks, max_positions, prompt: None, adapted: Vec::new() }
    }

    /// The rows of inputs: one per symbol, or as many of each as the front makes.
    pub(in crate::trunk) fn rows<'a>(&self, symbols: &'a PackedBatch) -> Cow<'a, PackedBatch> {
        match (self.front.even(), self.prompt) {
            (None, None) => Cow::Borrowed(symbols),
            (Some(even), _) => Cow::Owned(PackedBatch::even(symbols.n_sequences(), even.rows)),
            (None, Some(prompt)) => Cow::Owned(symbols.lengthened(prompt.rows)),
        }
    }

    /// The rows that the states of inputs have: those of a prompt are left out.
    pub(in crate::trunk) fn state_rows<'a>(&self, symbols: &'a PackedBatch) -> Cow<'a, PackedBatch> {
        match self.prompt {
            None => self.rows(symbols),
            Some(_) => Cow::Borrowed(symbols),
        }
    }

    /// Size of the vocabulary, or the number of different bytes.
    pub fn vocab_size(&self) -> usize {
        self.front.vocab_size()
    }

    /// Longest input, in symbols.
    pub fn max_positions(&self) -> usize {
        self.max_positions
    }

    /// Values per row of the front.
    pub(crate) fn d_words(&self) -> usize {
        self.front.width()
    }

    /// Number of layers.
    pub(crate) fn n_layers(&self) -> usize {
        self.blocks.iter().filter(|block| block.name.starts_with("layer.")).count()
    }

    /// Values per state.
    pub fn d_hidden(&self) -> usize {
        self.width_below(self.n_base())
    }

    /// Symbols per pass that keeps nothing: enough to keep all threads busy, little enough for the memory.
    pub(in crate::trunk) fn symbols_per_pass(&self) -> usize {
        self.front.even().map_or(ROWS_PER_PASS, |even| (ROWS_PER_PASS / even.rows).max(1) * even.symbols)
    }

    /// Whether some of its blocks can run by themselves.
    pub(in crate::trunk) fn can_be_cut(&self) -> bool {
        self.relative_table().is_none() && self.adapted.is_empty() && self.front.even().is_none()
    }

    /// Number of parameter blocks, the front's and adapters' included.
    pub fn n_blocks(&self) -> usize {
        self.n_base() + self.adapted.len()
    }

    /// Number of blocks without those of adapters.
    pub fn n_base(&self) -> usize {
        self.blocks.len() + 1
    }

    /// The block that a pass must go down to when the parameter blocks from `lowest` on are trained.
    pub(in crate::trunk) fn floor(&self, lowest: usize) -> usize {
        match lowest.checked_sub(self.n_base()) {
            None => lowest,
            Some(adapter) => self.adapted.get(adapter).copied().unwrap_or(self.n_base()),
        }
    }

    /// The parameter block of a block's adapter.
    pub(in crate::trunk) fn adapter_of(&self, block: usize) -> Option<usize> {
        Some(self.n_base() + self.adapted.iter().position(|adapted| *adapted == block)?)
    }

    /// Values per row of the states below a block.
    pub(in crate::trunk) fn width_below(&self, block: usize) -> usize {
        match block.checked_sub(2) {
            None => self.front.width(),
            Some(under) => self.blocks[under].width(),
        }
    }

    /// The layers of a block above the front.
    pub(in crate::trunk) fn block(&self, block: usize) -> &BlockGraph {
        &self.blocks[block - 1]
    }

    /// Block and range of the table of relative positions, where there is one.
    pub(in crate::trunk) fn relative_table(&self) -> Option<(usize, Range<usize>)> {
        let of = |(i, block): (usize, &BlockGraph)| {
            let node = block.nodes.iter().find(|node| node.layer.is_relative_table())?;
            Some((i + 1, node.range.clone()))
        };
        self.blocks.iter().enumerate().find_map(of)
    }

    /// Number of parameters of each block.
    pub(in crate::trunk) fn sizes(&self) -> Vec<usize> {
        let adapters = self.adapted.iter().map(|block| match block.checked_sub(1) {
            None => self.prompt.map_or(0, |prompt| prompt.rows * prompt.width),
            Some(block) => self.blocks[block].adapter_len(),
        });
        std::iter::once(self.front.tensors().iter().map(TensorShape::len).sum())
            .chain(self.blocks.iter().map(BlockGraph::len))
            .chain(adapters)
            .collect()
    }

    /// Number of parameters.
    pub fn n_parameters(&self) -> u128 {
        self.sizes().iter().map(|n| *n as u128).sum()
    }

    /// The parameter blocks, all zero: names, shapes and offsets.
    pub fn layout<T: Real>(&self) -> Params<T> {
        Params { blocks: self.tensors().map(|(name, tensors)| zeros(&name, &tensors)).collect() }
    }

    /// Fresh weights of the blocks of adapters; a function of the seed alone.
    pub fn adapters(&self, seed: u64) -> Params {
        let blocks = self.tensors().enumerate().skip(self.n_base());
        Params { blocks: blocks.map(|(b, (name, tensors))| fresh_block(seed, b, &name, &tensors)).collect() }
    }

    /// Fresh weights; a function of the seed alone.
    pub fn init<T: Real>(&self, seed: u64) -> Params<T> {
        let blocks = self.tensors().enumerate();
        Params { blocks: blocks.map(|(b, (name, tensors))| fresh_block(seed, b, &name, &tensors)).collect() }
    }

    /// Names of all parameter blocks.
    pub(in crate::trunk) fn layout_names(&self) -> impl Iterator<Item = String> {
        self.tensors().map(|(name, _)| name)
    }

    /// Name and tensors of every block.
    fn tensors(&self) -> impl Iterator<Item = (String, Vec<TensorShape>)> {
        let front = (self.front.name().to_owned(), self.front.tensors());
        let blocks = self.blocks.iter().map(|block| (block.name.clone(), block.tensors()));
        let adapter = |block: &usize| match (block.checked_sub(1), self.prompt) {
            (Some(block), _) => {
                let block = &self.blocks[block];
                (format!("adapter.{}", block.name), block.adapter_tensors())
            }
            (None, prompt) => {
                let of = |prompt: Prompt| TensorShape::matrix("prompt_embeddings", prompt.rows, prompt.width);
                ("adapter.prompt".to_owned(), prompt.map(of).into_iter().collect())
            }
        };
        std::iter::once(front).chain(blocks).chain(self.adapted.iter().map(adapter))
    }
}

/// A block of zeros.
fn zeros<T: Real>(name: &str, tensors: &[TensorShape]) -> Block<T> {
    let tensors: Vec<(&str, &[usize], bool)> =
        tensors.iter().map(|t| (t.name.as_str(), &*t.shape, t.shape.len() > 1)).collect();
    Block::zeros(name, &tensors)
}

/// A block of fresh weights; its number keys them.
fn fresh_block<T: Real>(seed: u64, number: usize, name: &str, tensors: &[TensorShape]) -> Block<T> {
    let mut block = zeros(name, tensors);
    for (i, tensor) in tensors.iter().enumerate() {
        let mut rng = Rng::new(seed, Purpose::Init, &[number as u64, i as u64]);
        block.tensor_mut(i).fill_with(|| match tensor.start {
            Start::Normal => T::of(0.02 * rng.normal()),
            Start::Kaiming => T::of((2.0 * rng.uniform() - 1.0) / (tensor.shape[1] as f64).sqrt()),
            Start::One => T::ONE,
            Start::Zero => T::ZERO,
        });
    }
    block
}
