//! `cosent`: pairs with a higher score shall have a higher cosine (Su 2022).
//!
//! `log(1 + Σ_{s_i > s_j} exp(scale · (cos_j − cos_i)))`: only the order of the scores counts, as in Spearman's
//! correlation. Departure: row weights (scaled to mean 1) multiply each term by `w_i w_j`; with all weights
//! equal it is the published loss. It is a sum over pairs of rows, so there is no mean to take.

use candle_core::Tensor;
use polytask_core::method::{Choice, Family, MethodInfo, ParamInfo, Range};

use super::parts::{expect_shape, like, log_sum_exp, log_sum_exp_jvp, select, wrong_target};
use super::{Loss, LossFn};
use crate::Result;
use crate::target::Target;

static INFO: MethodInfo = MethodInfo {
    id: "cosent",
    title: "CoSENT",
    paper: "Su, 2022",
    family: Family::Loss,
    about: "Pushes the cosine of pairs with a higher score above that of pairs with a lower one, by order only.",
    cost: "",
    kinds: &[],
    params: &[ParamInfo {
        name: "scale",
        about: "Factor on differences of cosines; larger looks more at the pairs in the wrong order.",
        default: "20.0",
        range: Range::Positive,
    }],
};

/// The entry of the table.
pub(super) struct CoSent;

impl Loss for CoSent {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn make(&self, choice: &Choice, _labels: &[String], _counts: &[usize]) -> Result<Box<dyn LossFn>> {
        Ok(Box::new(Fixed { scale: choice.real(&INFO, "scale") }))
    }
}

struct Fixed {
    scale: f64,
}

impl LossFn for Fixed {
    fn loss(&self, output: &Tensor, target: &Target, weights: &[f32]) -> Result<Option<Tensor>> {
        let Some(pairs) = Pairs::of(output, target, weights)? else { return Ok(None) };
        Ok(Some(log_sum_exp(&self.terms(&pairs, output)?)?.sum_all()?))
    }

    fn jvp(
        &self,
        output: &Tensor,
        direction: &Tensor,
        target: &Target,
        weights: &[f32],
    ) -> Result<Option<Tensor>> {
        let Some(pairs) = Pairs::of(output, target, weights)? else { return Ok(None) };
        let one = like(output, vec![0.0], &[1, 1])?; // a constant does not move
        let d_terms = Tensor::cat(&[&one, &self.differences(&pairs, direction)?], 1)?;
        Ok(Some(log_sum_exp_jvp(&self.terms(&pairs, output)?, &d_terms)?.sum_all()?))
    }
}

impl Fixed {
    /// Logarithms of the terms, the 1 first, `[1, 1 + n · n]`.
    fn terms(&self, pairs: &Pairs, output: &Tensor) -> Result<Tensor> {
        let one = like(output, vec![0.0], &[1, 1])?; // exp(0) = 1
        let terms = (self.differences(pairs, output)? + &pairs.log_weights)?;
        Ok(Tensor::cat(&[&one, &terms], 1)?)
    }

    /// `scale · (x_j − x_i)` for all i and j of the rows that count, `[1, n · n]`.
    fn differences(&self, pairs: &Pairs, x: &Tensor) -> Result<Tensor> {
        let x = (select(x, &pairs.rows, 0)? * self.scale)?; // [n, 1]
        let n = pairs.rows.len();
        Ok(x.t()?.broadcast_sub(&x)?.reshape((1, n * n))?)
    }
}

/// The pairs that count.
struct Pairs {
    /// Rows with a score and a weight, n of them.
    rows: Vec<usize>,
    /// `log(w_i w_j)` where `s_i > s_j`, −∞ elsewhere, `[1, n · n]`.
    log_weights: Tensor,
}

impl Pairs {
    fn of(output: &Tensor, target: &Target, weights: &[f32]) -> Result<Option<Self>> {
        let Target::Numbers { width: 1, values } = target else {
            return Err(wrong_target(INFO.id, target, "one number per row"));
        };
        expect_shape(INFO.id, output, (values.len(), 1))?;
        let rows: Vec<usize> =
            (0..values.len()).filter(|&i| !values[i].is_nan() && weights[i] > 0.0).collect();
        let Some(log_weights) = log_weights(&rows, values, weights) else { return Ok(None) };
        let log_weights = like(output, log_weights, &[1, rows.len() * rows.len()])?;
        Ok(Some(Self { rows, log_weights }))
    }
}

/// `log(w_i w_j)` where `s_i > s_j`, −∞ elsewhere, `[n, n]`; `None` when no pair counts.
fn log_weights(rows: &[usize], scores: &[f32], weights: &[f32]) -> Option<Vec<f64>> {
    let total: f64 = rows.iter().map(|&i| f64::from(weights[i])).sum();
    let log_weight: Vec<f64> =
        rows.iter().map(|&i| (f64::from(weights[i]) * rows.len() as f64 / total).ln()).collect();
    let mut values = vec![f64::NEG_INFINITY; rows.len() * rows.len()];
    for (i, &row_i) in rows.iter().enumerate() {
        for (j, &row_j) in rows.iter().enumerate() {
            if scores[row_i] > scores[row_j] {
                values[i * rows.len() + j] = log_weight[i] + log_weight[j];
            }
        }
    }
    values.iter().any(|value| value.is_finite()).then_some(values)
}
