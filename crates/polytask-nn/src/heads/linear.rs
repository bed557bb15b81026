//! A linear map of one vector: the head of classes, labels, numbers, and (on word rows) tags.

use candle_core::Tensor;

use super::{Head, HeadRows, Pairing, affine, linear_block, shape};
use crate::{Block, Result};

/// `W x + b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linear {
    /// Values per leaf row.
    pub d_in: usize,
    /// Outputs per row.
    pub n_outputs: usize,
}

impl Head for Linear {
    fn n_inputs(&self) -> usize {
        1
    }

    fn d_in(&self) -> usize {
        self.d_in
    }

    fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    fn shapes(&self) -> Vec<Vec<usize>> {
        vec![vec![self.n_outputs, self.d_in], vec![self.n_outputs]]
    }

    fn block(&self, name: &str, seed: u64) -> Block {
        linear_block(name, seed, self.d_in, self.n_outputs)
    }

    fn n_features(&self) -> Option<usize> {
        Some(self.d_in)
    }

    fn output(&self, weights: &[Tensor], inputs: &[HeadRows], _pairing: Pairing) -> Result<Tensor> {
        match inputs {
            [x] => affine(x, weights),
            _ => Err(shape("linear head", &format!("{} inputs", inputs.len()), "1 input")),
        }
    }

    fn jvp(
        &self,
        weights: &[Tensor],
        _inputs: &[HeadRows],
        directions: &[HeadRows],
        _pairing: Pairing,
    ) -> Result<Tensor> {
        match (directions, weights) {
            ([dx], [weight, _]) => Ok(dx.matmul(&weight.t()?)?),
            _ => Err(shape("linear head", &format!("{} directions", directions.len()), "1 direction")),
        }
    }
}
