//! Cotangents inside the graph: on the sequences of the batch, whatever the view.

use std::sync::Arc;

use polytask_core::Layout;

use crate::params::Real;
use crate::trunk::Cotangent;

/// Cotangents at one node, one per task, ascending.
pub(super) type Arrived<T> = Vec<Cotangent<T>>;

/// The parts of a cotangent that belong to each view, on the sequences of the batch.
pub(super) fn by_view<T: Real>(
    cotangent: &Cotangent<T>,
    n_views: usize,
    layout: &Layout,
    width: usize,
) -> Vec<Cotangent<T>> {
    let n = layout.n_sequences();
    let empty = |_| Cotangent { sequences: Vec::new(), values: Arc::default(), ..*cotangent };
    let mut views: Vec<Cotangent<T>> = (0..n_views).map(empty).collect();
    let mut values = cotangent.values.as_slice();
    for &sequence in &cotangent.sequences {
        let (view, s) = (sequence as usize / n, sequence as usize % n);
        let (own, rest) = values.split_at(layout.length(s) * width);
        views[view].sequences.push(s as u32);
        Arc::make_mut(&mut views[view].values).extend_from_slice(own);
        values = rest;
    }
    views
}

/// Adds a cotangent to those that arrived before.
pub(super) fn add<T: Real>(arrived: &mut Arrived<T>, cotangent: Cotangent<T>, layout: &Layout) {
    let place = arrived.partition_point(|other| other.task < cotangent.task);
    match arrived.get_mut(place).filter(|other| other.task == cotangent.task) {
        Some(known) => *known = sum(known, &cotangent, layout),
        None => arrived.insert(place, cotangent),
    }
}

/// The sum of two cotangents of one task, on the union of their sequences.
fn sum<T: Real>(a: &Cotangent<T>, b: &Cotangent<T>, layout: &Layout) -> Cotangent<T> {
    if a.sequences == b.sequences {
        let values: Vec<T> = a.values.iter().zip(b.values.iter()).map(|(a, b)| *a + *b).collect();
        return Cotangent { values: values.into(), ..a.clone() };
    }
    let mut sequences = [a.sequences.as_slice(), &b.sequences].concat();
    sequences.sort_unstable();
    sequences.dedup();
    let n_rows = |sequences: &[u32]| sequences.iter().map(|&s| layout.length(s as usize)).sum::<usize>();
    let known = if a.sequences.is_empty() { b } else { a };
    let width = known.values.len().checked_div(n_rows(&known.sequences)).unwrap_or(0);
    let mut values = vec![T::ZERO; n_rows(&sequences) * width];
    for part in [a, b] {
        let (mut from, mut to, mut own) = (0, 0, part.sequences.iter().peekable());
        for &s in &sequences {
            let n = layout.length(s as usize) * width;
            if own.next_if(|&&mine| mine == s).is_some() {
                values[to..to + n].iter_mut().zip(&part.values[from..from + n]).for_each(|(v, g)| *v += *g);
                from += n;
            }
            to += n;
        }
    }
    Cotangent { sequences, values: values.into(), ..*a }
}
