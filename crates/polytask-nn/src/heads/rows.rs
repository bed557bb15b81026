//! What a head reads of one input.

use std::ops::Deref;

use candle_core::Tensor;

/// Rows of an input, `[rows, d_in]`; a head that reads all states of a text is told where each text's begin.
#[derive(Debug, Clone)]
pub struct HeadRows {
    values: Tensor,
    starts: Option<Vec<u32>>,
}

impl HeadRows {
    /// Each row by itself.
    pub fn single(values: Tensor) -> Self {
        Self { values, starts: None }
    }

    /// Several rows per text; `starts` is the first row of each, and the number of all rows.
    pub fn of_texts(values: Tensor, starts: Vec<u32>) -> Self {
        Self { values, starts: Some(starts) }
    }

    /// First row of each text, and the number of all rows.
    pub fn starts(&self) -> Vec<u32> {
        let each = || (0..=self.values.dims().first().copied().unwrap_or(0) as u32).collect();
        self.starts.clone().unwrap_or_else(each)
    }
}

impl Deref for HeadRows {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.values
    }
}
