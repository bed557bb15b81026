//! Cotangents of a batch: merged for one sweep, laid out over all rows, made from word rows.

use polytask_nn::{Cotangent, Real};

use crate::assemble::{StepBatch, TaskBatch};
use crate::part::PartGradient;

/// The weighted sum of cotangents: one per distinct freeze boundary, on the union of their sequences.
pub(crate) fn merge(batch: &StepBatch, parts: &[(&PartGradient, f64)]) -> Vec<Cotangent> {
    let mut boundaries: Vec<usize> = parts.iter().map(|(part, _)| part.cotangent.lowest).collect();
    boundaries.sort_unstable();
    boundaries.dedup();
    let of_boundary = |(i, &lowest): (usize, &usize)| {
        let members = parts.iter().filter(|(part, _)| part.cotangent.lowest == lowest);
        merge_members(batch, &members.copied().collect::<Vec<_>>(), i, lowest)
    };
    boundaries.iter().enumerate().map(of_boundary).collect()
}

fn merge_members(
    batch: &StepBatch,
    members: &[(&PartGradient, f64)],
    task: usize,
    lowest: usize,
) -> Cotangent {
    let mut sequences: Vec<u32> =
        members.iter().flat_map(|(part, _)| part.cotangent.sequences.iter().copied()).collect();
    sequences.sort_unstable();
    sequences.dedup();
    let starts = offsets(batch, &sequences);
    let n_rows: usize = sequences.iter().map(|&s| batch.layout.length(s as usize)).sum();
    let first = members.first().map(|(part, _)| &part.cotangent);
    let width = first.map_or(0, |c| c.values.len() / rows_of(batch, &c.sequences).max(1));
    let mut values = vec![0.0; n_rows * width];
    for (part, weight) in members {
        let mut from = 0;
        for &s in &part.cotangent.sequences {
            let n = batch.layout.length(s as usize) * width;
            let at = starts[s as usize] as usize * width;
            let source = &part.cotangent.values[from..from + n];
            values[at..at + n].iter_mut().zip(source).for_each(|(v, g)| *v += *weight as f32 * g);
            from += n;
        }
    }
    Cotangent { task, sequences, values: values.into(), lowest }
}

/// For each sequence of the batch, its first row among the rows of `sequences` laid end to end.
fn offsets(batch: &StepBatch, sequences: &[u32]) -> Vec<u32> {
    let mut starts = vec![0; batch.layout.n_sequences()];
    let mut next = 0;
    for &s in sequences {
        starts[s as usize] = next;
        next += batch.layout.length(s as usize) as u32;
    }
    starts
}

fn rows_of(batch: &StepBatch, sequences: &[u32]) -> usize {
    sequences.iter().map(|&s| batch.layout.length(s as usize)).sum()
}

/// Lays a cotangent out over all rows of the batch, `[rows × width]`; rows it does not name stay as they are.
pub(crate) fn place(batch: &StepBatch, cotangent: &Cotangent, width: usize, out: &mut [f32]) {
    let mut from = 0;
    for &s in &cotangent.sequences {
        let rows = batch.layout.rows(s as usize);
        let n = rows.len() * width;
        out[rows.start * width..][..n].copy_from_slice(&cotangent.values[from..from + n]);
        from += n;
    }
}

/// dL/d(states) from dL/d(word rows); a row read twice gets both.
pub(crate) fn scatter<T: Real>(
    batch: &StepBatch,
    part: &TaskBatch,
    rows: &[u32],
    width: usize,
    d_z: &[T],
) -> Vec<T> {
    let starts = offsets(batch, &part.sequences);
    let mut values = vec![T::ZERO; rows_of(batch, &part.sequences) * width];
    let sequence_of = |row: u32| batch.layout.starts.partition_point(|&start| start <= row) - 1;
    for (&row, gradient) in rows.iter().zip(d_z.chunks(width.max(1))) {
        let s = sequence_of(row);
        let at = (starts[s] + row - batch.layout.starts[s]) as usize * width;
        values[at..at + width].iter_mut().zip(gradient).for_each(|(v, g)| *v += *g);
    }
    values
}
