//! From a run's report to findings.

use polytask_core::report::{Diagnosis, Interval, Measurement, RunReport, Score, TaskReport};

use super::effects::{Effects, Evidence, Square};
use super::estimate::{self, is_below, of_one_in, of_series};
use super::grouping::{self, EXACT, Worth};
use super::{
    CONFLICT_VERSION, Change, Conflict, Culprit, Grouping, Harm, PairTable, TaskFinding, Verified, advice,
    change, is_near_zero, relative,
};
use crate::interval::of_mean;
use crate::words;

/// Metrics that are zero for predictions that know nothing.
const ZERO_AT_CHANCE: &[&str] = &["mcc", "pearson", "r2", "spearman"];

/// Fewer measurements than this say little of who did what to whom.
const ENOUGH: usize = 5;

/// What was measured, by index of the task.
pub(super) struct Findings<'a> {
    report: &'a RunReport,
    diagnosis: &'a Diagnosis,
    tasks: Vec<TaskFinding>,
    cosine: PairTable<Interval>,
    affinity: PairTable<Interval>,
    relative_affinity: PairTable<Interval>,
    effects: Effects,
    /// Tasks whose single-task score makes Δm one of points; none: it is in percent.
    near_zero: Vec<usize>,
    /// Tasks that have a change.
    changed: Vec<bool>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(report: &'a RunReport, diagnosis: &'a Diagnosis) -> Self {
        let judged = judged(report);
        let scores = |task: &String| judged.iter().find(|scores| scores.task == *task);
        let names = diagnosis.tasks.iter().enumerate();
        let reported = |task: &String| report.tasks.iter().find(|scores| scores.task == *task);
        let found = |(i, task): (usize, &String)| TaskFinding {
            // A small valid may hide what is learned; test labelled other than train shows in test alone.
            is_noise: scores(task).is_some_and(is_noise) && reported(task).is_none_or(is_noise),
            is_below_chance: scores(task).into_iter().chain(reported(task)).any(is_below_chance),
            ..finding(task, scores(task), i, diagnosis)
        };
        let tasks: Vec<TaskFinding> = names.map(found).collect();
        let affinity = means(diagnosis, |m| m.affinity.clone());
        let of_pairs = relative_affinities(diagnosis);
        let n = diagnosis.tasks.len();
        // Every pair is looked at: at 95 % each, some of many would seem to hurt by chance.
        let relative_affinity = cells(n, |i, j| of_one_in(of_pairs[i][j].iter().copied(), n * (n - 1)));
        let sound: Vec<Option<&TaskReport>> =
            tasks.iter().map(|task| scores(&task.task).filter(|_| !task.is_suspect())).collect();
        let near_zero: Vec<usize> =
            (0..tasks.len()).filter(|&i| sound[i].is_some_and(is_near_zero)).collect();
        let relative: Vec<Option<Interval>> = sound
            .iter()
            .map(|report| report.and_then(|report| change(report, !near_zero.is_empty())))
            .collect();
        let changed = relative.iter().map(Option::is_some).collect();
        let affinity_of_each = cells(n, |i, j| of_series(of_pairs[i][j].iter().copied()));
        let effects = Effects::new(&Evidence { relative, affinity: affinity_of_each }, report.lineage.seed);
        let cosine = means(diagnosis, |m| m.cosine.clone());
        Self { report, diagnosis, tasks, cosine, affinity, relative_affinity, effects, near_zero, changed }
    }

    /// Whether there are too few measurements to divide the tasks on their ground.
    fn is_thin(&self) -> bool {
        self.diagnosis.measurements.len() < ENOUGH
    }

    pub(super) fn conflict(self, models: Option<usize>) -> Conflict {
        let (kept, suspect): (Vec<usize>, Vec<usize>) =
            (0..self.tasks.len()).partition(|&i| !self.tasks[i].is_suspect());
        let limit = if self.is_thin() { 1 } else { models.unwrap_or(kept.len()) };
        let budgets = grouping::best(&kept, limit, |group| self.worth(group));
        let suggested = self.fewest(&budgets);
        let all: Vec<usize> = (0..self.tasks.len()).collect();
        let mut conflict = Conflict {
            version: CONFLICT_VERSION,
            name: self.report.name.clone(),
            split: split(judged(self.report)).into(),
            harms: self.harms(),
            together: self.effects.delta_m(&[all]),
            budgets: budgets.iter().map(|groups| self.grouping(groups)).collect(),
            suggested,
            left_out: suspect.iter().map(|&i| self.tasks[i].task.clone()).collect(),
            conflicting: conflicting(self.diagnosis),
            unit: if self.near_zero.is_empty() { "percent" } else { "points" }.into(),
            effect: self.effect(),
            weighting: self.report.weighting.clone(),
            steps: self.report.steps,
            seed: self.report.lineage.seed,
            diagnosis: self.diagnosis.clone(),
            notes: self.notes(kept.len()),
            cosine: self.cosine,
            affinity: self.affinity,
            relative_affinity: self.relative_affinity,
            tasks: self.tasks,
            ..Conflict::default()
        };
        let is_thin = conflict.diagnosis.measurements.len() < ENOUGH;
        advice::give(&mut conflict, is_thin);
        conflict
    }

    /// The predicted changes of a group; between equals, what the tasks' steps do for each other.
    fn worth(&self, group: &[usize]) -> Worth {
        Worth { total: self.effects.of_group(group), tie: self.group_affinity(group) }
    }

    /// Sum over a group's tasks of the mean affinity of the others' steps to it.
    fn group_affinity(&self, group: &[usize]) -> f64 {
        let onto = |j: usize| {
            group.iter().filter(move |&&i| i != j).filter_map(move |&i| self.relative_affinity[i][j])
        };
        group.iter().filter_map(|&j| Some(of_mean(onto(j).map(|z| z.value))?.value)).sum()
    }

    /// The fewest models after which no further one is predicted to help clearly.
    fn fewest(&self, budgets: &[Vec<Vec<usize>>]) -> usize {
        (1..budgets.len()).fold(0, |best, k| {
            let gain = self.effects.gain(&budgets[k], &budgets[best]);
            if estimate::is_above(gain.as_ref()) { k } else { best }
        })
    }

    fn grouping(&self, groups: &[Vec<usize>]) -> Grouping {
        let name = |&task: &usize| self.tasks[task].task.clone();
        let mut tasks: Vec<(usize, Option<Interval>)> = groups
            .iter()
            .flat_map(|group| group.iter().map(|&task| (task, self.effects.of_task(task, group))))
            .collect();
        tasks.sort_by_key(|(task, _)| *task);
        Grouping {
            groups: groups.iter().map(|group| group.iter().map(name).collect()).collect(),
            delta_m: self.effects.delta_m(groups),
            tasks: tasks.into_iter().map(|(task, change)| (name(&task), change)).collect(),
            affinity: groups.iter().map(|group| self.group_affinity(group)).sum(),
        }
    }

    /// Effects of tasks on tasks that have a change.
    fn effect(&self) -> PairTable<f64> {
        let central: &Square<f64> = &self.effects.central;
        let cell = |i: usize, j: usize| (i != j && self.changed[j]).then_some(central[i][j]);
        let n = self.tasks.len();
        (0..n).map(|i| (0..n).map(|j| cell(i, j)).collect()).collect()
    }

    fn harms(&self) -> Vec<Harm> {
        // What a task scores that learns nothing, or the opposite, tells of no loss.
        let sound = (0..self.tasks.len()).filter(|&j| !self.tasks[j].is_suspect());
        let lost = sound.filter(|&j| is_below(self.tasks[j].delta.as_ref()));
        let harm = |j: usize| {
            Some(Harm { task: self.tasks[j].task.clone(), delta: self.tasks[j].delta?, by: self.culprits(j) })
        };
        let mut harms: Vec<Harm> = lost.filter_map(harm).collect();
        harms.sort_by(|a, b| a.delta.value.total_cmp(&b.delta.value));
        harms
    }

    fn culprits(&self, j: usize) -> Vec<Culprit> {
        let culprit = |i: usize| {
            let affinity = self.relative_affinity[i][j].filter(|z| i != j && is_below(Some(z)))?;
            Some(Culprit {
                task: self.tasks[i].task.clone(),
                affinity,
                cosine: self.cosine[i][j].map(|cosine| cosine.value),
                effect: self.effects.central[i][j],
            })
        };
        let mut found: Vec<Culprit> = (0..self.tasks.len()).filter_map(culprit).collect();
        found.sort_by(|a, b| a.affinity.value.total_cmp(&b.affinity.value));
        found
    }

    fn notes(&self, kept: usize) -> Vec<String> {
        let mut notes = Vec::new();
        if kept > EXACT {
            notes.push(format!(
                "groupings of {kept} tasks are found greedily; up to {EXACT} the search is exact"
            ));
        }
        for (task, _) in
            self.tasks.iter().zip(&self.changed).filter(|(task, known)| !**known && !task.is_suspect())
        {
            notes.push(format!("task `{}` has no change to compare and does not enter Δm", task.task));
        }
        notes.extend(self.why_points());
        notes.extend(self.never_met());
        notes.push(format!(
            "scores, and what is made of them, are of {}; their intervals are over its examples, of one seed",
            split(judged(self.report))
        ));
        notes.push(format!(
            "a task is said to hurt another where the interval of its affinity lies below zero when widened for {} \
             pairs",
            self.tasks.len() * (self.tasks.len() - 1)
        ));
        notes.extend(self.report.notes.iter().cloned());
        notes
    }

    /// Why Δm is in points.
    fn why_points(&self) -> Option<String> {
        let of = |&i: &usize| {
            let task = &self.tasks[i];
            let score = task.single.map_or(f64::NAN, |single| single.value);
            format!("{} ({} {})", task.task, task.metric, words::value(&task.metric, score))
        };
        let tasks: Vec<String> = self.near_zero.iter().map(of).collect();
        (!tasks.is_empty()).then(|| {
            format!(
                "Δm is in points (RMSE and MAE: percent): the single-task score of {} is near zero, and percent of it \
                 would say nothing",
                tasks.join(", ")
            )
        })
    }

    /// Pairs of tasks without a common measurement.
    fn never_met(&self) -> Option<String> {
        let n = self.tasks.len();
        let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
        let apart: Vec<String> = pairs
            .filter(|&(i, j)| self.affinity[i][j].is_none() && self.affinity[j][i].is_none())
            .map(|(i, j)| format!("{} and {}", self.tasks[i].task, self.tasks[j].task))
            .collect();
        (!apart.is_empty())
            .then(|| format!("nothing is known of what these do to each other: {}", apart.join(", ")))
    }
}

/// The scores that findings rest on: those on valid, so that test is left to say whether they hold.
fn judged(report: &RunReport) -> &[TaskReport] {
    if report.on_valid.is_empty() { &report.tasks } else { &report.on_valid }
}

/// The split of scores, in words.
fn split(scores: &[TaskReport]) -> &str {
    let first = scores.first().map_or("valid", |task| task.split.as_str());
    if scores.iter().all(|task| task.split == first) { first } else { "test or valid" }
}

fn finding(task: &str, scores: Option<&TaskReport>, i: usize, diagnosis: &Diagnosis) -> TaskFinding {
    let joint = scores.and_then(|report| report.joint.first());
    let share = |m: &Measurement| Some(m.sharpness[i]? / m.loss[i].filter(|loss| *loss > 0.0)?);
    TaskFinding {
        task: task.into(),
        metric: joint.map_or_else(String::new, |score| score.metric.clone()),
        single: scores.and_then(|report| report.single.first()).map(|score| score.interval),
        joint: joint.map(|score| score.interval),
        delta: scores.and_then(|report| report.delta),
        relative: scores.and_then(relative),
        sharpness: of_series(diagnosis.measurements.iter().filter_map(|m| m.sharpness[i])),
        relative_sharpness: of_series(diagnosis.measurements.iter().filter_map(share)),
        is_noise: scores.is_some_and(is_noise),
        is_below_chance: scores.is_some_and(is_below_chance),
    }
}

/// Whether neither model can be told from chance, as far as a metric says: one that is zero there.
fn is_noise(report: &TaskReport) -> bool {
    let at_chance = |scores: &[Score]| {
        // Clearly below chance is no noise: something is learned there, if only the opposite.
        above_chance(scores).is_some_and(|x| !(x.low > 0.0 || x.high < 0.0))
    };
    at_chance(&report.single) && at_chance(&report.joint)
}

/// Whether a task's own model does clearly worse than one that knows nothing: its scores are reversed, or its test
/// is labelled other than its train. Nothing that is made of its scores can be trusted.
fn is_below_chance(report: &TaskReport) -> bool {
    is_below(above_chance(&report.single).as_ref())
}

/// The score on a metric that is zero at chance.
fn above_chance(scores: &[Score]) -> Option<Interval> {
    let told = scores.iter().find(|score| ZERO_AT_CHANCE.contains(&score.metric.as_str()));
    told.map(|score| score.interval)
}

/// Each cell's mean over the measurements.
fn means(diagnosis: &Diagnosis, table: impl Fn(&Measurement) -> PairTable<f64>) -> PairTable<Interval> {
    let tables: Vec<PairTable<f64>> = diagnosis.measurements.iter().map(table).collect();
    cells(diagnosis.tasks.len(), |i, j| of_series(tables.iter().filter_map(|table| table[i][j])))
}

/// Relative affinities of each pair over the later half of the measurements, `[tasks][tasks][measurements]`; over all
/// where these are few.
///
/// What steps do to each other changes fast at first, and then settles: a mean over both is of neither, and its
/// measurements are as alike as a course is.
fn relative_affinities(diagnosis: &Diagnosis) -> Vec<Vec<Vec<f64>>> {
    let n = diagnosis.measurements.len();
    let later = if n < 2 * ENOUGH { 0 } else { n / 2 };
    let tables: Vec<PairTable<f64>> =
        diagnosis.measurements[later..].iter().map(|m| relative_affinity(&m.affinity)).collect();
    let n = diagnosis.tasks.len();
    let pair = |i: usize, j: usize| tables.iter().filter_map(|table| table[i][j]).collect();
    (0..n).map(|i| (0..n).map(|j| pair(i, j)).collect()).collect()
}

/// Affinities of a measurement, each column in units of its largest size.
///
/// A training moves fast at first: means of plain affinities tell of its first steps and little else. So every
/// measurement counts alike.
fn relative_affinity(affinity: &[Vec<Option<f64>>]) -> PairTable<f64> {
    let n = affinity.len();
    let finite = |i: usize, j: usize| affinity[i][j].filter(|z| z.is_finite());
    let largest = |j: usize| (0..n).filter_map(|i| finite(i, j)).map(f64::abs).fold(0.0, f64::max);
    let units: Vec<f64> = (0..n).map(largest).collect();
    cells(n, |i, j| finite(i, j).filter(|_| units[j] > 0.0).map(|z| z / units[j]))
}

/// Share of the measurements of two tasks in which their cosine was below zero.
fn conflicting(diagnosis: &Diagnosis) -> PairTable<f64> {
    cells(diagnosis.tasks.len(), |i, j| {
        let cosines: Vec<f64> = diagnosis.measurements.iter().filter_map(|m| m.cosine[i][j]).collect();
        let against = cosines.iter().filter(|cosine| **cosine < 0.0).count();
        (!cosines.is_empty()).then(|| against as f64 / cosines.len() as f64)
    })
}

fn cells<T>(n: usize, cell: impl Fn(usize, usize) -> Option<T>) -> PairTable<T> {
    (0..n).map(|i| (0..n).map(|j| cell(i, j)).collect()).collect()
}

/// Predicted against measured. A task in a model of its own changes by nothing.
pub(super) fn verified(conflict: &Conflict, reports: &[TaskReport]) -> Verified {
    let suggestion = conflict.suggestion();
    let is_alone = |task: &str| suggestion.groups.iter().any(|group| group.len() == 1 && group[0] == task);
    let still = Interval { value: 0.0, low: 0.0, high: 0.0 };
    let measured = |(task, predicted): &Change| {
        let report = reports.iter().find(|report| report.task == *task);
        let in_points = conflict.unit == "points";
        let change =
            if is_alone(task) { Some(still) } else { report.and_then(|report| change(report, in_points)) };
        // Only tasks that entered the prediction enter the measurement.
        (task.clone(), predicted.and(change))
    };
    let tasks: Vec<Change> = suggestion.tasks.iter().map(measured).collect();
    let changes: Vec<Interval> = tasks.iter().filter_map(|(_, change)| *change).collect();
    let (predicted, measured) = (suggestion.delta_m, mean_change(&changes));
    let agrees = predicted.zip(measured).map(|(a, b)| a.low <= b.high && b.low <= a.high);
    Verified { predicted, measured, tasks, agrees }
}

/// The mean of independent changes.
fn mean_change(changes: &[Interval]) -> Option<Interval> {
    let n = changes.len() as f64;
    let value = changes.iter().map(|change| change.value).sum::<f64>() / n;
    let square = changes.iter().map(|change| estimate::error(change).powi(2)).sum::<f64>();
    let half = estimate::Z * square.sqrt() / n;
    (n > 0.0).then_some(Interval { value, low: value - half, high: value + half })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_affinities_is_in_units_of_its_largest_size() {
        let affinity = vec![vec![Some(0.2), Some(-0.3)], vec![Some(-0.1), Some(f64::NAN)]];
        let relative = relative_affinity(&affinity);
        assert_eq!(relative, [[Some(1.0), Some(-1.0)], [Some(-0.5), None]]);
        assert_eq!(relative_affinity(&[vec![Some(0.0)]]), [[None]]);
    }

    #[test]
    fn affinities_are_of_the_later_half_where_there_are_enough() {
        let measured = |n: usize| {
            let affinity =
                |k: usize| vec![vec![Some(1.0), Some(0.0)], vec![Some(k as f64 / 100.0), Some(1.0)]];
            let one = |k: usize| Measurement { affinity: affinity(k), ..Measurement::default() };
            let tasks = vec!["a".into(), "b".into()];
            Diagnosis { tasks, measurements: (0..n).map(one).collect(), ..Diagnosis::default() }
        };
        assert_eq!(relative_affinities(&measured(9))[1][0].len(), 9);
        let later = &relative_affinities(&measured(10))[1][0];
        assert_eq!(later[..], [0.05, 0.06, 0.07, 0.08, 0.09]);
    }

    #[test]
    fn metrics_that_are_zero_at_chance_are_metrics() {
        assert!(ZERO_AT_CHANCE.iter().all(|metric| crate::find(metric).is_ok()));
    }
}
