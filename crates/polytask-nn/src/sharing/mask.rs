//! An attention mask: `σ(U·relu(D·seen + d) + u) · x`, a factor per value, a small graph of the tensor engine.

use candle_core::{Device, Tensor, Var};
use polytask_core::Rng;

use crate::Result;
use crate::params::{Block, Real};

/// Logit of a fresh mask's factors: they start at about 0.88, where the sigmoid still has slope.
const OPEN: f64 = 2.0;

/// The shape of a mask.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mask {
    /// Values of what it sees, per row.
    pub(super) seen: usize,
    /// Values between its two maps.
    pub(super) middle: usize,
    /// Values it masks, per row.
    pub(super) width: usize,
}

/// What a cotangent becomes below a mask.
pub(super) struct MaskGrads<T> {
    /// At the mask's weights.
    pub(super) values: Vec<T>,
    /// At each of the states it reads.
    pub(super) reads: Vec<Vec<T>>,
    /// At the masked states.
    pub(super) input: Vec<T>,
}

impl Mask {
    /// Names and shapes of its weights.
    pub(super) fn shapes(self) -> Vec<(&'static str, Vec<usize>)> {
        vec![
            ("down.weight", vec![self.middle, self.seen]),
            ("down.bias", vec![self.middle]),
            ("up.weight", vec![self.width, self.middle]),
            ("up.bias", vec![self.width]),
        ]
    }

    /// Fresh weights, end to end: matrices N(0, 0.02²), the mask nearly open.
    pub(super) fn init(self, rng: &mut Rng) -> Vec<f64> {
        let mut values = Vec::new();
        for (name, shape) in self.shapes() {
            let n: usize = shape.iter().product();
            let is_matrix = shape.len() > 1;
            let rest = if name == "up.bias" { OPEN } else { 0.0 };
            values.extend((0..n).map(|_| if is_matrix { 0.02 * rng.normal() } else { rest }));
        }
        values
    }

    /// The masked rows.
    ///
    /// # Shapes
    /// `reads`: each `[rows, width]`, `input`: `[rows, width]` → `[rows, width]`.
    pub(super) fn forward<T: Real>(self, block: &Block<T>, reads: &[&[T]], input: &[T]) -> Result<Vec<T>> {
        if input.is_empty() {
            return Ok(Vec::new());
        }
        let weights = leaves(block, false)?;
        let reads = reads.iter().map(|values| self.rows(values, false)).collect::<Result<Vec<_>>>()?;
        let out = masked(&weights, &reads, &self.rows(input, false)?)?;
        Ok(out.flatten_all()?.to_vec1()?)
    }

    /// The backward of `g` at the masked rows.
    pub(super) fn vjp<T: Real>(
        self,
        block: &Block<T>,
        reads: &[&[T]],
        input: &[T],
        g: &[T],
    ) -> Result<MaskGrads<T>> {
        if input.is_empty() {
            let values = vec![T::ZERO; block.values.len()];
            return Ok(MaskGrads { values, reads: vec![Vec::new(); reads.len()], input: Vec::new() });
        }
        let weights = leaves(block, true)?;
        let reads = reads.iter().map(|values| self.rows(values, true)).collect::<Result<Vec<_>>>()?;
        let input = self.rows(input, true)?;
        let out = masked(&weights, &reads, &input)?;
        let grads = (out * self.rows(g, false)?)?.sum_all()?.backward()?;
        let of = |leaf: &Tensor| -> Result<Vec<T>> {
            match grads.get(leaf) {
                Some(grad) => Ok(grad.flatten_all()?.to_vec1()?),
                None => Ok(vec![T::ZERO; leaf.elem_count()]),
            }
        };
        let values = weights.iter().map(of).collect::<Result<Vec<_>>>()?.concat();
        Ok(MaskGrads { values, reads: reads.iter().map(of).collect::<Result<_>>()?, input: of(&input)? })
    }

    fn rows<T: Real>(self, values: &[T], is_leaf: bool) -> Result<Tensor> {
        let shape = (values.len() / self.width, self.width);
        leaf(Tensor::from_slice(values, shape, &Device::Cpu)?, is_leaf)
    }
}

fn leaf(tensor: Tensor, is_leaf: bool) -> Result<Tensor> {
    Ok(if is_leaf { Var::from_tensor(&tensor)?.into_inner() } else { tensor })
}

fn leaves<T: Real>(block: &Block<T>, are_leaves: bool) -> Result<Vec<Tensor>> {
    let of = |i: usize| {
        let shape = block.tensors[i].shape.as_slice();
        leaf(Tensor::from_slice(block.tensor(i), shape, &Device::Cpu)?, are_leaves)
    };
    (0..block.tensors.len()).map(of).collect()
}

/// The formula; `t` in the order of the mask's tensors.
fn masked(t: &[Tensor], reads: &[Tensor], input: &Tensor) -> Result<Tensor> {
    let seen = Tensor::cat(reads, 1)?; // [rows, seen]
    let middle = seen.matmul(&t[0].t()?)?.broadcast_add(&t[1])?.relu()?;
    let logits = middle.matmul(&t[2].t()?)?.broadcast_add(&t[3])?;
    // σ from tanh, which the engine differentiates exactly.
    let factors = (((logits * 0.5)?.tanh()? + 1.0)? * 0.5)?;
    Ok((factors * input)?)
}
