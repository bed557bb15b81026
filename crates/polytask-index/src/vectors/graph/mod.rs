//! A hierarchical graph of neighbours (HNSW; Malkov & Yashunin 2018, <https://arxiv.org/abs/1603.09320>).
//!
//! Written here because what an index asks of it stands in no library that was found: the same graph whatever the number
//! of threads (rows are added in batches that look at the graph before them, and are linked in order), lists that are
//! searched where they lie in a mapped file, and rows that were removed passed over.

mod build;
mod near;
mod search;

use std::path::Path;

use polytask_core::{Place, Problem, Purpose, Result, Rng, atomic};
use polytask_nn::trunk::simd::wide;
use serde::{Deserialize, Serialize};

use super::{Index, RowSet, SearchScratch, StoredNumbers, VECTORS};
use build::Builder;
pub(crate) use search::Walk;
use search::search_graph;

/// The files of a graph.
const FILES: [&str; 3] = ["graph-base.u32", "graph-starts.u32", "graph-upper.u32"];

/// How dense a graph is, and how widely it is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphParams {
    /// Neighbours of a row on the upper levels (`M`); twice as many on the lowest.
    pub neighbours: usize,
    /// Rows looked at for the neighbours of a new one (`ef_construction`).
    pub build_breadth: usize,
    /// Rows looked at by a query (`ef`), at least as many as it wants.
    pub breadth: usize,
}

impl Default for GraphParams {
    fn default() -> Self {
        Self { neighbours: 16, build_breadth: 200, breadth: 96 }
    }
}

/// Rows and their neighbours.
#[derive(Debug, Clone)]
pub struct Hnsw {
    width: usize,
    params: GraphParams,
    vectors: StoredNumbers<f32>,
    lists: Lists,
}

/// The neighbours of all rows.
#[derive(Debug, Clone, Default)]
struct Lists {
    neighbours: usize,
    /// Of each row: how many, then who; `[rows, 2 neighbours + 1]`.
    base: StoredNumbers<u32>,
    /// Number of upper lists before each row, `[rows + 1]`.
    starts: StoredNumbers<u32>,
    /// Of each row and level above the lowest: how many, then who; `[lists, neighbours + 1]`.
    upper: StoredNumbers<u32>,
    /// The row where searches begin, on the highest level.
    entry: u32,
    top: usize,
}

impl Hnsw {
    /// No rows of `width` values.
    pub fn new(width: usize, params: GraphParams) -> Self {
        let lists = Lists {
            neighbours: params.neighbours,
            starts: StoredNumbers::Owned(vec![0]),
            ..Lists::default()
        };
        Self { width, params, vectors: StoredNumbers::default(), lists }
    }

    /// The graph of some vectors, which stay where they lie.
    pub(crate) fn of(width: usize, vectors: StoredNumbers<f32>, params: GraphParams) -> Self {
        let mut graph = Self { vectors, ..Self::new(width, params) };
        graph.link(0);
        graph
    }

    /// The graph that [`Index::save`] wrote.
    ///
    /// # Errors
    /// When a file is not there or does not fit the others.
    pub fn open(folder: &Path, width: usize, params: GraphParams) -> Result<Self> {
        let vectors = StoredNumbers::<f32>::open(&folder.join(VECTORS))?;
        let open = |name: &str| StoredNumbers::<u32>::open(&folder.join(name));
        let mut lists = Lists {
            neighbours: params.neighbours,
            base: open(FILES[0])?,
            starts: open(FILES[1])?,
            upper: open(FILES[2])?,
            entry: 0,
            top: 0,
        };
        let n = vectors.len() / width.max(1);
        let is_whole = lists.base.len() == n * lists.base_stride()
            && lists.starts.len() == n + 1
            && lists.starts.is_sorted()
            && lists
                .starts
                .last()
                .is_some_and(|last| *last as usize * lists.upper_stride() == lists.upper.len());
        if !is_whole {
            let what = "the files of the graph do not fit each other";
            return Err(Problem::at(Place::file(folder), what).try_this("build the index again").into());
        }
        (0..n as u32).for_each(|row| lists.see_level(row));
        Ok(Self { width, params, vectors, lists })
    }

    /// The same with another breadth of searches.
    #[must_use]
    pub fn with_breadth(mut self, breadth: usize) -> Self {
        self.params.breadth = breadth;
        self
    }

    /// Writes the lists, without the vectors.
    pub(crate) fn save_graph(&self, folder: &Path) -> Result<()> {
        let all = [&self.lists.base, &self.lists.starts, &self.lists.upper];
        FILES
            .iter()
            .zip(all)
            .try_for_each(|(name, values)| atomic::write(&folder.join(name), bytemuck::cast_slice(values)))
    }

    /// Links the rows from `first` on.
    fn link(&mut self, first: usize) {
        let n = self.vectors.len() / self.width;
        for row in first..n {
            self.lists.push(level_of(row as u64, self.params.neighbours));
        }
        Builder { vectors: &self.vectors, width: self.width, breadth: self.params.build_breadth }.link(
            &mut self.lists,
            first,
            n,
        );
    }
}

impl Index for Hnsw {
    fn len(&self) -> usize {
        self.vectors.len() / self.width
    }

    fn add(&mut self, rows: &[f32]) {
        let first = self.len();
        self.vectors.to_mut().extend_from_slice(rows);
        self.link(first);
    }

    fn search(
        &self,
        query: &[f32],
        k: usize,
        among: Option<&RowSet>,
        scratch: &mut SearchScratch,
        best: &mut Vec<(u32, f32)>,
    ) {
        let breadth = self.params.breadth.max(k);
        wide(
            #[inline(always)]
            || search_graph(&self.lists, (&self.vectors, query), breadth, among, &mut scratch.walk),
        );
        best.clear();
        best.extend(scratch.walk.found().take(k));
    }

    fn save(&self, folder: &Path) -> Result<()> {
        atomic::write(&folder.join(VECTORS), bytemuck::cast_slice(&self.vectors))?;
        self.save_graph(folder)
    }
}

impl Lists {
    fn base_stride(&self) -> usize {
        2 * self.neighbours + 1
    }

    fn upper_stride(&self) -> usize {
        self.neighbours + 1
    }

    /// The highest level of a row.
    fn level(&self, row: u32) -> usize {
        (self.starts[row as usize + 1] - self.starts[row as usize]) as usize
    }

    /// Adds a row without neighbours.
    fn push(&mut self, level: usize) {
        let (base, upper) = (self.base_stride(), level * self.upper_stride());
        let all = self.base.len() + base;
        self.base.to_mut().resize(all, 0);
        let all = self.upper.len() + upper;
        self.upper.to_mut().resize(all, 0);
        let before = self.starts[self.starts.len() - 1];
        self.starts.to_mut().push(before + level as u32);
    }

    /// Begins searches at a row that is higher than all before it.
    fn see_level(&mut self, row: u32) {
        if self.level(row) > self.top {
            (self.entry, self.top) = (row, self.level(row));
        }
    }

    /// Where a list lies and how long it may be.
    fn place(&self, row: u32, level: usize) -> (usize, usize) {
        if level == 0 {
            return (row as usize * self.base_stride(), 2 * self.neighbours);
        }
        let list = self.starts[row as usize] as usize + level - 1;
        (list * self.upper_stride(), self.neighbours)
    }

    /// The neighbours of a row on a level; none where a damaged file says what cannot be.
    #[inline(always)]
    #[allow(clippy::inline_always)] // within the walk
    fn of(&self, row: u32, level: usize) -> &[u32] {
        let (at, most) = self.place(row, level);
        let values: &[u32] = if level == 0 { &self.base } else { &self.upper };
        let n = values.get(at).map_or(0, |n| (*n as usize).min(most));
        values.get(at + 1..at + 1 + n).unwrap_or(&[])
    }

    /// Puts neighbours in the place of those before.
    fn set(&mut self, row: u32, level: usize, neighbours: impl ExactSizeIterator<Item = u32>) {
        let (at, most) = self.place(row, level);
        let values = if level == 0 { self.base.to_mut() } else { self.upper.to_mut() };
        values[at] = neighbours.len().min(most) as u32;
        neighbours.take(most).enumerate().for_each(|(i, neighbour)| values[at + 1 + i] = neighbour);
    }
}

/// The highest level of a row: each holds the `neighbours`-th part of the one below it.
fn level_of(row: u64, neighbours: usize) -> usize {
    let uniform = 1.0 - Rng::new(0, Purpose::Pick, &[row]).uniform();
    (-uniform.ln() / (neighbours.max(2) as f64).ln()) as usize
}

#[cfg(test)]
mod tests {
    use polytask_nn::topk;

    use super::*;

    const WIDTH: usize = 64;

    /// Unit vectors in clusters, as those of texts lie.
    fn clustered(n: usize, seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed, Purpose::Bench, &[]);
        let mut centres = Rng::new(9, Purpose::Bench, &[]);
        let centres: Vec<f32> = (0..50 * WIDTH).map(|_| centres.uniform() as f32 - 0.5).collect();
        let mut values = Vec::with_capacity(n * WIDTH);
        for _ in 0..n {
            let centre = rng.below(50) * WIDTH;
            values.extend((0..WIDTH).map(|i| centres[centre + i] + 0.8 * (rng.uniform() as f32 - 0.5)));
        }
        topk::normalised(values, WIDTH)
    }

    fn search(graph: &Hnsw, query: &[f32], k: usize, among: Option<&RowSet>) -> Vec<u32> {
        let (mut scratch, mut best) = (SearchScratch::default(), Vec::new());
        graph.search(query, k, among, &mut scratch, &mut best);
        assert!(best.is_sorted_by(|a, b| a.1 >= b.1));
        best.iter().map(|(row, _)| *row).collect()
    }

    #[test]
    fn nearly_all_nearest_rows_are_found() {
        let (vectors, queries) = (clustered(6000, 1), clustered(100, 2));
        let graph = Hnsw::of(WIDTH, StoredNumbers::Owned(vectors.clone()), GraphParams::default());
        let exact = topk::top_k(&queries, &vectors, WIDTH, 10).unwrap();
        let hits: usize = queries
            .chunks(WIDTH)
            .zip(&exact)
            .map(|(query, exact)| {
                let found = search(&graph, query, 10, None);
                exact.iter().filter(|(row, _)| found.contains(row)).count()
            })
            .sum();
        assert!(hits >= 990, "{hits} of 1000");
    }

    #[test]
    fn the_graph_is_the_same_for_any_number_of_threads_and_after_saving() {
        let vectors = clustered(1500, 3);
        let build = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Hnsw::of(WIDTH, StoredNumbers::Owned(vectors.clone()), GraphParams::default()))
        };
        let (one, three) = (build(1), build(3));
        assert_eq!(one.lists.base[..], three.lists.base[..]);
        assert_eq!(one.lists.upper[..], three.lists.upper[..]);
        let folder = tempfile::tempdir().unwrap();
        one.save(folder.path()).unwrap();
        let opened = Hnsw::open(folder.path(), WIDTH, GraphParams::default()).unwrap();
        let query = &vectors[..WIDTH];
        assert_eq!(search(&opened, query, 20, None), search(&one, query, 20, None));
        assert!(Hnsw::open(folder.path(), WIDTH * 2, GraphParams::default()).is_err());
    }

    #[test]
    fn rows_that_were_added_later_are_found_and_those_not_asked_are_not() {
        let vectors = clustered(2000, 4);
        let mut graph = Hnsw::new(WIDTH, GraphParams::default());
        vectors.chunks(700 * WIDTH).for_each(|rows| graph.add(rows));
        for row in [0, 699, 700, 1999] {
            assert_eq!(search(&graph, &vectors[row * WIDTH..][..WIDTH], 1, None), [row as u32]);
        }
        let mut among = RowSet::all(2000);
        among.remove_all(0..1900);
        let found = search(&graph, &vectors[..WIDTH], 10, Some(&among));
        assert!(found.len() == 10 && found.iter().all(|row| *row >= 1900), "{found:?}");
    }

    #[test]
    fn none_one_and_equal_rows_are_searched() {
        let empty = Hnsw::new(WIDTH, GraphParams::default());
        assert!(search(&empty, &[0.0; WIDTH], 3, None).is_empty());
        let row = clustered(1, 5);
        let same = Hnsw::of(WIDTH, StoredNumbers::Owned(row.repeat(200)), GraphParams::default());
        assert_eq!(search(&same, &row, 10, None).len(), 10);
        assert_eq!(
            search(
                &Hnsw::of(WIDTH, StoredNumbers::Owned(row.clone()), GraphParams::default()),
                &row,
                3,
                None
            ),
            [0]
        );
    }
}
