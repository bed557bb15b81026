//! Which weights a training keeps: evaluations on valid, what `watch` names, the best so far.

use std::collections::BTreeMap;

use polytask_core::Split;
use polytask_core::suite::Keep;
use polytask_eval::Predictions;
use polytask_nn::{Block, Params};

use crate::Result;
use crate::evaluate;
use crate::observe::{Event, Observer};
use crate::trainer::{Best, Trainer};

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
        let mut scores = Vec::new();
        for (&task, predictions) in &predictions {
            let head = &self.engine.heads[task];
            scores.push((task, polytask_eval::score(&head.metric, predictions)?));
        }
        self.state.history.valid(self.state.step, &scores);
        let shown: Vec<(&str, &str, f64)> = scores
            .iter()
            .map(|(t, v)| (self.engine.heads[*t].name.as_str(), self.engine.heads[*t].metric.as_str(), *v))
            .collect();
        observer.event(Event::Valid { step: self.state.step, scores: &shown });
        let watched = self.watched(&predictions, &scores)?;
        let counts = self.state.step == 0 || self.surpasses_probes(&predictions)?;
        self.keep(watched.filter(|_| counts));
        Ok(())
    }

    /// Predictions on valid; before the first step of a shared encoder these are the probes'.
    fn predict_valid(&self) -> Result<BTreeMap<usize, Predictions>> {
        match self.reference {
            Some(probes) if self.state.step == 0 && self.engine.trunk.n_views() < 2 => {
                let of = |task: &usize| Some((*task, probes.get(task)?.clone()));
                Ok(self.tasks.iter().filter_map(of).collect())
            }
            _ => evaluate::predict(&self.engine, self.weights(), &self.tasks, Split::Valid),
        }
    }

    /// Whether weights are worth more than the probes they started from: better on valid by more than one standard error
    /// of the mean over the tasks, and in none clearly worse than its margin allows. A handful of rows on valid would else
    /// choose by chance.
    fn surpasses_probes(&self, predictions: &BTreeMap<usize, Predictions>) -> Result<bool> {
        let Some(probes) = self.reference else { return Ok(true) };
        let (mut gain, mut variance) = (0.0, 0.0);
        for (task, predictions) in predictions {
            let Some(probe) = probes.get(task) else { continue };
            let metric = &self.engine.heads[*task].metric;
            let delta = polytask_eval::compare(metric, predictions, probe, 0.0, self.engine.seed)?.delta;
            if delta.high < -self.engine.heads[*task].margin {
                return Ok(false);
            }
            let error = (delta.high - delta.low) / (2.0 * 1.96);
            gain += if delta.value.is_finite() { delta.value } else { 0.0 };
            variance += if error.is_finite() { error * error } else { 0.0 };
        }
        Ok(gain > variance.sqrt())
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

    fn keep(&mut self, watched: Option<f64>) {
        let Some(score) = watched.filter(|score| score.is_finite()) else {
            self.state.stale += u64::from(self.reference.is_some());
            return;
        };
        if self.state.best.as_ref().is_some_and(|best| score <= best.score) {
            self.state.stale += 1;
            return;
        }
        self.state.stale = 0;
        if self.spec.keep == Keep::Best || self.spec.patience > 0 {
            let trunk = self.state.trunk.blocks.iter().zip(self.engine.trainable);
            let trunk = trunk.map(|(block, &t)| if t { block.values.clone() } else { Vec::new() }).collect();
            let (step, heads) = (self.state.step, self.state.heads.clone());
            self.state.best = Some(Best { step, score, trunk, heads });
        }
    }
}

/// A score with the sign that makes larger better.
fn signed(metric: &str, value: f64) -> f64 {
    if polytask_eval::higher_is_better(metric) { value } else { -value }
}
