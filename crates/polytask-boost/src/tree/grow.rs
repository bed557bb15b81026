//! Growth of a tree on binned rows: the histogram of the smaller child by scan, of its sibling by subtraction.
//!
//! Columns are worked on in parallel, each by one thread in the order of the rows, so that sums do not hang on the number
//! of threads.

use std::ops::Range;

use polytask_core::{Purpose, Rng};
use rayon::prelude::*;

use super::candidate::{BinRule, Candidate, Parent, STRICTLY};
use super::histogram::{Gathered, Histogram, fill, subtract};
use super::node::{score, write_values};
use super::scan::best;
use super::{Rule, Tree, TreeNode, TreeSplit};
use crate::bins::{BinnedColumn, Bins};
use crate::params::{Growth, TreeParams};
use crate::table::ColumnSort;

/// Slopes and curvatures of all rows, of which a tree reads some margins.
#[derive(Clone, Copy)]
pub(crate) struct Slopes<'a> {
    /// `[rows, stride]`, slope and curvature of each margin.
    pub(crate) values: &'a [f32],
    /// Numbers per row.
    pub(crate) stride: usize,
    /// The first number the tree reads.
    pub(crate) first: usize,
    /// Margins the tree reads.
    pub(crate) width: usize,
}

/// A tree, and which of the rows it was grown on lie in which leaf.
pub(crate) struct Grown {
    pub(crate) tree: Tree,
    pub(crate) leaves: Vec<(usize, Range<usize>)>,
}

/// What growing needs again and again: rows by leaf, room for sums.
pub(crate) struct Grower<'a> {
    bins: &'a Bins,
    params: &'a TreeParams,
    /// Rows of the present tree, those of a leaf side by side.
    pub(crate) rows: Vec<u32>,
    spare: Vec<u32>,
    gathered: Vec<f32>,
    pool: Vec<Histogram>,
    /// The best split of each column, of one child and of the other.
    found: Vec<[Option<Candidate>; 2]>,
}

/// A leaf that may be split.
struct Open {
    node: usize,
    rows: Range<usize>,
    depth: usize,
    sums: Vec<f64>,
    /// Empty where the leaf cannot be split.
    histogram: Histogram,
    best: Option<Candidate>,
}

/// Columns a tree may read, and the numbers that draw them.
struct Draw {
    seed: u64,
    tree: u64,
    columns: Vec<bool>,
}

impl<'a> Grower<'a> {
    pub(crate) fn new(bins: &'a Bins, params: &'a TreeParams) -> Self {
        let found = bins.columns.iter().map(|_| [None, None]).collect();
        Self { bins, params, rows: vec![], spare: vec![], gathered: vec![], pool: vec![], found }
    }

    /// Grows tree number `tree` on some rows.
    pub(crate) fn grow(&mut self, rows: &[u32], slopes: Slopes<'_>, (seed, tree): (u64, u64)) -> Grown {
        self.rows.clear();
        self.rows.extend_from_slice(rows);
        let draw = Draw::new(self.bins.columns.len(), self.params.feature_fraction, seed, tree);
        let root = self.root(slopes, &draw);
        let mut tree = Tree { width: slopes.width, nodes: vec![], values: vec![] };
        self.push(&mut tree, &root);
        let mut open = vec![root];
        let mut n_leaves = 1;
        while let Some(at) = self.next(&open).filter(|_| self.may_grow(n_leaves)) {
            let leaf = open.remove(at);
            let children = self.split(&mut tree, leaf, slopes, &draw);
            open.extend(children);
            n_leaves += 1;
        }
        let leaves: Vec<(usize, Range<usize>)> =
            open.iter().map(|leaf| (leaf.node, leaf.rows.clone())).collect();
        self.settle(&mut tree, &leaves, slopes);
        self.pool.extend(open.into_iter().map(|leaf| leaf.histogram).filter(|sums| !sums.is_empty()));
        Grown { tree, leaves }
    }

    /// What leaves are multiplied by.
    pub(crate) fn learning_rate(&self) -> f64 {
        self.params.learning_rate
    }

    fn may_grow(&self, n_leaves: usize) -> bool {
        self.params.num_leaves == 0 || n_leaves < self.params.num_leaves
    }

    /// The leaf that is split next; of equal gains the older one.
    fn next(&self, open: &[Open]) -> Option<usize> {
        let gain = |leaf: &Open| leaf.best.as_ref().map(|best| best.gain);
        let usable = |leaf: &Open| gain(leaf).filter(|gain| *gain > self.params.min_gain);
        if self.params.growth == Growth::Depth {
            return open.iter().position(|leaf| usable(leaf).is_some());
        }
        let mut chosen: Option<(usize, f64)> = None;
        for (at, gain) in open.iter().enumerate().filter_map(|(at, leaf)| Some((at, usable(leaf)?))) {
            if chosen.is_none_or(|(_, best)| gain > best) {
                chosen = Some((at, gain));
            }
        }
        chosen.map(|(at, _)| at)
    }

    /// Adds a leaf to the tree.
    fn push(&self, tree: &mut Tree, leaf: &Open) {
        let cover = leaf.sums[2..].iter().step_by(2).sum();
        tree.nodes.push(TreeNode { split: None, cover });
        write_values(&leaf.sums, self.params, &mut tree.values);
    }

    fn root(&mut self, slopes: Slopes<'_>, draw: &Draw) -> Open {
        let rows = 0..self.rows.len();
        self.gather(rows.clone(), slopes);
        let mut root = Open {
            node: 0,
            rows,
            depth: 0,
            sums: sums_of(self.gathered.chunks_exact(2 * slopes.width), 2 * slopes.width),
            histogram: self.room(slopes.width),
            best: None,
        };
        let readable = draw.of_node(self.params, 0, 0);
        let node = Gathered { rows: &self.rows, slopes: &self.gathered, width: 2 * slopes.width };
        let parent = self.parent(&root.sums);
        let work = |((index, sums), (column, found)): Work<'_>| {
            if draw.columns[index] {
                fill(column, &node, sums);
                *found =
                    [best((index, column), sums, parent, &mut Vec::new()).filter(|_| readable[index]), None];
            }
        };
        let columns = self.bins.columns.par_iter().zip(&mut self.found);
        root.histogram.par_iter_mut().enumerate().zip(columns).for_each(work);
        [root.best, _] = best_of(&mut self.found);
        root
    }

    /// Values of leaves from the sums of their own rows: a difference of sums would not be 0 where nothing is known.
    fn settle(&self, tree: &mut Tree, leaves: &[(usize, Range<usize>)], slopes: Slopes<'_>) {
        let width = 2 * slopes.width;
        let value = |(node, rows): &(usize, Range<usize>)| {
            let of = |&row: &u32| &slopes.values[row as usize * slopes.stride + slopes.first..][..width];
            let mut values = Vec::with_capacity(slopes.width);
            write_values(&sums_of(self.rows[rows.clone()].iter().map(of), width), self.params, &mut values);
            (*node, values)
        };
        let settled: Vec<(usize, Vec<f64>)> = leaves.par_iter().map(value).collect();
        for (node, values) in settled {
            tree.values[node * slopes.width..][..slopes.width].copy_from_slice(&values);
        }
    }

    fn parent<'s>(&self, sums: &'s [f64]) -> Parent<'s>
    where
        'a: 's,
    {
        Parent { sums, score: score(sums, self.params), params: self.params }
    }

    /// Room for the sums of every column.
    fn room(&mut self, width: usize) -> Histogram {
        let stride = 1 + 2 * width;
        let size = |column: &BinnedColumn| (column.n_known + 1) * stride;
        let mut room = self.pool.pop().unwrap_or_default();
        room.resize_with(self.bins.columns.len(), Vec::new);
        for (sums, column) in room.iter_mut().zip(&self.bins.columns) {
            sums.resize(size(column), 0.0);
        }
        room
    }

    /// Lays the slopes of some rows end to end.
    fn gather(&mut self, rows: Range<usize>, slopes: Slopes<'_>) {
        let width = 2 * slopes.width;
        self.gathered.resize(rows.len() * width, 0.0);
        let rows = self.rows[rows].par_chunks(4096);
        rows.zip(self.gathered.par_chunks_mut(4096 * width)).for_each(|(rows, out)| {
            for (&row, out) in rows.iter().zip(out.chunks_exact_mut(width)) {
                out.copy_from_slice(&slopes.values[row as usize * slopes.stride + slopes.first..][..width]);
            }
        });
    }

    /// Splits a leaf; its children stand at the end of the tree.
    fn split(&mut self, tree: &mut Tree, leaf: Open, slopes: Slopes<'_>, draw: &Draw) -> [Open; 2] {
        let Some(candidate) = leaf.best else { unreachable!("only leaves with a split are split") };
        let middle = leaf.rows.start + self.part(leaf.rows.clone(), &candidate);
        let (left, right) = (tree.nodes.len(), tree.nodes.len() + 1);
        tree.nodes[leaf.node].split = Some(self.rule(&candidate, left as u32, right as u32));
        let child = |node, rows| Open {
            node,
            rows,
            depth: leaf.depth + 1,
            sums: vec![],
            histogram: vec![],
            best: None,
        };
        let mut children = [child(left, leaf.rows.start..middle), child(right, middle..leaf.rows.end)];
        self.fill_children(&mut children, (leaf.sums, leaf.histogram), slopes, draw);
        children.iter().for_each(|child| self.push(tree, child));
        children
    }

    /// Sums and best splits of two children from the sums of their parent.
    fn fill_children(
        &mut self,
        children: &mut [Open; 2],
        (sums, mut parent): (Vec<f64>, Histogram),
        slopes: Slopes<'_>,
        draw: &Draw,
    ) {
        let width = 2 * slopes.width;
        let small = usize::from(children[1].rows.len() < children[0].rows.len());
        let large = 1 - small;
        self.gather(children[small].rows.clone(), slopes);
        children[small].sums = sums_of(self.gathered.chunks_exact(width), width);
        let mut rest = sums;
        subtract(&mut rest, &children[small].sums);
        children[large].sums = rest;
        let may_split = [small, large].map(|at| self.may_split(&children[at]));
        if may_split == [false, false] {
            self.pool.push(parent);
            return;
        }
        let mut own = self.room(slopes.width);
        let rows = &self.rows[children[small].rows.clone()];
        let node = Gathered { rows, slopes: &self.gathered, width };
        let readable =
            [small, large].map(|at| draw.of_node(self.params, children[at].depth, children[at].node));
        let parents = [self.parent(&children[small].sums), self.parent(&children[large].sums)];
        let work = |((index, (own, rest)), (column, found)): WorkOfBoth<'_>| {
            if !draw.columns[index] {
                return;
            }
            fill(column, &node, own);
            subtract(rest, own);
            let mut scratch = Vec::new();
            let mut of = |which: usize, sums: &[f64]| {
                let is_asked = may_split[which] && readable[which][index];
                is_asked.then(|| best((index, column), sums, parents[which], &mut scratch)).flatten()
            };
            *found = [of(0, own), of(1, rest)];
        };
        let columns = self.bins.columns.par_iter().zip(&mut self.found);
        own.par_iter_mut().zip(&mut parent).enumerate().zip(columns).for_each(work);
        let [of_small, of_large] = best_of(&mut self.found);
        for (at, histogram, best) in [(small, own, of_small), (large, parent, of_large)] {
            children[at].histogram = histogram;
            children[at].best = best;
        }
    }

    fn may_split(&self, leaf: &Open) -> bool {
        let TreeParams { max_depth, min_data_in_leaf, .. } = self.params;
        (*max_depth == 0 || leaf.depth < *max_depth) && leaf.rows.len() >= 2 * min_data_in_leaf
    }

    /// Puts the rows of a leaf that go left before those that go right, both in their order; how many go left.
    fn part(&mut self, rows: Range<usize>, candidate: &Candidate) -> usize {
        let column = &self.bins.columns[candidate.column];
        let is_left = |row: u32| {
            let bin = column.code(row as usize);
            match &candidate.rule {
                _ if bin == column.n_known => candidate.default_left,
                BinRule::UpTo(last) => bin <= *last,
                BinRule::In(set) => set.binary_search(&(bin as u32)).is_err(),
            }
        };
        self.spare.clear();
        let rows = &mut self.rows[rows];
        let mut n_left = 0;
        for at in 0..rows.len() {
            let row = rows[at];
            if is_left(row) {
                rows[n_left] = row;
                n_left += 1;
            } else {
                self.spare.push(row);
            }
        }
        rows[n_left..].copy_from_slice(&self.spare);
        n_left
    }

    fn rule(&self, candidate: &Candidate, left: u32, right: u32) -> TreeSplit {
        let column = &self.bins.columns[candidate.column];
        let rule = match (&candidate.rule, column.sort) {
            // All that is known lies below.
            (BinRule::UpTo(last), _) => Rule::Below(column.cuts.get(*last).copied().unwrap_or(f32::MAX)),
            (BinRule::In(set), ColumnSort::Category | ColumnSort::Number) => Rule::In(set.clone()),
        };
        let Candidate { gain, default_left, .. } = *candidate;
        TreeSplit { column: candidate.column as u32, rule, default_left, left, right, gain }
    }
}

/// A column's sums of two children, its bins, and what is found there.
type WorkOfBoth<'s> =
    ((usize, (&'s mut Vec<f64>, &'s mut Vec<f64>)), (&'s BinnedColumn, &'s mut [Option<Candidate>; 2]));
/// The same of one node.
type Work<'s> = ((usize, &'s mut Vec<f64>), (&'s BinnedColumn, &'s mut [Option<Candidate>; 2]));

/// The best splits over columns; of equal ones the first column's.
fn best_of(found: &mut [[Option<Candidate>; 2]]) -> [Option<Candidate>; 2] {
    let mut best = [None, None];
    for candidates in found {
        for (best, candidate) in best.iter_mut().zip(candidates) {
            let Some(candidate) = candidate.take() else { continue };
            let bar = best.as_ref().map_or(f64::NEG_INFINITY, |best: &Candidate| best.gain);
            if candidate.gain > bar + STRICTLY {
                *best = Some(candidate);
            }
        }
    }
    best
}

/// Number, slopes and curvatures of rows, in their order.
fn sums_of<'s>(rows: impl Iterator<Item = &'s [f32]>, width: usize) -> Vec<f64> {
    let mut sums = vec![0.0; 1 + width];
    for row in rows {
        sums[0] += 1.0;
        sums[1..].iter_mut().zip(row).for_each(|(sum, slope)| *sum += f64::from(*slope));
    }
    sums
}

impl Draw {
    fn new(n_columns: usize, share: f64, seed: u64, tree: u64) -> Self {
        Self { seed, tree, columns: drawn(&vec![true; n_columns], share, seed, &[tree]) }
    }

    /// The columns a node may read.
    fn of_node(&self, params: &TreeParams, depth: usize, node: usize) -> Vec<bool> {
        let level = [self.tree, 1, depth as u64];
        let columns = drawn(&self.columns, params.feature_fraction_bylevel, self.seed, &level);
        drawn(&columns, params.feature_fraction_bynode, self.seed, &[self.tree, 2, node as u64])
    }
}

/// A share of the columns that are there, at least one.
fn drawn(columns: &[bool], share: f64, seed: u64, of: &[u64]) -> Vec<bool> {
    if share >= 1.0 {
        return columns.to_vec();
    }
    let mut there: Vec<usize> = (0..columns.len()).filter(|&column| columns[column]).collect();
    Rng::new(seed, Purpose::Pick, of).shuffle(&mut there);
    let n = ((there.len() as f64 * share).round() as usize).max(1);
    let mut chosen = vec![false; columns.len()];
    there.into_iter().take(n).for_each(|column| chosen[column] = true);
    chosen
}
