//! Heads: from vectors of texts (or words) to a task's outputs.
//!
//! A head is a small autodiff graph on leaf rows; its parameters are one flat [`Block`]. Which head a kind of
//! task takes is [`HeadForm`]; [`build`] is the one place that maps it to a head.

mod cosine;
mod linear;
mod pair_linear;

use candle_core::Tensor;
use polytask_core::{HeadForm, Purpose, Rng, hash};

use crate::{Block, Error, Result};

pub use cosine::Cosine;
pub use linear::Linear;
pub use pair_linear::PairLinear;

/// How the rows of two inputs meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// Row i of one with row i of the other.
    Rows,
    /// Every row of the first with every row of the second.
    Cross,
}

/// What turns leaf rows into outputs.
pub trait Head: Send + Sync {
    /// Number of inputs it reads: 1 (text) or 2 (a and b, queries and passages).
    fn n_inputs(&self) -> usize;

    /// Values per leaf row.
    fn d_in(&self) -> usize;

    /// Outputs per row (with [`Pairing::Rows`]).
    fn n_outputs(&self) -> usize;

    /// Shapes of its parameter tensors, in the order of its block.
    fn shapes(&self) -> Vec<Vec<usize>>;

    /// Fresh parameters, drawn from `seed` and the block's name; empty for a head without parameters.
    fn block(&self, name: &str, seed: u64) -> Block;

    /// The outputs.
    ///
    /// # Shapes
    /// `weights`: the block's tensors; each of `inputs` `[rows, d_in]` → `[rows, n_outputs]`, or for
    /// [`Pairing::Cross`] `[rows of the first, rows of the second]`.
    fn output(&self, weights: &[Tensor], inputs: &[Tensor], pairing: Pairing) -> Result<Tensor>;
}

/// The head of a form on leaf rows of `d_in` values.
pub fn build(form: HeadForm, d_in: usize, n_outputs: usize) -> Box<dyn Head> {
    match form {
        HeadForm::Cosine => Box::new(Cosine { d_in }),
        HeadForm::Linear | HeadForm::TokenLinear => Box::new(Linear { d_in, n_outputs }),
        HeadForm::PairLinear => Box::new(PairLinear { d_in, n_outputs }),
    }
}

/// Standard deviation of fresh weights (BERT's `initializer_range`).
const INIT_STD: f64 = 0.02;

/// A weight `[n_outputs, d_in]` drawn from N(0, 0.02²) and a bias `[n_outputs]` of zeros.
fn linear_block(name: &str, seed: u64, d_in: usize, n_outputs: usize) -> Block {
    let mut block = Block::zeros(name, &[("weight", &[n_outputs, d_in], true), ("bias", &[n_outputs], false)]);
    let mut rng = Rng::new(seed, Purpose::Init, &[hash::text64(name)]);
    for value in block.tensor_mut(0) {
        *value = (INIT_STD * rng.normal()) as f32;
    }
    block
}

/// `x Wᵀ + b`: `x` `[rows, d]`, `weights` W `[n_outputs, d]` and b `[n_outputs]` → `[rows, n_outputs]`.
fn affine(x: &Tensor, weights: &[Tensor]) -> Result<Tensor> {
    let [weight, bias] = weights else {
        return Err(shape("linear head", &format!("{} tensors", weights.len()), "2 tensors: weight, bias"));
    };
    Ok(x.matmul(&weight.t()?)?.broadcast_add(bias)?)
}

/// The two inputs of a head that reads pairs.
fn pair<'a>(part: &str, inputs: &'a [Tensor]) -> Result<(&'a Tensor, &'a Tensor)> {
    match inputs {
        [a, b] => Ok((a, b)),
        _ => Err(shape(part, &format!("{} inputs", inputs.len()), "2 inputs")),
    }
}

fn shape(part: &str, found: &str, expected: &str) -> Error {
    Error::Shape { part: part.into(), found: found.into(), expected: expected.into() }
}
