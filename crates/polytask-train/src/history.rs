//! What happened during a training: losses, scores on valid, gradient cosines, isolated tasks.
//!
//! It is part of a checkpoint, so a resumed run reports the whole training.

use std::collections::{BTreeMap, BTreeSet};

use polytask_core::report::{ConflictReport, Isolated, Measurement, Point};
use serde::{Deserialize, Serialize};

use crate::heads::TaskHead;
use crate::part::PartGradient;
use polytask_weighting::{Gramian, Observation};

/// Steps over which the loss shown beside the progress bar is averaged.
const RECENT: usize = 20;
/// Points of a curve in a report.
const CURVE: usize = 200;

/// Values by step.
type Steps = Vec<(u64, f64)>;

/// Records of a training, by suite index of the task.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    /// Task → (step, loss without `loss_weight`).
    pub losses: BTreeMap<usize, Vec<(u64, f64)>>,
    /// Task → main metric on valid, NaN where it is undefined.
    pub valid: BTreeMap<usize, Vec<Point>>,
    /// Steps' gradient norms before clipping.
    pub norms: Vec<(u64, f64)>,
    /// What the method did and measured: name → task (or none, the step as a whole) → (step, value).
    #[serde(default)]
    observed: BTreeMap<String, Vec<(Option<usize>, Steps)>>,
    /// Tasks that were left out of steps.
    pub isolated: Vec<Isolated>,
    /// What a user should know of the training, in words, each once.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Tasks that were left out when they were last seen.
    broken: BTreeSet<usize>,
    cosines: Cosines,
    /// Steps between measurements of what the tasks do to each other; 0 means never. It stands here so that a
    /// resumed training goes on measuring as it began, unless another number is asked for.
    #[serde(default)]
    pub diagnose_every: u64,
    /// Those measurements.
    #[serde(default)]
    pub measurements: Vec<Measurement>,
}

/// Sums of pairwise gradient cosines.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Cosines {
    /// Number of tasks of the suite.
    n_tasks: usize,
    /// `[tasks, tasks]`: sum, measurements, measurements below zero.
    sums: Vec<(f64, u64, u64)>,
    /// Steps measured.
    steps: usize,
}

impl History {
    /// Records the losses of a step, without the tasks' `loss_weight`.
    pub fn losses(&mut self, step: u64, parts: &[PartGradient], heads: &[TaskHead]) {
        for part in parts {
            self.broken.remove(&part.task);
            let weight = heads[part.task].loss_weight;
            let loss = if weight == 0.0 { part.loss } else { part.loss / weight };
            self.losses.entry(part.task).or_default().push((step, loss));
        }
    }

    /// Records scores on valid.
    pub fn valid(&mut self, step: u64, scores: &[(usize, f64)]) {
        for &(task, value) in scores {
            self.valid.entry(task).or_default().push(Point { step, value });
        }
    }

    /// Records the norm of a step's whole gradient.
    pub fn norm(&mut self, step: u64, norm: f64) {
        self.norms.push((step, norm));
    }

    /// Records what the method did and measured; values that are not finite are left out.
    pub fn observations(&mut self, step: u64, all: impl Iterator<Item = Observation>) {
        for Observation { name, task, value } in all.filter(|o| o.value.is_finite()) {
            let of_name = self.observed.entry(name.into()).or_default();
            match of_name.iter_mut().find(|(known, _)| *known == task) {
                Some((_, values)) => values.push((step, value)),
                None => of_name.push((task, vec![(step, value)])),
            }
        }
    }

    /// What was observed at a step (the last one): (name, task or empty, value).
    pub fn observed_at<'a>(&'a self, step: u64, heads: &'a [TaskHead]) -> Vec<(&'a str, &'a str, f64)> {
        let mut found = Vec::new();
        for (name, tasks) in &self.observed {
            for (task, values) in tasks {
                let last = values.last().filter(|(at, _)| *at == step);
                found.extend(last.map(|(_, value)| (&**name, name_of(*task, heads), *value)));
            }
        }
        found
    }

    /// What was observed as curves: name → task (empty for the step as a whole) → points.
    pub fn observed_curves(&self, heads: &[TaskHead]) -> BTreeMap<String, BTreeMap<String, Vec<Point>>> {
        let curve = |(task, values): &(Option<usize>, Vec<(u64, f64)>)| {
            (name_of(*task, heads).to_owned(), thin(values))
        };
        let curves = |tasks: &Vec<_>| tasks.iter().map(curve).collect();
        self.observed.iter().map(|(name, tasks)| (name.clone(), curves(tasks))).collect()
    }

    /// Records what a user should know, once.
    pub fn note(&mut self, text: &str) {
        if self.notes.iter().all(|known| known != text) {
            self.notes.push(text.into());
        }
    }

    /// Records that a task was left out of a step; its first cause is kept.
    pub fn isolate(&mut self, (task, name): (usize, &str), step: u64, what: String) {
        self.broken.insert(task);
        match self.isolated.iter_mut().find(|isolated| isolated.task == name) {
            Some(known) => known.steps += 1,
            None => self.isolated.push(Isolated { task: name.into(), step, what, steps: 1 }),
        }
    }

    /// Whether each of these tasks was left out when it was last seen.
    pub fn are_broken(&self, tasks: &[usize]) -> bool {
        tasks.iter().all(|task| self.broken.contains(task))
    }

    /// The cause of the task isolated last, in words.
    pub fn last_isolated(&self) -> Option<String> {
        self.isolated.last().map(|isolated| format!("task `{}`: {}", isolated.task, isolated.what))
    }

    /// Records the cosines of the tasks present.
    pub fn conflict(&mut self, tasks: &[usize], gramian: &Gramian, n_tasks: usize) {
        self.cosines.n_tasks = n_tasks;
        self.cosines.sums.resize(n_tasks * n_tasks, (0.0, 0, 0));
        self.cosines.steps += 1;
        for (i, &a) in tasks.iter().enumerate() {
            for (j, &b) in tasks.iter().enumerate() {
                if let Some(cosine) = gramian.cosine(i, j) {
                    let sum = &mut self.cosines.sums[a * n_tasks + b];
                    *sum = (sum.0 + cosine, sum.1 + 1, sum.2 + u64::from(cosine < 0.0));
                }
            }
        }
    }

    /// The cosines as a report.
    pub fn conflict_report(&self, names: &[String]) -> ConflictReport {
        let n = self.cosines.n_tasks;
        let table = |value: &dyn Fn(&(f64, u64, u64)) -> f64| {
            let cell = |sum: &(f64, u64, u64)| (sum.1 > 0).then(|| value(sum) / sum.1 as f64);
            self.cosines.sums.chunks(n.max(1)).map(|row| row.iter().map(cell).collect()).collect()
        };
        ConflictReport {
            tasks: if n > 0 { names.to_vec() } else { Vec::new() },
            cosine: table(&|sum| sum.0),
            conflicting: table(&|sum| sum.2 as f64),
            n: self.cosines.steps,
        }
    }

    /// Mean of the last losses of each task, by name.
    pub fn recent(&self, heads: &[TaskHead]) -> Vec<(String, f64)> {
        let mean = |losses: &Vec<(u64, f64)>| {
            let last = &losses[losses.len().saturating_sub(RECENT)..];
            last.iter().map(|(_, loss)| loss).sum::<f64>() / last.len().max(1) as f64
        };
        self.losses.iter().map(|(&task, losses)| (heads[task].name.clone(), mean(losses))).collect()
    }

    /// The loss curves, each point the mean of a stretch of steps.
    pub fn loss_curves(&self, heads: &[TaskHead]) -> BTreeMap<String, Vec<Point>> {
        let curve = |(&task, points): (&usize, &Vec<(u64, f64)>)| (heads[task].name.clone(), thin(points));
        self.losses.iter().map(curve).collect()
    }

    /// The valid curves.
    pub fn valid_curves(&self, heads: &[TaskHead]) -> BTreeMap<String, Vec<Point>> {
        self.valid.iter().map(|(&task, points)| (heads[task].name.clone(), points.clone())).collect()
    }
}

fn name_of(task: Option<usize>, heads: &[TaskHead]) -> &str {
    task.map_or("", |task| &heads[task].name)
}

/// At most [`CURVE`] points, each the mean of a stretch.
fn thin(points: &[(u64, f64)]) -> Vec<Point> {
    let stretch = points.len().div_ceil(CURVE).max(1);
    let mean = |part: &[(u64, f64)]| Point {
        step: part[part.len() - 1].0,
        value: part.iter().map(|(_, value)| value).sum::<f64>() / part.len() as f64,
    };
    points.chunks(stretch).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_keeps_its_mean_and_its_last_step() {
        let points: Vec<(u64, f64)> = (1..=1000).map(|i| (i, i as f64)).collect();
        let curve = thin(&points);
        assert_eq!((curve.len(), curve[199].step), (200, 1000));
        assert!((curve.iter().map(|p| p.value).sum::<f64>() / 200.0 - 500.5).abs() < 1e-9);
    }

    #[test]
    fn a_note_is_kept_once() {
        let mut history = History::default();
        ["a", "b", "a"].iter().for_each(|note| history.note(note));
        assert_eq!(history.notes, ["a", "b"]);
    }

    #[test]
    fn cosines_are_averaged_over_the_steps_in_which_two_tasks_met() {
        let mut history = History::default();
        history.conflict(&[0, 2], &Gramian { n: 2, values: vec![1.0, -1.0, -1.0, 1.0] }, 3);
        history.conflict(&[0, 2], &Gramian { n: 2, values: vec![1.0, 0.5, 0.5, 1.0] }, 3);
        let report = history.conflict_report(&["a".into(), "b".into(), "c".into()]);
        assert_eq!(report.cosine[0][2], Some(-0.25));
        assert_eq!(report.conflicting[2][0], Some(0.5));
        assert_eq!((report.cosine[0][1], report.n), (None, 2));
    }
}
