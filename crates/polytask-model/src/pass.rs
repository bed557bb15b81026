//! Sequences through the trunk, as many at once as fit into one pass, each once.

use polytask_core::{Layout, PackedBatch};
use polytask_nn::{Mode, States};

use crate::{Model, Result};

/// The trunk's states of some sequences.
pub(crate) struct Pass<'a> {
    /// Which sequences these are.
    pub(crate) sequences: &'a [usize],
    /// The states, all views end to end.
    pub(crate) states: States,
    /// Where the states of each view's sequences lie.
    pub(crate) layout: Layout,
}

impl Pass<'_> {
    /// The place in the layout of the pass's sequence `i` as a view sees it.
    pub(crate) fn place(&self, view: usize, i: usize) -> usize {
        view * self.sequences.len() + i
    }

    /// The states of the pass's sequence `i` as a view sees it, `[tokens, width]`.
    pub(crate) fn states_of(&self, view: usize, i: usize) -> &[f32] {
        let (rows, width) = (self.layout.rows(self.place(view, i)), self.states.width);
        &self.states.values[rows.start * width..rows.end * width]
    }
}

/// Runs the trunk over all sequences as some views see them; `visit` gets each pass. Gives the number of sequences that
/// went through the trunk; what views have of their own, above what they share, is computed for each.
pub(crate) fn for_passes(
    model: &Model,
    sequences: &[Vec<u32>],
    views: &[usize],
    mut visit: impl FnMut(&Pass<'_>) -> Result<()>,
) -> Result<usize> {
    let (trunk, mut n) = (&model.encoder.trunk, 0);
    for places in by_length(sequences.len(), trunk.symbols_per_pass(), |i| sequences[i].len()) {
        let packed = PackedBatch::pack(places.iter().map(|&i| &sequences[i]));
        let (states, layout) = (states(model, &packed, views)?, trunk.layout(&packed));
        n += packed.n_sequences();
        visit(&Pass { sequences: &places, states, layout })?;
    }
    Ok(n)
}

/// The trunk's states, of these views at least.
fn states(model: &Model, batch: &PackedBatch, views: &[usize]) -> Result<States> {
    let (trunk, params) = (&model.encoder.trunk, &model.encoder.params);
    if trunk.n_views() == 1 {
        return trunk.infer(params, model.laid_out()?, batch);
    }
    let mut wanted = vec![Vec::new(); trunk.n_views()];
    views.iter().for_each(|&view| wanted[view] = (0..batch.n_sequences() as u32).collect());
    Ok(trunk.forward_for(params, batch, None, Mode::EVAL, &wanted)?.0)
}

/// Positions of `n` sequences in groups that fit into one forward (`most` symbols), longest first so that groups are even.
pub fn by_length(n: usize, most: usize, length: impl Fn(usize) -> usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(length(i)), i));
    let (mut groups, mut rest) = (Vec::new(), &order[..]);
    while let Some(&longest) = rest.first() {
        let (now, later) = rest.split_at((most / length(longest).max(1)).clamp(1, rest.len()));
        groups.push(now.to_vec());
        rest = later;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_hold_every_sequence_once_longest_first_within_the_budget() {
        let lengths = [5, 9000, 4096, 1, 4096, 0];
        let groups = by_length(lengths.len(), 8192, |i| lengths[i]);
        assert_eq!(groups, [vec![1], vec![2, 4], vec![0, 3, 5]]);
    }
}
