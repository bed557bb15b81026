//! Scores of token states as a node of an autodiff graph.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Shape, Tensor};

use super::pairs::{TokenGradients, all_pairs_vjp, row_pairs_vjp};
use super::{TokenRows, TokenScore, TokenScoring, all_pairs, row_pairs};
use crate::Result;
use crate::heads::{HeadRows, Pairing};
use crate::params::Real;

/// The scores of two inputs.
///
/// # Shapes
/// Each input `[tokens, d]` → `[first, second]` with [`Pairing::Cross`], `[rows, 1]` row with row.
pub(crate) fn score(
    scoring: &Arc<dyn TokenScoring>,
    (first, second): (&HeadRows, &HeadRows),
    pairing: Pairing,
) -> Result<Tensor> {
    let op = ScoreOp { scoring: scoring.clone(), left: first.starts(), right: second.starts(), pairing };
    let (first, second) = (first.contiguous()?, second.contiguous()?);
    Ok(first.apply_op2(&second, op)?)
}

struct ScoreOp {
    scoring: Arc<dyn TokenScoring>,
    /// First token of each text, and the number of all tokens.
    left: Vec<u32>,
    right: Vec<u32>,
    pairing: Pairing,
}

impl ScoreOp {
    fn rows<'a, T: Real>(&'a self, left: &'a [T], right: &'a [T], width: usize) -> [TokenRows<'a, T>; 2] {
        let rows = |values, starts| TokenRows {
            values: Cow::Borrowed(values),
            starts: Cow::Borrowed(starts),
            width,
        };
        [rows(left, &self.left), rows(right, &self.right)]
    }

    fn forward<T: Real>(&self, left: &[T], right: &[T], width: usize) -> Result<Vec<T>>
    where
        dyn TokenScoring: TokenScore<T>,
    {
        let [left, right] = self.rows(left, right, width);
        match self.pairing {
            Pairing::Cross => all_pairs(&*self.scoring, &left, &right),
            Pairing::Rows => row_pairs(&*self.scoring, &left, &right),
        }
    }

    fn backward<T: Real>(&self, left: &Tensor, right: &Tensor, d_scores: &Tensor) -> Result<(Tensor, Tensor)>
    where
        dyn TokenScoring: TokenScore<T>,
    {
        let values = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<T>();
        let (own, others, d_scores) = (values(left)?, values(right)?, values(d_scores)?);
        let [own, others] = self.rows(&own, &others, left.dim(1)?);
        let TokenGradients { left: d_left, right: d_right } = match self.pairing {
            Pairing::Cross => all_pairs_vjp(&*self.scoring, &own, &others, &d_scores)?,
            Pairing::Rows => row_pairs_vjp(&*self.scoring, &own, &others, &d_scores)?,
        };
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok((tensor(d_left, left)?, tensor(d_right, right)?))
    }

    fn shape(&self) -> Shape {
        let (n, m) = (self.left.len() - 1, self.right.len() - 1);
        Shape::from((n, if self.pairing == Pairing::Cross { m } else { 1 }))
    }
}

impl CustomOp2 for ScoreOp {
    fn name(&self) -> &'static str {
        "token-score"
    }

    fn cpu_fwd(
        &self,
        left: &CpuStorage,
        left_layout: &Layout,
        right: &CpuStorage,
        right_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let width = left_layout.dims()[1];
        let storage = match (left, right) {
            (CpuStorage::F32(left), CpuStorage::F32(right)) => {
                let (left, right) = (part(left, left_layout)?, part(right, right_layout)?);
                CpuStorage::F32(self.forward(left, right, width).map_err(candle_core::Error::wrap)?)
            }
            (CpuStorage::F64(left), CpuStorage::F64(right)) => {
                let (left, right) = (part(left, left_layout)?, part(right, right_layout)?);
                CpuStorage::F64(self.forward(left, right, width).map_err(candle_core::Error::wrap)?)
            }
            _ => candle_core::bail!("token scores are of two f32 or two f64 inputs"),
        };
        Ok((storage, self.shape()))
    }

    fn bwd(
        &self,
        left: &Tensor,
        right: &Tensor,
        _: &Tensor,
        d_scores: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let gradients = match left.dtype() {
            DType::F64 => self.backward::<f64>(left, right, d_scores),
            _ => self.backward::<f32>(left, right, d_scores),
        };
        let (d_left, d_right) = gradients.map_err(candle_core::Error::wrap)?;
        Ok((Some(d_left), Some(d_right)))
    }
}

/// The values of a contiguous tensor.
fn part<'a, T>(values: &'a [T], layout: &Layout) -> candle_core::Result<&'a [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => candle_core::bail!("token scores are of contiguous inputs"),
    }
}
