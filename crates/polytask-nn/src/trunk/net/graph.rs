//! A network as a list of nodes: what each computes, from which values, and in which block its weights lie.
//!
//! A value is what flows between nodes: per image `[height, width, channels]`, channels innermost, so that a
//! convolution is a product of rows. Value 0 is the image, value `i + 1` the output of node `i`.

use crate::params::{Block, Params, Real};

/// The shape of a value, per image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
}

impl Shape {
    /// Rows: places of an image.
    pub(super) fn places(self) -> usize {
        self.height * self.width
    }

    /// Values per image.
    pub(super) fn len(self) -> usize {
        self.places() * self.channels
    }
}

/// A window that moves over an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
}

impl Window {
    /// The places it takes on a value, `None` when it does not fit in once.
    pub(super) fn over(self, shape: Shape, channels: usize) -> Option<Shape> {
        let along = |size: usize, kernel: usize| {
            Some((size + 2 * self.padding).checked_sub(kernel)? / self.stride + 1)
        };
        Some(Shape {
            height: along(shape.height, self.height)?,
            width: along(shape.width, self.width)?,
            channels,
        })
    }
}

/// What a node computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// A convolution; over the whole image it is an affine map of all its values. Tensors: weight
    /// `[channels, kernel height, kernel width, channels below]`, then the bias where there is one.
    Conv { window: Window, bias: bool },
    /// The largest value under squares of two.
    MaxPool,
    /// Each channel standardised over all places of the batch (running statistics outside training), scaled, shifted,
    /// and a second value added where there is one. Tensors: weight, bias, running mean, running variance.
    BatchNorm { plus: Option<usize> },
    /// The channels of each place standardised, scaled, shifted. Tensors: weight, bias.
    LayerNorm,
}

/// A node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) op: Op,
    /// The value it reads.
    pub(super) input: usize,
    pub(super) from: Shape,
    pub(super) out: Shape,
    /// Whether negative outputs become 0.
    pub(super) relu: bool,
    /// Its block, and its first tensor there.
    pub(super) block: usize,
    pub(super) tensor: usize,
}

/// A tensor of a block: name, shape, whether it decays, how it starts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) start: Start,
}

/// How a tensor's values start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Start {
    /// Normal with this variance (He et al. 2015: 2 / fan-in).
    Normal(f64),
    /// All the same.
    Constant(f64),
}

/// A network.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Graph {
    pub(super) image: Shape,
    pub(super) nodes: Vec<Node>,
    /// Tensors of each block.
    pub(super) blocks: Vec<Vec<Tensor>>,
}

impl Graph {
    pub(super) fn new(image: Shape) -> Self {
        Self { image, nodes: Vec::new(), blocks: Vec::new() }
    }

    /// Begins a block; the nodes that follow are its own.
    pub(super) fn block(&mut self) -> &mut Self {
        self.blocks.push(Vec::new());
        self
    }

    /// The shape of a value.
    pub(super) fn shape(&self, value: usize) -> Shape {
        if value == 0 { self.image } else { self.nodes[value - 1].out }
    }

    /// The last value.
    pub(super) fn last(&self) -> usize {
        self.nodes.len()
    }

    /// The shape of the states.
    pub(super) fn states(&self) -> Shape {
        self.shape(self.last())
    }

    /// Numbers of all its tensors.
    pub(super) fn n_parameters(&self) -> usize {
        let size = |tensor: &Tensor| tensor.shape.iter().fold(1, |size: usize, n| size.saturating_mul(*n));
        self.blocks.iter().flatten().map(size).fold(0, usize::saturating_add)
    }

    /// The value that blocks from `lowest` up start from.
    pub(super) fn value_below(&self, lowest: usize) -> usize {
        self.nodes.iter().position(|node| node.block >= lowest).unwrap_or(self.nodes.len())
    }

    fn push(&mut self, op: Op, input: usize, out: Shape, relu: bool) -> &mut Vec<Tensor> {
        let block = self.blocks.len() - 1;
        let (from, tensor) = (self.shape(input), self.blocks[block].len());
        self.nodes.push(Node { op, input, from, out, relu, block, tensor });
        &mut self.blocks[block]
    }

    /// Adds a convolution of `input`; `None` when the window does not fit.
    pub(super) fn conv(
        &mut self,
        name: &str,
        input: usize,
        channels: usize,
        window: Window,
        bias: bool,
        relu: bool,
    ) -> Option<usize> {
        let from = self.shape(input);
        let out = window.over(from, channels)?;
        let tensors = self.push(Op::Conv { window, bias }, input, out, relu);
        let shape = vec![channels, window.height, window.width, from.channels];
        let variance = 2.0 / (window.height * window.width * from.channels) as f64;
        tensors.push(Tensor { name: format!("{name}.weight"), shape, start: Start::Normal(variance) });
        if bias {
            tensors.push(vector(format!("{name}.bias"), channels, 0.0));
        }
        Some(self.last())
    }

    /// Adds an affine map of all values of an image, with a ReLU.
    pub(super) fn dense(&mut self, name: &str, input: usize, width: usize) -> Option<usize> {
        let Shape { height, width: columns, .. } = self.shape(input);
        let window = Window { height, width: columns, stride: 1, padding: 0 };
        self.conv(name, input, width, window, true, true)
    }

    /// Adds a pooling over squares of two.
    pub(super) fn pool(&mut self, input: usize, relu: bool) -> Option<usize> {
        let window = Window { height: 2, width: 2, stride: 2, padding: 0 };
        let from = self.shape(input);
        let out = window.over(from, from.channels)?;
        self.push(Op::MaxPool, input, out, relu);
        Some(self.last())
    }

    /// Adds a batch norm with a ReLU or not.
    pub(super) fn batch_norm(&mut self, name: &str, input: usize, plus: Option<usize>, relu: bool) -> usize {
        let out = self.shape(input);
        let tensors = self.push(Op::BatchNorm { plus }, input, out, relu);
        for (part, value) in [("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)] {
            tensors.push(vector(format!("{name}.{part}"), out.channels, value));
        }
        self.last()
    }

    /// Adds a layer norm over channels, with a ReLU.
    pub(super) fn layer_norm(&mut self, name: &str, input: usize) -> usize {
        let out = self.shape(input);
        let tensors = self.push(Op::LayerNorm, input, out, true);
        tensors.push(vector(format!("{name}.weight"), out.channels, 1.0));
        tensors.push(vector(format!("{name}.bias"), out.channels, 0.0));
        self.last()
    }

    /// Parameters of zeros.
    pub(super) fn layout<T: Real>(&self) -> Params<T> {
        let block = |(b, tensors): (usize, &Vec<Tensor>)| {
            let specs: Vec<(&str, &[usize], bool)> =
                tensors.iter().map(|t| (t.name.as_str(), t.shape.as_slice(), t.shape.len() > 1)).collect();
            Block::zeros(&format!("layer.{b}"), &specs)
        };
        Params { blocks: self.blocks.iter().enumerate().map(block).collect() }
    }
}

fn vector(name: String, n: usize, value: f64) -> Tensor {
    Tensor { name, shape: vec![n], start: Start::Constant(value) }
}
