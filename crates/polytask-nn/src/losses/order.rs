//! `order`: cosines in the order of the scores, by three terms (Zhang et al. 2025, <https://arxiv.org/abs/2508.11442>).
//!
//! With cosines s and scores y of n rows, and a temperature τ:
//!
//! - Pearson: `1 − corr(s, y)`;
//! - PRO: for each row that some row lies below, `−log softmax` of its own cosine among those below, each scaled by how far
//!   below it lies (its own by the largest of these), over τ; the mean over such rows;
//! - `RankKL`: `KL(softmax(g/τ) ‖ softmax(s/τ)) / n`, where g is the row's rank among the scores, 1 at the top and 0 at the
//!   bottom, ties sharing the mean of their ranks.
//!
//! Departures: with all scores equal `RankKL` still pulls all cosines to one value in the released code; here the rows then
//! count for nothing, unless `on_equal = "pull"`. Rows count alike whatever their weights, but for those of weight 0. The
//! fourth term of the paper, on a middle layer, is not there.

use candle_core::Tensor;
use polytask_core::method::{Choice, Family, MethodInfo, ParamInfo, Range};

use super::parts::{expect_shape, like, log_sum_exp, log_sum_exp_jvp, select, wrong_target};
use super::{Directional, Loss, LossFn, Outputs};
use crate::Result;
use crate::target::Target;

/// Scores that differ by less are equal.
const LEAST: f64 = 1e-8;
/// Within the root of the cosines' variance: equal cosines have no correlation, but a gradient.
const EPS: f64 = 1e-12;

static INFO: MethodInfo = MethodInfo {
    id: "order",
    title: "Order loss",
    paper: "https://arxiv.org/abs/2508.11442",
    family: Family::Loss,
    about: "Pulls cosines into the order of the scores: their correlation, a ranking of each pair against those below it, and \
            the distribution over ranks.",
    cost: "",
    kinds: &[],
    params: &[
        ParamInfo {
            name: "pearson",
            about: "Weight of one minus the correlation of cosines and scores.",
            default: "2.0",
            range: Range::Real { min: 0.0, max: 1e6 },
        },
        ParamInfo {
            name: "pro",
            about: "Weight of each pair's ranking against those below it.",
            default: "0.5",
            range: Range::Real { min: 0.0, max: 1e6 },
        },
        ParamInfo {
            name: "rank_kl",
            about: "Weight of the divergence between the distributions over ranks and over cosines; it looks at the top.",
            default: "5.0",
            range: Range::Real { min: 0.0, max: 1e6 },
        },
        ParamInfo {
            name: "temperature",
            about: "Divisor of cosines and ranks.",
            default: "0.05",
            range: Range::Positive,
        },
        ParamInfo {
            name: "on_equal",
            about: "What rows with one and the same score do: nothing, or pull their cosines to one value.",
            default: "\"skip\"",
            range: Range::OneOf(&["skip", "pull"]),
        },
    ],
};

/// The entry of the table.
pub(super) struct Order;

impl Loss for Order {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn make(&self, choice: &Choice, _labels: &[String], _counts: &[usize]) -> Result<Box<dyn LossFn>> {
        let [pearson, pro, rank_kl, temperature] =
            ["pearson", "pro", "rank_kl", "temperature"].map(|name| choice.real(&INFO, name));
        let pulls = choice.param(&INFO, "on_equal").as_str() == Some("pull");
        Ok(Box::new(Fixed { pearson, pro, rank_kl, temperature, pulls }))
    }
}

struct Fixed {
    pearson: f64,
    pro: f64,
    rank_kl: f64,
    temperature: f64,
    pulls: bool,
}

/// The rows that count: their cosines, how these move, their scores.
struct Ordered {
    /// `[1, n]`.
    cosines: Tensor,
    /// `[1, n]`.
    direction: Option<Tensor>,
    scores: Vec<f64>,
}

impl Directional for Fixed {
    fn along(
        &self,
        Outputs { values: output, .. }: Outputs<'_>,
        direction: Option<&Tensor>,
        target: &Target,
        weights: &[f32],
    ) -> Result<Option<Tensor>> {
        let Target::Numbers { width: 1, values } = target else {
            return Err(wrong_target(INFO.id, target, "one number per row"));
        };
        expect_shape(INFO.id, output, (values.len(), 1))?;
        let known = |&i: &usize| !values[i].is_nan() && weights[i] > 0.0;
        let rows: Vec<usize> = (0..values.len()).filter(known).collect();
        let scores: Vec<f64> = rows.iter().map(|&i| f64::from(values[i])).collect();
        let is_equal = scores.iter().all(|y| (y - scores[0]).abs() <= LEAST);
        if rows.len() < 2 || is_equal && !self.pulls {
            return Ok(None);
        }
        let line = |x: &Tensor| -> Result<Tensor> { Ok(select(x, &rows, 0)?.t()?.contiguous()?) };
        let ordered = Ordered { cosines: line(output)?, direction: direction.map(line).transpose()?, scores };
        let mut sum = (ordered.rank_kl(self.temperature)? * self.rank_kl)?;
        if !is_equal {
            sum = (sum + (ordered.pearson()? * self.pearson)?)?;
            sum = (sum + (ordered.pro(self.temperature)? * self.pro)?)?;
        }
        Ok(Some(sum))
    }
}

impl Ordered {
    fn n(&self) -> usize {
        self.scores.len()
    }

    /// `log Σ exp` of a linear map of the cosines, or how it changes.
    fn log_sum(&self, linear: impl Fn(&Tensor) -> Result<Tensor>, mask: Option<&Tensor>) -> Result<Tensor> {
        let mut logits = linear(&self.cosines)?;
        if let Some(mask) = mask {
            logits = (logits + mask)?;
        }
        match &self.direction {
            None => log_sum_exp(&logits),
            Some(direction) => log_sum_exp_jvp(&logits, &linear(direction)?),
        }
    }

    /// What linear terms read: the cosines, or how they move.
    fn moved(&self) -> &Tensor {
        self.direction.as_ref().unwrap_or(&self.cosines)
    }

    /// One minus the correlation, or how that changes.
    fn pearson(&self) -> Result<Tensor> {
        let n = self.n() as f64;
        let mean = self.scores.iter().sum::<f64>() / n;
        let deviation = (self.scores.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / n).sqrt();
        let hat: Vec<f64> = self.scores.iter().map(|y| (y - mean) / (deviation * n)).collect();
        let hat = like(&self.cosines, hat, &[1, self.n()])?;
        let centred = |x: &Tensor| -> Result<Tensor> { Ok(x.broadcast_sub(&x.mean_keepdim(1)?)?) };
        let a = centred(&self.cosines)?;
        let variance = ((a.sqr()?.sum_all()? / n)? + EPS)?;
        let along = (&a * &hat)?.sum_all()?;
        match &self.direction {
            None => Ok((1.0 - (along / variance.sqrt()?)?)?),
            Some(direction) => {
                let da = centred(direction)?;
                let turned = ((&a * &da)?.sum_all()? / n)?;
                let own = ((&da * &hat)?.sum_all()? / variance.sqrt()?)?;
                let shrunk = ((along * turned)? / (&variance * variance.sqrt()?)?)?;
                Ok((shrunk - own)?)
            }
        }
    }

    /// The ranking of each row against those below it, or how it changes; 0 where no row lies below another.
    fn pro(&self, temperature: f64) -> Result<Tensor> {
        let n = self.n();
        let mut factors = vec![0.0; n * n];
        let mut mask = vec![f64::NEG_INFINITY; n * n];
        let mut tops = vec![0.0; n];
        for (k, y) in self.scores.iter().enumerate() {
            for (j, other) in self.scores.iter().enumerate().filter(|(_, other)| y - **other > LEAST) {
                factors[k * n + j] = (y - other) / temperature;
                mask[k * n + j] = 0.0;
                tops[k] = f64::max(tops[k], factors[k * n + j]);
            }
            if tops[k] > 0.0 {
                (factors[k * n + k], mask[k * n + k]) = (tops[k], 0.0);
            }
        }
        let ranked: Vec<usize> = (0..n).filter(|&k| tops[k] > 0.0).collect();
        let rows = |values: Vec<f64>| select(&like(&self.cosines, values, &[n, n])?, &ranked, 0);
        let (factors, mask) = (rows(factors)?, rows(mask)?);
        let sums = self.log_sum(|x| Ok(factors.broadcast_mul(x)?), Some(&mask))?.sum_all()?;
        let own = (self.moved() * like(&self.cosines, tops, &[1, n])?)?.sum_all()?;
        Ok(((sums - own)? / ranked.len() as f64)?)
    }

    /// The divergence between the distributions over ranks and over cosines, or how it changes.
    fn rank_kl(&self, temperature: f64) -> Result<Tensor> {
        let n = self.n();
        let logits: Vec<f64> = grades(&self.scores).iter().map(|g| g / temperature).collect();
        let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = logits.iter().map(|x| (x - top).exp()).sum();
        let log_shares: Vec<f64> = logits.iter().map(|x| x - top - total.ln()).collect();
        let shares: Vec<f64> = log_shares.iter().map(|x| x.exp()).collect();
        let entropy: f64 = shares.iter().zip(&log_shares).map(|(p, log)| p * log).sum();
        let sum = self.log_sum(|x| Ok((x / temperature)?), None)?.sum_all()?;
        let pull = (self.moved() * like(&self.cosines, shares, &[1, n])?)?.sum_all()?;
        let divergence = (sum - (pull / temperature)?)?;
        let divergence = if self.direction.is_none() { (divergence + entropy)? } else { divergence };
        Ok((divergence / n as f64)?)
    }
}

/// Ranks from the top as numbers from 1 to 0, ties sharing the mean of their ranks.
fn grades(scores: &[f64]) -> Vec<f64> {
    let last = (scores.len() - 1) as f64;
    let grade = |y: &f64| {
        let above = scores.iter().filter(|other| **other > *y).count() as f64;
        let equal = scores.iter().filter(|other| **other == *y).count() as f64;
        (last - (above + (equal - 1.0) / 2.0)) / last
    };
    scores.iter().map(grade).collect()
}
