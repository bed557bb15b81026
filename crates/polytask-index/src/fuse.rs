//! Two rankings made one: reciprocal-rank fusion (Cormack, Clarke & Büttcher 2009,
//! <https://doi.org/10.1145/1571941.1572114>), where a row scores `1 / (60 + rank)` in each that has it.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;

use serde::{Deserialize, Serialize};

/// The constant of the paper.
const CONSTANT: f32 = 60.0;
/// Ranks of each way that are looked at, at least.
pub(crate) const DEPTH: usize = 100;

/// By what passages are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SearchMode {
    /// Both ways, by the ranks they give.
    #[default]
    Hybrid,
    /// Cosines of vectors.
    Dense,
    /// The words of the query.
    Bm25,
}

/// A row that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Segment and row.
    pub place: (u32, u32),
    /// By which it was ranked.
    pub score: f32,
    /// Rank, from 1, and cosine among vectors.
    pub dense: Option<(usize, f32)>,
    /// Rank, from 1, and score by BM25.
    pub bm25: Option<(usize, f32)>,
}

type Ranked = [(u32, u32, f32)];

/// One ranking of the rows that either way found, best first; of equals the first.
pub(crate) fn fuse(mode: SearchMode, dense: &Ranked, words: &Ranked) -> Vec<Found> {
    let mut all: BTreeMap<(u32, u32), Found> = BTreeMap::new();
    let new = |place| Found { place, score: 0.0, dense: None, bm25: None };
    for (rank, &(segment, row, score)) in (1..).zip(dense) {
        let place = (segment, row);
        all.entry(place).or_insert_with(|| new(place)).dense = Some((rank, score));
    }
    for (rank, &(segment, row, score)) in (1..).zip(words) {
        let place = (segment, row);
        all.entry(place).or_insert_with(|| new(place)).bm25 = Some((rank, score));
    }
    let mut found: Vec<Found> = all.into_values().collect();
    found.iter_mut().for_each(|found| found.score = score(mode, found));
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found
}

fn score(mode: SearchMode, found: &Found) -> f32 {
    let own = |way: Option<(usize, f32)>| way.map_or(0.0, |(_, score)| score);
    let part = |way: Option<(usize, f32)>| way.map_or(0.0, |(rank, _)| 1.0 / (CONSTANT + rank as f32));
    match mode {
        SearchMode::Dense => own(found.dense),
        SearchMode::Bm25 => own(found.bm25),
        SearchMode::Hybrid => part(found.dense) + part(found.bm25),
    }
}

/// Leaves the first of each group.
pub(crate) fn best_per<K: Hash + Eq>(found: &mut Vec<Found>, group: impl Fn(&Found) -> K) {
    let mut seen = HashSet::new();
    found.retain(|found| seen.insert(group(found)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_add_up_as_the_paper_says() {
        let dense = [(0, 5, 0.9), (0, 7, 0.8), (1, 2, 0.7)];
        let words = [(1, 2, 12.0), (0, 5, 3.0)];
        let found = fuse(SearchMode::Hybrid, &dense, &words);
        let expected =
            [((0, 5), 1.0 / 61.0 + 1.0 / 62.0), ((1, 2), 1.0 / 63.0 + 1.0 / 61.0), ((0, 7), 1.0 / 62.0)];
        for (found, (place, score)) in found.iter().zip(expected) {
            assert!(found.place == place && (found.score - score).abs() < 1e-7, "{found:?}");
        }
        assert_eq!((found[1].dense, found[1].bm25), (Some((3, 0.7)), Some((1, 12.0))));
        let alone = fuse(SearchMode::Dense, &dense, &[]);
        assert_eq!(alone.iter().map(|found| found.score).collect::<Vec<_>>(), [0.9, 0.8, 0.7]);
    }

    #[test]
    fn of_a_group_the_first_is_left() {
        let mut found = fuse(SearchMode::Bm25, &[], &[(0, 4, 3.0), (1, 4, 2.0), (0, 5, 1.0)]);
        best_per(&mut found, |found| found.place.1);
        assert_eq!(found.iter().map(|found| found.place).collect::<Vec<_>>(), [(0, 4), (0, 5)]);
    }
}
