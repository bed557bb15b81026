//! BM25 (Robertson & Zaragoza 2009, <https://doi.org/10.1561/1500000019>) over terms, in Lucene's form: the rarity of a term
//! is `ln(1 + (N − n + ½) / (n + ½))`, so that none is below 0, and a term's frequency counts as
//! `f / (f + k₁ (1 − b + b · length / mean length))`.

use rayon::prelude::*;

/// How frequencies and lengths count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bm25Params {
    /// How soon more of the same term counts no more.
    pub k1: f32,
    /// How much longer passages are held back, from 0 to 1.
    pub b: f32,
}

impl Bm25Params {
    /// What is added to a term's frequency in the denominator, by the length of its passage.
    pub fn norm(self, length: f32, mean: f32) -> f32 {
        self.k1 * (1.0 - self.b + self.b * length / mean.max(f32::MIN_POSITIVE))
    }
}

impl Default for Bm25Params {
    fn default() -> Self {
        Self { k1: 1.2, b: 0.75 }
    }
}

/// A term in a passage and how much it counts there.
#[derive(Debug, Clone, Copy)]
struct Posting {
    passage: u32,
    weight: f32,
}

/// Passages by their terms.
#[derive(Debug)]
pub struct Bm25 {
    /// Where the postings of each term begin, `[terms + 1]`.
    starts: Vec<usize>,
    postings: Vec<Posting>,
    n_passages: usize,
}

impl Bm25 {
    /// An index of passages, each given by its terms.
    pub fn new<P: AsRef<[u32]>>(passages: &[P], params: Bm25Params) -> Self {
        let n_terms = passages.iter().flat_map(AsRef::as_ref).max().map_or(0, |&term| term as usize + 1);
        let counted: Vec<Vec<(u32, f32)>> =
            passages.iter().map(|terms| frequencies(terms.as_ref())).collect();
        let mut starts = vec![0; n_terms + 1];
        counted.iter().flatten().for_each(|(term, _)| starts[*term as usize + 1] += 1);
        (0..n_terms).for_each(|term| starts[term + 1] += starts[term]);
        let mut postings = vec![Posting { passage: 0, weight: 0.0 }; starts[n_terms]];
        let mut next = starts.clone();
        let length = |i: usize| passages[i].as_ref().len() as f32;
        let total: usize = passages.iter().map(|terms| terms.as_ref().len()).sum();
        let mean = (total as f64 / passages.len().max(1) as f64) as f32;
        for (i, terms) in counted.iter().enumerate() {
            let norm = params.norm(length(i), mean);
            for &(term, count) in terms {
                let found = starts[term as usize + 1] - starts[term as usize];
                let weight = rarity(passages.len(), found) * count / (count + norm);
                postings[next[term as usize]] = Posting { passage: i as u32, weight };
                next[term as usize] += 1;
            }
        }
        Self { starts, postings, n_passages: passages.len() }
    }

    /// Number of passages.
    pub fn len(&self) -> usize {
        self.n_passages
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.n_passages == 0
    }

    /// The best `k` passages of a query, best first and of equals the first: those that share a term with it, and how
    /// much that counts. A term that stands in the query twice counts twice.
    pub fn search(&self, query: &[u32], k: usize) -> Vec<(u32, f32)> {
        let (mut scores, mut seen) = (vec![0.0_f32; self.n_passages], vec![false; self.n_passages]);
        let mut found = Vec::new();
        for &term in query {
            let Some(&end) = self.starts.get(term as usize + 1) else { continue };
            for posting in &self.postings[self.starts[term as usize]..end] {
                let place = posting.passage as usize;
                if !std::mem::replace(&mut seen[place], true) {
                    found.push(posting.passage);
                }
                scores[place] += posting.weight;
            }
        }
        let order = |a: &u32, b: &u32| scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b));
        if found.len() > k && k > 0 {
            found.select_nth_unstable_by(k - 1, order);
        }
        found.truncate(k);
        found.sort_unstable_by(order);
        found.into_iter().map(|passage| (passage, scores[passage as usize])).collect()
    }

    /// The best `k` passages of each query.
    pub fn search_all<Q: AsRef<[u32]> + Sync>(&self, queries: &[Q], k: usize) -> Vec<Vec<(u32, f32)>> {
        queries.par_iter().map(|query| self.search(query.as_ref(), k)).collect()
    }
}

/// The terms of a passage, each once, with how often it stands there.
fn frequencies(terms: &[u32]) -> Vec<(u32, f32)> {
    let mut sorted = terms.to_vec();
    sorted.sort_unstable();
    sorted.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as f32)).collect()
}

/// How much a term counts that `found` of `n` passages have.
pub fn rarity(n: usize, found: usize) -> f32 {
    ((n as f64 - found as f64 + 0.5) / (found as f64 + 0.5)).ln_1p() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_the_formula() {
        let index = Bm25::new(&[vec![0, 1, 1, 2], vec![0, 3], vec![0]], Bm25Params { k1: 1.5, b: 0.5 });
        let found = index.search(&[1, 0, 9], 5);
        // Lengths 4, 2, 1; mean 7/3. Term 1 is in one passage of three, term 0 in all.
        let (rare, common) = ((1.0_f32 + 2.5 / 1.5).ln(), (1.0_f32 + 0.5 / 3.5).ln());
        let norm = |length: f32| 1.5 * (0.5 + 0.5 * length / (7.0 / 3.0));
        let expected = [
            (0, rare * 2.0 / (2.0 + norm(4.0)) + common / (1.0 + norm(4.0))),
            (2, common / (1.0 + norm(1.0))),
            (1, common / (1.0 + norm(2.0))),
        ];
        assert_eq!(found.len(), 3);
        for ((passage, score), (wanted, value)) in found.iter().zip(expected) {
            assert!(*passage == wanted && (score - value).abs() < 1e-6, "{found:?}");
        }
    }

    #[test]
    fn scores_are_those_of_an_independent_implementation() {
        let golden: serde_json::Value = serde_json::from_str(include_str!("bm25_golden.json")).unwrap();
        let terms = |name: &str| -> Vec<Vec<u32>> { serde_json::from_value(golden[name].clone()).unwrap() };
        let (passages, queries) = (terms("passages"), terms("queries"));
        let scores: Vec<Vec<f32>> = serde_json::from_value(golden["scores"].clone()).unwrap();
        let index = Bm25::new(&passages, Bm25Params::default());
        for (query, expected) in queries.iter().zip(&scores) {
            let mut found = vec![0.0; passages.len()];
            index.search(query, passages.len()).into_iter().for_each(|(p, score)| found[p as usize] = score);
            let is_same = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 2e-5);
            assert!(is_same, "{query:?}: {found:?}, expected {expected:?}");
        }
    }

    #[test]
    fn equals_come_in_their_order_and_what_shares_no_term_is_not_found() {
        let index = Bm25::new(&[vec![5], vec![7], vec![7], vec![7]], Bm25Params::default());
        let places = |query: &[u32], k| index.search(query, k).iter().map(|(p, _)| *p).collect::<Vec<_>>();
        assert_eq!(places(&[7], 2), [1, 2]);
        assert_eq!(places(&[6], 2), Vec::<u32>::new());
        assert_eq!(places(&[7, 5], 9), [0, 1, 2, 3]);
        assert_eq!(places(&[7], 0), Vec::<u32>::new());
    }

    #[test]
    fn an_empty_corpus_and_empty_passages_are_no_crash() {
        let none: [Vec<u32>; 0] = [];
        assert!(Bm25::new(&none, Bm25Params::default()).search(&[1], 3).is_empty());
        assert!(Bm25::new(&[vec![], vec![]], Bm25Params::default()).search(&[1], 3).is_empty());
    }
}
