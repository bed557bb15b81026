//! The layers above all columns: affine maps with ReLU.

use polytask_core::rng::{Purpose, Rng};

use crate::params::{Block, Params};
use crate::trunk::States;
use crate::trunk::kernels::{Mat, MatMut, Threads, matmul};

/// Layers on wide vectors.
#[derive(Debug)]
pub(super) struct Join {
    /// Number of their first block.
    pub(super) first: usize,
    /// Width of the wide vector, then of each layer's output.
    widths: Vec<usize>,
}

impl Join {
    pub(super) fn new(first: usize, d_wide: usize, widths: &[usize]) -> Self {
        Self { first, widths: [&[d_wide], widths].concat() }
    }

    pub(super) fn d_wide(&self) -> usize {
        self.widths[0]
    }

    /// Values of the last layer.
    pub(super) fn d_deep(&self) -> usize {
        if self.n_layers() == 0 { 0 } else { self.widths[self.n_layers()] }
    }

    /// Values of a state: wide and deep.
    pub(super) fn d_state(&self) -> usize {
        self.d_wide() + self.d_deep()
    }

    pub(super) fn n_layers(&self) -> usize {
        self.widths.len() - 1
    }

    /// Widths of what goes into a layer and of what comes out of it.
    pub(super) fn sides(&self, layer: usize) -> (usize, usize) {
        (self.widths[layer], self.widths[layer + 1])
    }

    /// Fresh parameters: weights normal with variance 2 / fan-in (He et al. 2015), biases 0.
    pub(super) fn init(&self, seed: u64) -> Vec<Block> {
        let block = |layer: usize| {
            let (d_in, d_out) = self.sides(layer);
            let name = format!("join.{layer}");
            let tensors =
                [(format!("{name}.weight"), vec![d_out, d_in]), (format!("{name}.bias"), vec![d_out])];
            let specs: Vec<(&str, &[usize], bool)> =
                tensors.iter().map(|(name, shape)| (name.as_str(), &shape[..], shape.len() > 1)).collect();
            let mut block = Block::zeros(&name, &specs);
            let mut rng = Rng::new(seed, Purpose::Init, &[(self.first + layer) as u64, 0]);
            let std = (2.0 / d_in.max(1) as f64).sqrt();
            block.tensor_mut(0).fill_with(|| (std * rng.normal()) as f32);
            block
        };
        (0..self.n_layers()).map(block).collect()
    }

    /// Wide vectors `[rows, d_wide]`, and with them the output of each layer.
    pub(super) fn forward(&self, params: &Params, wide: Vec<f32>, n_rows: usize) -> Vec<Vec<f32>> {
        let mut layers = vec![wide];
        for layer in 0..self.n_layers() {
            let (d_in, d_out) = self.sides(layer);
            let block = &params.blocks[self.first + layer];
            let mut y = vec![0.0; n_rows * d_out];
            let weight = Mat::new(block.tensor(0), d_out, d_in);
            let x = Mat::new(&layers[layer], n_rows, d_in);
            matmul(MatMut::new(&mut y, n_rows, d_out), false, x, weight.t(), 1.0, Threads::All);
            for row in y.chunks_exact_mut(d_out) {
                row.iter_mut().zip(block.tensor(1)).for_each(|(y, b)| *y = (*y + b).max(0.0));
            }
            layers.push(y);
        }
        layers
    }

    /// Wide and deep vectors end to end.
    pub(super) fn states(&self, layers: &[Vec<f32>], n_rows: usize) -> States {
        let (wide, deep) = (self.d_wide(), self.d_deep());
        let mut values = Vec::with_capacity(n_rows * (wide + deep));
        for row in 0..n_rows {
            values.extend_from_slice(&layers[0][row * wide..(row + 1) * wide]);
            if self.n_layers() > 0 {
                values.extend_from_slice(&layers[self.n_layers()][row * deep..(row + 1) * deep]);
            }
        }
        States { values, width: wide + deep }
    }
}
