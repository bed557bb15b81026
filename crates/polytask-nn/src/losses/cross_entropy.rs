//! `cross-entropy`: negative log-likelihood of one label per row, with class weights and label smoothing.

use candle_core::Tensor;
use polytask_core::Problem;
use polytask_core::method::{Choice, Family, MethodInfo, ParamInfo, Range};
use serde_json::{Map, Value};

use super::parts::{expect_shape, known_rows, like, log_sum_exp, log_sum_exp_jvp, select, wrong_target};
use super::{Loss, LossFn, invalid};
use crate::target::Target;
use crate::{Error, Result};

static INFO: MethodInfo = MethodInfo {
    id: "cross-entropy",
    title: "Cross-entropy",
    paper: "",
    family: Family::Loss,
    about: "Negative log-likelihood of the right label under the soft-max of the outputs.",
    cost: "",
    kinds: &[],
    params: &[
        ParamInfo {
            name: "label_smoothing",
            about: "Share of the target spread evenly over all labels (Szegedy et al. 2016).",
            default: "0.0",
            range: Range::Real { min: 0.0, max: 1.0 },
        },
        ParamInfo {
            name: "class_weights",
            about: "Weight of each label's rows; `balanced` is rows / (labels * rows of the label) on train.",
            default: "\"none\"",
            range: Range::Map(&["none", "balanced"]),
        },
    ],
};

/// The entry of the table.
pub(super) struct CrossEntropy;

impl Loss for CrossEntropy {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn make(&self, choice: &Choice, labels: &[String], counts: &[usize]) -> Result<Box<dyn LossFn>> {
        let class_weights = match choice.param(&INFO, "class_weights") {
            Value::Object(table) => Some(from_table(&table, labels)?),
            Value::String(word) if word == "balanced" => Some(balanced(counts)),
            _ => None,
        };
        Ok(Box::new(Fixed { smoothing: choice.real(&INFO, "label_smoothing"), class_weights }))
    }
}

/// Weights by label; a label the table does not name has weight 1.
fn from_table(table: &Map<String, Value>, labels: &[String]) -> Result<Vec<f64>> {
    let unknown = |name: &&String| !labels.contains(name);
    let problem = |name: &String| {
        let some = labels.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
        let more = if labels.len() > 10 { ", …" } else { "" };
        Problem::new(format!("`class_weights` names the label `{name}`, expected one of {some}{more}"))
    };
    let problems: Vec<_> = table.keys().filter(unknown).map(problem).collect();
    if !problems.is_empty() {
        return Err(invalid(problems));
    }
    Ok(labels.iter().map(|label| table.get(label).and_then(Value::as_f64).unwrap_or(1.0)).collect())
}

/// scikit-learn's `balanced` over the labels train shows; a label without train rows has weight 1.
fn balanced(counts: &[usize]) -> Vec<f64> {
    let n_rows: usize = counts.iter().sum();
    let n_labels = counts.iter().filter(|&&count| count > 0).count();
    let weight = |&count: &usize| match count {
        0 => 1.0,
        _ => n_rows as f64 / (n_labels * count) as f64,
    };
    counts.iter().map(weight).collect()
}

struct Fixed {
    smoothing: f64,
    class_weights: Option<Vec<f64>>,
}

impl LossFn for Fixed {
    /// `−Σ_i Σ_c q_ic log p_ic / Σ_i w_i a_{y_i}` with `q_ic = w_i a_c ((1 − ε)[c = y_i] + ε/K)`, row weights w,
    /// class weights a, smoothing ε, K labels: the mean reduction of PyTorch.
    fn loss(&self, output: &Tensor, target: &Target, weights: &[f32]) -> Result<Option<Tensor>> {
        let Some((rows, shares)) = self.known(output, target, weights)? else { return Ok(None) };
        let logits = select(output, &rows, 0)?; // [known, labels]
        let log_p = logits.broadcast_sub(&log_sum_exp(&logits)?)?;
        Ok(Some((log_p * shares)?.sum_all()?.neg()?))
    }

    fn jvp(
        &self,
        output: &Tensor,
        direction: &Tensor,
        target: &Target,
        weights: &[f32],
    ) -> Result<Option<Tensor>> {
        let Some((rows, shares)) = self.known(output, target, weights)? else { return Ok(None) };
        let (logits, d_logits) = (select(output, &rows, 0)?, select(direction, &rows, 0)?); // [known, labels]
        let d_log_p = d_logits.broadcast_sub(&log_sum_exp_jvp(&logits, &d_logits)?)?;
        Ok(Some((d_log_p * shares)?.sum_all()?.neg()?))
    }
}

impl Fixed {
    /// The rows that count and their q divided by its denominator, `[known, labels]`.
    fn known(
        &self,
        output: &Tensor,
        target: &Target,
        weights: &[f32],
    ) -> Result<Option<(Vec<usize>, Tensor)>> {
        let Target::Label(labels) = target else {
            return Err(wrong_target(INFO.id, target, "one label per row"));
        };
        let n_labels = output.dims2()?.1;
        expect_shape(INFO.id, output, (labels.len(), n_labels))?;
        let rows = known_rows(labels, weights);
        let Some(shares) = self.shares(labels, &rows, weights, n_labels)? else { return Ok(None) };
        let shares = like(output, shares, &[rows.len(), n_labels])?;
        Ok(Some((rows, shares)))
    }

    /// q divided by its denominator, `[known, labels]`; `None` when all weights are 0.
    fn shares(
        &self,
        labels: &[u32],
        rows: &[usize],
        weights: &[f32],
        n_labels: usize,
    ) -> Result<Option<Vec<f64>>> {
        let of_class =
            |c: usize| self.class_weights.as_ref().map_or(1.0, |a| a.get(c).copied().unwrap_or(1.0));
        let mut total = 0.0;
        let mut shares = Vec::with_capacity(rows.len() * n_labels);
        for &i in rows {
            let (label, weight) = (labels[i] as usize, f64::from(weights[i]));
            if label >= n_labels {
                return Err(Error::Shape {
                    part: format!("loss `{}`", INFO.id),
                    found: format!("label {label}"),
                    expected: format!("labels below {n_labels}"),
                });
            }
            total += weight * of_class(label);
            let share = |c| {
                let hit = if c == label { 1.0 - self.smoothing } else { 0.0 };
                weight * of_class(c) * (hit + self.smoothing / n_labels as f64)
            };
            shares.extend((0..n_labels).map(share));
        }
        for share in &mut shares {
            *share /= total;
        }
        Ok((total > 0.0).then_some(shares))
    }
}
