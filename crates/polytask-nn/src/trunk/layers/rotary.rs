//! Rotary positions (Su et al. 2021, <https://arxiv.org/abs/2104.09864>): pairs of values of queries and keys are
//! turned by an angle that grows with the position, so that scores depend on distances.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{D, Device, Tensor};

use super::rows::each_row;
use super::{Back, Below, Kept, Layer, Place, Plain, Rows, TensorShape, Weights, sum};
use crate::Result;
use crate::trunk::pool::Buf;

/// Cosines and sines by position, made as far as they are asked for.
#[derive(Debug)]
pub(in crate::trunk) struct RotaryTable {
    /// Angle per position, of each pair.
    frequencies: Vec<f64>,
    /// Cosines, then sines, of each position: `[positions, 2, pairs]`.
    made: Mutex<Arc<Vec<f32>>>,
}

impl RotaryTable {
    /// Frequencies θ^(−2i/d) of d turned values.
    pub(in crate::trunk) fn new(theta: f64, d_turned: usize) -> Self {
        let frequency = |i: usize| theta.powf(-2.0 * i as f64 / d_turned as f64);
        Self::of((0..d_turned / 2).map(frequency).collect())
    }

    /// Given frequencies.
    pub(in crate::trunk) fn of(frequencies: Vec<f64>) -> Self {
        Self { frequencies, made: Mutex::default() }
    }

    /// The frequencies.
    pub(in crate::trunk) fn frequencies(&self) -> &[f64] {
        &self.frequencies
    }

    /// Cosines and sines of at least `len` positions.
    fn upto(&self, len: usize) -> Arc<Vec<f32>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs = self.frequencies.len();
        if made.len() < len * 2 * pairs {
            let position = |p: usize| {
                let angles = self.frequencies.iter().map(move |f| p as f64 * f);
                angles.clone().map(f64::cos).chain(angles.map(f64::sin)).map(|v| v as f32).collect::<Vec<_>>()
            };
            *made = Arc::new((0..len.next_power_of_two()).flat_map(position).collect());
        }
        made.clone()
    }
}

/// Turns queries and keys in rows of queries, keys and values; the first values of a head pair with those half of the
/// turned values further on.
#[derive(Debug)]
pub(in crate::trunk) struct Rotary {
    table: Arc<RotaryTable>,
    /// Heads that are turned: those of queries, then those of keys.
    heads: usize,
    d_head: usize,
    width: usize,
}

impl Rotary {
    /// For rows of `heads` queries, `kv_heads` keys and as many values.
    pub(in crate::trunk) fn new(
        table: Arc<RotaryTable>,
        (heads, kv_heads, d_head): (usize, usize, usize),
    ) -> Self {
        Self { table, heads: heads + kv_heads, d_head, width: (heads + 2 * kv_heads) * d_head }
    }

    /// Turns all rows; `rows` gives the saved row of each.
    fn turn(&self, at: &Place<'_>, x: &mut [f32], position: impl Fn(usize) -> u32 + Sync, back: bool) {
        let longest = (0..at.batch.n_sequences()).map(|s| at.batch.length(s)).max().unwrap_or(0);
        let (table, pairs) = (self.table.upto(longest + at.past), self.table.frequencies.len());
        each_row(
            at.threads,
            x,
            self.width,
            #[inline(always)]
            |row, x| {
                let angles = &table[(position(row) as usize + at.past) * 2 * pairs..][..2 * pairs];
                let (cos, sin) = angles.split_at(pairs);
                for head in x[..self.heads * self.d_head].chunks_exact_mut(self.d_head) {
                    let (low, high) = head[..2 * pairs].split_at_mut(pairs);
                    for i in 0..pairs {
                        let (a, b, c) = (low[i], high[i], cos[i]);
                        let s = if back { -sin[i] } else { sin[i] };
                        low[i] = a * c - b * s;
                        high[i] = b * c + a * s;
                    }
                }
            },
        );
    }
}

impl Layer for Rotary {
    fn name(&self) -> &'static str {
        "rotary positions"
    }

    fn tensors(&self) -> Vec<TensorShape> {
        Vec::new()
    }

    fn width(&self) -> usize {
        self.width
    }

    fn forward(
        &self,
        at: &Place<'_>,
        _: Weights<'_>,
        input: Rows<'_>,
        _: Option<&[f32]>,
        _: bool,
    ) -> (Kept, Buf) {
        let (mut x, positions) = (input.into_buf(at.pool), at.batch.positions());
        self.turn(at, &mut x, |row| positions[row], false);
        (Vec::new(), x)
    }

    fn vjp(&self, at: &Place<'_>, _: Weights<'_>, given: Back<'_>) -> Below {
        let (mut g, positions) = (given.g, at.batch.positions());
        self.turn(at, &mut g, |row| positions[given.stack.rows[row] as usize], true);
        Below { input: Some(sum(g, given.onto)), residual: None }
    }

    fn plain(&self, at: &Plain<'_>, _: &[Tensor], input: &Tensor, _: Option<&Tensor>) -> Result<Tensor> {
        let (rows, pairs, turned) = (input.dim(0)?, self.table.frequencies.len(), self.heads * self.d_head);
        let positions = at.batch.positions();
        let angles = |f: fn(f64) -> f64| -> Result<Tensor> {
            let of = |&p: &u32| self.table.frequencies.iter().map(move |w| f(f64::from(p) * w));
            let values: Vec<f64> = positions.iter().flat_map(of).collect();
            Ok(Tensor::from_vec(values, (rows, 1, pairs), &Device::Cpu)?.to_dtype(input.dtype())?)
        };
        let (cos, sin) = (angles(f64::cos)?, angles(f64::sin)?);
        let x = input.narrow(1, 0, turned)?.reshape((rows, self.heads, self.d_head))?;
        let (low, high) = (x.narrow(D::Minus1, 0, pairs)?, x.narrow(D::Minus1, pairs, pairs)?);
        let new_low = (low.broadcast_mul(&cos)? - high.broadcast_mul(&sin)?)?;
        let new_high = (high.broadcast_mul(&cos)? + low.broadcast_mul(&sin)?)?;
        let rest = x.narrow(D::Minus1, 2 * pairs, self.d_head - 2 * pairs)?;
        let x = Tensor::cat(&[new_low, new_high, rest], D::Minus1)?.reshape((rows, turned))?;
        Ok(Tensor::cat(&[x, input.narrow(1, turned, self.width - turned)?], D::Minus1)?)
    }
}
