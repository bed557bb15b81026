//! A linear map of two vectors and how they differ (Conneau et al. 2017, with the product).

use candle_core::Tensor;

use super::pair_features::{PER_VALUE, append, directions, features};
use super::{Head, HeadRows, Pairing, affine, linear_block, pair, shape};
use crate::{Block, Result};

/// `W [u, v, |u − v|, u · v] + b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairLinear {
    /// Values per leaf row.
    pub d_in: usize,
    /// Outputs per row.
    pub n_outputs: usize,
}

impl Head for PairLinear {
    fn n_inputs(&self) -> usize {
        2
    }

    fn d_in(&self) -> usize {
        self.d_in
    }

    fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    fn shapes(&self) -> Vec<Vec<usize>> {
        vec![vec![self.n_outputs, PER_VALUE * self.d_in], vec![self.n_outputs]]
    }

    fn block(&self, name: &str, seed: u64) -> Block {
        linear_block(name, seed, PER_VALUE * self.d_in, self.n_outputs)
    }

    fn n_features(&self) -> Option<usize> {
        Some(PER_VALUE * self.d_in)
    }

    fn reads_pair_features(&self) -> bool {
        true
    }

    fn features(&self, vectors: &[&[f32]], to: &mut Vec<f32>) {
        append(vectors[0], vectors[1], to);
    }

    fn output(&self, weights: &[Tensor], inputs: &[HeadRows], pairing: Pairing) -> Result<Tensor> {
        let (u, v) = pair("pair-linear head", inputs)?;
        if pairing == Pairing::Cross {
            return Err(shape("pair-linear head", "passage targets", "one target per row"));
        }
        affine(&features(u, v)?, weights)
    }

    fn jvp(
        &self,
        weights: &[Tensor],
        inputs: &[HeadRows],
        moved: &[HeadRows],
        _pairing: Pairing,
    ) -> Result<Tensor> {
        let (at, along) = (pair("pair-linear head", inputs)?, pair("pair-linear head", moved)?);
        Ok(directions(at, along)?.matmul(&weights[0].t()?)?)
    }
}
