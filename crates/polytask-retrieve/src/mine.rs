//! Hard negatives: passages that rank high for a query and do not answer it.
//!
//! What ranks highest without being a known answer is often an unknown one. Guards keep such passages out: the first
//! ranks may be skipped, and a passage may score at most a share of the query's answer (de Souza et al. 2024,
//! <https://arxiv.org/abs/2407.15831>), or at least a margin below it.

use polytask_nn::topk;
use rayon::prelude::*;

use crate::bm25::Bm25;

/// What keeps unknown answers out of the negatives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guard {
    /// Ranks that are passed over, counted without known answers.
    pub skip: usize,
    /// Ranks that are looked at, those passed over included.
    pub depth: usize,
    /// A negative scores at most this share of the query's lowest answer; as much below it where that scores below 0.
    pub share: Option<f32>,
    /// A negative scores at least this much less than the query's lowest answer.
    pub margin: Option<f32>,
}

/// Known answers that a ranking makes room for; a query with more has fewer ranks to look at.
const MOST_LEFT_OUT: usize = 512;

/// A query to mine for.
#[derive(Debug, Clone, Copy)]
pub struct MinedQuery<'a> {
    /// Its terms.
    pub terms: &'a [u32],
    /// Its vector, of length 1; empty where nothing is ranked by vectors.
    pub vector: &'a [f32],
    /// Passages that answer it, ascending.
    pub answers: &'a [u32],
    /// Passages that are the query itself, ascending.
    pub own: &'a [u32],
}

/// A negative and what it scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Negative {
    /// Its place in the corpus.
    pub passage: u32,
    /// Its cosine, or where there are no vectors its BM25 score.
    pub score: f32,
}

/// What was found for a query.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mined {
    /// Best first.
    pub negatives: Vec<Negative>,
    /// The score of its lowest answer, where it has one that could be scored.
    pub answer: Option<f32>,
    /// Candidates that a guard kept out.
    pub guarded: usize,
}

/// Passages to mine among.
#[derive(Debug)]
pub struct Miner<'a> {
    /// Ranks by terms, where they are ranked so.
    pub bm25: Option<&'a Bm25>,
    /// Vectors of all passages, of length 1, `[passages, width]`; empty where nothing is ranked by vectors.
    pub vectors: &'a [f32],
    /// Values per vector.
    pub width: usize,
}

impl Miner<'_> {
    /// Up to `n` negatives for each query.
    ///
    /// # Errors
    /// Vectors of different widths.
    pub fn mine(
        &self,
        queries: &[MinedQuery<'_>],
        n: usize,
        guard: Guard,
    ) -> polytask_nn::Result<Vec<Mined>> {
        let most = queries.iter().map(|query| query.answers.len() + query.own.len()).max().unwrap_or(0);
        let depth = guard.depth + most.min(MOST_LEFT_OUT);
        let by_vector = if self.vectors.is_empty() {
            vec![Vec::new(); queries.len()]
        } else {
            let vectors: Vec<f32> = queries.iter().flat_map(|query| query.vector).copied().collect();
            topk::top_k(
                &vectors,
                self.vectors,
                self.width,
                depth.min(self.vectors.len() / self.width.max(1)),
            )?
        };
        let one = |(query, ranked): (&MinedQuery<'_>, Vec<(u32, f32)>)| {
            self.choose(query, ranked, (n, depth), guard)
        };
        Ok(queries.par_iter().zip(by_vector).map(one).collect())
    }

    /// The negatives of a query, from its ranking by vectors and by terms.
    fn choose(
        &self,
        query: &MinedQuery<'_>,
        by_vector: Vec<(u32, f32)>,
        (n, depth): (usize, usize),
        guard: Guard,
    ) -> Mined {
        let by_terms = self.bm25.map(|bm25| bm25.search(query.terms, depth)).unwrap_or_default();
        let score = |passage: u32, given: f32| {
            if self.vectors.is_empty() { given } else { self.cosine(query, passage) }
        };
        let answer = self.answer(query, &by_terms);
        let is_candidate = |passage: &u32| {
            query.answers.binary_search(passage).is_err() && query.own.binary_search(passage).is_err()
        };
        let ranked = [by_vector, by_terms].map(|ranked| {
            let left = ranked.into_iter().filter(|(passage, _)| is_candidate(passage));
            left.take(guard.depth).skip(guard.skip).collect::<Vec<_>>()
        });
        let mut mined = Mined { answer, ..Mined::default() };
        for (passage, given) in alternated(ranked) {
            if mined.negatives.len() == n {
                break;
            }
            let score = score(passage, given);
            if guard.allows(score, answer) {
                mined.negatives.push(Negative { passage, score });
            } else {
                mined.guarded += 1;
            }
        }
        mined
    }

    /// The score of the lowest answer; BM25 scores only those it finds.
    fn answer(&self, query: &MinedQuery<'_>, by_terms: &[(u32, f32)]) -> Option<f32> {
        let scores: Vec<f32> = if self.vectors.is_empty() {
            let is_answer = |(passage, _): &&(u32, f32)| query.answers.binary_search(passage).is_ok();
            by_terms.iter().filter(is_answer).map(|(_, score)| *score).collect()
        } else {
            query.answers.iter().map(|&passage| self.cosine(query, passage)).collect()
        };
        scores.into_iter().min_by(f32::total_cmp)
    }

    fn cosine(&self, query: &MinedQuery<'_>, passage: u32) -> f32 {
        let own = &self.vectors[passage as usize * self.width..][..self.width];
        own.iter().zip(query.vector).map(|(a, b)| a * b).sum()
    }
}

impl Guard {
    /// Whether a passage of this score may be a negative beside an answer of that one.
    fn allows(&self, score: f32, answer: Option<f32>) -> bool {
        let Some(answer) = answer else { return true };
        self.share.is_none_or(|share| score <= answer - (1.0 - share) * answer.abs())
            && self.margin.is_none_or(|margin| score <= answer - margin)
    }
}

/// Two rankings one after the other, rank by rank, each passage once.
fn alternated([a, b]: [Vec<(u32, f32)>; 2]) -> Vec<(u32, f32)> {
    let mut seen = std::collections::HashSet::new();
    let longest = a.len().max(b.len());
    let pairs = (0..longest).flat_map(|rank| [a.get(rank), b.get(rank)].into_iter().flatten());
    pairs.copied().filter(|(passage, _)| seen.insert(*passage)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bm25::Bm25Params;

    const OPEN: Guard = Guard { skip: 0, depth: 10, share: None, margin: None };

    fn query<'a>(vector: &'a [f32], answers: &'a [u32]) -> MinedQuery<'a> {
        MinedQuery { terms: &[], vector, answers, own: &[] }
    }

    fn places(mined: &Mined) -> Vec<u32> {
        mined.negatives.iter().map(|negative| negative.passage).collect()
    }

    #[test]
    fn negatives_are_the_nearest_that_do_not_answer() {
        let vectors = [1.0, 0.0, 0.9, 0.436, 0.8, 0.6, 0.0, 1.0];
        let miner = Miner { bm25: None, vectors: &vectors, width: 2 };
        let mined = |guard, own: &[u32]| {
            let asked = MinedQuery { own, ..query(&[1.0, 0.0], &[0]) };
            miner.mine(&[asked], 2, guard).unwrap().remove(0)
        };
        assert_eq!(places(&mined(OPEN, &[])), [1, 2]);
        assert_eq!(places(&mined(OPEN, &[1])), [2, 3], "the query itself is none");
        assert_eq!(places(&mined(Guard { skip: 1, ..OPEN }, &[])), [2, 3]);
        assert_eq!(places(&mined(Guard { depth: 1, ..OPEN }, &[])), [1]);
        let guarded = mined(Guard { share: Some(0.85), ..OPEN }, &[]);
        assert_eq!((places(&guarded), guarded.guarded, guarded.answer), (vec![2, 3], 1, Some(1.0)));
        assert_eq!(places(&mined(Guard { margin: Some(0.15), ..OPEN }, &[])), [2, 3]);
        let guard = Guard { share: Some(0.95), ..OPEN };
        assert!(
            !guard.allows(-0.096, Some(-0.1)) && guard.allows(-0.106, Some(-0.1)),
            "below an answer below 0"
        );
    }

    #[test]
    fn terms_and_vectors_take_turns() {
        let vectors = [1.0, 0.0, 0.9, 0.436, 0.8, 0.6, 0.0, 1.0];
        let bm25 = Bm25::new(&[vec![0], vec![1], vec![2], vec![0]], Bm25Params::default());
        let miner = Miner { bm25: Some(&bm25), vectors: &vectors, width: 2 };
        let asked = MinedQuery { terms: &[0], ..query(&[1.0, 0.0], &[0]) };
        let mined = miner.mine(&[asked], 3, OPEN).unwrap().remove(0);
        assert_eq!(places(&mined), [1, 3, 2]);
        assert!((mined.negatives[1].score - 0.0).abs() < 1e-6, "scored by its cosine: {mined:?}");
        let alone = Miner { bm25: Some(&bm25), vectors: &[], width: 0 };
        let mined = alone.mine(&[MinedQuery { vector: &[], ..asked }], 3, OPEN).unwrap().remove(0);
        assert_eq!(places(&mined), [3]);
    }
}
