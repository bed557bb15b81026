//! What has to be said of a run before its scores: that it is not trained to its end, or lost to its own probe.
//!
//! Such a run's tasks get no verdict: what one model costs against many cannot be told from models that have not learnt
//! their tasks yet.

use polytask_core::report::{DataCard, Point, RunReport, Score, TaskReport};

use crate::words::{PRIOR, PROBE, plural, value};

/// Share of the loss that the last quarter of a training may still lose against the quarter before.
const STEEP: f64 = 0.1;
/// Share of the first loss below which a fall is the end of a training, however large a share of the last loss it is.
const OVER: f64 = 0.03;
/// Points of a curve below which nothing is said of its slope.
const FEWEST_POINTS: usize = 16;
/// Labelled rows below which a loss against the single-task model is no verdict: with several tasks one of them seems to
/// lose by chance.
const FEWEST_ROWS: usize = 50;
/// How many times as long as a run took another one should, where it was too short.
const LONGER: f64 = 4.0;
/// Measurements of gradient cosines below which they are no evidence.
const FEWEST_MEASUREMENTS: usize = 10;

/// Which weights of a training were kept, and how long it took.
struct Training {
    kept: u64,
    steps: u64,
    share: Option<f64>,
    /// Seconds of all trainings.
    seconds: f64,
    n_tasks: usize,
}

impl Training {
    fn of(report: &RunReport) -> Self {
        let seconds = ["joint", "single-task"].iter().filter_map(|phase| report.seconds.get(*phase)).sum();
        let n_tasks = report.tasks.len();
        Self { kept: report.kept, steps: report.steps, share: report.share, seconds, n_tasks }
    }

    /// Whether the weights are those of the last step.
    fn is_end_kept(&self) -> bool {
        self.share.is_none() && self.kept == self.steps
    }

    /// A time for `train --time`, several times what this run took.
    fn longer(&self) -> String {
        let minutes = (LONGER * self.seconds / 60.0).ceil().max(1.0);
        format!("--time {minutes:.0}m")
    }

    /// What may help a task that other weights would have served better.
    fn advice(&self, task: &str) -> String {
        let whose = if self.n_tasks > 1 { "for the mean of the tasks on valid" } else { "on valid" };
        let watch = if self.n_tasks > 1 {
            format!(
                "`train.watch = {task:?}` keeps those that are best for this one, or give valid more rows"
            )
        } else {
            "a larger `valid` chooses better".to_owned()
        };
        match self.share {
            _ if self.is_end_kept() => format!(
                "Train longer ({}), or leave train.lr, train.epochs and train.start to polytask if the suite sets them",
                self.longer()
            ),
            Some(share) => format!(
                "Weights {:.0} % of the way from the probes to step {} were kept, best {whose}: {watch}",
                100.0 * share,
                self.kept
            ),
            None => {
                format!("Weights of step {} of {} were kept, best {whose}: {watch}", self.kept, self.steps)
            }
        }
    }
}

/// Fills `cautions`, and takes the verdict from tasks that are not trained to their end.
pub fn apply(report: &mut RunReport) {
    let (mut nothings, mut cautions) = (Vec::new(), Vec::new());
    let (mut falling, mut few) = (Vec::new(), Vec::new());
    // Where earlier or interpolated weights are kept, more steps of the kind are not what is missing.
    let training = Training::of(report);
    for task in &mut report.tasks {
        let nothing = learned_nothing(task);
        // Alone it is learned: what sharing cost is then the very finding.
        let is_learned_alone = alone_over_prior(task).is_some_and(|over| over > 0.0);
        let n_rows = judged_on(&report.data, task);
        let below = below_probe(task, &training).filter(|_| n_rows.is_none_or(|rows| rows >= FEWEST_ROWS));
        let losses = report.losses.get(&task.task).filter(|_| training.is_end_kept());
        let fall = losses.and_then(|points| fall(points));
        let is_below = task.regressed || task.delta.is_some_and(|delta| delta.high < 0.0);
        let rows = n_rows.filter(|rows| *rows < FEWEST_ROWS && is_below);
        task.unfinished =
            nothing.is_some() && !is_learned_alone || below.is_some() || fall.is_some() || rows.is_some();
        task.regressed &= !task.unfinished;
        nothings.extend(nothing);
        cautions.extend(below);
        few.extend(rows.map(|rows| format!("`{}` on {rows}", task.task)));
        falling.extend(fall.map(|fall| format!("`{}` {:.0} %", task.task, 100.0 * fall)));
    }
    cautions.extend(falls(&falling, &training));
    cautions.extend(on_few_rows(&few));
    cautions.extend(few_measurements(report));
    report.cautions = [nothings, cautions].concat();
}

/// Says of a task that a constant scores as well.
fn learned_nothing(task: &TaskReport) -> Option<String> {
    let prior = task.other(PRIOR)?;
    prior.over.filter(|over| over.value <= 0.0)?;
    let (joint, floor) = (task.joint.first()?, prior.scores.first()?);
    let shown = |score: &Score| value(&score.metric, score.interval.value);
    let found = format!(
        "task `{}` says no more than the most frequent label or the mean does, without reading its input: {} {} against {}",
        task.task,
        joint.metric,
        shown(joint),
        shown(floor)
    );
    Some(match (alone_over_prior(task).filter(|over| *over > 0.0), task.single.first()) {
        (Some(_), Some(single)) => format!(
            "{found}, while a model of its own comes to {}. `polytask conflict` says which task does that to it",
            shown(single)
        ),
        _ => format!("{found}. Check its labels and columns (`polytask data`), or give it more rows"),
    })
}

/// How much better the single-task model is than the prior, larger = better; none where either has no score.
fn alone_over_prior(task: &TaskReport) -> Option<f64> {
    let (single, prior) = (task.single.first()?, task.other(PRIOR)?.scores.first()?);
    let over = single.interval.value - prior.interval.value;
    Some(if single.higher_is_better { over } else { -over })
}

fn below_probe(task: &TaskReport, training: &Training) -> Option<String> {
    let other = task.other(PROBE)?;
    let over = other.over.filter(|over| over.high < 0.0)?;
    let (joint, probe) = (task.joint.first()?, other.scores.first()?);
    let [joint, probe] = [joint, probe].map(|score| value(&score.metric, score.interval.value));
    let (name, metric) = (&task.task, &task.joint.first()?.metric);
    Some(format!(
        "task `{name}` is below its probe, a linear model on the encoder as it was loaded: {metric} {joint} against \
         {probe} ({:.1} points). {}",
        over.value,
        training.advice(name)
    ))
}

/// Labelled rows that a task's scores rest on, where that is known.
fn judged_on(data: &DataCard, task: &TaskReport) -> Option<usize> {
    let card = data.tasks.iter().find(|card| card.task == task.task)?;
    card.labelled.get(&task.split).copied()
}

/// Says which tasks seem to have lost on rows too few for a verdict.
fn on_few_rows(tasks: &[String]) -> Option<String> {
    (!tasks.is_empty()).then(|| {
        format!(
            "scored below their single-task models, but on fewer than {FEWEST_ROWS} labelled rows, too few for a verdict: {}. A test file, or a larger `valid`, gives more",
            tasks.join(", ")
        )
    })
}

/// Says which losses still fell, each with how much.
fn falls(tasks: &[String], training: &Training) -> Option<String> {
    (!tasks.is_empty()).then(|| {
        format!(
            "losses still fell over the last quarter of the training: {}. Train longer ({}, or more train.epochs)",
            tasks.join(", "),
            training.longer()
        )
    })
}

/// How much the loss fell from the third quarter to the last, as a share, where that is steep and no noise.
fn fall(points: &[Point]) -> Option<f64> {
    let values: Vec<f64> = points.iter().map(|point| point.value).filter(|value| value.is_finite()).collect();
    if values.len() < FEWEST_POINTS {
        return None;
    }
    let n = values.len();
    let [(third, third_error), (last, last_error)] =
        [&values[n / 2..3 * n / 4], &values[3 * n / 4..]].map(mean);
    let fall = (third - last) / third.abs().max(f64::MIN_POSITIVE);
    let is_noise = third - last <= 2.0 * third_error.hypot(last_error);
    let is_over = third - last <= OVER * values[0].abs();
    (fall > STEEP && !is_noise && !is_over).then_some(fall)
}

/// A mean and its standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    (mean, (variance / n).sqrt())
}

fn few_measurements(report: &RunReport) -> Option<String> {
    let n = report.conflict.n;
    let is_thin = report.conflict.tasks.len() > 1 && n > 0 && n < FEWEST_MEASUREMENTS;
    is_thin.then(|| {
        format!(
            "gradient cosines rest on {}: they say little about which task hurts which",
            plural(n, "measurement")
        )
    })
}

#[cfg(test)]
mod tests {
    use polytask_core::report::Interval;

    use polytask_core::report::OtherScores;

    use super::*;
    use crate::sample::report;

    fn curve(value: impl Fn(f64) -> f64, n: u64) -> Vec<Point> {
        (1..=n).map(|step| Point { step, value: value(step as f64 / n as f64) }).collect()
    }

    #[test]
    fn a_steep_end_is_told_from_a_flat_and_from_a_noisy_one() {
        assert!(fall(&curve(|t| 4.0 - 3.0 * t, 21)).is_some_and(|fall| fall > 0.3));
        assert!(fall(&curve(|t| 0.2 + (-8.0 * t).exp(), 40)).is_none());
        let noisy = |t: f64| 1.0 - 0.15 * t + 0.8 * (1e4 * t).sin();
        assert!(fall(&curve(noisy, 40)).is_none());
        assert!(fall(&curve(|t| 4.0 - 3.0 * t, 10)).is_none(), "too few points to judge");
    }

    #[test]
    fn a_task_that_is_not_trained_to_its_end_gets_no_verdict_and_is_said_first() {
        let mut run = report();
        let regressed = run.tasks.iter().position(|task| task.regressed).unwrap();
        let name = run.tasks[regressed].task.clone();
        run.losses.insert(name.clone(), curve(|t| 4.0 - 3.0 * t, 40));
        run.kept = run.steps;
        apply(&mut run);
        assert!(!run.tasks[regressed].regressed && run.tasks[regressed].unfinished);
        let text = crate::table(&run, 120);
        let (said, rows) = text.split_once("metric").unwrap();
        assert!(said.contains("losses still fell") && said.contains(&format!("`{name}` ")), "{said}");
        assert!(rows.contains("not judged"), "{rows}");
        assert!(text.contains("not judged") && !text.contains("regressed: "));
    }

    #[test]
    fn a_falling_loss_is_no_reason_to_train_on_where_interpolated_weights_are_kept() {
        let mut run = report();
        let name = run.tasks[0].task.clone();
        run.losses.insert(name, curve(|t| 4.0 - 3.0 * t, 40));
        run.kept = run.steps;
        apply(&mut run);
        assert!(run.tasks[0].unfinished);
        run.share = Some(0.5);
        apply(&mut run);
        assert!(!run.tasks[0].unfinished && run.cautions.iter().all(|said| !said.contains("fell")));
    }

    /// Scores of another learner, `over` points below the joint model.
    fn other(task: &TaskReport, learner: &str, over: f64) -> OtherScores {
        let over = Interval { value: over, low: over - 2.0, high: over + 2.0 };
        OtherScores { learner: learner.into(), scores: task.joint.clone(), over: Some(over) }
    }

    #[test]
    fn a_task_that_says_no_more_than_a_constant_is_told_first_and_has_no_verdict() {
        let mut run = report();
        run.tasks[1].others = vec![other(&run.tasks[1], "probe", -9.0), other(&run.tasks[1], "prior", -0.5)];
        run.tasks[1].single.clear();
        apply(&mut run);
        assert!(run.cautions[0].contains("no more than the most frequent"), "{:?}", run.cautions);
        assert!(run.cautions[0].contains(&run.tasks[1].task) && run.tasks[1].unfinished);
        run.tasks[1].others = vec![other(&run.tasks[1], "prior", 0.5)];
        apply(&mut run);
        assert!(!run.tasks[1].unfinished);
        // Alone it is learned: the loss by sharing is a finding, and stays one.
        let mut lost = report();
        let task = &mut lost.tasks[1];
        task.others = vec![other(task, "prior", -0.5)];
        task.single.clone_from(&task.joint);
        task.single[0].interval.value += 0.3;
        task.regressed = true;
        apply(&mut lost);
        assert!(lost.cautions[0].contains("a model of its own comes to"), "{:?}", lost.cautions);
        assert!(lost.tasks[1].regressed && !lost.tasks[1].unfinished);
    }

    #[test]
    fn half_of_next_to_nothing_is_no_steep_fall() {
        let fell = |end: f64| fall(&curve(|t| if t < 0.4 { 2.0 - 4.9 * t } else { end * (1.5 - t) }, 40));
        assert!(fell(0.04).is_none(), "{:?}", fell(0.04));
        assert!(fall(&curve(|t| 2.0 - 1.2 * t, 40)).is_some());
    }

    #[test]
    fn a_task_below_its_probe_says_by_how_much() {
        let mut run = report();
        let mut probe = other(&run.tasks[0], "probe", -59.0);
        probe.scores[0].interval.value = 0.914;
        run.tasks[0].others = vec![probe];
        apply(&mut run);
        assert!(run.cautions[0].contains("below its probe") && run.cautions[0].contains("against 91.4"));
        assert!(run.cautions[0].contains("-59.0 points"));
    }

    #[test]
    fn advice_for_a_task_below_its_probe_names_what_was_kept_and_a_time_in_proportion() {
        let mut run = report();
        run.tasks[0].others = vec![other(&run.tasks[0], "probe", -59.0)];
        run.seconds = [("joint".to_owned(), 100.0), ("single-task".to_owned(), 50.0)].into();
        (run.kept, run.steps, run.share) = (400, 400, None);
        let said = |change: &dyn Fn(&mut RunReport)| {
            let mut run = run.clone();
            change(&mut run);
            apply(&mut run);
            (run.cautions.first().cloned().unwrap_or_default(), run.tasks[0].task.clone())
        };
        assert!(said(&|_| ()).0.contains("Train longer (--time 10m)"));
        assert!(said(&|run| run.seconds.clear()).0.contains("--time 1m"));
        let (early, task) = said(&|run| run.kept = 29);
        assert!(
            early.contains("step 29 of 400") && early.contains(&format!("`train.watch = {task:?}`")),
            "{early}"
        );
        assert!(!early.contains("Train longer"), "{early}");
        let (between, _) = said(&|run| run.share = Some(0.25));
        assert!(between.contains("25 % of the way"), "{between}");
        // A few rows tell nothing of a probe, either.
        let (few, task) = said(&|run| {
            let name = run.tasks[0].task.clone();
            let split = run.tasks[0].split.clone();
            let card = run.data.tasks.iter_mut().find(|card| card.task == name).unwrap();
            card.labelled.insert(split, 19);
        });
        assert!(!few.contains(&format!("`{task}` is below its probe")), "{few}");
    }

    #[test]
    fn a_loss_on_few_rows_is_no_verdict() {
        let run = report();
        let regressed = run.tasks.iter().position(|task| task.regressed).unwrap();
        let (name, split) = (run.tasks[regressed].task.clone(), run.tasks[regressed].split.clone());
        let on = |rows: usize| {
            let mut run = run.clone();
            let card = run.data.tasks.iter_mut().find(|card| card.task == name).unwrap();
            card.labelled.insert(split.clone(), rows);
            apply(&mut run);
            (
                run.tasks[regressed].regressed,
                run.cautions.iter().any(|said| said.contains(&format!("`{name}` on {rows}"))),
            )
        };
        assert_eq!((on(49), on(50)), ((false, true), (true, false)));
        // Below, but within the margin; and without any score.
        for delta in [(-0.5, -0.9, -0.1, false), (f64::NAN, f64::NAN, f64::NAN, true)] {
            let mut run = run.clone();
            let (value, low, high, is_regressed) = delta;
            let task = &mut run.tasks[regressed];
            (task.delta, task.regressed) = (Some(Interval { value, low, high }), is_regressed);
            let card = run.data.tasks.iter_mut().find(|card| card.task == name).unwrap();
            card.labelled.insert(split.clone(), 9);
            apply(&mut run);
            assert!(run.tasks[regressed].unfinished && !run.tasks[regressed].regressed, "{value}");
        }
    }

    #[test]
    fn few_measurements_are_said() {
        let mut run = report();
        run.conflict.n = 1;
        apply(&mut run);
        assert!(
            run.cautions.last().is_some_and(|said| said.contains("1 measurement:")),
            "{:?}",
            run.cautions
        );
    }
}
