//! `soft-li`: soft late interaction (De Lange et al. 2025, <https://arxiv.org/abs/2511.07969>).
//!
//! `mean over tokens i of the first text of Σ_j softmax_j(⟨q_i, y_j⟩ / τ) cos(q_i, y_j)`. A small τ takes the cosine of
//! the token with the largest inner product, a large one the mean cosine.
//!
//! Departures: the paper sums over the first text's tokens (`reduce = "sum"`); the mean is the default, so that
//! temperatures of losses mean the same for texts of any length. τ is by default in units of the squared length of token
//! states, which differs a hundredfold between encoders. Special tokens count as others.

use std::sync::Arc;

use polytask_core::method::{Choice, Family, MethodInfo, ParamInfo, Range};

use super::parts::{REDUCE, REVERSE, is, share, softmax, tau_unit, temperature};
use super::{ScoreEntry, TokenPair, TokenScore, TokenScoring};
use crate::params::Real;

static INFO: MethodInfo = MethodInfo {
    id: "soft-li",
    title: "Soft late interaction",
    paper: "https://arxiv.org/abs/2511.07969",
    family: Family::Score,
    about: "Each token of the first text looks at those of the second by a softmax over inner products and takes their cosines; their mean.",
    cost: "an inner product per pair of tokens, and states of all tokens in memory",
    kinds: &[],
    params: &[
        ParamInfo {
            name: "tau_a",
            about: "Divisor of inner products in the softmax, in units of `tau_unit`.",
            default: "0.05",
            range: Range::Positive,
        },
        tau_unit("\"norm2\""),
        REDUCE,
        REVERSE,
    ],
};

/// The entry of the table.
pub(super) struct SoftLi;

impl ScoreEntry for SoftLi {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn make(&self, choice: &Choice, square: f64) -> Option<Arc<dyn TokenScoring>> {
        Some(Arc::new(Fixed {
            tau: temperature(choice, &INFO, "tau_a", square),
            sums: is(choice, &INFO, "reduce", "sum"),
            is_directed: is(choice, &INFO, "reverse", "recompute"),
        }))
    }
}

#[derive(Debug)]
struct Fixed {
    tau: f64,
    sums: bool,
    is_directed: bool,
}

impl TokenScoring for Fixed {
    fn is_directed(&self) -> bool {
        self.is_directed
    }
}

impl<T: Real> TokenScore<T> for Fixed {
    fn score(&self, pair: TokenPair<'_, T>) -> T {
        let mut looks = vec![T::ZERO; pair.m];
        let mut sum = T::ZERO;
        for (dots, cosines) in pair.rows() {
            softmax(dots.iter().copied(), T::of(self.tau), &mut looks);
            sum += looks.iter().zip(cosines).map(|(a, c)| *a * *c).sum();
        }
        sum * share(self.sums, pair.n())
    }

    fn slopes(&self, pair: TokenPair<'_, T>, dots: &mut [T], cosines: &mut [T]) {
        let (tau, share) = (T::of(self.tau), share::<T>(self.sums, pair.n()));
        let slopes = dots.chunks_mut(pair.m).zip(cosines.chunks_mut(pair.m));
        for ((d, c), (d_dots, d_cosines)) in pair.rows().zip(slopes) {
            softmax(d.iter().copied(), tau, d_cosines);
            let mean: T = d_cosines.iter().zip(c).map(|(a, c)| *a * *c).sum();
            for ((d_dot, d_cosine), c) in d_dots.iter_mut().zip(d_cosines).zip(c) {
                *d_cosine *= share;
                *d_dot = *d_cosine * (*c - mean) / tau;
            }
        }
    }
}
