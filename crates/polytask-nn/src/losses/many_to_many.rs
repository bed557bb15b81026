//! `many-to-many`: every answer of a query among all passages of the batch, and perhaps the way back (De Lange et al.
//! 2025, <https://arxiv.org/abs/2511.07969>).
//!
//! `mean over queries of mean over their answers y⁺ of [log Σ_y exp(s(q,y)/τ) − s(q,y⁺)/τ]`: all answers that the batch
//! happens to hold count, not only the one a row was drawn for, and the other answers stay in the sum. `two_way` adds the
//! same from passages to queries. Passages that may stand against no query (its own text) are left out of its sum.
//!
//! s is the model's score: the paper's is `soft-li`, the default the cosine of pooled vectors. Where a score has a
//! direction the way back reads scores of passages against queries, which the paper leaves open.
//!
//! Departure: a query without a known answer counts nowhere, on the way back neither.

use candle_core::Tensor;
use polytask_core::method::{Choice, Family, MethodInfo, ParamInfo, Range};

use super::parts::{Asked, NEGATIVES, TEMPERATURE, like, log_sum_exp, log_sum_exp_jvp, select};
use super::{Directional, Loss, LossFn, Outputs, turned};
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
        TEMPERATURE,
        NEGATIVES,
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

impl Directional for Fixed {
    fn along(
        &self,
        outputs: Outputs<'_>,
        direction: Option<&Tensor>,
        target: &Target,
        weights: &[f32],
    ) -> Result<Option<Tensor>> {
        let Some(asked) = Asked::new(INFO.id, outputs.values, target, weights)? else { return Ok(None) };
        let loss = self.forth(&asked, weights, outputs.values, direction)?;
        if !self.two_way {
            return Ok(Some(loss));
        }
        let direction = direction.map(turned).transpose()?;
        Ok(Some((loss + self.back(&asked, &outputs.turned()?, direction.as_ref())?)?))
    }

    fn is_two_way(&self) -> bool {
        self.two_way
    }
}

impl Fixed {
    /// From queries to passages: `[queries, passages]` → scalar.
    fn forth(
        &self,
        asked: &Asked,
        weights: &[f32],
        output: &Tensor,
        direction: Option<&Tensor>,
    ) -> Result<Tensor> {
        let scaled =
            |x: &Tensor| -> Result<Tensor> { Ok((select(x, &asked.queries, 0)? / self.temperature)?) };
        let direction = direction.map(scaled).transpose()?;
        Way::of_queries(asked, weights).loss(&scaled(output)?, direction.as_ref())
    }

    /// From passages to queries: `[passages, queries]` → scalar.
    fn back(&self, asked: &Asked, scores: &Tensor, direction: Option<&Tensor>) -> Result<Tensor> {
        let answered = answered(asked);
        let scaled = |x: &Tensor| -> Result<Tensor> {
            Ok((select(&select(x, &asked.queries, 1)?, &answered, 0)? / self.temperature)?)
        };
        let direction = direction.map(scaled).transpose()?;
        Way::of_passages(asked, &answered).loss(&scaled(scores)?, direction.as_ref())
    }
}

/// The passages that answer some query.
fn answered(asked: &Asked) -> Vec<usize> {
    let answers = |&p: &usize| (0..asked.queries.len()).any(|i| asked.relation(i, p) == Relation::Answer);
    (0..asked.n_passages).filter(answers).collect()
}

/// One direction: rows that look for their answers among columns.
struct Way {
    /// `[rows][columns]`; every row has an answer.
    relations: Vec<Vec<Relation>>,
    /// Weight of each row; they sum to 1.
    shares: Vec<f64>,
}

impl Way {
    fn of_queries(asked: &Asked, weights: &[f32]) -> Self {
        let row = |i| (0..asked.n_passages).map(|p| asked.relation(i, p)).collect();
        let relations = (0..asked.queries.len()).map(row).collect();
        Self { relations, shares: asked.shares(weights) }
    }

    /// The way back; passages count alike.
    fn of_passages(asked: &Asked, answered: &[usize]) -> Self {
        let row = |&p: &usize| (0..asked.queries.len()).map(|i| asked.relation(i, p)).collect();
        let relations = answered.iter().map(row).collect();
        Self { relations, shares: vec![1.0 / answered.len() as f64; answered.len()] }
    }

    /// `Σ_i w_i mean over answers j of (log Σ exp x_i − x_ij)`, or how it changes: `[rows, columns]` → scalar.
    fn loss(&self, logits: &Tensor, direction: Option<&Tensor>) -> Result<Tensor> {
        let (rows, columns) = logits.dims2()?;
        let (mut mask, mut pull) = (Vec::new(), Vec::new());
        for (relations, share) in self.relations.iter().zip(&self.shares) {
            let answers = relations.iter().filter(|&&relation| relation == Relation::Answer).count() as f64;
            for relation in relations {
                mask.push(if *relation == Relation::LeftOut { f64::NEG_INFINITY } else { 0.0 });
                pull.push(if *relation == Relation::Answer { share / answers } else { 0.0 });
            }
        }
        let masked = (logits + like(logits, mask, &[rows, columns])?)?;
        let pull = like(logits, pull, &[rows, columns])?;
        let shares = like(logits, self.shares.clone(), &[rows, 1])?;
        let (sums, moved) = match direction {
            None => (log_sum_exp(&masked)?, logits),
            Some(direction) => (log_sum_exp_jvp(&masked, direction)?, direction),
        };
        Ok(((sums * shares)?.sum_all()? - (moved * pull)?.sum_all()?)?)
    }
}
