//! The images of all cotangents end to end: one sweep serves every task.

use std::ops::Range;

use super::patches::Images;
use crate::trunk::Cotangent;
use crate::trunk::pool::{Buf, Pool};

/// The images of one cotangent.
#[derive(Debug, Clone, Copy)]
struct Part {
    task: usize,
    lowest: usize,
    n: usize,
}

/// The images of one task.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    pub(super) task: usize,
    /// Its places in the stack.
    pub(super) images: Range<usize>,
}

/// Which images of the batch are being differentiated, and for whom.
#[derive(Debug, Default)]
pub(super) struct Stack {
    parts: Vec<Part>,
    /// The image of each place.
    images: Vec<u32>,
    /// Tasks, ascending.
    pub(super) groups: Vec<Group>,
    /// Whether place i is image i, for all images.
    same: bool,
    n_batch: usize,
}

impl Stack {
    /// The images of `cotangents` (ascending by task), out of `n_batch`. When images are `coupled` (batch norm) each
    /// cotangent stands on all of them, since every image moves what becomes of every other.
    pub(super) fn new(cotangents: &[&Cotangent], n_batch: usize, coupled: bool) -> Self {
        let mut stack = Self { n_batch, ..Self::default() };
        for cotangent in cotangents {
            let before = stack.images.len();
            if coupled {
                stack.images.extend(0..n_batch as u32);
            } else {
                stack.images.extend(&cotangent.sequences);
            }
            let n = stack.images.len() - before;
            stack.parts.push(Part { task: cotangent.task, lowest: cotangent.lowest, n });
        }
        stack.close();
        stack
    }

    /// Number of places.
    pub(super) fn len(&self) -> usize {
        self.images.len()
    }

    /// The lowest block any part asks for.
    pub(super) fn lowest(&self) -> usize {
        self.parts.iter().map(|part| part.lowest).min().unwrap_or(usize::MAX)
    }

    fn close(&mut self) {
        self.groups.clear();
        let mut start = 0;
        for part in &self.parts {
            let end = start + part.n;
            match self.groups.last_mut() {
                Some(group) if group.task == part.task => group.images.end = end,
                _ => self.groups.push(Group { task: part.task, images: start..end }),
            }
            start = end;
        }
        let in_order = self.images.iter().enumerate().all(|(place, &image)| place == image as usize);
        self.same = in_order && self.images.len() == self.n_batch;
    }

    /// A value's images in stack order.
    pub(super) fn images<'a>(&'a self, values: &'a [f32], size: usize) -> Images<'a> {
        Images { values, size, order: (!self.same).then_some(&self.images) }
    }

    /// The cotangents' values by place, `[places, size]`; zeros where a cotangent does not touch a coupled image.
    pub(super) fn gradient(&self, pool: &Pool, cotangents: &[&Cotangent], size: usize) -> Buf {
        let mut g = pool.zeros(self.len() * size);
        let mut place = 0;
        for (part, cotangent) in self.parts.iter().zip(cotangents) {
            for (i, values) in cotangent.values.chunks_exact(size.max(1)).enumerate() {
                let at =
                    if part.n == cotangent.sequences.len() { i } else { cotangent.sequences[i] as usize };
                g[(place + at) * size..(place + at + 1) * size].copy_from_slice(values);
            }
            place += part.n;
        }
        g
    }

    /// Leaves out the parts that stop above `block`, here and in the gradients of some values.
    pub(super) fn restrict(&mut self, pool: &Pool, block: usize, gradients: &mut [(Option<Buf>, usize)]) {
        if self.parts.iter().all(|part| part.lowest <= block) {
            return;
        }
        let keep: Vec<bool> =
            self.parts.iter().flat_map(|part| std::iter::repeat_n(part.lowest <= block, part.n)).collect();
        for (slot, size) in gradients.iter_mut().filter(|(slot, _)| slot.is_some()) {
            let Some(old) = slot.take() else { continue };
            let mut new = pool.take(keep.iter().filter(|kept| **kept).count() * *size);
            let kept = old.chunks_exact((*size).max(1)).zip(&keep).filter(|(_, kept)| **kept);
            new.chunks_exact_mut((*size).max(1))
                .zip(kept)
                .for_each(|(to, (from, _))| to.copy_from_slice(from));
            *slot = Some(new);
        }
        let mut kept = keep.iter();
        self.images.retain(|_| kept.next().copied().unwrap_or(false));
        self.parts.retain(|part| part.lowest <= block);
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cotangent(task: usize, sequences: &[u32], lowest: usize) -> Cotangent {
        Cotangent { task, sequences: sequences.to_vec(), values: vec![1.0; sequences.len()].into(), lowest }
    }

    #[test]
    fn coupled_images_stand_in_every_task_with_zeros_where_it_does_not_look() {
        let (a, b) = (cotangent(0, &[1], 0), cotangent(2, &[0, 2], 0));
        let stack = Stack::new(&[&a, &b], 3, true);
        assert_eq!(stack.groups, [Group { task: 0, images: 0..3 }, Group { task: 2, images: 3..6 }]);
        let g = stack.gradient(&Pool::default(), &[&a, &b], 1);
        assert_eq!(&g[..], [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
    }

    #[test]
    fn parts_that_stop_above_a_block_leave_with_their_gradients() {
        let (a, b) = (cotangent(0, &[1], 2), cotangent(2, &[0, 2], 0));
        let mut stack = Stack::new(&[&a, &b], 3, false);
        let pool = Pool::default();
        let mut g = pool.take(3);
        g.copy_from_slice(&[5.0, 6.0, 7.0]);
        let mut gradients = [(Some(g), 1), (None, 1)];
        stack.restrict(&pool, 1, &mut gradients);
        assert_eq!(stack.groups, [Group { task: 2, images: 0..2 }]);
        assert_eq!(&gradients[0].0.as_ref().unwrap()[..], [6.0, 7.0]);
        assert_eq!(stack.images(&[1.0, 2.0, 3.0], 1).get(1), [3.0]);
    }
}
