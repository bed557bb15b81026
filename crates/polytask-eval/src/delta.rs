//! Joint model against single-task models: delta per task, Δm, regressions.
//!
//! Δm = mean over tasks of (−1)^s (joint − single) / |single| · 100 %, s = 1 where lower is better: the sign
//! convention of `LibMTL` and Rep-MTL, positive = better than single-task (the Nash-MTL line prints the opposite
//! sign). Each task enters with its main metric. A baseline too close to zero has no relative change and the
//! task does not enter Δm: errors below 1e-6, shares and coefficients below 0.05, negative ones among them.
//!
//! A task's own delta is in points of 100, signed likewise; metrics in the unit of the target (RMSE, MAE)
//! have no such scale, there it is percent of the single-task value. `regressed` = delta below −margin *and*
//! its paired 95 % interval entirely below zero.

use polytask_core::Result;
use polytask_core::report::{Interval, OtherScores, Score, TaskReport};

use crate::interval::{interval, paired};
use crate::metric::{Unit, find};
use crate::predictions::{Predictions, n_examples};

/// Errors closer to zero than this have no relative change.
pub const NEAR_ZERO: f64 = 1e-6;
/// Shares and coefficients below this, negative ones among them, have none either: a model that knows next to nothing is
/// easily doubled.
const NEAR_CHANCE: f64 = 0.05;

/// How the joint model compares with a single-task model on one metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Points, positive = the joint model is better, with the paired interval.
    pub delta: Interval,
    /// Relative change in percent, signed likewise; `None` for a baseline near zero or undefined.
    pub relative: Option<f64>,
    /// Beyond the margin and the interval below zero.
    pub regressed: bool,
}

/// What a suite's tasks add up to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Summary {
    /// Mean relative change in percent; `None` when no task has one.
    pub delta_m: Option<f64>,
    /// Task with the lowest delta; `None` without baselines.
    pub worst: Option<String>,
    /// Number of tasks below their baseline.
    pub below: usize,
    /// Tasks that count as regressed, in order.
    pub regressed: Vec<String>,
}

/// What a task's report is made of.
#[derive(Debug, Clone, Copy)]
pub struct TaskRun<'a> {
    /// Name of the task.
    pub task: &'a str,
    /// Name of its kind.
    pub kind: &'a str,
    /// Split the predictions are of.
    pub split: &'a str,
    /// Metrics, the main one first.
    pub metrics: &'a [&'a str],
    /// Points below single-task that count as regression.
    pub margin: f64,
    /// Predictions of the joint model.
    pub joint: &'a Predictions,
    /// Predictions of the single-task model on the same rows.
    pub single: Option<&'a Predictions>,
    /// Predictions of other learners on the same rows.
    pub others: &'a [OtherRun<'a>],
    /// Seed of the intervals.
    pub seed: u64,
}

/// What another learner predicts on a task's rows.
#[derive(Debug, Clone, Copy)]
pub struct OtherRun<'a> {
    /// Its id.
    pub learner: &'a str,
    /// What it predicts.
    pub predictions: &'a Predictions,
}

/// The report of a task: scores with intervals, delta, regression.
pub fn task_report(run: &TaskRun) -> Result<TaskReport> {
    let scores = |predictions: Option<&Predictions>| match predictions {
        Some(predictions) => run.metrics.iter().map(|metric| scored(metric, predictions, run.seed)).collect(),
        None => Ok(Vec::new()),
    };
    let against = |other: Option<&Predictions>| match (other, run.metrics.first()) {
        (Some(other), Some(main)) => compare(main, run.joint, other, run.margin, run.seed).map(Some),
        _ => Ok(None),
    };
    let comparison = against(run.single)?;
    let other = |other: &OtherRun| {
        let (scores, over) = (scores(Some(other.predictions))?, against(Some(other.predictions))?);
        Ok(OtherScores { learner: other.learner.into(), scores, over: over.map(|c| c.delta) })
    };
    // A constant orders nothing: where the main metric is a correlation, it has no score.
    let has_score = |other: &Result<OtherScores>| {
        let main = other.as_ref().ok().and_then(|other| other.scores.first());
        main.is_none_or(|score| score.interval.value.is_finite())
    };
    Ok(TaskReport {
        task: run.task.into(),
        kind: run.kind.into(),
        split: run.split.into(),
        joint: scores(Some(run.joint))?,
        single: scores(run.single)?,
        others: run.others.iter().map(other).filter(has_score).collect::<Result<_>>()?,
        delta: comparison.map(|c| c.delta),
        relative: comparison.and_then(|c| c.relative),
        margin: run.margin,
        regressed: comparison.is_some_and(|c| c.regressed),
        unfinished: false,
    })
}

/// One metric with its interval.
pub fn scored(metric: &str, predictions: &Predictions, seed: u64) -> Result<Score> {
    Ok(Score {
        metric: metric.into(),
        interval: interval(metric, predictions, seed)?,
        higher_is_better: find(metric)?.0.higher_is_better,
        n: n_examples(predictions),
    })
}

/// The joint model against the single-task model on `metric`, on the same rows.
pub fn compare(
    metric: &str,
    joint: &Predictions,
    single: &Predictions,
    margin: f64,
    seed: u64,
) -> Result<Comparison> {
    let found = find(metric)?.0;
    let baseline = crate::score(metric, single)?;
    let raw = paired(metric, joint, single, seed)?;
    let relative = relative_of(metric, baseline, baseline + raw.value);
    let points = match found.unit {
        Unit::Target if relative.is_some() => 100.0 / baseline.abs(),
        _ => 100.0,
    };
    let delta = signed(raw, found.higher_is_better, points);
    // A model whose outputs collapsed (all the same) has no score: that is worse than any.
    let has_collapsed = baseline.is_finite() && !crate::score(metric, joint)?.is_finite();
    Ok(Comparison { delta, relative, regressed: has_collapsed || regressed(delta, margin) })
}

/// Relative change of a metric in percent, positive = better; none for a baseline near zero or near chance, or where no
/// metric has the name.
pub fn relative_of(metric: &str, single: f64, joint: f64) -> Option<f64> {
    let metric = find(metric).ok()?.0;
    let is_near_chance = metric.unit != Unit::Target && single < NEAR_CHANCE;
    relative(single, joint, metric.higher_is_better).filter(|_| !is_near_chance)
}

/// Relative change of `joint` against `single` in percent, positive = better.
fn relative(single: f64, joint: f64, higher_is_better: bool) -> Option<f64> {
    let change = (joint - single) / single.abs() * 100.0;
    let defined = single.abs() >= NEAR_ZERO && change.is_finite();
    defined.then_some(if higher_is_better { change } else { -change })
}

/// Whether a delta counts as regression.
pub fn regressed(delta: Interval, margin: f64) -> bool {
    delta.value < -margin && delta.high < 0.0
}

/// Δm, the worst task, the number below and the regressed ones.
pub fn summarise(tasks: &[TaskReport]) -> Summary {
    let relatives: Vec<f64> = tasks.iter().filter_map(|task| task.relative).collect();
    let deltas = || tasks.iter().filter_map(|task| Some((task, task.delta?.value))).filter(|d| !d.1.is_nan());
    Summary {
        delta_m: mean(&relatives),
        worst: deltas().min_by(|a, b| a.1.total_cmp(&b.1)).map(|(task, _)| task.task.clone()),
        below: deltas().filter(|(_, delta)| *delta < 0.0).count(),
        regressed: tasks.iter().filter(|task| task.regressed).map(|task| task.task.clone()).collect(),
    }
}

/// Δm of some relative changes; none without any.
pub(crate) fn mean(relatives: &[f64]) -> Option<f64> {
    (!relatives.is_empty()).then(|| relatives.iter().sum::<f64>() / relatives.len() as f64)
}

fn signed(raw: Interval, higher_is_better: bool, points: f64) -> Interval {
    if higher_is_better {
        return Interval { value: raw.value * points, low: raw.low * points, high: raw.high * points };
    }
    // Turning the sign turns the ends round.
    Interval { value: -raw.value * points, low: -raw.high * points, high: -raw.low * points }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(offset: f64) -> Predictions {
        let truth: Vec<f64> = (0..200).map(|i| f64::from(i % 17)).collect();
        let wobble = |i: usize| f64::from(u8::from(i.is_multiple_of(2))) * 0.1;
        let predicted = truth.iter().enumerate().map(|(i, t)| t + offset + wobble(i)).collect();
        Predictions::Numbers { width: 1, truth, predicted }
    }

    fn labels(wrong: usize) -> Predictions {
        let predicted = (0..400).map(|i| u32::from(i < wrong)).collect();
        Predictions::Labels { truth: vec![0; 400], predicted, n_labels: 2 }
    }

    #[test]
    fn a_lower_error_is_a_positive_delta() {
        let better = compare("rmse", &numbers(0.5), &numbers(1.0), 1.0, 3).unwrap();
        assert!(better.delta.value > 0.0 && better.delta.low > 0.0 && !better.regressed);
        assert!((better.relative.unwrap() - better.delta.value).abs() < 1e-9);
        let worse = compare("rmse", &numbers(1.0), &numbers(0.5), 1.0, 3).unwrap();
        assert!(worse.delta.high < 0.0 && worse.regressed && worse.relative.unwrap() < 0.0);
        assert!(worse.delta.low <= worse.delta.value && worse.delta.value <= worse.delta.high);
    }

    #[test]
    fn a_higher_accuracy_is_a_positive_delta_in_points() {
        let better = compare("accuracy", &labels(40), &labels(80), 1.0, 3).unwrap();
        assert!((better.delta.value - 10.0).abs() < 1e-9);
        assert!((better.relative.unwrap() - 12.5).abs() < 1e-9);
    }

    #[test]
    fn regression_needs_both_the_margin_and_the_interval() {
        let clear = |margin| compare("accuracy", &labels(80), &labels(40), margin, 3).unwrap().regressed;
        assert!(clear(1.0) && !clear(20.0));
        // Two rows in 400: half a point below, but the interval touches zero.
        assert!(!compare("accuracy", &labels(42), &labels(40), 0.1, 3).unwrap().regressed);
    }

    #[test]
    fn a_baseline_near_zero_has_no_relative_change() {
        assert_eq!(relative(0.0, 0.5, true), None);
        assert_eq!(relative(f64::NAN, 0.5, true), None);
        for (metric, single, has_one) in [
            ("r2", -0.4, false),
            ("mcc", 0.049, false),
            ("accuracy", 0.06, true),
            ("rmse", 0.01, true),
            ("rmse", 0.0, false),
        ] {
            assert_eq!(relative_of(metric, single, 0.5).is_some(), has_one, "{metric} {single}");
        }
        assert!(relative_of("rmse", 2.0, 1.0).unwrap() > 0.0 && relative_of("r2", 0.5, 0.4).unwrap() < 0.0);
        let exact = numbers(0.0);
        let Predictions::Numbers { truth, .. } = &exact else { unreachable!() };
        let perfect = Predictions::Numbers { width: 1, truth: truth.clone(), predicted: truth.clone() };
        let found = compare("rmse", &exact, &perfect, 1.0, 0).unwrap();
        assert!(found.relative.is_none() && found.delta.value < 0.0 && found.delta.value.is_finite());
    }

    #[test]
    fn the_summary_names_the_worst_and_counts_those_below() {
        let report = |task, joint: &Predictions| {
            let single = labels(40);
            let run = TaskRun {
                task,
                kind: "class",
                split: "test",
                metrics: &["accuracy", "mcc"],
                margin: 1.0,
                joint,
                single: Some(&single),
                others: &[],
                seed: 1,
            };
            task_report(&run).unwrap()
        };
        let tasks = [report("up", &labels(4)), report("down", &labels(80)), report("same", &labels(40))];
        let summary = summarise(&tasks);
        assert_eq!((summary.worst.as_deref(), summary.below), (Some("down"), 1));
        assert_eq!(summary.regressed, ["down"]);
        assert!((summary.delta_m.unwrap() - (10.0 - 100.0 / 9.0) / 3.0).abs() < 1e-9);
        assert_eq!((tasks[0].joint.len(), tasks[0].joint[0].n, tasks[0].others.len()), (2, 400, 0));
        assert_eq!(summarise(&[]), Summary::default());
    }
}
