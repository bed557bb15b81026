//! A hidden layer on two vectors and how they differ, then a linear map (Barkan et al. 2020).

use candle_core::Tensor;

use super::pair_features::{PER_VALUE, directions, features};
use super::{Head, HeadRows, Mlp, Pairing, pair, shape};
use crate::{Block, Result};

/// `W₂ max(0, W₁ [u, v, |u − v|, u · v] + b₁) + b₂`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairMlp {
    /// What reads the features.
    mlp: Mlp,
    /// Values per leaf row.
    d_in: usize,
}

impl PairMlp {
    /// On leaf rows of `d_in` values.
    pub fn new(d_in: usize, hidden: usize, n_outputs: usize) -> Self {
        Self { mlp: Mlp { d_in: PER_VALUE * d_in, hidden, n_outputs, is_tanh: false }, d_in }
    }
}

impl Head for PairMlp {
    fn n_inputs(&self) -> usize {
        2
    }

    fn d_in(&self) -> usize {
        self.d_in
    }

    fn n_outputs(&self) -> usize {
        self.mlp.n_outputs
    }

    fn shapes(&self) -> Vec<Vec<usize>> {
        self.mlp.shapes()
    }

    fn block(&self, name: &str, seed: u64) -> Block {
        self.mlp.block(name, seed)
    }

    fn reads_pair_features(&self) -> bool {
        true
    }

    fn output(&self, weights: &[Tensor], inputs: &[HeadRows], pairing: Pairing) -> Result<Tensor> {
        let (u, v) = pair("pair-mlp head", inputs)?;
        if pairing == Pairing::Cross {
            return Err(shape("pair-mlp head", "passage targets", "one target per row"));
        }
        self.mlp.output(weights, &[HeadRows::single(features(u, v)?)], Pairing::Rows)
    }

    fn jvp(
        &self,
        weights: &[Tensor],
        inputs: &[HeadRows],
        moved: &[HeadRows],
        _pairing: Pairing,
    ) -> Result<Tensor> {
        let (at, along) = (pair("pair-mlp head", inputs)?, pair("pair-mlp head", moved)?);
        let (at, along) = (features(at.0, at.1)?, directions(at, along)?);
        self.mlp.jvp(weights, &[HeadRows::single(at)], &[HeadRows::single(along)], Pairing::Rows)
    }
}
