//! `context-match`: tokens of the first text weighed by how much they look at the second as a whole (ConTeXT-match,
//! Decorte et al.; the one-sided form before soft late interaction, as its authors' evaluation suite runs it).
//!
//! `Σ_i softmax_i(⟨q_i, t⟩ / T) cos(q_i, t)` with t the mean of the second text's token states, not scaled.

use std::sync::Arc;

use polytask_core::method::{Choice, Family, MethodInfo, ParamInfo, Range};

use super::parts::{REVERSE, is, softmax, tau_unit, temperature};
use super::{ScoreEntry, TokenPair, TokenScore, TokenScoring};
use crate::params::Real;

static INFO: MethodInfo = MethodInfo {
    id: "context-match",
    title: "ConTeXT-match",
    paper: "Decorte, De Lange & Van Hautte, 2025",
    family: Family::Score,
    about: "The cosines of the first text's tokens with the mean of the second's, weighed by a softmax over their inner products.",
    cost: "an inner product per token and text, and states of the first text's tokens in memory",
    kinds: &[],
    params: &[
        ParamInfo {
            name: "temperature",
            about: "Divisor of inner products in the softmax, in units of `tau_unit`.",
            default: "1.0",
            range: Range::Positive,
        },
        tau_unit("\"raw\""),
        REVERSE,
    ],
};

/// The entry of the table.
pub(super) struct ContextMatch;

impl ScoreEntry for ContextMatch {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn make(&self, choice: &Choice, square: f64) -> Option<Arc<dyn TokenScoring>> {
        let tau = temperature(choice, &INFO, "temperature", square);
        Some(Arc::new(Fixed { tau, is_directed: is(choice, &INFO, "reverse", "recompute") }))
    }
}

#[derive(Debug)]
struct Fixed {
    tau: f64,
    is_directed: bool,
}

impl TokenScoring for Fixed {
    fn is_directed(&self) -> bool {
        self.is_directed
    }

    fn pools_second(&self) -> bool {
        true
    }
}

// The second text has one state, so the pair is a column.
impl<T: Real> TokenScore<T> for Fixed {
    fn score(&self, pair: TokenPair<'_, T>) -> T {
        let mut weights = vec![T::ZERO; pair.n()];
        softmax(pair.dots.iter().copied(), T::of(self.tau), &mut weights);
        weights.iter().zip(pair.cosines).map(|(w, c)| *w * *c).sum()
    }

    fn slopes(&self, pair: TokenPair<'_, T>, dots: &mut [T], cosines: &mut [T]) {
        let tau = T::of(self.tau);
        softmax(pair.dots.iter().copied(), tau, cosines);
        let score: T = cosines.iter().zip(pair.cosines).map(|(w, c)| *w * *c).sum();
        for ((d_dot, weight), c) in dots.iter_mut().zip(cosines).zip(pair.cosines) {
            *d_dot = *weight * (*c - score) / tau;
        }
    }
}
