//! The graph above the cut while it is laid: its nodes, its blocks, and where their first values come from.

use std::fmt::Debug;
use std::ops::Range;

use polytask_core::{Purpose, Rng};

use super::SharingSetup;
use super::mask::Mask;
use super::mix::Weigher;
use super::needed::Needed;
use crate::params::{Block, Params, Real};

/// Keeps the draws of this module apart from those of encoders and heads.
const STREAM: u64 = u64::MAX - 1;

/// Index of a node; nodes stand above those they read.
pub(super) type NodeId = usize;

/// The node of the states at the cut.
pub(super) const CUT: NodeId = 0;

/// States, and what they are made of.
#[derive(Debug)]
pub(super) enum Node {
    /// The states at the cut.
    Cut,
    /// A block of the trunk above other states.
    Layer {
        /// The block's place in the trunk.
        layer: usize,
        /// Its weights.
        block: usize,
        /// Number of its dropout masks; those of the trunk itself have 0.
        stream: u64,
        /// The states below.
        input: NodeId,
    },
    /// A weighted sum of states.
    Mix {
        /// Weights of the weigher.
        block: usize,
        /// What gives the weights.
        weigher: Box<dyn Weigher>,
        /// What the weigher reads.
        reads: Option<NodeId>,
        /// The states that are summed.
        inputs: Vec<NodeId>,
    },
    /// States times an attention mask.
    Mask {
        /// Weights of the mask.
        block: usize,
        /// The function.
        mask: Mask,
        /// What the mask reads.
        reads: Vec<NodeId>,
        /// The states that are masked.
        input: NodeId,
    },
}

impl Node {
    /// The block of its weights.
    pub(super) fn block(&self) -> Option<usize> {
        match self {
            Self::Cut => None,
            Self::Layer { block, .. } | Self::Mix { block, .. } | Self::Mask { block, .. } => Some(*block),
        }
    }

    /// The nodes it reads.
    pub(super) fn inputs(&self) -> Vec<NodeId> {
        match self {
            Self::Cut => Vec::new(),
            Self::Layer { input, .. } => vec![*input],
            Self::Mix { reads, inputs, .. } => inputs.iter().chain(reads).copied().collect(),
            Self::Mask { reads, input, .. } => reads.iter().chain([input]).copied().collect(),
        }
    }
}

/// Where a block's first values come from.
#[derive(Debug)]
pub(super) enum Origin {
    /// A block of the trunk, as it is.
    Trunk(usize),
    /// A copy of a block of the trunk under a name of its own.
    Copy {
        /// The block.
        layer: usize,
        /// What its names start with.
        label: String,
        /// Whether it gets noise.
        is_first: bool,
    },
    /// New weights.
    Fresh(Block<f64>),
}

/// The graph of an architecture.
#[derive(Debug)]
pub struct Net<'a> {
    names: Vec<String>,
    pub(super) cut: usize,
    pub(super) width: usize,
    setup: &'a SharingSetup<'a>,
    pub(super) nodes: Vec<Node>,
    pub(super) origins: Vec<Origin>,
    pub(super) views: Vec<NodeId>,
}

/// A tensor of new weights: name, shape, whether it decays.
pub(super) type Tensors<'a> = &'a [(&'a str, &'a [usize], bool)];

impl<'a> Net<'a> {
    /// Nothing but the trunk's blocks up to `cut`.
    pub(super) fn new(names: &[&str], cut: usize, width: usize, setup: &'a SharingSetup<'a>) -> Self {
        Self {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            cut,
            width,
            setup,
            nodes: vec![Node::Cut],
            origins: (0..=cut).map(Origin::Trunk).collect(),
            views: Vec::new(),
        }
    }

    /// The trunk's blocks above the cut.
    pub(super) fn layers(&self) -> Range<usize> {
        self.cut + 1..self.names.len()
    }

    /// Name of a trunk's block.
    pub(super) fn name(&self, layer: usize) -> &str {
        &self.names[layer]
    }

    /// The tasks, one view each.
    pub(super) fn tasks(&self) -> &'a [String] {
        self.setup.tasks
    }

    /// The training.
    pub(super) fn setup(&self) -> &'a SharingSetup<'a> {
        self.setup
    }

    /// The trunk's own block above `input`.
    pub(super) fn layer(&mut self, layer: usize, input: NodeId) -> NodeId {
        self.origins.push(Origin::Trunk(layer));
        self.push(Node::Layer { layer, block: self.origins.len() - 1, stream: 0, input })
    }

    /// Copy number `copy` of a block of the trunk, named after `label`, above `input`.
    pub(super) fn copy(&mut self, label: &str, copy: usize, layer: usize, input: NodeId) -> NodeId {
        self.origins.push(Origin::Copy { layer, label: label.to_owned(), is_first: copy == 0 });
        self.push(Node::Layer { layer, block: self.origins.len() - 1, stream: copy as u64, input })
    }

    /// A weighted sum of states.
    pub(super) fn mix(
        &mut self,
        name: &str,
        weigher: Box<dyn Weigher>,
        reads: Option<NodeId>,
        inputs: Vec<NodeId>,
    ) -> NodeId {
        let shapes = weigher.shapes();
        let tensors: Vec<_> =
            shapes.iter().map(|(name, shape)| (*name, &shape[..], shape.len() > 1)).collect();
        let block = self.fresh(name, &tensors, |rng| weigher.init(rng));
        self.push(Node::Mix { block, weigher, reads, inputs })
    }

    /// States times an attention mask.
    pub(super) fn mask(&mut self, name: &str, mask: Mask, reads: Vec<NodeId>, input: NodeId) -> NodeId {
        let shapes = mask.shapes();
        let tensors: Vec<_> =
            shapes.iter().map(|(name, shape)| (*name, &shape[..], shape.len() > 1)).collect();
        let block = self.fresh(name, &tensors, |rng| mask.init(rng));
        self.push(Node::Mask { block, mask, reads, input })
    }

    /// The states of the next task.
    pub(super) fn view(&mut self, node: NodeId) {
        self.views.push(node);
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// A block of new weights.
    fn fresh(&mut self, name: &str, tensors: Tensors, init: impl Fn(&mut Rng) -> Vec<f64>) -> usize {
        let names: Vec<String> = tensors.iter().map(|(tensor, ..)| format!("{name}.{tensor}")).collect();
        let named: Vec<_> = names
            .iter()
            .zip(tensors)
            .map(|(name, (_, shape, decays))| (name.as_str(), *shape, *decays))
            .collect();
        let mut block = Block::zeros(name, &named);
        let index = self.origins.len();
        let mut rng = Rng::new(self.setup.seed, Purpose::Init, &[STREAM, index as u64]);
        block.values = init(&mut rng);
        self.origins.push(Origin::Fresh(block));
        index
    }

    /// First values of all blocks.
    pub(super) fn params<T: Real>(&self, trunk: &Params<T>, noise: f64) -> Params<T> {
        let first = |(index, origin): (usize, &Origin)| match origin {
            Origin::Trunk(layer) => trunk.blocks[*layer].clone(),
            Origin::Copy { layer, label, is_first } => {
                let mut block = relabel(&trunk.blocks[*layer], label);
                if !is_first {
                    self.blur(&mut block, noise, index as u64);
                }
                block
            }
            Origin::Fresh(block) => block.cast(),
        };
        Params { blocks: self.origins.iter().enumerate().map(first).collect() }
    }

    /// Noise on the matrices of a block, `noise` times their root mean square.
    fn blur<T: Real>(&self, block: &mut Block<T>, noise: f64, index: u64) {
        let matrices: Vec<usize> = (0..block.tensors.len()).filter(|&i| block.tensors[i].decays).collect();
        for i in matrices {
            let mut rng = Rng::new(self.setup.seed, Purpose::Init, &[STREAM, index, i as u64]);
            let values = block.tensor_mut(i);
            let squares: f64 = values.iter().map(|v| v.f64().powi(2)).sum();
            let deviation = noise * (squares / values.len().max(1) as f64).sqrt();
            values.iter_mut().for_each(|v| *v = T::of(v.f64() + deviation * rng.normal()));
        }
    }
}

/// A block whose names start with `label`.
fn relabel<T: Real>(block: &Block<T>, label: &str) -> Block<T> {
    let mut copy = block.clone();
    copy.name = format!("{label}.{}", block.name);
    copy.tensors.iter_mut().for_each(|tensor| tensor.name = format!("{label}.{}", tensor.name));
    copy
}

/// What is needed of every node when `wanted` sequences of each view are.
pub(super) fn needed_of(nodes: &[Node], views: &[NodeId], wanted: &[Vec<u32>], n: usize) -> Vec<Needed> {
    let mut marks = vec![vec![false; n]; nodes.len()];
    for (&view, sequences) in views.iter().zip(wanted) {
        sequences.iter().for_each(|&s| marks[view][s as usize] = true);
    }
    for node in (0..nodes.len()).rev() {
        for input in nodes[node].inputs() {
            let (below, above) = marks.split_at_mut(node);
            below[input].iter_mut().zip(&above[0]).for_each(|(below, above)| *below |= above);
        }
    }
    let list = |marks: &Vec<bool>| {
        let sequences: Vec<u32> = (0..n as u32).filter(|&s| marks[s as usize]).collect();
        (sequences.len() < n).then_some(sequences)
    };
    marks.iter().map(list).collect()
}
