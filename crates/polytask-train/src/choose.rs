//! Which weights a training keeps: the best evaluation on valid of what `watch` names, or, where it started from probes,
//! weights between these and the end.
//!
//! Half-way weights are the ones to beat (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022): they hold
//! most of what training gains, and lose little where it hurts. In a suite of tagging tasks these are the last step's, for
//! half-way ones lose much of what tags gain; three quarters of the way where only some tasks tag. Others are kept where
//! valid clearly prefers them.

use std::collections::BTreeMap;

use polytask_core::Split;
use polytask_core::suite::Keep;
use polytask_eval::Predictions;
use polytask_nn::{Block, Params};

use crate::Result;
use crate::engine::Weights;
use crate::evaluate;
use crate::gain::Gain;
use crate::heads::TaskHead;
use crate::observe::{Event, Observer};
use crate::trainer::{Best, Trainer};

/// Shares of the way from the probes to the last weights at which interpolated weights are judged.
const SHARES: [f64; 3] = [MOST, HALF, QUARTER];
/// The same in a suite of tagging tasks, and in one with some.
const SHARES_OF_WORDS: [f64; 2] = [END, HALF];
const SHARES_WITH_WORDS: [f64; 3] = [END, MOST, HALF];
/// The share that is kept where valid prefers nothing else: the smaller one when it scores better at all, for towards the
/// probes is the safe side.
const HALF: f64 = 0.5;
/// The share that is kept so in a suite with some tagging tasks: their gain against what other tasks lose.
const MOST: f64 = 0.75;
/// The share that is kept so in a suite of tagging tasks.
const END: f64 = 1.0;
const QUARTER: f64 = 0.25;
/// Standard errors by which weights must be better on valid than the half-way ones to be kept in their place (the rule of
/// one standard error: Breiman et al., Classification and regression trees, 1984).
const CLEAR: f64 = 1.0;

/// Weights that may be kept.
struct Candidate {
    /// Where they lie on the way from the probes to the end.
    share: f64,
    /// What they predict on valid, by task.
    valid: BTreeMap<usize, Predictions>,
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
        let counts = self.state.step == 0 || !self.has_loser(&predictions)?;
        if self.is_best(watched.filter(|_| counts)) {
            self.keep(watched, trained(&self.state.trunk, self.engine.trainable), self.state.heads.clone());
        }
        Ok(())
    }

    /// Chooses, after the last step, among weights on the way from the probes to the end. Evaluations on the way are no
    /// candidates: they are several, so that the best of them is so by chance, and were made at a higher rate.
    pub(crate) fn choose_between(&mut self, observer: &mut dyn Observer) -> Result<()> {
        if self.spec.keep != Keep::Best || self.state.step == 0 || !self.can_blend() {
            return Ok(());
        }
        let (tried, home) = self.shares();
        observer.event(Event::Phase { name: "interpolated weights", total: tried.len() as u64, done: 0 });
        let mut between: Vec<Candidate> = Vec::new();
        for (done, &share) in (1..).zip(tried) {
            between.extend(self.candidate(share)?);
            observer.event(Event::Step { done, losses: &[], lr: 0.0, tokens: 0, observed: &[] });
        }
        observer.event(Event::Done);
        let mut candidates = between;
        candidates.extend(self.probes());
        let shares: Vec<f64> = candidates.iter().map(|candidate| candidate.share).collect();
        let chosen =
            pick(&shares, home, |ours, theirs| self.watched_gain(&candidates[ours], &candidates[theirs]))?;
        if let Some(place) = chosen {
            self.keep_share(shares[place]);
        }
        Ok(())
    }

    /// The shares that are tried, and the one that is kept where valid prefers nothing else. They are the suite's: a task
    /// alone is judged by the same rule as beside the others.
    fn shares(&self) -> (&'static [f64], f64) {
        let tag_words = |head: &TaskHead| head.kind.tags_words();
        let heads = self.engine.heads;
        match (heads.iter().all(tag_words), heads.iter().any(tag_words)) {
            (true, _) => (&SHARES_OF_WORDS, END),
            (false, true) => (&SHARES_WITH_WORDS, MOST),
            (false, false) => (&SHARES, HALF),
        }
    }

    /// What weights gained over others on valid: of the task that `watch` names, else of all.
    fn watched_gain(&self, ours: &Candidate, theirs: &Candidate) -> Result<Gain> {
        let name = self.spec.watch.split('.').next().unwrap_or_default();
        let is_watched = |task: &usize| self.engine.heads[*task].name == name;
        let watched = self.tasks.iter().any(is_watched);
        let of = |all: &BTreeMap<usize, Predictions>| -> BTreeMap<usize, Predictions> {
            let wanted = all.iter().filter(|(task, _)| !watched || is_watched(task));
            wanted.map(|(task, predictions)| (*task, predictions.clone())).collect()
        };
        self.gain(&of(&ours.valid), &of(&theirs.valid))
    }

    /// The probes as weights that may be kept.
    fn probes(&self) -> Option<Candidate> {
        let start = self.reference?;
        let valid: BTreeMap<usize, Predictions> =
            self.tasks.iter().filter_map(|task| Some((*task, start.valid.get(task)?.clone()))).collect();
        Some(Candidate { share: 0.0, valid })
    }

    /// Whether interpolated weights mean something: running statistics of a blend would be those of neither network, and
    /// fresh gates or hidden layers have no start worth half the way.
    fn can_blend(&self) -> bool {
        let is_fitted = |task: &usize| !self.engine.heads[*task].has_hidden();
        let trunk = self.engine.trunk;
        self.reference.is_some()
            && trunk.can_be_cut()
            && trunk.n_views() < 2
            && self.tasks.iter().all(is_fitted)
    }

    /// The weights at a share of the way on valid; none where a task clearly loses.
    fn candidate(&self, share: f64) -> Result<Option<Candidate>> {
        let (trunk, heads) = self.at_share(share);
        let weights = Weights { trunk: &trunk, heads: &heads };
        let valid = evaluate::predict(&self.engine, weights, &self.tasks, Split::Valid)?;
        if self.has_loser(&valid)? {
            return Ok(None);
        }
        Ok(Some(Candidate { share, valid }))
    }

    fn keep_share(&mut self, share: f64) {
        let (trunk, heads) = self.at_share(share);
        let trunk = trained(&trunk, self.engine.trainable);
        let step = if share > 0.0 { self.state.step } else { 0 };
        self.state.best = Some(Best { step, score: f64::NAN, trunk, heads });
        self.share = (share > 0.0 && share < END).then_some(share);
    }

    /// Weights some share of the way from the probes to the present ones; the present ones where there are no probes.
    fn at_share(&self, share: f64) -> (Params, Vec<Block>) {
        let (mut trunk, mut heads) = (self.state.trunk.clone(), self.state.heads.clone());
        if let Some(start) = self.reference {
            blend(&mut trunk.blocks, &start.trunk.blocks, share as f32);
            blend(&mut heads, start.heads, share as f32);
        }
        (trunk, heads)
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

    /// Whether a task is clearly worse than its probe, by more than its margin, or predicts nothing any more. A task whose
    /// head no linear model fits has no probe.
    fn has_loser(&self, predictions: &BTreeMap<usize, Predictions>) -> Result<bool> {
        let Some(probes) = self.reference else { return Ok(false) };
        let fitted = probes.valid.iter().filter(|(task, _)| !self.engine.heads[**task].has_hidden());
        let probes = fitted.map(|(task, probe)| (*task, probe.clone())).collect();
        Ok(self.gain(predictions, &probes)?.has_loser)
    }

    fn gain(
        &self,
        predictions: &BTreeMap<usize, Predictions>,
        others: &BTreeMap<usize, Predictions>,
    ) -> Result<Gain> {
        Gain::of(self.engine.heads, predictions, others, self.engine.seed)
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

/// The place of the weights to keep among candidates, given what one gained over another: those at `home`, else half-way
/// ones, where they are no loss, or those a quarter of the way where they are better at all, unless others are better by
/// [`CLEAR`] errors. Of several the one that gained most.
fn pick(shares: &[f64], home: f64, gain: impl Fn(usize, usize) -> Result<Gain>) -> Result<Option<usize>> {
    let at = |share| shares.iter().position(|found| *found == share);
    let base = match (at(home).or_else(|| at(HALF)), at(QUARTER)) {
        (Some(half), Some(quarter)) if gain(quarter, half)?.is_above(0.0) => Some(quarter),
        (half, quarter) => half.or(quarter).or_else(|| at(0.0)),
    };
    let Some(base) = base else { return Ok(None) };
    let (mut chosen, mut most) = (base, 0.0);
    for other in (0..shares.len()).filter(|place| *place != base) {
        let gain = gain(other, base)?;
        if gain.is_above(CLEAR) && gain.value > most {
            (chosen, most) = (other, gain.value);
        }
    }
    Ok(Some(chosen))
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

/// A score with the sign that makes larger better.
fn signed(metric: &str, value: f64) -> f64 {
    if polytask_eval::higher_is_better(metric) { value } else { -value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_way_weights_are_left_for_a_reason_alone() {
        // Scores of: three quarters, half, a quarter, the probes; a gain has a standard error of 2.
        const SHARES: [f64; 4] = [0.75, 0.5, 0.25, 0.0];
        let picked = |scores: [f64; 4], present: &[usize]| {
            let gain = |a: usize, b: usize| {
                let value = scores[present[a]] - scores[present[b]];
                Ok(Gain { value, error: 2.0, n_tasks: 1, has_loser: false })
            };
            let shares: Vec<f64> = present.iter().map(|&i| SHARES[i]).collect();
            pick(&shares, HALF, gain).unwrap().map(|place| present[place])
        };
        let all = [0, 1, 2, 3];
        for (scores, kept) in [
            ([71.9, 70.0, 69.0, 68.0], 1),
            ([71.0, 70.0, 70.1, 68.0], 2),
            ([72.5, 70.0, 69.0, 68.0], 0),
            ([60.0, 70.0, 69.0, 73.0], 3),
            ([60.0, 70.0, 72.0, 73.0], 2),
        ] {
            assert_eq!(picked(scores, &all), Some(kept), "{scores:?}");
        }
        // Tags: the end is home, half-way weights stand in for it where a task loses there.
        let of_words = |scores: &[f64], shares: &[f64]| {
            let gain = |a: usize, b: usize| {
                Ok(Gain { value: scores[a] - scores[b], error: 2.0, n_tasks: 1, has_loser: false })
            };
            pick(shares, END, gain).unwrap()
        };
        let shares = [END, HALF, 0.0];
        assert_eq!(of_words(&[70.0, 71.9, 60.0], &shares), Some(0));
        assert_eq!(of_words(&[70.0, 72.1, 60.0], &shares), Some(1));
        assert_eq!(of_words(&[71.9, 60.0], &shares[1..]), Some(0));
        // Weights by which a task clearly loses are no candidates.
        assert_eq!(picked([0.0, 0.0, 68.0, 68.5], &[2, 3]), Some(2));
        assert_eq!(picked([0.0, 0.0, 0.0, 68.0], &[3]), Some(3));
        assert_eq!(picked([0.0; 4], &[]), None, "nothing to choose from: the best evaluation stays");
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
