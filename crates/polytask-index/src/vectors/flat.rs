//! Search of every row: exactly, or by small codes with exact scores last.

use std::path::Path;

use polytask_core::{Place, Problem, Result, atomic};
use polytask_nn::topk;
use polytask_nn::trunk::simd::wide;
use rayon::prelude::*;

use super::codes::Codes;
use super::kernels::dot;
use super::{Index, RowSet, SearchScratch, StoredNumbers, VECTORS, VectorStore};

/// Rows a thread scores at once.
const BLOCK: usize = 1024;
/// Queries from which a batch is scored as one product.
const BATCH: usize = 8;

/// All rows, each looked at by every query.
#[derive(Debug, Clone)]
pub struct Flat {
    width: usize,
    vectors: StoredNumbers<f32>,
    codes: Codes,
}

impl Flat {
    /// No rows of `width` values.
    pub fn new(width: usize, store: VectorStore) -> Self {
        Self { width, vectors: StoredNumbers::default(), codes: Codes::new(store) }
    }

    /// The rows of some vectors, which stay where they lie.
    pub(crate) fn of(width: usize, vectors: StoredNumbers<f32>, store: VectorStore) -> Self {
        let mut codes = Codes::new(store);
        codes.add(&vectors, width);
        Self { width, vectors, codes }
    }

    /// The rows that [`Index::save`] wrote.
    ///
    /// # Errors
    /// When a file is not there or of another length.
    pub fn open(folder: &Path, width: usize, store: VectorStore) -> Result<Self> {
        let vectors = StoredNumbers::open(&folder.join(VECTORS))?;
        let codes = Codes::open(folder, store)?;
        let is_whole = vectors.len().is_multiple_of(width) && codes.fits(vectors.len() / width, width);
        if is_whole {
            return Ok(Self { width, vectors, codes });
        }
        let what = format!("the files of vectors do not fit each other or width {width}");
        Err(Problem::at(Place::file(folder), what).try_this("build the index again").into())
    }

    /// The vectors.
    pub(crate) fn vectors(&self) -> &[f32] {
        &self.vectors
    }

    /// Writes the small codes, if there are any.
    pub(crate) fn save_codes(&self, folder: &Path) -> Result<()> {
        self.codes.save(folder)
    }

    /// The best rows of many queries at once: one product where all rows are asked as they are.
    ///
    /// # Errors
    /// When the queries have another width.
    pub fn search_all(
        &self,
        queries: &[f32],
        k: usize,
        among: Option<&RowSet>,
    ) -> polytask_nn::Result<Vec<Vec<(u32, f32)>>> {
        let is_plain = among.is_none() && self.codes.store() == VectorStore::F32;
        if is_plain && queries.len() >= BATCH * self.width {
            return topk::top_k(queries, &self.vectors, self.width, k);
        }
        let mut scratch = SearchScratch::default();
        let one = |query: &[f32]| {
            let mut best = Vec::with_capacity(2 * k);
            self.search(query, k, among, &mut scratch, &mut best);
            best
        };
        Ok(queries.chunks(self.width).map(one).collect())
    }

    /// Puts exact scores in the place of those by codes.
    fn rescore(&self, query: &[f32], k: usize, best: &mut Vec<(u32, f32)>) {
        wide(
            #[inline(always)]
            || {
                for (row, score) in best.iter_mut() {
                    *score = dot(query, &self.vectors[*row as usize * self.width..][..self.width]);
                }
            },
        );
        best.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        best.truncate(k);
    }
}

impl Index for Flat {
    fn len(&self) -> usize {
        self.vectors.len() / self.width
    }

    fn add(&mut self, rows: &[f32]) {
        self.vectors.to_mut().extend_from_slice(rows);
        self.codes.add(rows, self.width);
    }

    fn search(
        &self,
        query: &[f32],
        k: usize,
        among: Option<&RowSet>,
        scratch: &mut SearchScratch,
        best: &mut Vec<(u32, f32)>,
    ) {
        best.clear();
        if k == 0 {
            return;
        }
        let SearchScratch { scores, coded, .. } = scratch;
        scores.resize(self.len(), 0.0);
        self.codes.code(query, coded);
        scores.par_chunks_mut(BLOCK).enumerate().for_each(|(block, scores)| {
            let first = block * BLOCK;
            wide(
                #[inline(always)]
                || self.codes.score(&self.vectors, (query, coded), first, scores),
            );
            if let Some(among) = among {
                let gone = (first..).zip(scores).filter(|(row, _)| !among.has(*row));
                gone.for_each(|(_, score)| *score = f32::NEG_INFINITY);
            }
        });
        let wanted = k.saturating_mul(self.codes.store().proposals());
        for (block, scores) in scores.chunks(BLOCK).enumerate() {
            topk::merge(best, scores, (block * BLOCK) as u32, wanted);
        }
        best.retain(|(_, score)| *score > f32::NEG_INFINITY);
        if self.codes.store() != VectorStore::F32 {
            self.rescore(query, k, best);
        }
    }

    fn save(&self, folder: &Path) -> Result<()> {
        atomic::write(&folder.join(VECTORS), bytemuck::cast_slice(&self.vectors))?;
        self.save_codes(folder)
    }
}

#[cfg(test)]
mod tests {
    use polytask_core::{Purpose, Rng};

    use super::*;

    const WIDTH: usize = 96;

    fn random(n: usize, seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed, Purpose::Bench, &[]);
        let values = (0..n * WIDTH).map(|_| rng.uniform() as f32 - 0.5).collect();
        topk::normalised(values, WIDTH)
    }

    fn rows(best: &[(u32, f32)]) -> Vec<u32> {
        best.iter().map(|(row, _)| *row).collect()
    }

    #[test]
    fn every_store_finds_what_the_plain_product_finds() {
        let (vectors, queries) = (random(9000, 1), random(20, 2));
        let exact = topk::top_k(&queries, &vectors, WIDTH, 10).unwrap();
        // Signs of random directions say little; those of real vectors, which lie in clusters, more.
        for (store, least) in VectorStore::ALL.into_iter().zip([1.0, 1.0, 0.99, 0.4]) {
            let mut index = Flat::new(WIDTH, store);
            vectors.chunks(1000 * WIDTH).for_each(|rows| index.add(rows));
            let found = index.search_all(&queries, 10, None).unwrap();
            let hits: usize = exact
                .iter()
                .zip(&found)
                .map(|(a, b)| rows(a).iter().filter(|row| rows(b).contains(row)).count())
                .sum();
            assert!(hits as f64 / 200.0 >= least, "{}: {hits} of 200", store.name());
            for (row, score) in &found[0] {
                let plain: f32 =
                    queries[..WIDTH].iter().zip(&vectors[*row as usize * WIDTH..]).map(|(a, b)| a * b).sum();
                assert!((score - plain).abs() < 1e-5, "scores are the exact ones");
            }
        }
    }

    #[test]
    fn rows_that_are_not_among_those_asked_are_never_found() {
        let vectors = random(5000, 3);
        let mut among = RowSet::none(5000);
        among.insert(7);
        among.insert(4999);
        for store in VectorStore::ALL {
            let index = Flat::of(WIDTH, StoredNumbers::Owned(vectors.clone()), store);
            let (mut scratch, mut best) = (SearchScratch::default(), Vec::new());
            index.search(&vectors[..WIDTH], 10, Some(&among), &mut scratch, &mut best);
            let mut found = rows(&best);
            found.sort_unstable();
            assert_eq!(found, [7, 4999]);
            index.search(&vectors[..WIDTH], 0, None, &mut scratch, &mut best);
            assert!(best.is_empty());
        }
    }

    #[test]
    fn what_is_saved_opens_to_the_same_and_another_width_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let vectors = random(300, 4);
        for store in VectorStore::ALL {
            let mut index = Flat::new(WIDTH, store);
            index.add(&vectors);
            index.save(folder.path()).unwrap();
            let opened = Flat::open(folder.path(), WIDTH, store).unwrap();
            let query = &vectors[5 * WIDTH..6 * WIDTH];
            assert_eq!(opened.search_all(query, 4, None).unwrap(), index.search_all(query, 4, None).unwrap());
            assert!(Flat::open(folder.path(), WIDTH + 1, store).is_err());
        }
    }
}
