//! States of all tokens of several texts.

use std::borrow::Cow;

use crate::params::Real;

/// States of all tokens of several texts, laid end to end.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ragged {
    /// `[tokens, width]`.
    pub values: Vec<f32>,
    /// First token of each text, and the number of all tokens.
    pub starts: Vec<u32>,
    /// Values per state.
    pub width: usize,
}

impl Ragged {
    /// Of no text.
    pub fn new(width: usize) -> Self {
        Self { values: Vec::new(), starts: vec![0], width }
    }

    /// Room for texts of these lengths.
    pub fn zeros(lengths: impl IntoIterator<Item = usize>, width: usize) -> Self {
        let mut starts = vec![0];
        starts.extend(lengths.into_iter().scan(0, |n, length| {
            *n += length as u32;
            Some(*n)
        }));
        let n = starts.last().copied().unwrap_or(0) as usize;
        Self { values: vec![0.0; n * width], starts, width }
    }

    /// Adds a text, `[tokens, width]`.
    pub fn push(&mut self, states: &[f32]) {
        self.values.extend_from_slice(states);
        self.starts.push((self.values.len() / self.width.max(1)) as u32);
    }

    /// The states of a text, `[tokens, width]`.
    pub fn text(&self, i: usize) -> &[f32] {
        &self.values[self.starts[i] as usize * self.width..self.starts[i + 1] as usize * self.width]
    }

    /// The same, to be written.
    pub fn text_mut(&mut self, i: usize) -> &mut [f32] {
        &mut self.values[self.starts[i] as usize * self.width..self.starts[i + 1] as usize * self.width]
    }

    /// All of it.
    pub fn rows(&self) -> TokenRows<'_, f32> {
        TokenRows {
            values: Cow::Borrowed(&self.values),
            starts: Cow::Borrowed(&self.starts),
            width: self.width,
        }
    }
}

/// Token states that are read.
#[derive(Debug, Clone)]
pub struct TokenRows<'a, T: Real> {
    /// `[tokens, width]`.
    pub values: Cow<'a, [T]>,
    /// First token of each text, and the number of all tokens.
    pub starts: Cow<'a, [u32]>,
    /// Values per state.
    pub width: usize,
}

impl<T: Real> TokenRows<'_, T> {
    /// Number of texts.
    pub fn n_texts(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The same, for as long as this lives.
    pub(super) fn borrowed(&self) -> TokenRows<'_, T> {
        TokenRows {
            values: Cow::Borrowed(&self.values),
            starts: Cow::Borrowed(&self.starts),
            width: self.width,
        }
    }

    /// One of its texts.
    pub(super) fn text(&self, i: usize) -> TokenRows<'_, T> {
        self.texts(&(i..i + 1))
    }

    /// Some of its texts.
    pub(super) fn texts(&self, range: &std::ops::Range<usize>) -> TokenRows<'_, T> {
        let (first, end) = (self.starts[range.start], self.starts[range.end]);
        let values = &self.values[first as usize * self.width..end as usize * self.width];
        let starts = self.starts[range.start..=range.end].iter().map(|start| start - first).collect();
        TokenRows { values: Cow::Borrowed(values), starts: Cow::Owned(starts), width: self.width }
    }

    /// Tokens of a text.
    pub(super) fn span(&self, i: usize) -> std::ops::Range<usize> {
        self.starts[i] as usize..self.starts[i + 1] as usize
    }

    /// Squared length of each state.
    pub(super) fn squares(&self) -> Vec<T> {
        self.values.chunks(self.width.max(1)).map(|row| row.iter().map(|v| *v * *v).sum()).collect()
    }

    /// The mean state of each text; 0 where it has none.
    pub(super) fn means(&self) -> TokenRows<'static, T> {
        let mut values = vec![T::ZERO; self.n_texts() * self.width];
        for (i, mean) in values.chunks_mut(self.width.max(1)).enumerate() {
            let span = self.span(i);
            let share = T::ONE / T::of(span.len().max(1) as f64);
            for row in span.map(|j| &self.values[j * self.width..(j + 1) * self.width]) {
                mean.iter_mut().zip(row).for_each(|(m, v)| *m += share * *v);
            }
        }
        let starts = (0..=self.n_texts() as u32).collect();
        TokenRows { values: Cow::Owned(values), starts: Cow::Owned(starts), width: self.width }
    }

    /// From gradients of [`Self::means`] to those of the states.
    pub(super) fn means_vjp(&self, d_means: &[T]) -> Vec<T> {
        let mut d = vec![T::ZERO; self.values.len()];
        for (i, d_mean) in d_means.chunks(self.width.max(1)).enumerate() {
            let span = self.span(i);
            let share = T::ONE / T::of(span.len().max(1) as f64);
            for j in span {
                let row = &mut d[j * self.width..(j + 1) * self.width];
                row.iter_mut().zip(d_mean).for_each(|(d, g)| *d = share * *g);
            }
        }
        d
    }
}
