//! What attention adds to its scores by the distance of two tokens: nothing, minus infinity outside a window, slopes
//! (ALiBi), or entries of a table shared by all layers (T5, MPNet).

use std::ops::Range;

use candle_core::{Device, Tensor};

use super::{Back, Below, Kept, Layer, Place, Plain, Rows, TensorShape, Weights};
use crate::Result;
use crate::trunk::pool::Buf;
use crate::trunk::stack::Stack;

/// A table of scores by distance, in buckets that widen with it (Raffel et al. 2020, section 2.1,
/// <https://arxiv.org/abs/1910.10683>), `[buckets, heads]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::trunk) struct Buckets {
    /// Buckets of both directions together.
    pub(in crate::trunk) count: usize,
    /// Distances from here on share the last bucket.
    pub(in crate::trunk) most: usize,
}

impl Buckets {
    /// The bucket of a key `distance` = key − query away: half of them for each direction; the nearest have one each,
    /// the others widen by a constant factor.
    pub(in crate::trunk) fn of(self, distance: i64) -> usize {
        let half = self.count / 2;
        let (behind, n) = (if distance > 0 { half } else { 0 }, distance.unsigned_abs() as usize);
        let exact = half / 2;
        if n < exact {
            return behind + n;
        }
        let share = (n as f32 / exact as f32).ln() / (self.most as f32 / exact as f32).ln();
        behind + (exact + (share * (half - exact) as f32) as usize).min(half - 1)
    }
}

/// What is added to scores by distance.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::trunk) struct Relative {
    /// How far back a token sees; all the way when it says nothing.
    pub(in crate::trunk) before: Option<usize>,
    /// How far ahead.
    pub(in crate::trunk) after: Option<usize>,
    /// ALiBi (Press et al. 2022, <https://arxiv.org/abs/2108.12409>): a slope per head, times minus the distance.
    pub(in crate::trunk) slopes: Vec<f32>,
    /// The shared table.
    pub(in crate::trunk) buckets: Option<Buckets>,
}

impl Relative {
    /// Each token sees itself and those before it.
    pub(in crate::trunk) fn causal() -> Self {
        Self { after: Some(0), ..Self::default() }
    }

    /// Each token sees those at most `distance` away.
    pub(in crate::trunk) fn window(distance: usize) -> Self {
        Self { before: Some(distance), after: Some(distance), ..Self::default() }
    }

    /// Whether nothing is added.
    pub(in crate::trunk) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// What is added in a head for distances −(len − 1) to len − 1, `[2·len − 1]`.
    pub(in crate::trunk) fn by_distance(
        &self,
        table: &[f32],
        (head, heads): (usize, usize),
        len: usize,
    ) -> Vec<f32> {
        distances(len).map(|distance| self.at(table, (head, heads), distance)).collect()
    }

    fn at(&self, table: &[f32], (head, heads): (usize, usize), distance: i64) -> f32 {
        let n = distance.unsigned_abs() as usize;
        let limit = if distance < 0 { self.before } else { self.after };
        if limit.is_some_and(|most| n > most) {
            return f32::NEG_INFINITY;
        }
        let slope = self.slopes.get(head).map_or(0.0, |slope| -slope * n as f32);
        slope + self.buckets.map_or(0.0, |buckets| table[buckets.of(distance) * heads + head])
    }

    /// What is added in every head, `[heads, len, len]`, in differentiable operations.
    pub(in crate::trunk) fn plain(
        &self,
        table: Option<&Tensor>,
        heads: usize,
        len: usize,
        like: &Tensor,
    ) -> Result<Tensor> {
        let without = Self { buckets: None, ..self.clone() };
        let constant: Vec<f64> = (0..heads)
            .flat_map(|head| {
                let row = without.by_distance(&[], (head, heads), len);
                (0..len).flat_map(move |i| row[len - 1 - i..2 * len - 1 - i].to_vec())
            })
            .map(f64::from)
            .collect();
        let constant = Tensor::from_vec(constant, (heads, len, len), &Device::Cpu)?.to_dtype(like.dtype())?;
        let (Some(buckets), Some(table)) = (self.buckets, table) else { return Ok(constant) };
        let pairs = (0..len as i64).flat_map(|i| (0..len as i64).map(move |j| buckets.of(j - i) as u32));
        let ids = Tensor::new(pairs.collect::<Vec<u32>>(), &Device::Cpu)?;
        let entries = table.index_select(&ids, 0)?.reshape((len, len, heads))?;
        Ok((entries.permute((2, 0, 1))?.contiguous()? + constant)?)
    }
}

/// All distances of a sequence.
fn distances(len: usize) -> Range<i64> {
    1 - len as i64..len as i64
}

/// Adds the gradient of a head's scores, summed by distance, to that of the table.
pub(in crate::trunk) fn add_to_table(
    buckets: Buckets,
    (head, heads): (usize, usize),
    by_distance: &[f32],
    table: &mut [f32],
) {
    let len = by_distance.len().div_ceil(2);
    for (distance, value) in distances(len).zip(by_distance) {
        table[buckets.of(distance) * heads + head] += value;
    }
}

/// Holds the table of relative positions; rows pass through it. It stands in a block below all layers that read it.
#[derive(Debug)]
pub(in crate::trunk) struct RelativeTable {
    name: String,
    buckets: usize,
    heads: usize,
    width: usize,
}

impl RelativeTable {
    /// A table of some buckets and heads, among rows of `width` values.
    pub(in crate::trunk) fn new(name: &str, buckets: Buckets, heads: usize, width: usize) -> Self {
        Self { name: name.into(), buckets: buckets.count, heads, width }
    }
}

impl Layer for RelativeTable {
    fn name(&self) -> &'static str {
        "relative positions"
    }

    fn tensors(&self) -> Vec<TensorShape> {
        vec![TensorShape::matrix(&self.name, self.buckets, self.heads)]
    }

    fn width(&self) -> usize {
        self.width
    }

    fn is_relative_table(&self) -> bool {
        true
    }

    fn forward(
        &self,
        at: &Place<'_>,
        _: Weights<'_>,
        input: Rows<'_>,
        _: Option<&[f32]>,
        _: bool,
    ) -> (Kept, Buf) {
        (Vec::new(), input.into_buf(at.pool))
    }

    fn vjp(&self, _: &Place<'_>, _: Weights<'_>, given: Back<'_>) -> Below {
        for (grad, relative) in given.grads.iter_mut().zip(given.relative) {
            grad.copy_from_slice(relative);
        }
        Below::of(given.g, given.onto)
    }

    fn plain(&self, _: &Plain<'_>, _: &[Tensor], input: &Tensor, _: Option<&Tensor>) -> Result<Tensor> {
        Ok(input.clone())
    }
}

/// The group of each segment of a stack, in the order of the segments.
pub(in crate::trunk) fn segments_of_groups(stack: &Stack) -> Vec<usize> {
    let mut row = 0;
    let of = |len: usize, row: usize| {
        stack
            .groups
            .iter()
            .position(|group| row >= group.rows.start && row + len <= group.rows.end)
            .unwrap_or(0)
    };
    let mut groups = Vec::with_capacity(stack.segments.len());
    for segment in &stack.segments {
        groups.push(of(segment.len, row));
        row += segment.len;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_widen_by_a_constant_factor_up_to_the_last_one() {
        // By the formula; that whole networks have the published states is tested with the families.
        let buckets = Buckets { count: 32, most: 128 };
        let of = |distance| buckets.of(distance);
        assert_eq!([-200, -127, -64, -20, -9, -8, -7, -1, 0].map(of), [15, 15, 14, 10, 8, 8, 7, 1, 0]);
        assert_eq!([1, 7, 8, 20, 64, 128].map(of), [17, 23, 24, 26, 30, 31]);
    }

    #[test]
    fn windows_shut_out_what_lies_outside_them() {
        let seen = |relative: Relative| {
            let row = relative.by_distance(&[], (0, 1), 4);
            row.iter().map(|v| *v == 0.0).collect::<Vec<_>>()
        };
        assert_eq!(seen(Relative::causal()), [true, true, true, true, false, false, false]);
        assert_eq!(seen(Relative::window(1)), [false, false, true, true, true, false, false]);
        let slopes = Relative { slopes: vec![0.5], ..Relative::default() };
        assert_eq!(slopes.by_distance(&[], (0, 1), 3), [-1.0, -0.5, 0.0, -0.5, -1.0]);
    }
}
