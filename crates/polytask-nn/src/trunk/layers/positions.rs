//! Learned position vectors, and the vectors of token types: added to word vectors.

use candle_core::{Device, Tensor};
use polytask_core::is_second;
use rayon::prelude::*;

use super::rows::each_row;
use super::{Back, Below, Kept, Layer, Place, Plain, Rows, TensorShape, Weights};
use crate::Result;
use crate::trunk::elementwise::add;
use crate::trunk::pool::Buf;
use crate::trunk::stack::Stack;

/// Adds to each row the vector of its position, and that of its token type: 1 in the second of two texts, else 0.
#[derive(Debug)]
pub(in crate::trunk) struct Positions {
    width: usize,
    /// Name and rows of the table of positions.
    table: Option<(String, usize)>,
    /// Row of the first position: some families count from the padding id on.
    offset: usize,
    /// Name and rows of the table of types.
    types: Option<(String, usize)>,
}

impl Positions {
    /// Adds nothing.
    pub(in crate::trunk) fn none(width: usize) -> Self {
        Self { width, table: None, offset: 0, types: None }
    }

    /// The same with a table of positions, counted from row `offset` on.
    #[must_use]
    pub(in crate::trunk) fn learned(self, name: &str, rows: usize, offset: usize) -> Self {
        Self { table: Some((name.into(), rows)), offset, ..self }
    }

    /// The same with a table of types, where there are types.
    #[must_use]
    pub(in crate::trunk) fn typed(self, name: &str, rows: usize) -> Self {
        Self { types: (rows > 0).then(|| (name.into(), rows)), ..self }
    }

    /// Number of values of the table of positions.
    fn n_positions(&self) -> usize {
        self.table.as_ref().map_or(0, |(_, rows)| rows * self.width)
    }

    /// The token type of a symbol; a table of one type has no other.
    fn type_of(&self, symbol: u32) -> usize {
        let has_second = self.types.as_ref().is_some_and(|(_, rows)| *rows > 1);
        usize::from(has_second && is_second(symbol))
    }

    fn row(&self, position: u32) -> usize {
        (self.offset + position as usize) * self.width
    }
}

impl Layer for Positions {
    fn name(&self) -> &'static str {
        "positions"
    }

    fn tensors(&self) -> Vec<TensorShape> {
        let tables = self.table.iter().chain(&self.types);
        tables.map(|(name, rows)| TensorShape::matrix(name, *rows, self.width)).collect()
    }

    fn width(&self) -> usize {
        self.width
    }

    fn forward(
        &self,
        at: &Place<'_>,
        weights: Weights<'_>,
        input: Rows<'_>,
        _: Option<&[f32]>,
        _: bool,
    ) -> (Kept, Buf) {
        let (table, types) = weights.values.split_at(self.n_positions());
        let (mut x, positions, symbols) = (input.into_buf(at.pool), at.batch.positions(), &at.batch.ids);
        each_row(
            at.threads,
            &mut x,
            self.width,
            #[inline(always)]
            |row, x| {
                if self.table.is_some() {
                    add(x, &table[self.row(positions[row] + at.past as u32)..][..self.width]);
                }
                if self.types.is_some() {
                    add(x, &types[self.type_of(symbols[row]) * self.width..][..self.width]);
                }
            },
        );
        (Vec::new(), x)
    }

    fn vjp(&self, at: &Place<'_>, _: Weights<'_>, given: Back<'_>) -> Below {
        let (d, stack, g, positions) = (self.width, given.stack, given.g, at.batch.positions());
        let sums = stack.sum_rows(at.pool, &g, d);
        stack.groups.par_iter().zip(given.grads).for_each(|(group, grad)| {
            grad.fill(0.0);
            let (table, types) = grad.split_at_mut(self.n_positions());
            for row in group.rows.clone().filter(|_| self.table.is_some()) {
                let to = self.row(positions[stack.rows[row] as usize]);
                add(&mut table[to..][..d], &g[row * d..][..d]);
            }
            let is_second = |row: &usize| self.type_of(at.batch.ids[stack.rows[*row] as usize]) > 0;
            if self.types.is_some() && !group.rows.clone().any(|row| is_second(&row)) {
                Stack::reduce(group, &sums, d, 0, &mut types[..d]);
            } else if self.types.is_some() {
                for row in group.rows.clone() {
                    add(&mut types[usize::from(is_second(&row)) * d..][..d], &g[row * d..][..d]);
                }
            }
        });
        Below::of(g, given.onto)
    }

    fn plain(
        &self,
        at: &Plain<'_>,
        tensors: &[Tensor],
        input: &Tensor,
        _: Option<&Tensor>,
    ) -> Result<Tensor> {
        let (tables, types) = tensors.split_at(usize::from(self.table.is_some()));
        let mut x = input.clone();
        if let Some(table) = tables.first() {
            let rows: Vec<u32> = at.batch.positions().iter().map(|p| p + self.offset as u32).collect();
            x = (x + table.index_select(&Tensor::new(rows, &Device::Cpu)?, 0)?)?;
        }
        if let Some(types) = types.first() {
            let rows: Vec<u32> = at.batch.ids.iter().map(|&symbol| self.type_of(symbol) as u32).collect();
            x = (x + types.index_select(&Tensor::new(rows, &Device::Cpu)?, 0)?)?;
        }
        Ok(x)
    }
}
