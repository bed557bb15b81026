//! `many-to-many`: every answer of a query among all passages of the batch, and perhaps the way back (De Lange et al.
//! 2025, <https://arxiv.org/abs/2511.07969>).
//!
//! `mean over queries of mean over their answers y⁺ of [log Σ_y exp(s(q,y)/τ) − s(q,y⁺)/τ]`: all answers that the batch
//! happens to hold count, not only the one a row was drawn for, and the other answers stay in the sum. `two_way` adds the
//! same from passages to queries. Passages that may stand against no query (its own text) are left out of its sum.

use candle_core::Tensor;
use polytask_core::method::{Choice, Family, MethodInfo, ParamInfo, Range};

use super::parts::{
    expect_shape, known_rows, like, log_sum_exp, log_sum_exp_jvp, select, shares, wrong_target,
};
use super::{Loss, LossFn};
use crate::Result;
use crate::target::{Relation, Target};

static INFO: MethodInfo = MethodInfo {
    id: "many-to-many",
    title: "Many-to-many InfoNCE",
    paper: "https://arxiv.org/abs/2511.07969",
    family: Family::Loss,
    about: "Negative log-likelihood of all answers a query has in the batch, and perhaps of all queries a passage answers.",
    cost: "",
    kinds: &[],
    params: &[
        ParamInfo {
            name: "temperature",
            about: "Divisor of cosines; smaller looks more at the hardest negatives.",
            default: "0.05",
            range: Range::Positive,
        },
        ParamInfo {
            name: "negatives",
            about: "Hard negatives per query taken into the batch, where the data names some.",
            default: "1",
            range: Range::Integer { min: 0 },
        },
        ParamInfo {
            name: "two_way",
            about: "Whether each passage also has to find the queries it answers.",
            default: "true",
            range: Range::Bool,
        },
    ],
};

/// The entry of the table.
pub(super) struct ManyToMany;

impl Loss for ManyToMany {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn make(&self, choice: &Choice, _labels: &[String], _counts: &[usize]) -> Result<Box<dyn LossFn>> {
        let two_way = choice.param(&INFO, "two_way").as_bool().unwrap_or(true);
        Ok(Box::new(Fixed { temperature: choice.real(&INFO, "temperature"), two_way }))
    }
}

struct Fixed {
    temperature: f64,
    two_way: bool,
}

impl LossFn for Fixed {
    fn loss(&self, output: &Tensor, target: &Target, weights: &[f32]) -> Result<Option<Tensor>> {
        self.mean(output, None, target, weights)
    }

    fn jvp(
        &self,
        output: &Tensor,
        direction: &Tensor,
        target: &Target,
        weights: &[f32],
    ) -> Result<Option<Tensor>> {
        self.mean(output, Some(direction), target, weights)
    }
}

impl Fixed {
    /// The loss, or how it changes along a direction.
    fn mean(
        &self,
        output: &Tensor,
        direction: Option<&Tensor>,
        target: &Target,
        weights: &[f32],
    ) -> Result<Option<Tensor>> {
        let Target::Passages { positive, relations } = target else {
            return Err(wrong_target(INFO.id, target, "passages"));
        };
        let n_passages = output.dims2()?.1;
        expect_shape(INFO.id, output, (positive.len(), n_passages))?;
        let queries = known_rows(positive, weights);
        if queries.is_empty() {
            return Ok(None);
        }
        let relation = |q: usize, p: usize| {
            let is_own = positive[queries[q]] as usize == p;
            if is_own { Relation::Answer } else { relations[queries[q] * n_passages + p] }
        };
        let scaled = |x: &Tensor| -> Result<Tensor> { Ok((select(x, &queries, 0)? / self.temperature)?) };
        let logits = scaled(output)?; // [known, passages]
        let direction = direction.map(scaled).transpose()?;
        let shares = shares(queries.iter().map(|&q| f64::from(weights[q])).collect());
        let way = Way { n: (queries.len(), n_passages), shares: &shares, relation: &relation };
        let mut loss = way.loss(&logits, direction.as_ref())?;
        if self.two_way {
            let turned = |x: &Tensor| -> Result<Tensor> { Ok(x.t()?.contiguous()?) };
            let answered: Vec<usize> = (0..n_passages)
                .filter(|&p| (0..queries.len()).any(|q| relation(q, p) == Relation::Answer))
                .collect();
            let back = |i: usize, q: usize| relation(q, answered[i]);
            let even = vec![1.0 / answered.len() as f64; answered.len()];
            let way = Way { n: (answered.len(), queries.len()), shares: &even, relation: &back };
            let rows = |x: &Tensor| select(&turned(x)?, &answered, 0);
            loss = (loss + way.loss(&rows(&logits)?, direction.as_ref().map(rows).transpose()?.as_ref())?)?;
        }
        Ok(Some(loss))
    }
}

/// One direction: rows that look for their answers among columns; every row has one.
struct Way<'a> {
    /// Rows and columns.
    n: (usize, usize),
    /// Weight of each row; they sum to 1.
    shares: &'a [f64],
    relation: &'a dyn Fn(usize, usize) -> Relation,
}

impl Way<'_> {
    /// `Σ_i w_i mean over answers j of (log Σ exp x_i − x_ij)`, or how it changes: `[rows, columns]` → scalar.
    fn loss(&self, logits: &Tensor, direction: Option<&Tensor>) -> Result<Tensor> {
        let (rows, columns) = self.n;
        let mut mask = vec![0.0; rows * columns];
        let mut pull = vec![0.0; rows * columns];
        for i in 0..rows {
            let answers = (0..columns).filter(|&j| (self.relation)(i, j) == Relation::Answer).count();
            for j in 0..columns {
                match (self.relation)(i, j) {
                    Relation::Answer => pull[i * columns + j] = self.shares[i] / answers as f64,
                    Relation::LeftOut => mask[i * columns + j] = f64::NEG_INFINITY,
                    Relation::Negative => {}
                }
            }
        }
        let masked = (logits + like(logits, mask, &[rows, columns])?)?;
        let pull = like(logits, pull, &[rows, columns])?;
        let shares = like(logits, self.shares.to_vec(), &[rows, 1])?;
        let (sums, moved) = match direction {
            None => (log_sum_exp(&masked)?, logits),
            Some(direction) => (log_sum_exp_jvp(&masked, direction)?, direction),
        };
        Ok(((sums * shares)?.sum_all()? - (moved * pull)?.sum_all()?)?)
    }
}
