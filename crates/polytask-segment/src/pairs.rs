//! Pairs of sentences to learn from: neighbours, and some that lie apart, with what is true of them.

use polytask_core::{Purpose, Rng};
use serde::{Deserialize, Serialize};

/// Two sentences of a document and what is true of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentencePair {
    /// The first sentence.
    pub first: usize,
    /// The second one, further on in the document.
    pub second: usize,
    /// Whether both are of one section.
    pub is_same_topic: bool,
    /// Whether the second follows the first at once.
    pub is_next: bool,
}

/// Which pairs that lie apart are drawn beside all neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PairSampling {
    /// Pairs of one section that are no neighbours, per pair of neighbours.
    pub same_section: f64,
    /// Pairs of two sections that are no neighbours, per pair of neighbours.
    pub other_section: f64,
    /// Whether the first sentence of a section follows the last one of the section before.
    pub follows_boundary: bool,
}

impl Default for PairSampling {
    fn default() -> Self {
        Self { same_section: 0.5, other_section: 0.5, follows_boundary: true }
    }
}

/// All neighbours of a document, in order: what is scored.
pub fn neighbours(sections: &[usize], follows_boundary: bool) -> Vec<SentencePair> {
    let pair = |first: usize| {
        let is_same_topic = sections[first] == sections[first + 1];
        SentencePair { first, second: first + 1, is_same_topic, is_next: is_same_topic || follows_boundary }
    };
    (0..sections.len().saturating_sub(1)).map(pair).collect()
}

/// All pairs of a document that are no neighbours, of one section or of two.
pub fn apart(sections: &[usize], is_same_topic: bool) -> impl Iterator<Item = SentencePair> + '_ {
    let n = sections.len();
    let all = (0..n).flat_map(move |first| (first + 2..n).map(move |second| (first, second)));
    all.filter(move |&(first, second)| (sections[first] == sections[second]) == is_same_topic)
        .map(move |(first, second)| SentencePair { first, second, is_same_topic, is_next: false })
}

/// The pairs a document is learnt by: its neighbours, then those that were drawn of the others. The same for the same
/// seed and place of the document, whatever stands before it.
pub fn training(sections: &[usize], sampling: PairSampling, seed: u64, document: u64) -> Vec<SentencePair> {
    let mut pairs = neighbours(sections, sampling.follows_boundary);
    let wanted = |share: f64| (share * pairs.len() as f64).round() as usize;
    let of = [(true, wanted(sampling.same_section)), (false, wanted(sampling.other_section))];
    for (is_same_topic, n) in of {
        let mut rng = Rng::new(seed, Purpose::Pick, &[document, u64::from(is_same_topic)]);
        pairs.extend(drawn(apart(sections, is_same_topic), n, &mut rng));
    }
    pairs
}

/// `n` of some pairs, each with the same chance (Vitter 1985), in their order.
fn drawn(all: impl Iterator<Item = SentencePair>, n: usize, rng: &mut Rng) -> Vec<SentencePair> {
    let mut kept: Vec<SentencePair> = Vec::with_capacity(n);
    for (seen, pair) in all.enumerate() {
        if kept.len() < n {
            kept.push(pair);
        } else {
            let place = rng.below(seen + 1);
            if place < n {
                kept[place] = pair;
            }
        }
    }
    kept.sort_unstable_by_key(|pair| (pair.first, pair.second));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTIONS: [usize; 6] = [0, 0, 1, 1, 1, 0];

    fn places(pairs: impl IntoIterator<Item = SentencePair>) -> Vec<(usize, usize)> {
        pairs.into_iter().map(|pair| (pair.first, pair.second)).collect()
    }

    /// Lists of `xtask/parity/segmentation.py`.
    #[test]
    fn pairs_equal_the_reference() {
        let adjacent: Vec<(usize, usize, bool, bool)> = neighbours(&SECTIONS, true)
            .iter()
            .map(|pair| (pair.first, pair.second, pair.is_same_topic, pair.is_next))
            .collect();
        let expected = [
            (0, 1, true, true),
            (1, 2, false, true),
            (2, 3, true, true),
            (3, 4, true, true),
            (4, 5, false, true),
        ];
        assert_eq!(adjacent, expected);
        assert_eq!(places(apart(&SECTIONS, true)), [(0, 5), (1, 5), (2, 4)]);
        assert_eq!(places(apart(&SECTIONS, false)), [(0, 2), (0, 3), (0, 4), (1, 3), (1, 4), (2, 5), (3, 5)]);
        assert!(!neighbours(&SECTIONS, false)[1].is_next && neighbours(&SECTIONS, false)[0].is_next);
    }

    #[test]
    fn half_as_many_of_each_sort_are_drawn_and_the_draw_repeats() {
        let sections: Vec<usize> = (0..41).map(|i| i / 5).collect();
        let pairs = training(&sections, PairSampling::default(), 7, 3);
        assert_eq!(pairs, training(&sections, PairSampling::default(), 7, 3));
        assert_ne!(pairs, training(&sections, PairSampling::default(), 8, 3));
        let apart: Vec<_> = pairs.iter().filter(|pair| !pair.is_next).collect();
        assert_eq!((pairs.len() - apart.len(), apart.len()), (40, 40));
        assert_eq!(apart.iter().filter(|pair| pair.is_same_topic).count(), 20);
        assert!(apart.iter().all(|p| (sections[p.first] == sections[p.second]) == p.is_same_topic));
        let mut distinct = places(pairs.iter().copied());
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), pairs.len());
    }

    #[test]
    fn documents_too_short_for_a_pair_give_none() {
        for n in 0..2 {
            assert!(training(&vec![0; n], PairSampling::default(), 1, 0).is_empty());
        }
    }
}
