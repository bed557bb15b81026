//! Segments that nobody had to find: the rows any score stands beside.

use polytask_core::{Purpose, Rng};

use crate::Boundaries;

/// A way to place boundaries without reading a word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trivial {
    /// No boundary.
    None,
    /// A boundary after every unit.
    All,
    /// A boundary after every so many units.
    Every(usize),
    /// A boundary after each unit with this probability.
    Random(f64),
}

/// Seed of the random row, so that it is the same in every table.
const SEED: u64 = 29;

impl Trivial {
    /// The four rows of a corpus with such a mean segment and rate of boundaries on train.
    pub fn rows(mean_segment: f64, rate: f64) -> [Self; 4] {
        let every = (mean_segment.round_ties_even() as usize).max(1);
        [Self::None, Self::All, Self::Every(every), Self::Random(rate)]
    }

    /// What the row is called.
    pub fn name(self) -> String {
        match self {
            Self::None => "none".into(),
            Self::All => "all".into(),
            Self::Every(n) => format!("every {n}"),
            Self::Random(rate) => format!("random at {rate:.3}"),
        }
    }

    /// Its boundaries in a document of `n_units`, the `document`-th.
    pub fn boundaries(self, n_units: usize, document: usize) -> Boundaries {
        let mut rng = Rng::new(SEED, Purpose::Bootstrap, &[document as u64]);
        let marks = (0..n_units).map(|unit| match self {
            Self::None => false,
            Self::All => true,
            Self::Every(n) => (unit + 1).is_multiple_of(n),
            Self::Random(rate) => rng.uniform() < rate,
        });
        Boundaries::new(marks.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_as_dense_as_they_say_and_random_ones_repeat() {
        let count = |row: Trivial, n| row.boundaries(n, 3).count();
        assert_eq!((count(Trivial::None, 9), count(Trivial::All, 9), count(Trivial::Every(4), 9)), (0, 8, 2));
        let n = count(Trivial::Random(0.25), 10_000);
        assert!((2_300..2_700).contains(&n), "{n}");
        assert_eq!(Trivial::Random(0.25).boundaries(50, 3), Trivial::Random(0.25).boundaries(50, 3));
        assert_ne!(Trivial::Random(0.25).boundaries(50, 3), Trivial::Random(0.25).boundaries(50, 4));
        assert_eq!(Trivial::rows(84.938, 0.01)[2], Trivial::Every(85));
    }
}
