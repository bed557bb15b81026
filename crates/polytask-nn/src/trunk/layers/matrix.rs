//! The matrix of a layer: one, or several side by side that one product does at once.

use std::ops::Range;

use super::{Start, TensorShape};

/// `[d_out, d_in]`, by parts.
#[derive(Debug, Clone)]
pub(in crate::trunk) struct Matrix {
    pub(in crate::trunk) d_in: usize,
    /// Name and width of each, without `.weight`.
    pub(in crate::trunk) parts: Vec<(String, usize)>,
    /// How it starts.
    pub(in crate::trunk) start: Start,
}

impl Matrix {
    /// One matrix.
    pub(in crate::trunk) fn one(name: &str, d_in: usize, d_out: usize) -> Self {
        Self { d_in, parts: vec![(name.to_owned(), d_out)], start: Start::Normal }
    }

    /// Values per row of the product.
    pub(in crate::trunk) fn d_out(&self) -> usize {
        self.parts.iter().map(|(_, width)| width).sum()
    }

    /// Number of values.
    pub(in crate::trunk) fn len(&self) -> usize {
        self.d_in * self.d_out()
    }

    /// Its tensors.
    pub(in crate::trunk) fn tensors(&self) -> impl Iterator<Item = TensorShape> {
        self.parts
            .iter()
            .map(|(name, width)| TensorShape::matrix(&format!("{name}.weight"), *width, self.d_in))
            .map(|shape| TensorShape { start: self.start, ..shape })
    }

    /// Columns of each part.
    pub(in crate::trunk) fn columns(&self) -> impl Iterator<Item = Range<usize>> {
        self.parts.iter().scan(0, |start, (_, width)| {
            *start += width;
            Some(*start - width..*start)
        })
    }
}
