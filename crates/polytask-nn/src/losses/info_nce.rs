//! `info-nce`: the right passage among all passages of the batch (van den Oord et al. 2018).
//!
//! `−log softmax(cos / τ)` of each query's positive over its allowed passages. `symmetric` adds the way back,
//! the query of each positive among the queries, and halves the sum; another query with the same positive, or
//! one the passage may not be a negative of, is left out.

use candle_core::Tensor;
use polytask_core::method::{Choice, Family, MethodInfo, ParamInfo, Range};

use super::parts::{Asked, NEGATIVES, TEMPERATURE, like, log_sum_exp, log_sum_exp_jvp, select};
use super::{Directional, Loss, LossFn, Outputs, turned};
use crate::Result;
use crate::target::{Relation, Target};

static INFO: MethodInfo = MethodInfo {
    id: "info-nce",
    title: "InfoNCE",
    paper: "van den Oord, Li & Vinyals, 2018",
    family: Family::Loss,
    about: "Negative log-likelihood of each query's positive among the passages of the batch.",
    cost: "",
    kinds: &[],
    params: &[
        TEMPERATURE,
        NEGATIVES,
        ParamInfo {
            name: "symmetric",
            about: "Whether each positive also has to find its query among the queries.",
            default: "false",
            range: Range::Bool,
        },
    ],
};

/// The entry of the table.
pub(super) struct InfoNce;

impl Loss for InfoNce {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn make(&self, choice: &Choice, _labels: &[String], _counts: &[usize]) -> Result<Box<dyn LossFn>> {
        let symmetric = choice.param(&INFO, "symmetric").as_bool().unwrap_or(false);
        Ok(Box::new(Fixed { temperature: choice.real(&INFO, "temperature"), symmetric }))
    }
}

struct Fixed {
    temperature: f64,
    symmetric: bool,
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
        let Asked { queries, columns, .. } = &asked;
        let scaled =
            |x: &Tensor, dim| -> Result<Tensor> { Ok((select(x, queries, dim)? / self.temperature)?) };
        let logits = Logits::of(outputs.values, direction).map(|x| scaled(x, 0))?; // [known, passages]
        let mut losses = logits.pick_loss(columns, |i, p| may(&asked, i, p))?;
        if self.symmetric {
            let back = match outputs.back {
                Some(back) => Logits::of(&select(&scaled(back, 1)?, columns, 0)?, None),
                None => logits.map(|x| turned(&select(x, columns, 1)?))?,
            }; // [positive of i, query j]
            losses = ((losses + back_loss(&asked, &back)?)? * 0.5)?;
        }
        let shares = like(&losses, asked.shares(weights), &[queries.len(), 1])?;
        Ok(Some((losses * shares)?.sum_all()?))
    }

    fn is_two_way(&self) -> bool {
        self.symmetric
    }
}

/// Whether passage `p` stands in the sum of the i-th query.
fn may(asked: &Asked, i: usize, p: usize) -> bool {
    p == asked.columns[i] || asked.relation(i, p) == Relation::Negative
}

/// The loss of each query's positive among the queries: `[positive of i, query j]` → `[known, 1]`.
fn back_loss(asked: &Asked, back: &Logits) -> Result<Tensor> {
    let columns = &asked.columns;
    let may = |i: usize, j: usize| j == i || (columns[j] != columns[i] && may(asked, j, columns[i]));
    let own: Vec<usize> = (0..columns.len()).collect();
    back.pick_loss(&own, may)
}

/// Logits and, where a change is asked for, the direction they move in.
struct Logits {
    values: Tensor,
    direction: Option<Tensor>,
}

impl Logits {
    fn of(values: &Tensor, direction: Option<&Tensor>) -> Self {
        Self { values: values.clone(), direction: direction.cloned() }
    }

    /// A linear map of both.
    fn map(&self, linear: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let direction = self.direction.as_ref().map(&linear).transpose()?;
        Ok(Self { values: linear(&self.values)?, direction })
    }

    /// `log Σ exp` over the entries of a row that `may` stand there, minus the entry `picks` names, or how that
    /// changes: `[rows, n]` → `[rows, 1]`.
    fn pick_loss(&self, picks: &[usize], may: impl Fn(usize, usize) -> bool) -> Result<Tensor> {
        let (n_rows, n) = self.values.dims2()?;
        let mask = |at: usize| if may(at / n, at % n) { 0.0 } else { f64::NEG_INFINITY };
        let mask = like(&self.values, (0..n_rows * n).map(mask).collect(), &[n_rows, n])?;
        let masked = (&self.values + mask)?;
        let picks: Vec<u32> = picks.iter().map(|&p| p as u32).collect();
        let picks = Tensor::from_vec(picks, (n_rows, 1), masked.device())?;
        match &self.direction {
            None => Ok((log_sum_exp(&masked)? - self.values.gather(&picks, 1)?)?),
            Some(direction) => Ok((log_sum_exp_jvp(&masked, direction)? - direction.gather(&picks, 1)?)?),
        }
    }
}
