//! Scores: how well two texts fit, from the states of all their tokens instead of one vector of each.
//!
//! A score is the maths of one pair ([`TokenScore`]): its value and its slopes, given inner products and cosines of all
//! token pairs. Texts in batches, gradients and bounded memory are the work of `pairs`, autodiff that of `op`. The pooled
//! score, the cosine of two vectors, is the one without token states.
//!
//! Adding one = one file here and one line in [`SCORES`].

mod context_match;
mod max_sim;
mod op;
mod pairs;
mod parts;
mod pieces;
mod pooled;
mod ragged;
mod soft_li;
#[cfg(test)]
mod tests;
mod top;

use std::fmt::Debug;
use std::sync::Arc;

use polytask_core::method::Choice;
use polytask_core::{MethodInfo, Problem, near};
use serde::{Deserialize, Serialize};

use crate::params::Real;
use crate::{Error, Result};

pub(crate) use op::score;
pub use pairs::{all_pairs, row_pairs};
pub use pieces::pieces;
pub use pooled::POOLED;
pub use ragged::{Ragged, TokenRows};
pub use top::top_k;

/// All scores, sorted by id.
pub static SCORES: &[&dyn ScoreEntry] =
    &[&context_match::ContextMatch, &max_sim::MaxSim, &pooled::Pooled, &soft_li::SoftLi];

/// A score in the table.
pub trait ScoreEntry: Sync {
    /// What it tells about itself.
    fn info(&self) -> &'static MethodInfo;

    /// The score with its parameters fixed; `None` where pooled vectors are compared. `square` is the mean squared
    /// length of the start encoder's token states.
    fn make(&self, choice: &Choice, square: f64) -> Option<Arc<dyn TokenScoring>>;
}

/// A pair of texts: inner products and cosines of all their token states, `[n, m]` row-major, n of the first.
#[derive(Debug, Clone, Copy)]
pub struct TokenPair<'a, T> {
    /// Inner products.
    pub dots: &'a [T],
    /// Cosines; 0 where a state is 0.
    pub cosines: &'a [T],
    /// Tokens of the second text.
    pub m: usize,
}

impl<'a, T> TokenPair<'a, T> {
    /// Tokens of the first text.
    pub fn n(&self) -> usize {
        self.dots.len() / self.m
    }

    /// Inner products and cosines of each token of the first text.
    fn rows(&self) -> impl Iterator<Item = (&'a [T], &'a [T])> + use<'a, T> {
        self.dots.chunks(self.m).zip(self.cosines.chunks(self.m))
    }
}

/// The maths of a pair; both texts have at least one token.
pub trait TokenScore<T: Real>: Debug + Send + Sync {
    /// The score.
    fn score(&self, pair: TokenPair<'_, T>) -> T;

    /// How the score changes with each inner product and each cosine, into buffers of zeros shaped like these.
    fn slopes(&self, pair: TokenPair<'_, T>, dots: &mut [T], cosines: &mut [T]);
}

/// A score of token states with its parameters fixed.
pub trait TokenScoring: TokenScore<f32> + TokenScore<f64> {
    /// Whether the second text scores another against the first than the first against the second, also in losses that
    /// look both ways.
    fn is_directed(&self) -> bool;

    /// Whether the second text is the mean of its states.
    fn pools_second(&self) -> bool {
        false
    }
}

/// The score of a model, as its folder keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoredBy {
    /// The score with its parameters.
    pub choice: Choice,
    /// Mean squared length of the token states of the encoder that training started from.
    pub square: f64,
}

impl ScoredBy {
    /// The score.
    ///
    /// # Errors
    /// An unknown name, parameters out of range, a mean squared length that is none.
    pub fn scoring(&self) -> Result<Option<Arc<dyn TokenScoring>>> {
        let score = find(&self.choice.name)?;
        let mut problems = score.info().wrong_params("score", &self.choice);
        if !(self.square.is_finite() && self.square > 0.0) {
            let what = format!("mean squared length {}, expected a number above 0", self.square);
            problems.push(Problem::new(what).try_this("an encoder whose states are not all 0"));
        }
        if problems.is_empty() { Ok(score.make(&self.choice, self.square)) } else { Err(invalid(problems)) }
    }
}

/// What all tell about themselves, sorted by id.
pub fn infos() -> Vec<&'static MethodInfo> {
    SCORES.iter().map(|score| score.info()).collect()
}

fn find(id: &str) -> Result<&'static dyn ScoreEntry> {
    let found = SCORES.iter().copied().find(|score| score.info().id == id);
    found.ok_or_else(|| {
        let known: Vec<_> = infos().iter().map(|info| info.id).collect();
        let what = format!("unknown score `{id}`, expected one of {}", known.join(", "));
        invalid(vec![Problem::new(what).try_this(near::advice(id, &known))])
    })
}

/// The choice with every parameter, so that a folder says all that it was trained with.
pub fn resolved(choice: &Choice) -> Result<Choice> {
    let info = find(&choice.name)?.info();
    let params = info.params.iter().map(|param| (param.name.to_owned(), choice.param(info, param.name)));
    Ok(Choice { name: choice.name.clone(), params: params.collect() })
}

fn invalid(problems: Vec<Problem>) -> Error {
    Error::Core(polytask_core::Error::Invalid(problems))
}
