//! Which weights a training keeps: evaluations on valid, what `watch` names, the best so far, and after the last step
//! the weights between the probes and the end (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022).

use std::collections::BTreeMap;

use polytask_core::Split;
use polytask_core::suite::Keep;
use polytask_eval::Predictions;
use polytask_eval::words::FEWEST_VALID;
use polytask_nn::{Block, Params};

use crate::Result;
use crate::engine::Weights;
use crate::evaluate;
use crate::observe::{Event, Observer};
use crate::trainer::{Best, Trainer};

/// Shares of the way from the probes to the last weights; valid may choose the weights interpolated there.
const SHARES: [f64; 3] = [0.75, 0.5, 0.25];

/// What training starts from when the heads were fitted: weights that are judged like any later ones.
#[derive(Debug, Clone, Copy)]
pub struct Reference<'a> {
    /// The trunk as it was loaded.
    pub trunk: &'a Params,
    /// The fitted heads, in suite order.
    pub heads: &'a [Block],
    /// What they predict on valid, by task.
    pub valid: &'a BTreeMap<usize, Predictions>,
}

impl Trainer<'_> {
    /// The weights the run keeps.
    pub fn kept(&self) -> (Params, Vec<Block>, u64) {
        let mut trunk = self.state.trunk.clone();
        match (&self.state.best, self.spec.keep) {
            (Some(best), Keep::Best) => {
                for (block, values) in trunk.blocks.iter_mut().zip(&best.trunk) {
                    if !values.is_empty() {
                        block.values.clone_from(values);
                    }
                }
                (trunk, best.heads.clone(), best.step)
            }
            _ => (trunk, self.state.heads.clone(), self.state.step),
        }
    }

    /// Scores the tasks on valid and keeps the weights when they are the best so far.
    pub(crate) fn evaluate(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let predictions = self.predict_valid()?;
        let scores = self.scores(&predictions)?;
        self.state.history.valid(self.state.step, &scores);
        let shown: Vec<(&str, &str, f64)> = scores
            .iter()
            .map(|(t, v)| (self.engine.heads[*t].name.as_str(), self.engine.heads[*t].metric.as_str(), *v))
            .collect();
        observer.event(Event::Valid { step: self.state.step, scores: &shown });
        let watched = self.watched(&predictions, &scores)?;
        let counts = self.state.step == 0 || self.surpasses_probes(&predictions)?;
        if self.is_best(watched.filter(|_| counts)) {
            self.keep(watched, trained(&self.state.trunk, self.engine.trainable), self.state.heads.clone());
        }
        Ok(())
    }

    /// Scores weights between the probes and the last step: they often hold most of what was gained where training
    /// helped, and lose less where it hurt.
    pub(crate) fn evaluate_between(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let is_asked = self.spec.keep == Keep::Best && self.state.step > 0;
        // Running statistics of a blend would be those of neither network.
        let can_blend = self.engine.trunk.can_be_cut();
        let Some(start) = self.reference.filter(|_| is_asked && can_blend) else { return Ok(()) };
        observer.event(Event::Phase { name: "interpolated weights", total: SHARES.len() as u64, done: 0 });
        for (done, share) in (1..).zip(SHARES) {
            let mut trunk = self.state.trunk.clone();
            blend(&mut trunk.blocks, &start.trunk.blocks, share as f32);
            let mut heads = self.state.heads.clone();
            blend(&mut heads, start.heads, share as f32);
            let weights = Weights { trunk: &trunk, heads: &heads };
            let predictions = evaluate::predict(&self.engine, weights, &self.tasks, Split::Valid)?;
            let scores = self.scores(&predictions)?;
            let watched = self.watched(&predictions, &scores)?;
            if self.is_better(watched) && self.surpasses_probes(&predictions)? {
                self.keep(watched, trained(&trunk, self.engine.trainable), heads);
                self.share = Some(share);
            }
            observer.event(Event::Step { done, losses: &[], lr: 0.0, tokens: 0, observed: &[] });
        }
        observer.event(Event::Done);
        if let Some(share) = self.share {
            self.state.history.note(&interpolated(share, self.state.step));
        }
        Ok(())
    }

    fn scores(&self, predictions: &BTreeMap<usize, Predictions>) -> Result<Vec<(usize, f64)>> {
        let score = |(&task, found): (&usize, &Predictions)| {
            Ok((task, polytask_eval::score(&self.engine.heads[task].metric, found)?))
        };
        predictions.iter().map(score).collect()
    }

    /// Predictions on valid; before the first step of a shared encoder these are the probes'.
    fn predict_valid(&self) -> Result<BTreeMap<usize, Predictions>> {
        match self.reference {
            Some(probes) if self.state.step == 0 && self.engine.trunk.n_views() < 2 => {
                let of = |task: &usize| Some((*task, probes.valid.get(task)?.clone()));
                Ok(self.tasks.iter().filter_map(of).collect())
            }
            _ => evaluate::predict(&self.engine, self.weights(), &self.tasks, Split::Valid),
        }
    }

    /// Whether weights are worth more than the probes they started from: by this evaluation, the mean gain over the tasks
    /// on valid is above 0 with 95 % confidence, and no task is clearly worse than its margin allows. A handful of rows on
    /// valid would else choose by chance; a task with fewer than [`FEWEST_VALID`] rows there has no say in the gain, and a
    /// task whose head no linear model fits has no probe to surpass.
    fn surpasses_probes(&self, predictions: &BTreeMap<usize, Predictions>) -> Result<bool> {
        let Some(probes) = self.reference else { return Ok(true) };
        let (mut gain, mut variance, mut fewest) = (0.0, 0.0, usize::MAX);
        let is_fitted = |task: &usize| self.engine.heads[*task].hidden.is_none();
        if !predictions.keys().any(is_fitted) {
            return Ok(true);
        }
        for (task, predictions) in predictions.iter().filter(|(task, _)| is_fitted(task)) {
            let Some(probe) = probes.valid.get(task) else { continue };
            let metric = &self.engine.heads[*task].metric;
            let delta = polytask_eval::compare(metric, predictions, probe, 0.0, self.engine.seed)?.delta;
            // Outputs that are all the same have no score, which is worse than any.
            let has_collapsed = !polytask_eval::score(metric, predictions)?.is_finite()
                && polytask_eval::score(metric, probe)?.is_finite();
            if has_collapsed || delta.high < -self.engine.heads[*task].margin {
                return Ok(false);
            }
            let n = predictions.known_rows().len();
            let error = (delta.high - delta.low) / (2.0 * 1.96);
            if n >= FEWEST_VALID && delta.value.is_finite() && error.is_finite() {
                gain += delta.value;
                variance += error * error;
                fewest = fewest.min(n);
            }
        }
        Ok(fewest < usize::MAX && gain > sure(fewest) * variance.sqrt())
    }

    /// What `watch` names, signed so that larger is better.
    fn watched(
        &self,
        predictions: &BTreeMap<usize, Predictions>,
        scores: &[(usize, f64)],
    ) -> Result<Option<f64>> {
        let (task, metric) = self.spec.watch.split_once('.').unwrap_or((&self.spec.watch, ""));
        let named = |t: &usize| self.engine.heads[*t].name == task;
        if let Some(index) = self.tasks.iter().copied().find(named) {
            let metric = if metric.is_empty() { &self.engine.heads[index].metric } else { metric };
            let Some(predictions) = predictions.get(&index) else { return Ok(None) };
            return Ok(Some(signed(metric, polytask_eval::score(metric, predictions)?)));
        }
        let values = scores.iter().map(|(t, v)| signed(&self.engine.heads[*t].metric, *v));
        let finite: Vec<f64> = values.filter(|v| v.is_finite()).collect();
        Ok((!finite.is_empty()).then(|| finite.iter().sum::<f64>() / finite.len() as f64))
    }

    /// Whether a score is the best so far; counts the evaluations since.
    fn is_best(&mut self, watched: Option<f64>) -> bool {
        let is_known = watched.is_some_and(f64::is_finite);
        let is_best = self.is_better(watched);
        self.state.stale = match (is_known, is_best) {
            (_, true) => 0,
            (true, false) => self.state.stale + 1,
            (false, false) => self.state.stale + u64::from(self.reference.is_some()),
        };
        is_best
    }

    fn is_better(&self, watched: Option<f64>) -> bool {
        let best = self.state.best.as_ref().map_or(f64::NEG_INFINITY, |best| best.score);
        watched.is_some_and(|score| score.is_finite() && score > best)
    }

    fn keep(&mut self, watched: Option<f64>, trunk: Vec<Vec<f32>>, heads: Vec<Block>) {
        let Some(score) = watched.filter(|_| self.spec.keep == Keep::Best || self.spec.patience > 0) else {
            return;
        };
        self.state.best = Some(Best { step: self.state.step, score, trunk, heads });
    }
}

/// Moves `end` to `share` of its way from `start`; blocks that did not move stay exactly.
fn blend(end: &mut [Block], start: &[Block], share: f32) {
    for (end, start) in end.iter_mut().zip(start) {
        for (end, start) in end.values.iter_mut().zip(&start.values) {
            *end = start + share * (*end - start);
        }
    }
}

/// The values of the blocks that are trained; frozen ones are empty.
fn trained(trunk: &Params, trainable: &[bool]) -> Vec<Vec<f32>> {
    let blocks = trunk.blocks.iter().zip(trainable);
    blocks.map(|(block, &t)| if t { block.values.clone() } else { Vec::new() }).collect()
}

fn interpolated(share: f64, step: u64) -> String {
    let share = 100.0 * share;
    format!("kept weights {share:.0} % of the way from the probes to step {step}: the best on valid")
}

/// Standard errors that a gain measured on `n` rows must have to be above 0 with 95 % confidence: Student's t for n - 1
/// degrees of freedom, to first order of its expansion around the normal distribution.
fn sure(n: usize) -> f64 {
    let normal: f64 = 1.645;
    normal + (normal.powi(3) + normal) / (4.0 * (n - 1) as f64)
}

/// A score with the sign that makes larger better.
fn signed(metric: &str, value: f64) -> f64 {
    if polytask_eval::higher_is_better(metric) { value } else { -value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_rows_ask_for_more_evidence() {
        // Quantiles of Student's t at 95 %: 1.833 for 9 degrees of freedom, 1.662 for 89.
        assert!((sure(10) - 1.833).abs() < 0.02 && (sure(90) - 1.662).abs() < 0.002);
    }

    #[test]
    fn a_blend_lies_between_and_keeps_what_did_not_move() {
        let block = |values: &[f32]| {
            let mut block = Block::zeros("w", &[("w", &[values.len()], true)]);
            block.values.copy_from_slice(values);
            block
        };
        let start = [block(&[1.0, 0.3])];
        let mut end = [block(&[3.0, 0.3])];
        blend(&mut end, &start, 0.25);
        assert_eq!(end[0].values, [1.5, 0.3]);
    }
}
