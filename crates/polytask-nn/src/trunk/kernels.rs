//! All unsafe steps of the packed trunk: strided views of slices, and the matrix product of the `gemm` crate, which
//! takes raw pointers.
//!
//! [`Mat`] and [`MatMut`] are strided views whose bounds are checked once, when they are made from a slice;
//! every smaller view is cut from a larger one, and mutable views can only be *split*, so two never overlap.
#![allow(unsafe_code)] // raw pointers are the interface of `gemm`

use std::marker::PhantomData;
use std::ops::Range;

/// A strided matrix that is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mat<'a> {
    start: *const f32,
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
    life: PhantomData<&'a [f32]>,
}

/// A strided matrix that is written; no two live views share a value.
#[derive(Debug)]
pub(crate) struct MatMut<'a> {
    start: *mut f32,
    rows: usize,
    cols: usize,
    row_stride: usize,
    life: PhantomData<&'a mut [f32]>,
}

// SAFETY: a `Mat` is a shared borrow of f32 values, which are `Sync`.
unsafe impl Send for Mat<'_> {}
// SAFETY: as above.
unsafe impl Sync for Mat<'_> {}
// SAFETY: a `MatMut` is an exclusive borrow of its own values (views are only ever split), and f32 is `Send`.
unsafe impl Send for MatMut<'_> {}

impl<'a> Mat<'a> {
    /// All of `values` as `[rows, cols]`, row-major.
    pub(crate) fn new(values: &'a [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(values.len(), rows * cols, "a {rows}x{cols} matrix covers its slice: this is a bug");
        let start = values.as_ptr();
        Self { start, rows, cols, row_stride: cols, col_stride: 1, life: PhantomData }
    }

    /// Number of rows.
    pub(crate) fn n_rows(self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub(crate) fn n_cols(self) -> usize {
        self.cols
    }

    /// Its rows as slices, when their values lie side by side.
    pub(crate) fn contiguous_rows(self) -> Option<impl Iterator<Item = &'a [f32]>> {
        (self.col_stride == 1 || self.cols <= 1).then(|| {
            (0..self.rows).map(move |row| {
                // SAFETY: the row lies in this view, which borrows its values.
                unsafe { std::slice::from_raw_parts(self.start.add(row * self.row_stride), self.cols) }
            })
        })
    }

    /// The transpose.
    pub(crate) fn t(self) -> Self {
        let (rows, cols) = (self.cols, self.rows);
        Self { rows, cols, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }

    /// Some of its rows.
    pub(crate) fn rows(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.rows, "rows lie in the matrix: this is a bug");
        let start = self.start.wrapping_add(range.start * self.row_stride);
        Self { start, rows: range.len(), ..self }
    }

    /// Some of its columns.
    pub(crate) fn cols(self, range: Range<usize>) -> Self {
        self.t().rows(range).t()
    }
}

impl<'a> MatMut<'a> {
    /// All of `values` as `[rows, cols]`, row-major.
    pub(crate) fn new(values: &'a mut [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(values.len(), rows * cols, "a {rows}x{cols} matrix covers its slice: this is a bug");
        Self { start: values.as_mut_ptr(), rows, cols, row_stride: cols, life: PhantomData }
    }

    /// Number of rows.
    pub(crate) fn n_rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub(crate) fn n_cols(&self) -> usize {
        self.cols
    }

    /// Bands of `n` rows, the last one shorter.
    pub(crate) fn bands(self, n: usize) -> impl Iterator<Item = Self> {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let left = rest.take().filter(|left| left.rows > 0)?;
            let at = n.min(left.rows);
            let (band, after) = left.split_rows(at);
            rest = Some(after);
            Some(band)
        })
    }

    /// Stripes of `n` columns, the last one narrower.
    pub(crate) fn stripes(self, n: usize) -> impl Iterator<Item = Self> {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let left = rest.take().filter(|left| left.cols > 0)?;
            let at = n.min(left.cols);
            let (stripe, after) = left.split_cols(at);
            rest = Some(after);
            Some(stripe)
        })
    }

    /// The first `at` rows and the rest.
    pub(crate) fn split_rows(self, at: usize) -> (Self, Self) {
        assert!(at <= self.rows, "the matrix is split inside: this is a bug");
        let start = self.start.wrapping_add(at * self.row_stride);
        let rest = Self { start, rows: self.rows - at, ..self };
        (Self { rows: at, ..rest_of(&self) }, rest)
    }

    /// The first `at` columns and the rest.
    pub(crate) fn split_cols(self, at: usize) -> (Self, Self) {
        assert!(at <= self.cols, "the matrix is split inside: this is a bug");
        let rest = Self { start: self.start.wrapping_add(at), cols: self.cols - at, ..self };
        (Self { cols: at, ..rest_of(&self) }, rest)
    }

    /// The same view for a shorter time.
    pub(crate) fn again(&mut self) -> MatMut<'_> {
        MatMut { life: PhantomData, ..*self }
    }

    /// One of its rows.
    pub(crate) fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "the row lies in the matrix: this is a bug");
        // SAFETY: the row lies in this view, which owns its values exclusively and is borrowed meanwhile.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(row * self.row_stride), self.cols) }
    }

    fn fill(&mut self, value: f32) {
        (0..self.rows).for_each(|row| self.row(row).fill(value));
    }
}

/// The same view again, for the half of a split that keeps its start; callers consume the original.
fn rest_of<'a>(view: &MatMut<'a>) -> MatMut<'a> {
    MatMut { life: PhantomData, ..*view }
}

/// Whether a product may use all threads of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    /// Only the calling one: for products inside parallel work.
    One,
    /// All of the pool; every entry is still summed in one fixed order.
    All,
}

impl Threads {
    /// Least number of units of row-wise work that stay together.
    pub(crate) fn least(self) -> usize {
        match self {
            Self::One => usize::MAX,
            Self::All => 1,
        }
    }
}

/// `dst = scale · lhs · rhs`, plus the old `dst` when `add`.
pub(crate) fn matmul(
    mut dst: MatMut<'_>,
    add: bool,
    lhs: Mat<'_>,
    rhs: Mat<'_>,
    scale: f32,
    threads: Threads,
) {
    let (m, n, k) = (dst.rows, dst.cols, lhs.cols);
    assert!(
        lhs.rows == m && rhs.rows == k && rhs.cols == n,
        "matrix product of fitting shapes: this is a bug"
    );
    if m == 0 || n == 0 || k == 0 {
        if !add {
            dst.fill(0.0);
        }
        return;
    }
    let parallelism = match threads {
        Threads::One => gemm::Parallelism::None,
        Threads::All => gemm::Parallelism::Rayon(0),
    };
    // SAFETY: all three views lie inside the slices they were made of, `dst` is borrowed exclusively, and the
    // shapes were compared above.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst.start,
            1,
            dst.row_stride as isize,
            add,
            lhs.start,
            lhs.col_stride as isize,
            lhs.row_stride as isize,
            rhs.start,
            rhs.col_stride as isize,
            rhs.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_cut_and_transposed_views_equal_the_sums() {
        let a: Vec<f32> = (0..20).map(|i| i as f32 * 0.5 - 3.0).collect();
        let b: Vec<f32> = (0..12).map(|i| (i * i % 7) as f32).collect();
        let (lhs, rhs) = (Mat::new(&a, 4, 5).rows(1..4).cols(2..5), Mat::new(&b, 4, 3).t().cols(1..3));
        let mut out = vec![1.0; 3 * 4];
        let (_, right) = MatMut::new(&mut out, 3, 4).split_cols(2);
        matmul(right, true, lhs, rhs, 2.0, Threads::One);
        for i in 0..3 {
            for j in 0..2 {
                let sum: f32 = (0..3).map(|k| a[(i + 1) * 5 + k + 2] * b[(j + 1) * 3 + k]).sum();
                assert!((out[i * 4 + 2 + j] - (1.0 + 2.0 * sum)).abs() < 1e-5);
                assert_eq!(out[i * 4 + j], 1.0);
            }
        }
    }

    #[test]
    fn a_product_over_nothing_is_zero() {
        let mut out = vec![7.0; 4];
        matmul(
            MatMut::new(&mut out, 2, 2),
            false,
            Mat::new(&[], 2, 0),
            Mat::new(&[], 0, 2),
            1.0,
            Threads::All,
        );
        assert_eq!(out, [0.0; 4]);
    }

    #[test]
    fn split_views_write_disjoint_rows() {
        let mut out = vec![0.0; 6];
        let (mut top, mut bottom) = MatMut::new(&mut out, 3, 2).split_rows(1);
        top.fill(1.0);
        bottom.fill(2.0);
        assert_eq!(out, [1.0, 1.0, 2.0, 2.0, 2.0, 2.0]);
    }
}
