//! A score of the token states of two texts: no parameters.

use std::sync::Arc;

use candle_core::Tensor;
use polytask_core::Problem;

use super::{Head, HeadRows, Pairing, shape};
use crate::scores::{self, TokenScoring};
use crate::{Error, Result};

/// The score of row i with row i `[rows, 1]`, or of all with all `[queries, passages]`. Row with row neither text is the
/// query, so that a score with a direction is the mean of both.
#[derive(Debug, Clone)]
pub struct LateInteraction {
    /// Values per token state.
    pub d_in: usize,
    /// The score.
    pub scoring: Arc<dyn TokenScoring>,
}

impl Head for LateInteraction {
    fn n_inputs(&self) -> usize {
        2
    }

    fn d_in(&self) -> usize {
        self.d_in
    }

    fn n_outputs(&self) -> usize {
        1
    }

    fn scoring(&self) -> Option<Arc<dyn TokenScoring>> {
        Some(self.scoring.clone())
    }

    fn is_directed(&self) -> bool {
        self.scoring.is_directed()
    }

    fn output(&self, _weights: &[Tensor], inputs: &[HeadRows], pairing: Pairing) -> Result<Tensor> {
        let [a, b] = inputs else {
            return Err(shape("late interaction", &format!("{} inputs", inputs.len()), "2 inputs"));
        };
        let scores = scores::score(&self.scoring, (a, b), pairing)?;
        if pairing == Pairing::Cross || !self.is_directed() {
            return Ok(scores);
        }
        Ok(((scores + scores::score(&self.scoring, (b, a), pairing)?)? * 0.5)?)
    }

    fn jvp(&self, _: &[Tensor], _: &[HeadRows], _: &[HeadRows], _: Pairing) -> Result<Tensor> {
        let what = "scores of token states have no second derivatives here";
        let remedy = "`score = \"pooled\"` in [model]";
        Err(Error::Core(Problem::new(what).try_this(remedy).into()))
    }
}
