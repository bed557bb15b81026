//! `maxsim`: late interaction by the best token (ColBERT, Khattab & Zaharia 2020, <https://arxiv.org/abs/2004.12832>).
//!
//! `mean over tokens i of the first text of max_j cos(q_i, y_j)`; of equal cosines the first has the gradient.
//!
//! Departures: the paper sums over the first text's tokens (`reduce = "sum"`), projects states to fewer dimensions and
//! pads queries with mask tokens; here states are compared as they are.

use std::sync::Arc;

use polytask_core::method::{Choice, Family, MethodInfo};

use super::parts::{REDUCE, REVERSE, is, share};
use super::{ScoreEntry, TokenPair, TokenScore, TokenScoring};
use crate::params::Real;

static INFO: MethodInfo = MethodInfo {
    id: "maxsim",
    title: "MaxSim",
    paper: "https://arxiv.org/abs/2004.12832",
    family: Family::Score,
    about: "Each token of the first text takes its largest cosine among those of the second; their mean.",
    cost: "an inner product per pair of tokens, and states of all tokens in memory",
    kinds: &[],
    params: &[REDUCE, REVERSE],
};

/// The entry of the table.
pub(super) struct MaxSim;

impl ScoreEntry for MaxSim {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn make(&self, choice: &Choice, _: f64) -> Option<Arc<dyn TokenScoring>> {
        let (sums, is_directed) =
            (is(choice, &INFO, "reduce", "sum"), is(choice, &INFO, "reverse", "recompute"));
        Some(Arc::new(Fixed { sums, is_directed }))
    }
}

#[derive(Debug)]
struct Fixed {
    sums: bool,
    is_directed: bool,
}

impl TokenScoring for Fixed {
    fn is_directed(&self) -> bool {
        self.is_directed
    }
}

/// The place of the largest value, the first of equal ones.
fn largest<T: Real>(values: &[T]) -> usize {
    (1..values.len()).fold(0, |best, j| if values[j] > values[best] { j } else { best })
}

impl<T: Real> TokenScore<T> for Fixed {
    fn score(&self, pair: TokenPair<'_, T>) -> T {
        let sum: T = pair.rows().map(|(_, cosines)| cosines[largest(cosines)]).sum();
        sum * share(self.sums, pair.n())
    }

    fn slopes(&self, pair: TokenPair<'_, T>, _: &mut [T], cosines: &mut [T]) {
        let share = share(self.sums, pair.n());
        for ((_, row), slopes) in pair.rows().zip(cosines.chunks_mut(pair.m)) {
            slopes[largest(row)] = share;
        }
    }
}
