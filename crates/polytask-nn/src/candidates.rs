//! Many candidates scored against one query after the other by a head that reads pairs.
//!
//! The head's first map is linear in its features, so its share of the candidate alone, `W_v v`, is computed once, that of
//! the query, `W_u u + b`, once per query; only what both have a part in is computed for every pair (Barkan et al. 2020).

use candle_core::{Device, Tensor};

use crate::heads::Head;
use crate::objective::tensors;
use crate::params::{Block, Real};
use crate::{Error, Result};

/// Candidates scored at a time: their features stay in the cache.
const ROWS: usize = 1024;

/// Candidates as a head sees them.
pub struct PairCandidates {
    /// Pieces of the candidates.
    pieces: Vec<Piece>,
    /// Of the first map what reads the query, `[d, h]`, what reads both, `[2 · d, h]`, and its bias, `[1, h]`.
    of_query: Tensor,
    of_both: Tensor,
    bias: Tensor,
    /// The map after the hidden layer, where there is one: `[h, outputs]` and `[1, outputs]`.
    last: Option<(Tensor, Tensor)>,
    width: usize,
}

/// Some candidates, `[rows, d]`, and what the first map makes of them alone, `[rows, h]`.
struct Piece {
    vectors: Tensor,
    mapped: Tensor,
}

impl PairCandidates {
    /// Candidates `[n, d_in]` of a head that reads the features of pairs.
    ///
    /// # Errors
    /// A head that reads something else, or vectors of another width.
    pub fn new<T: Real>(head: &dyn Head, block: &Block<T>, vectors: &[T]) -> Result<Self> {
        let d = head.d_in();
        if !head.reads_pair_features() || !vectors.len().is_multiple_of(d.max(1)) {
            let found = format!("{} values of candidates", vectors.len());
            let expected = format!("rows of {d} values and a head that reads pairs");
            return Err(Error::Shape { part: "candidates".into(), found, expected });
        }
        let weights = tensors(block)?;
        let part = |from: usize, n: usize| -> Result<Tensor> {
            Ok(weights[0].narrow(1, from, n)?.t()?.contiguous()?)
        };
        let of_candidate = part(d, d)?;
        let piece = |values: &[T]| -> Result<Piece> {
            let vectors = Tensor::from_slice(values, (values.len() / d, d), &Device::Cpu)?;
            Ok(Piece { mapped: vectors.matmul(&of_candidate)?, vectors })
        };
        Ok(Self {
            pieces: vectors.chunks(ROWS * d).map(piece).collect::<Result<_>>()?,
            of_query: part(0, d)?,
            of_both: part(2 * d, 2 * d)?,
            bias: weights[1].unsqueeze(0)?,
            last: match &weights[2..] {
                [weight, bias] => Some((weight.t()?.contiguous()?, bias.unsqueeze(0)?)),
                _ => None,
            },
            width: d,
        })
    }

    /// Outputs of the head for a query with every candidate, `[n, outputs]`.
    ///
    /// # Errors
    /// A query of another width.
    pub fn outputs<T: Real>(&self, query: &[T]) -> Result<Vec<T>> {
        let query = Tensor::from_slice(query, (1, self.width), &Device::Cpu)?;
        let of_query = (query.matmul(&self.of_query)? + &self.bias)?;
        let mut outputs = Vec::new();
        for Piece { vectors, mapped } in &self.pieces {
            let distance = vectors.broadcast_sub(&query)?.abs()?;
            let both = Tensor::cat(&[&distance, &vectors.broadcast_mul(&query)?], 1)?;
            let first = (both.matmul(&self.of_both)? + mapped)?.broadcast_add(&of_query)?;
            let output = match &self.last {
                Some((weight, bias)) => first.relu()?.matmul(weight)?.broadcast_add(bias)?,
                None => first,
            };
            outputs.extend(output.flatten_all()?.to_vec1::<T>()?);
        }
        Ok(outputs)
    }
}

#[cfg(test)]
mod tests {
    use polytask_core::{HeadForm, Purpose, Rng};

    use super::*;
    use crate::heads::{HeadOptions, build, build_with};
    use crate::objective::output;

    #[test]
    fn split_maps_give_what_the_whole_head_gives() {
        let (d, n) = (5, ROWS + 3);
        let mut rng = Rng::new(25, Purpose::Pick, &[]);
        let z: Vec<f64> = (0..(n + 1) * d).map(|_| rng.normal()).collect();
        let hidden = HeadOptions { hidden: Some(7), ..HeadOptions::default() };
        for head in [build(HeadForm::PairLinear, d, 3), build_with(HeadForm::PairLinear, d, 3, hidden)] {
            let mut block = head.block("h", 1).cast::<f64>();
            block.values.iter_mut().for_each(|value| *value = rng.normal());
            let candidates = PairCandidates::new(&*head, &block, &z[d..]).unwrap();
            let found = candidates.outputs(&z[..d]).unwrap();
            let rows = [vec![0; n], (1..=n as u32).collect()];
            let expected = output(&*head, &block, &z, d, &rows).unwrap();
            assert_eq!(found.len(), expected.len());
            let largest = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(largest < 1e-12, "{largest}");
        }
        let linear = build(HeadForm::Linear, d, 3);
        assert!(PairCandidates::new(&*linear, &linear.block("h", 1).cast::<f64>(), &z).is_err());
    }
}
