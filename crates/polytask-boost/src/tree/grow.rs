//! Growth of a tree on binned rows: the histogram of the smaller child by scan, of its sibling by subtraction.
//!
//! Blocks of columns are worked on in parallel, each by one thread in the order of the rows, so that sums do not hang on
//! the number of threads.

use std::ops::Range;

use rayon::prelude::*;

use super::candidate::{BinRule, Candidate, Parent, STRICTLY};
use super::draw::Draw;
use super::histogram::{Gathered, Layout, fill, of_columns, room, subtract};
pub(crate) use super::lanes::Slopes;
use super::lanes::{Count, Lanes};
use super::node::{score, write_values};
use super::rows::Rows;
use super::scan::{Scratch, best};
use super::{Rule, Tree, TreeNode, TreeSplit};
use crate::bins::{Bins, Block};
use crate::params::{Growth, TreeParams};
use crate::table::ColumnSort;

/// A tree, and which of the rows it was grown on lie in which leaf.
pub(crate) struct Grown {
    pub(crate) tree: Tree,
    pub(crate) leaves: Vec<(usize, Range<usize>)>,
}

/// What growing needs again and again: rows by leaf, room for sums.
pub(crate) struct Grower<'a> {
    bins: &'a Bins,
    params: &'a TreeParams,
    rows: Rows,
    lanes: Lanes,
    layout: Layout,
    pool: Vec<Vec<f64>>,
    works: Vec<Work>,
}

/// What is made of a block.
#[derive(Default)]
struct Work {
    scratch: Scratch,
    /// The best split of one child and of the other.
    found: Vec<[Option<Candidate>; 2]>,
}

/// A leaf that may be split.
struct Open {
    node: usize,
    rows: Range<usize>,
    depth: usize,
    sums: Vec<f64>,
    /// Sums of every bin; empty where the leaf cannot be split.
    histogram: Vec<f64>,
    best: Option<Candidate>,
}

impl<'a> Grower<'a> {
    pub(crate) fn new(bins: &'a Bins, params: &'a TreeParams) -> Self {
        let lanes = Lanes { width: 0, count: Count::Any };
        let works = bins.blocks.iter().map(|_| Work::default()).collect();
        let layout = Layout::new(bins, lanes.n());
        Self { bins, params, rows: Rows::default(), lanes, layout, pool: vec![], works }
    }

    /// Grows tree number `tree` on some rows.
    pub(crate) fn grow(&mut self, rows: &[u32], slopes: Slopes<'_>, (seed, tree): (u64, u64)) -> Grown {
        self.rows.set(rows);
        self.set_lanes(rows, slopes);
        let draw = Draw::new(self.bins.columns.len(), self.params, seed, tree);
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

    /// The rows of a leaf of the tree grown last.
    pub(crate) fn rows(&self, leaf: &Range<usize>) -> &[u32] {
        &self.rows.all[leaf.clone()]
    }

    /// What is summed of a row: its number only where it matters and nothing else tells it.
    fn set_lanes(&mut self, rows: &[u32], slopes: Slopes<'_>) {
        let is_one = |&row: &u32| slopes.of(row)[1] == 1.0;
        let count = if rows.iter().all(is_one) {
            Count::Curvature
        } else if self.params.min_data_in_leaf > 1 {
            Count::Own
        } else {
            Count::Any
        };
        let lanes = Lanes { width: slopes.width, count };
        if lanes.n() != self.lanes.n() {
            self.layout = Layout::new(self.bins, lanes.n());
            self.pool.clear();
        }
        self.lanes = lanes;
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
        tree.nodes.push(TreeNode { split: None, cover: self.lanes.curvature(&leaf.sums) });
        write_values(&leaf.sums, self.lanes, self.params, &mut tree.values);
    }

    fn root(&mut self, slopes: Slopes<'_>, draw: &Draw) -> Open {
        let rows = 0..self.rows.all.len();
        let sums = self.rows.gather(rows.clone(), slopes, self.lanes);
        let mut root = Open { node: 0, rows, depth: 0, sums, histogram: self.room(), best: None };
        let readable = draw.of_node(0, 0);
        let node = Gathered { rows: &self.rows.all, slopes: &self.rows.gathered };
        let parent = parent(&root.sums, self.lanes, self.params);
        let (bins, lanes) = (self.bins, self.lanes);
        let sums = self.layout.parts(&mut root.histogram);
        let works = self.works.par_iter_mut().zip(&bins.blocks).zip(sums);
        works.for_each(|((work, block), sums)| {
            fill((bins, block), &node, lanes, &draw.columns, sums);
            work.found.clear();
            work.found.resize(block.columns.len(), [None, None]);
            work.search((bins, block), sums, parent, (0, &readable));
        });
        [root.best, _] = self.best();
        root
    }

    /// Values of leaves from the sums of their own rows: a difference of sums would not be 0 where nothing is known.
    fn settle(&self, tree: &mut Tree, leaves: &[(usize, Range<usize>)], slopes: Slopes<'_>) {
        let value = |(node, rows): &(usize, Range<usize>)| {
            let mut sums = vec![0.0; self.lanes.n()];
            for &row in self.rows(rows) {
                sums.iter_mut().zip(slopes.of(row)).for_each(|(sum, slope)| *sum += f64::from(*slope));
            }
            let mut values = Vec::with_capacity(slopes.width);
            write_values(&sums, self.lanes, self.params, &mut values);
            (*node, values)
        };
        let settled: Vec<(usize, Vec<f64>)> = leaves.par_iter().map(value).collect();
        for (node, values) in settled {
            tree.values[node * slopes.width..][..slopes.width].copy_from_slice(&values);
        }
    }

    /// Room for the sums of every column.
    fn room(&mut self) -> Vec<f64> {
        self.pool.pop().unwrap_or_else(|| vec![0.0; self.layout.total])
    }

    /// Splits a leaf; its children stand at the end of the tree.
    fn split(&mut self, tree: &mut Tree, leaf: Open, slopes: Slopes<'_>, draw: &Draw) -> [Open; 2] {
        let Some(candidate) = leaf.best else { unreachable!("only leaves with a split are split") };
        let middle = leaf.rows.start + self.rows.part(leaf.rows.clone(), self.bins, &candidate);
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
        (sums, histogram): (Vec<f64>, Vec<f64>),
        slopes: Slopes<'_>,
        draw: &Draw,
    ) {
        let small = usize::from(children[1].rows.len() < children[0].rows.len());
        let large = 1 - small;
        children[small].sums = self.rows.gather(children[small].rows.clone(), slopes, self.lanes);
        let mut rest = sums;
        subtract(&mut rest, &children[small].sums);
        children[large].sums = rest;
        let may_split = [small, large].map(|at| self.may_split(&children[at]));
        if may_split == [false, false] {
            self.pool.push(histogram);
            return;
        }
        let pair = [small, large].map(|at| &children[at]);
        let (histograms, bests) = self.search_pair(pair, may_split, histogram, draw);
        for ((at, histogram), best) in [small, large].into_iter().zip(histograms).zip(bests) {
            // A leaf that stays one needs its sums no more.
            if best.is_none() {
                self.pool.push(histogram);
            } else {
                children[at].histogram = histogram;
            }
            children[at].best = best;
        }
    }

    /// Sums of the smaller child, whose rows were gathered last, and of the larger one in the place of their parent's,
    /// with the best split of each.
    fn search_pair(
        &mut self,
        pair: [&Open; 2],
        may_split: [bool; 2],
        mut histogram: Vec<f64>,
        draw: &Draw,
    ) -> ([Vec<f64>; 2], [Option<Candidate>; 2]) {
        let mut own = self.room();
        let node = Gathered { rows: &self.rows.all[pair[0].rows.clone()], slopes: &self.rows.gathered };
        let readable = pair.map(|child| draw.of_node(child.depth, child.node));
        let parents = pair.map(|child| parent(&child.sums, self.lanes, self.params));
        let (bins, lanes) = (self.bins, self.lanes);
        let sums = self.layout.parts(&mut own).into_iter().zip(self.layout.parts(&mut histogram));
        let works = self.works.par_iter_mut().zip(&bins.blocks).zip(sums.collect::<Vec<_>>());
        works.for_each(|((work, block), (own, rest))| {
            fill((bins, block), &node, lanes, &draw.columns, own);
            let columns = of_columns((bins, block), lanes.n(), rest);
            let counted = of_columns((bins, block), lanes.n(), own);
            columns.zip(counted).for_each(|(rest, own)| subtract(rest, own));
            work.found.clear();
            work.found.resize(block.columns.len(), [None, None]);
            for (which, sums) in [(0, own), (1, rest)] {
                if may_split[which] {
                    work.search((bins, block), sums, parents[which], (which, &readable[which]));
                }
            }
        });
        ([own, histogram], self.best())
    }

    fn may_split(&self, leaf: &Open) -> bool {
        let TreeParams { max_depth, min_data_in_leaf, .. } = self.params;
        (*max_depth == 0 || leaf.depth < *max_depth) && leaf.rows.len() >= 2 * min_data_in_leaf
    }

    /// The best splits over columns; of equal ones the first column's.
    fn best(&mut self) -> [Option<Candidate>; 2] {
        let found = self.works.iter_mut().flat_map(|work| &mut work.found);
        let mut all: Vec<(usize, usize, Candidate)> = found
            .flat_map(|both| both.iter_mut().enumerate())
            .filter_map(|(which, found)| found.take().map(|found| (which, found.column, found)))
            .collect();
        all.sort_by_key(|(which, column, _)| (*which, *column));
        let mut best: [Option<Candidate>; 2] = [None, None];
        for (which, _, candidate) in all {
            let bar = best[which].as_ref().map_or(f64::NEG_INFINITY, |best| best.gain);
            if candidate.gain > bar + STRICTLY {
                best[which] = Some(candidate);
            }
        }
        best
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

impl Work {
    /// The best split of a child by every column of the block that it may read.
    fn search(
        &mut self,
        (bins, block): (&Bins, &Block),
        sums: &[f64],
        parent: Parent<'_>,
        (which, readable): (usize, &[bool]),
    ) {
        let size = room(bins, block) * parent.lanes.n();
        for ((&index, sums), found) in block.columns.iter().zip(sums.chunks_exact(size)).zip(&mut self.found)
        {
            if readable[index] {
                let column = &bins.columns[index];
                let own = &sums[..(column.n_known + 1) * parent.lanes.n()];
                found[which] = best((index, column), own, parent, &mut self.scratch);
            }
        }
    }
}

fn parent<'s>(sums: &'s [f64], lanes: Lanes, params: &'s TreeParams) -> Parent<'s> {
    Parent { sums, lanes, score: score(sums, lanes, params), params }
}
