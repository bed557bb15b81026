//! What pairs of sentences across a place say together: those of the two neighbours alone, or of a few sentences on both
//! sides.
//!
//! A head that was learnt from neighbours and from pairs that lie apart can be asked about any two sentences. Where a topic
//! ends, all pairs across the place are of two topics; a place whose neighbours are unlike each other by chance has others
//! across it that are alike.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// How a place is judged by the pairs across it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crossing {
    /// Sentences on each side whose pairs are averaged; 1 is the neighbours alone.
    pub width: usize,
    /// Whether only places count that neither neighbouring place surpasses.
    pub peaks: bool,
}

impl Default for Crossing {
    fn default() -> Self {
        Self::NEIGHBOURS
    }
}

impl Crossing {
    /// The two neighbours alone, any place above the threshold.
    pub const NEIGHBOURS: Self = Self { width: 1, peaks: false };

    /// The widest there is.
    pub const WIDEST: usize = 3;

    /// Those that are tried where nothing else is said, neighbours alone first.
    pub fn all() -> Vec<Self> {
        let of = |peaks| (1..=Self::WIDEST).map(move |width| Self { width, peaks });
        of(false).chain(of(true)).collect()
    }

    /// What it is called.
    pub fn name(self) -> String {
        let of = match self.width {
            1 => "neighbours".to_owned(),
            width => format!("pairs of {width} a side"),
        };
        if self.peaks { format!("peaks of {of}") } else { of }
    }

    /// The places that must be judged for some to be: peaks are held against the places beside them.
    pub fn asked(self, places: &Range<usize>, n_sentences: usize) -> Range<usize> {
        let beside = usize::from(self.peaks && !places.is_empty());
        let end = (places.end + beside).min(n_sentences.saturating_sub(1));
        places.start.saturating_sub(beside).min(end)..end
    }

    /// The pairs across a place.
    pub fn pairs(self, place: usize, n_sentences: usize) -> impl Iterator<Item = (usize, usize)> {
        let firsts = (place + 1).saturating_sub(self.width)..place + 1;
        let seconds = place + 1..(place + 1 + self.width).min(n_sentences);
        firsts.flat_map(move |first| seconds.clone().map(move |second| (first, second)))
    }

    /// Which of some scores, those of [`Crossing::asked`], may be boundaries.
    pub fn can_end(self, scores: &[f64]) -> Vec<bool> {
        if self.peaks { crate::tiling::deepest(scores, f64::NEG_INFINITY) } else { vec![true; scores.len()] }
    }
}

/// The probability of one topic of every pair of sentences that lie near each other.
#[derive(Debug, Clone, PartialEq)]
pub struct PairBand {
    /// The pairs, in order.
    pairs: Vec<(usize, usize)>,
    same: Vec<f64>,
}

impl PairBand {
    /// The pairs across some places, each once.
    pub fn pairs(places: Range<usize>, n_sentences: usize, width: usize) -> Vec<(usize, usize)> {
        let crossing = Crossing { width, peaks: false };
        let mut pairs: Vec<_> = places.flat_map(|place| crossing.pairs(place, n_sentences)).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }

    /// Of such pairs, and a probability of each.
    pub fn new(pairs: Vec<(usize, usize)>, same: Vec<f64>) -> Self {
        debug_assert_eq!(pairs.len(), same.len());
        Self { pairs, same }
    }

    /// How probable it is that a topic ends at a place: the mean over the pairs across it.
    pub fn change(&self, crossing: Crossing, place: usize, n_sentences: usize) -> f64 {
        let (mut sum, mut n) = (0.0, 0);
        for pair in crossing.pairs(place, n_sentences) {
            sum += self.pairs.binary_search(&pair).map_or(f64::NAN, |at| self.same[at]);
            n += 1;
        }
        1.0 - sum / f64::from(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pairs_across_a_place_count_alike_and_none_leaves_the_text() {
        let two = Crossing { width: 2, peaks: false };
        assert_eq!(two.pairs(1, 4).collect::<Vec<_>>(), [(0, 2), (0, 3), (1, 2), (1, 3)]);
        assert_eq!(two.pairs(0, 4).collect::<Vec<_>>(), [(0, 1), (0, 2)]);
        assert_eq!(Crossing::NEIGHBOURS.pairs(2, 4).collect::<Vec<_>>(), [(2, 3)]);
        let pairs = PairBand::pairs(0..3, 4, 2);
        assert_eq!(pairs, [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]);
        let same = vec![0.9, 0.1, 0.2, 0.3, 0.0, 0.8];
        let band = PairBand::new(pairs, same);
        assert!((band.change(two, 1, 4) - (1.0 - 0.6 / 4.0)).abs() < 1e-12);
        assert!((band.change(Crossing::NEIGHBOURS, 1, 4) - 0.7).abs() < 1e-12);
        assert!(band.change(Crossing { width: 3, peaks: false }, 9, 20).is_nan());
    }

    #[test]
    fn peaks_ask_for_the_places_beside_and_leave_out_what_a_neighbour_surpasses() {
        let peaks = Crossing { width: 2, peaks: true };
        assert_eq!((peaks.asked(&(3..5), 10), peaks.asked(&(0..9), 10)), (2..6, 0..9));
        assert_eq!(Crossing::NEIGHBOURS.asked(&(3..5), 10), 3..5);
        assert_eq!((peaks.asked(&(0..0), 1), peaks.asked(&(0..0), 0)), (0..0, 0..0));
        assert_eq!(peaks.can_end(&[0.2, 0.9, 0.8, 0.8]), [false, true, false, false]);
        assert_eq!(Crossing::NEIGHBOURS.can_end(&[0.2, 0.9]), [true, true]);
    }

    #[test]
    fn neighbours_alone_are_tried_first_and_names_differ() {
        let all = Crossing::all();
        assert_eq!(all[0], Crossing::NEIGHBOURS);
        let mut names: Vec<String> = all.iter().map(|crossing| crossing.name()).collect();
        names.sort();
        names.dedup();
        assert_eq!((names.len(), names.iter().filter(|name| name.contains("peaks")).count()), (6, 3));
    }
}
