//! Which sequences each node is needed on: a task's own experts and masks run on its own texts only.

use polytask_core::{Layout, PackedBatch};

use crate::params::Real;
use crate::trunk::{Cotangent, States};

/// The sequences a node is needed on, ascending; `None` stands for all.
pub(super) type Needed = Option<Vec<u32>>;

/// The batch of some sequences.
pub(super) fn select(batch: &PackedBatch, sequences: &[u32]) -> PackedBatch {
    PackedBatch::pack(sequences.iter().map(|&s| &batch.ids[batch.rows(s as usize)]))
}

/// The rows of some sequences, end to end.
pub(super) fn rows<T: Real>(states: &States<T>, sequences: &[u32], layout: &Layout) -> Vec<T> {
    let mut values = Vec::new();
    for &s in sequences {
        let rows = layout.rows(s as usize);
        values.extend_from_slice(&states.values[rows.start * states.width..rows.end * states.width]);
    }
    values
}

/// States of all rows from those of some sequences; zeros elsewhere.
pub(super) fn spread<T: Real>(values: &[T], width: usize, sequences: &[u32], layout: &Layout) -> States<T> {
    let mut all = vec![T::ZERO; layout.n_rows() * width];
    let mut rest = values;
    for &s in sequences {
        let rows = layout.rows(s as usize);
        let (own, later) = rest.split_at(rows.len() * width);
        all[rows.start * width..rows.end * width].copy_from_slice(own);
        rest = later;
    }
    States { values: all, width }
}

/// A cotangent without the sequences its node is not needed on.
pub(super) fn restrict<T: Real>(
    cotangent: Cotangent<T>,
    needed: &Needed,
    layout: &Layout,
    width: usize,
) -> Cotangent<T> {
    let Some(needed) = needed else { return cotangent };
    let (mut sequences, mut values) = (Vec::new(), Vec::new());
    let mut rest = cotangent.values.as_slice();
    for &s in &cotangent.sequences {
        let (own, later) = rest.split_at(layout.length(s as usize) * width);
        if needed.binary_search(&s).is_ok() {
            sequences.push(s);
            values.extend_from_slice(own);
        }
        rest = later;
    }
    Cotangent { sequences, values: values.into(), ..cotangent }
}

/// Sequences as places among the needed ones.
pub(super) fn places(sequences: &[u32], needed: &Needed) -> Vec<u32> {
    let Some(needed) = needed else { return sequences.to_vec() };
    sequences.iter().map(|s| needed.partition_point(|other| other < s) as u32).collect()
}
