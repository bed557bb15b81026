//! The rows of a soft prompt: before those of every input in a pass, and left out of its states.

use polytask_core::PackedBatch;

use super::clock::{Clock, Half};
use super::{Packed, PackedSaved, Span};
use crate::trunk::graph::FRONT;
use crate::trunk::layers::Place;
use crate::trunk::{Cotangent, States};

impl Packed {
    /// The rows of all inputs, with those of a prompt before each.
    pub(super) fn first_rows(&self, span: Span, at: &Place<'_>, out: &mut [f32]) {
        let (front, pass) = (&self.graph.front, self.front_pass(span, at));
        let Some(prompt) = self.graph.prompt else {
            return Clock::time(self.clock.as_ref(), Half::Forward, (FRONT, 0), || front.forward(pass, out));
        };
        let (n, d) = (prompt.rows * prompt.width, prompt.width);
        let mut own = self.pool.take(out.len() - at.batch.n_sequences() * n);
        front.forward(pass, &mut own);
        let values = self.adapter_values(span, FRONT);
        let (mut from, mut rest) = (&own[..], out);
        for s in 0..at.batch.n_sequences() {
            let (to, later) = rest.split_at_mut(at.batch.length(s) * d);
            let (read, unread) = from.split_at(to.len() - n);
            to[..n].copy_from_slice(values);
            to[n..].copy_from_slice(read);
            (from, rest) = (unread, later);
        }
    }

    /// The states at the top without those of the prompt's rows.
    pub(super) fn without_prompt(&self, states: States, symbols: &PackedBatch) -> States {
        let Some(prompt) = self.graph.prompt else { return states };
        let (rows, d) = (self.graph.rows(symbols), states.width);
        let own = |s: usize| &states.values[(rows.rows(s).start + prompt.rows) * d..rows.rows(s).end * d];
        States { values: (0..rows.n_sequences()).flat_map(own).copied().collect(), width: d }
    }

    /// A cotangent with zeros at the prompt's rows.
    pub(super) fn with_prompt(&self, cotangent: Cotangent, saved: &PackedSaved, span: Span) -> Cotangent {
        let Some(prompt) = self.graph.prompt.filter(|_| span.end() == self.graph.n_base()) else {
            return cotangent;
        };
        let (d, mut rest, mut values) = (self.graph.d_hidden(), &cotangent.values[..], Vec::new());
        for &s in &cotangent.sequences {
            let (own, later) = rest.split_at(saved.symbols.length(s as usize) * d);
            values.resize(values.len() + prompt.rows * d, 0.0);
            values.extend_from_slice(own);
            rest = later;
        }
        Cotangent { values: values.into(), ..cotangent }
    }
}
