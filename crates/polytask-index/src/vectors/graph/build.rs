//! Rows are linked in batches. All rows of a batch look for their neighbours in the graph before it, side by side; then the
//! links are made in order. So the graph does not depend on the number of threads.

use polytask_nn::trunk::simd::wide;
use rayon::prelude::*;

use super::Lists;
use super::near::Near;
use super::search::{Walk, climb_down, entry, search_level};
use crate::vectors::dot;

/// Most rows of a batch.
const BATCH: usize = 512;
/// A batch is at most this part of the rows before it.
const PART: usize = 16;

pub(super) struct Builder<'a> {
    pub(super) vectors: &'a [f32],
    pub(super) width: usize,
    pub(super) breadth: usize,
}

/// The neighbours a row chose, by level from the lowest up.
type Chosen = Vec<Vec<Near>>;

/// A link back: level, the row that is linked from, how near the other is.
type Back = (usize, u32, Near);

impl Builder<'_> {
    /// Links rows `first..n`, whose lists are empty.
    pub(super) fn link(&self, lists: &mut Lists, first: usize, n: usize) {
        let mut at = first;
        while at < n {
            let end = batch_end(lists, at, n);
            if at > 0 {
                self.link_batch(lists, at, end);
            }
            (at..end).for_each(|row| lists.see_level(row as u32));
            at = end;
        }
    }

    fn link_batch(&self, lists: &mut Lists, at: usize, end: usize) {
        let reading = &*lists;
        let chosen: Vec<Chosen> = (at..end)
            .into_par_iter()
            .map_init(Walk::default, |walk, row| {
                wide(
                    #[inline(always)]
                    || self.choose(reading, row as u32, at, walk),
                )
            })
            .collect();
        let mut back: Vec<Back> = Vec::new();
        for (row, levels) in (at as u32..).zip(&chosen) {
            for (level, neighbours) in levels.iter().enumerate() {
                lists.set(row, level, neighbours.iter().map(|near| near.row));
                back.extend(neighbours.iter().map(|near| (level, near.row, Near { score: near.score, row })));
            }
        }
        back.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(b.2.cmp(&a.2)));
        let groups: Vec<&[Back]> = back.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).collect();
        let reading = &*lists;
        let links = |group: &&[Back]| {
            wide(
                #[inline(always)]
                || self.linked_back(reading, group),
            )
        };
        let linked: Vec<Vec<u32>> = groups.par_iter().map(links).collect();
        for (group, neighbours) in groups.iter().zip(linked) {
            lists.set(group[0].1, group[0].0, neighbours.into_iter());
        }
    }

    /// The neighbours of a new row among the `n` rows before its batch.
    #[inline(always)]
    #[allow(clippy::inline_always)] // compiled for each instruction set
    fn choose(&self, lists: &Lists, row: u32, n: usize, walk: &mut Walk) -> Chosen {
        let query = self.vector(row);
        let seen = (&self.vectors[..n * self.width], query);
        let own = lists.level(row).min(lists.top);
        let mut start = entry(lists, self.vectors, query);
        for level in (own + 1..=lists.top).rev() {
            start = climb_down(lists, seen, level, start);
        }
        let mut chosen = vec![Vec::new(); own + 1];
        let mut starts = vec![start];
        for level in (0..=own).rev() {
            search_level(lists, seen, (level, self.breadth), &starts, None, walk);
            chosen[level] = self.spread(walk.nearest(), lists.neighbours);
            starts.clear();
            starts.extend_from_slice(walk.nearest());
        }
        chosen
    }

    /// The neighbours of a row that others chose: those before and the new ones, the most spread where they are too many.
    #[inline(always)]
    #[allow(clippy::inline_always)] // compiled for each instruction set
    fn linked_back(&self, lists: &Lists, group: &[Back]) -> Vec<u32> {
        let (level, row, _) = group[0];
        let (old, (_, most)) = (lists.of(row, level), lists.place(row, level));
        let new = group.iter().map(|(_, _, near)| *near);
        if old.len() + group.len() <= most {
            return old.iter().copied().chain(new.map(|near| near.row)).collect();
        }
        let own = self.vector(row);
        let mut all: Vec<Near> = new.collect();
        for &row in old {
            all.push(Near { score: dot(own, self.vector(row)), row });
        }
        all.sort_unstable_by(|a, b| b.cmp(a));
        self.spread(&all, most).into_iter().map(|near| near.row).collect()
    }

    /// Of rows sorted by nearness, those that are nearer to the row in question than to any chosen before them.
    #[inline(always)]
    #[allow(clippy::inline_always)] // compiled for each instruction set
    fn spread(&self, sorted: &[Near], most: usize) -> Vec<Near> {
        let mut chosen: Vec<Near> = Vec::with_capacity(most);
        for near in sorted {
            if chosen.len() == most {
                break;
            }
            let (vector, mut is_spread) = (self.vector(near.row), true);
            // A loop, not a closure: that would be compiled apart, without the wide instructions.
            for other in &chosen {
                is_spread = dot(vector, self.vector(other.row)) <= near.score;
                if !is_spread {
                    break;
                }
            }
            if is_spread {
                chosen.push(*near);
            }
        }
        chosen
    }

    #[inline(always)]
    #[allow(clippy::inline_always)] // compiled for each instruction set
    fn vector(&self, row: u32) -> &[f32] {
        &self.vectors[row as usize * self.width..][..self.width]
    }
}

/// Where the batch that begins at a row ends: a row above all levels so far is a batch of its own, so that rows after it
/// find it.
fn batch_end(lists: &Lists, at: usize, n: usize) -> usize {
    let most = (at + (at / PART).clamp(1, BATCH)).min(n);
    let is_higher = |row: usize| lists.level(row as u32) > lists.top;
    if is_higher(at) {
        return at + 1;
    }
    (at..most).find(|row| is_higher(*row)).unwrap_or(most)
}
