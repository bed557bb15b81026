//! The numbers that are summed of a row: slope and curvature of each margin, and what tells how many rows there are.

/// Curvature at or below which a margin has no known row: subtraction leaves about as much.
pub(super) const NOTHING: f64 = 1e-10;

/// What tells the rows in a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// The curvature of the first margin, which is 1 in every row.
    Curvature,
    /// A number of its own behind the others.
    Own,
    /// Nothing: a leaf may have any row, so only whether there is one is asked, and curvatures tell that.
    Any,
}

/// The numbers of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lanes {
    /// Margins.
    pub(super) width: usize,
    pub(super) count: Count,
}

impl Lanes {
    /// How many they are.
    pub(super) fn n(self) -> usize {
        2 * self.width + usize::from(self.count == Count::Own)
    }

    /// Slope and curvature of each margin.
    pub(super) fn margins(self, sums: &[f64]) -> impl Iterator<Item = &[f64; 2]> {
        sums[..2 * self.width].as_chunks::<2>().0.iter()
    }

    /// The curvature of all margins.
    pub(super) fn curvature(self, sums: &[f64]) -> f64 {
        self.margins(sums).map(|margin| margin[1]).sum()
    }

    /// The number of rows; where it is not counted, 1 if there are any.
    pub(super) fn rows(self, sums: &[f64]) -> f64 {
        match self.count {
            Count::Curvature => sums[1],
            Count::Own => sums[2 * self.width],
            Count::Any => f64::from(u8::from(self.curvature(sums) > NOTHING)),
        }
    }
}

/// Slopes and curvatures of all rows, of which a tree reads some margins.
#[derive(Clone, Copy)]
pub(crate) struct Slopes<'a> {
    /// `[rows, stride]`, slope and curvature of each margin.
    pub(crate) values: &'a [f32],
    /// Numbers per row, of which the tree reads the first.
    pub(crate) stride: usize,
    /// Margins the tree reads.
    pub(crate) width: usize,
}

impl Slopes<'_> {
    /// Slope and curvature of each margin of a row.
    #[inline]
    pub(super) fn of(&self, row: u32) -> &[f32] {
        &self.values[row as usize * self.stride..][..2 * self.width]
    }
}
