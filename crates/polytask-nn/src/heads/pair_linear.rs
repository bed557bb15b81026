//! A linear map of two vectors and how they differ (Conneau et al. 2017, with the product).

use candle_core::Tensor;

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
        vec![vec![self.n_outputs, 4 * self.d_in], vec![self.n_outputs]]
    }

    fn block(&self, name: &str, seed: u64) -> Block {
        linear_block(name, seed, 4 * self.d_in, self.n_outputs)
    }

    fn n_features(&self) -> Option<usize> {
        Some(4 * self.d_in)
    }

    /// `[u, v, |u − v|, u · v]`.
    fn features(&self, vectors: &[&[f32]], to: &mut Vec<f32>) {
        let (u, v) = (vectors[0], vectors[1]);
        to.extend_from_slice(u);
        to.extend_from_slice(v);
        to.extend(u.iter().zip(v).map(|(u, v)| (u - v).abs()));
        to.extend(u.iter().zip(v).map(|(u, v)| u * v));
    }

    fn output(&self, weights: &[Tensor], inputs: &[HeadRows], pairing: Pairing) -> Result<Tensor> {
        let (u, v) = pair("pair-linear head", inputs)?;
        if pairing == Pairing::Cross {
            return Err(shape("pair-linear head", "passage targets", "one target per row"));
        }
        let difference = (u - v)?;
        // The engine's `abs` has slope 1 at 0; equal texts must pull neither way.
        let distance = (&difference * difference.detach().sign()?)?;
        let features = Tensor::cat(&[u, v, &distance, &(u * v)?], 1)?; // [rows, 4 · d_in]
        affine(&features, weights)
    }

    fn jvp(
        &self,
        weights: &[Tensor],
        inputs: &[HeadRows],
        directions: &[HeadRows],
        _pairing: Pairing,
    ) -> Result<Tensor> {
        let ((u, v), (du, dv)) = (pair("pair-linear head", inputs)?, pair("pair-linear head", directions)?);
        let d_distance = ((du - dv)? * (u - v)?.detach().sign()?)?;
        let d_product = ((du * v)? + (u * dv)?)?;
        let features = Tensor::cat(&[du, dv, &d_distance, &d_product], 1)?; // [rows, 4 · d_in]
        Ok(features.matmul(&weights[0].t()?)?)
    }
}
