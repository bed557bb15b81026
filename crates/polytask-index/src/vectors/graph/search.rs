//! A walk from neighbour to neighbour towards a query.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Lists;
use super::near::Near;
use crate::vectors::{RowSet, dot};

/// What a walk works with; kept from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// The walk that saw each row last.
    seen: Vec<u32>,
    number: u32,
    ahead: BinaryHeap<Near>,
    best: BinaryHeap<Reverse<Near>>,
    sorted: Vec<Near>,
}

impl Walk {
    /// What was found, nearest first.
    pub(crate) fn found(&self) -> impl Iterator<Item = (u32, f32)> {
        self.sorted.iter().map(|near| (near.row, near.score))
    }

    /// The same as it is.
    pub(super) fn nearest(&self) -> &[Near] {
        &self.sorted
    }

    fn begin(&mut self, n: usize) {
        self.ahead.clear();
        self.best.clear();
        if self.seen.len() < n || self.number == u32::MAX {
            self.seen.clear();
            self.seen.resize(n, 0);
            self.number = 0;
        }
        self.number += 1;
    }

    /// Whether a row is seen for the first time; never where there is no such row.
    #[inline(always)]
    #[allow(clippy::inline_always)] // within the loop over neighbours
    fn is_new(&mut self, row: u32) -> bool {
        self.seen
            .get_mut(row as usize)
            .is_some_and(|seen| std::mem::replace(seen, self.number) != self.number)
    }
}

/// The `breadth` nearest rows of a query, from the top of the graph down.
#[inline(always)]
#[allow(clippy::inline_always)] // compiled for each instruction set
pub(super) fn search_graph(
    lists: &Lists,
    (vectors, query): (&[f32], &[f32]),
    breadth: usize,
    among: Option<&RowSet>,
    walk: &mut Walk,
) {
    walk.sorted.clear();
    if vectors.is_empty() {
        return;
    }
    let mut start = entry(lists, vectors, query);
    for level in (1..=lists.top).rev() {
        start = climb_down(lists, (vectors, query), level, start);
    }
    search_level(lists, (vectors, query), (0, breadth), &[start], among, walk);
}

/// Where a search begins.
#[inline(always)]
#[allow(clippy::inline_always)] // compiled for each instruction set
pub(super) fn entry(lists: &Lists, vectors: &[f32], query: &[f32]) -> Near {
    let width = query.len();
    let row = lists.entry;
    Near { score: dot(query, &vectors[row as usize * width..][..width]), row }
}

/// The nearest row of a level that neighbours lead to, each nearer than the one before.
#[inline(always)]
#[allow(clippy::inline_always)] // compiled for each instruction set
pub(super) fn climb_down(
    lists: &Lists,
    (vectors, query): (&[f32], &[f32]),
    level: usize,
    start: Near,
) -> Near {
    let (width, mut at) = (query.len(), start);
    loop {
        let mut nearest = at;
        for &row in lists.of(at.row, level) {
            let Some(vector) = vectors.get(row as usize * width..(row as usize + 1) * width) else {
                continue;
            };
            nearest = nearest.max(Near { score: dot(query, vector), row });
        }
        if nearest == at {
            return at;
        }
        at = nearest;
    }
}

/// The nearest rows of a level, nearest first, in the walk: of those seen, the best `breadth` that may be found.
#[inline(always)]
#[allow(clippy::inline_always)] // compiled for each instruction set
pub(super) fn search_level(
    lists: &Lists,
    (vectors, query): (&[f32], &[f32]),
    (level, breadth): (usize, usize),
    starts: &[Near],
    among: Option<&RowSet>,
    walk: &mut Walk,
) {
    let width = query.len();
    walk.begin(vectors.len() / width);
    let finds = |row: u32| among.is_none_or(|among| among.has(row as usize));
    for &start in starts {
        if walk.is_new(start.row) {
            walk.ahead.push(start);
            if finds(start.row) {
                walk.best.push(Reverse(start));
            }
        }
    }
    while let Some(at) = walk.ahead.pop() {
        let is_full = walk.best.len() >= breadth;
        if is_full && walk.best.peek().is_some_and(|Reverse(worst)| at < *worst) {
            break;
        }
        for &row in lists.of(at.row, level) {
            if !walk.is_new(row) {
                continue;
            }
            let near = Near { score: dot(query, &vectors[row as usize * width..][..width]), row };
            let is_full = walk.best.len() >= breadth;
            if is_full && walk.best.peek().is_some_and(|Reverse(worst)| near < *worst) {
                continue;
            }
            walk.ahead.push(near);
            if finds(row) {
                walk.best.push(Reverse(near));
                if walk.best.len() > breadth {
                    walk.best.pop();
                }
            }
        }
    }
    walk.sorted.clear();
    walk.sorted.extend(walk.best.drain().map(|Reverse(near)| near));
    walk.sorted.sort_unstable_by(|a, b| b.cmp(a));
}
