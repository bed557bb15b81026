//! A network on packed rows as data: a table of word vectors, and blocks of layers above it.
//!
//! A block is the unit of freezing, of optimiser state and of files. Its layers are nodes in the order they run; each
//! reads the block's input or an earlier node, and perhaps adds the rows of another. What two parts of a network
//! would do apart and can do in one pass over memory (bias, dropout, residual and norm; activation and product) is
//! one layer: fusion is chosen where a network is composed.

use std::ops::Range;

use polytask_core::rng::{Purpose, Rng};

use super::layers::{Layer, Lora, Start, TensorShape};
use crate::params::{Block, Params, Real};

/// Index of the block of word vectors.
pub const WORDS: usize = 0;

/// The node number of a block's input.
pub(in crate::trunk) const INPUT: usize = 0;

/// A network: composed once, run by the packed trunk and by the reference.
#[derive(Debug)]
pub struct Graph {
    /// The table of word vectors.
    pub(in crate::trunk) words: TensorShape,
    /// The blocks above it, lowest first.
    pub(in crate::trunk) blocks: Vec<BlockGraph>,
    /// Longest sequence, in tokens.
    pub(in crate::trunk) max_positions: usize,
    /// The blocks that have an adapter, ascending: each adapter is a parameter block above all others.
    pub(in crate::trunk) adapted: Vec<usize>,
}

/// The layers of a block.
#[derive(Debug)]
pub(in crate::trunk) struct BlockGraph {
    pub(in crate::trunk) name: String,
    pub(in crate::trunk) nodes: Vec<Node>,
    /// Values per row of its input.
    width: usize,
}

/// A layer and what it reads.
#[derive(Debug)]
pub(in crate::trunk) struct Node {
    pub(in crate::trunk) layer: Box<dyn Layer>,
    /// Number of the node whose rows go in: [`INPUT`], or one more than the node's index.
    pub(in crate::trunk) input: usize,
    /// The node whose rows are added.
    pub(in crate::trunk) residual: Option<usize>,
    /// Its parameters in the block.
    pub(in crate::trunk) range: Range<usize>,
    /// The adapter of its matrix.
    pub(in crate::trunk) adapter: Option<NodeAdapter>,
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
        Self { name: name.into(), nodes: Vec::new(), width }
    }

    /// Adds a layer; its node number.
    pub(in crate::trunk) fn add(&mut self, layer: impl Layer + 'static, input: usize) -> usize {
        self.node(Box::new(layer), input, None)
    }

    /// Adds a layer that adds the rows of another node.
    pub(in crate::trunk) fn add_with(
        &mut self,
        layer: impl Layer + 'static,
        input: usize,
        residual: usize,
    ) -> usize {
        self.node(Box::new(layer), input, Some(residual))
    }

    fn node(&mut self, layer: Box<dyn Layer>, input: usize, residual: Option<usize>) -> usize {
        let start = self.len();
        let range = start..start + layer.tensors().iter().map(TensorShape::len).sum::<usize>();
        self.nodes.push(Node { layer, input, residual, range, adapter: None });
        self.nodes.len()
    }

    /// Number of parameters.
    pub(in crate::trunk) fn len(&self) -> usize {
        self.nodes.last().map_or(0, |node| node.range.end)
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
        self.nodes
            .iter()
            .filter_map(|node| node.adapter.as_ref())
            .map(|adapter| adapter.range.end)
            .max()
            .unwrap_or(0)
    }

    fn adapter_tensors(&self) -> Vec<TensorShape> {
        let of = |node: &Node| {
            let (adapter, (matrix, _)) = (node.adapter.as_ref()?, node.layer.matrix()?);
            Some(adapter.lora.tensors(matrix))
        };
        self.nodes.iter().filter_map(of).flatten().collect()
    }

    fn tensors(&self) -> Vec<TensorShape> {
        self.nodes.iter().flat_map(|node| node.layer.tensors()).collect()
    }
}

impl Graph {
    /// A network of blocks above a table of word vectors `[rows, width]`; blocks without parameters are left out.
    pub(in crate::trunk) fn new(
        (table, rows, width): (&str, usize, usize),
        max_positions: usize,
        blocks: impl IntoIterator<Item = BlockGraph>,
    ) -> Self {
        let blocks = blocks.into_iter().filter(|block| !block.nodes.is_empty()).collect();
        let words = TensorShape::matrix(table, rows, width);
        Self { words, blocks, max_positions, adapted: Vec::new() }
    }

    /// Size of the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.words.shape[0]
    }

    /// Longest sequence, in tokens.
    pub fn max_positions(&self) -> usize {
        self.max_positions
    }

    /// Values per state.
    pub fn d_hidden(&self) -> usize {
        self.width_below(self.n_base())
    }

    /// Number of parameter blocks, the words' and adapters' included.
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
            None => self.words.shape[1],
            Some(under) => self.blocks[under].width(),
        }
    }

    /// The layers of a block above the words.
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
        let adapters = self.adapted.iter().map(|block| self.block(*block).adapter_len());
        std::iter::once(self.words.len())
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
        let words = ("words".to_owned(), vec![self.words.clone()]);
        let blocks = self.blocks.iter().map(|block| (block.name.clone(), block.tensors()));
        let adapter = |block: &usize| {
            let block = self.block(*block);
            (format!("adapter.{}", block.name), block.adapter_tensors())
        };
        std::iter::once(words).chain(blocks).chain(self.adapted.iter().map(adapter))
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
