//! Who hurts whom, and what to do: a joint training's measurements turned into findings, groupings and advice.
//!
//! Everything here is a pure function of a run's report. Thresholds are intervals: something is said to hurt when
//! its 95 % interval lies below zero.

mod advice;
mod effects;
mod estimate;
mod find;
mod grouping;
mod text;

use polytask_core::report::{Diagnosis, Interval, RunReport, TaskReport};
use polytask_core::{Problem, Result};
use serde::{Deserialize, Serialize};

pub(crate) use advice::{affinity, braces, is_alone, percent, predicted, with_range};
pub use grouping::EXACT;
pub use text::text;

/// Version of `conflict.json`; raised when a field changes its meaning.
pub const CONFLICT_VERSION: u32 = 3;

/// Single-task scores closer to zero than this make Δm one of points: percent of next to nothing says nothing.
const NEAR_ZERO: f64 = 0.1;

/// A table of tasks by tasks, rows act on columns.
pub type PairTable<T> = Vec<Vec<Option<T>>>;

/// A task's name and its change in the unit of Δm, where it has one.
pub type Change = (String, Option<Interval>);

/// What a conflict run found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Conflict {
    /// [`CONFLICT_VERSION`].
    pub version: u32,
    /// Name of the suite.
    pub name: String,
    /// The advice in one line.
    pub verdict: String,
    /// What to do, the most important first.
    pub advice: Vec<Advice>,
    /// Split of the scores that findings, groupings and advice rest on; `verified` is of the split tasks are reported on.
    pub split: String,
    /// One entry per task, in suite order.
    pub tasks: Vec<TaskFinding>,
    /// Mean cosine of two tasks' gradients, `[tasks][tasks]`.
    pub cosine: PairTable<Interval>,
    /// Share of measurements in which two gradients pointed against each other, `[tasks][tasks]`.
    pub conflicting: PairTable<f64>,
    /// `[i][j]`: mean share of its loss that task j loses by a step on task i (Fifty et al. 2021).
    pub affinity: PairTable<Interval>,
    /// `[i][j]`: the same, each measurement in units of the largest effect that any step, its own included, had on
    /// task j: 1 helps like its own step, −1 undoes it; mean over the later half of the measurements. Intervals are widened for the number of pairs (Bonferroni).
    pub relative_affinity: PairTable<Interval>,
    /// `percent` of the single-task scores, or `points` where one of these is near zero: of Δm, effects and groupings.
    pub unit: String,
    /// `[i][j]`: what the joint training's change of task j puts down to task i, in that unit.
    pub effect: PairTable<f64>,
    /// Tasks that lost clearly, with those whose steps raised their loss clearly.
    pub harms: Vec<Harm>,
    /// Δm of all tasks in one model.
    pub together: Option<Interval>,
    /// The best grouping for at most 1, 2, … models.
    pub budgets: Vec<Grouping>,
    /// Which of `budgets` is suggested, from 0.
    pub suggested: usize,
    /// Tasks that no grouping holds: they learn nothing, or score below chance alone.
    pub left_out: Vec<String>,
    /// What training the suggestion gave.
    pub verified: Option<Verified>,
    /// Weighting of the joint training.
    pub weighting: String,
    /// Its steps.
    pub steps: u64,
    /// Its seed.
    pub seed: u64,
    /// The measurements themselves.
    pub diagnosis: Diagnosis,
    /// Things a reader should know.
    pub notes: Vec<String>,
}

/// What joint training did to a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskFinding {
    /// Name of the task.
    pub task: String,
    /// Its main metric.
    pub metric: String,
    /// Score of the single-task model.
    pub single: Option<Interval>,
    /// Score of the joint model.
    pub joint: Option<Interval>,
    /// Joint minus single in points (percent for RMSE and MAE), positive = better.
    pub delta: Option<Interval>,
    /// The same relative to the single-task score in percent; `None` where that score may be zero.
    pub relative: Option<Interval>,
    /// Mean rise of its loss by a step of length ρ up its own gradient.
    pub sharpness: Option<Interval>,
    /// The same as a share of its loss.
    pub relative_sharpness: Option<Interval>,
    /// Neither alone nor jointly to be told from chance.
    pub is_noise: bool,
    /// Clearly below chance alone.
    pub is_below_chance: bool,
}

impl TaskFinding {
    /// Whether its labels are to be checked before anything is made of its scores.
    fn is_suspect(&self) -> bool {
        self.is_noise || self.is_below_chance
    }
}

/// A task that lost in joint training, and who is to blame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Harm {
    /// The task that lost.
    pub task: String,
    /// Its joint minus single.
    pub delta: Interval,
    /// Tasks whose steps raised its loss, the worst first; may be empty.
    pub by: Vec<Culprit>,
}

/// A task whose steps raise another's loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Culprit {
    /// Its name.
    pub task: String,
    /// Mean relative affinity of its steps to the task that lost.
    pub affinity: Interval,
    /// Mean cosine of their gradients.
    pub cosine: Option<f64>,
    /// Change of the task put down to it, in the unit of Δm.
    pub effect: f64,
}

/// A division of the tasks among models.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Grouping {
    /// Names of the tasks of each model.
    pub groups: Vec<Vec<String>>,
    /// Predicted Δm; zero by definition where every task is alone.
    pub delta_m: Option<Interval>,
    /// Predicted change of each task, by name; zero by definition for one alone.
    pub tasks: Vec<Change>,
    /// Sum over the tasks of the mean relative affinity of their companions.
    pub affinity: f64,
}

/// A piece of advice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// `measure`, `check-labels`, `together`, `split`, `down-weight` or `own-capacity`.
    pub kind: String,
    /// The tasks it is about.
    pub tasks: Vec<String>,
    /// What to do, with the evidence.
    pub text: String,
}

/// The suggestion trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// Predicted Δm.
    pub predicted: Option<Interval>,
    /// Measured Δm.
    pub measured: Option<Interval>,
    /// Measured change of each task, by name.
    pub tasks: Vec<Change>,
    /// Whether the two intervals overlap.
    pub agrees: Option<bool>,
}

/// What a run's report says about conflict, with groupings for at most `models` models (all that make sense when
/// not given).
pub fn conflict(report: &RunReport, models: Option<usize>) -> Result<Conflict> {
    let Some(diagnosis) = &report.diagnosis else {
        let what = format!("the report of `{}` holds no measurements of conflict", report.name);
        return Err(Problem::new(what).try_this("`polytask conflict` trains and measures").into());
    };
    if report.tasks.len() < 2 || diagnosis.tasks.len() < 2 {
        return Err(Problem::new("found one task, expected at least 2 to compare").into());
    }
    Ok(find::Findings::new(report, diagnosis).conflict(models))
}

/// Adds what training the suggested groups gave: the reports of their tasks (those in models of their own have none
/// and change by nothing).
pub fn verify(conflict: &mut Conflict, reports: &[TaskReport]) {
    conflict.verified = Some(find::verified(conflict, reports));
}

/// The relative change with its interval; none where the single-task score's interval holds zero or the change has
/// no interval.
fn relative(task: &TaskReport) -> Option<Interval> {
    let (delta, single) = (task.delta?, task.single.first()?);
    let factor =
        if crate::words::in_target_unit(&single.metric) { 1.0 } else { 1.0 / single.interval.value.abs() };
    let is_away_from_zero = single.interval.low > 0.0 || single.interval.high < 0.0;
    let change = Interval { value: delta.value * factor, low: delta.low * factor, high: delta.high * factor };
    let is_finite = [change.value, change.low, change.high].iter().all(|x| x.is_finite());
    (is_away_from_zero && is_finite).then_some(change)
}

/// Whether a task's single-task score is so near zero that percent of it says nothing.
fn is_near_zero(task: &TaskReport) -> bool {
    task.single.first().is_some_and(|single| {
        let Interval { value, low, high } = single.interval;
        let is_known = value.is_finite() && !crate::words::in_target_unit(&single.metric);
        is_known && (value.abs() < NEAR_ZERO || low <= 0.0 && high >= 0.0)
    })
}

/// A task's change in the unit of Δm: percent, or points (percent still for RMSE and MAE, which have no points).
fn change(task: &TaskReport, in_points: bool) -> Option<Interval> {
    let is_finite = |x: &Interval| [x.value, x.low, x.high].iter().all(|x| x.is_finite());
    if in_points { task.delta.filter(is_finite) } else { relative(task) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::report;

    fn kinds(found: &Conflict, kind: &str) -> Vec<Vec<String>> {
        found.advice.iter().filter(|advice| advice.kind == kind).map(|advice| advice.tasks.clone()).collect()
    }

    #[test]
    fn the_harm_that_was_put_in_is_the_one_that_is_found() {
        let found = conflict(&report(), None).unwrap();
        let intent = found.harms.iter().find(|harm| harm.task == "intent").unwrap();
        assert_eq!(intent.by.iter().map(|culprit| culprit.task.as_str()).collect::<Vec<_>>(), ["search"]);
        assert!(
            intent.by[0].affinity.high < 0.0
                && (intent.by[0].effect - intent.delta.value / 0.9331).abs() < 1e-9
        );
        let suggestion = found.suggestion();
        let together = |a: &str, b: &str| {
            suggestion.groups.iter().any(|g| g.contains(&a.into()) && g.contains(&b.into()))
        };
        assert!(!together("intent", "search"), "{suggestion:?}");
        assert!(found.verdict.starts_with("search hurts intent (−2.1 ± 0.7)"), "{}", found.verdict);
        let gain = suggestion.delta_m.unwrap().value - found.together.unwrap().value;
        assert!(gain > 0.0 && found.suggested > 0);
    }

    #[test]
    fn what_is_chosen_is_chosen_on_valid_where_there_are_scores_of_it() {
        let mut report = report();
        report.on_valid.clone_from(&report.tasks);
        for task in &mut report.on_valid {
            task.split = "valid".into();
            task.delta = Some(Interval { value: 0.4, low: -0.2, high: 1.0 });
        }
        let found = conflict(&report, None).unwrap();
        assert_eq!((&*found.split, found.harms.len(), found.suggested), ("valid", 0, 0));
        assert!(found.notes.iter().any(|note| note.contains("are of valid")), "{:?}", found.notes);
    }

    #[test]
    fn one_model_leaves_down_weighting() {
        let found = conflict(&report(), Some(1)).unwrap();
        assert_eq!((found.budgets.len(), found.suggestion().groups.len()), (1, 1));
        assert_eq!(kinds(&found, "down-weight"), [["search", "intent"]]);
        assert!(kinds(&found, "split").is_empty() && kinds(&found, "together").len() == 1);
        // The tagging task lost as well, to nobody in particular.
        let lost: Vec<&str> = found.harms.iter().map(|harm| harm.task.as_str()).collect();
        let own = kinds(&found, "own-capacity");
        assert_eq!((lost.len(), own.len()), (2, 1));
        assert_eq!(own[0][0], lost[1]);
    }

    #[test]
    fn nothing_hurts_nothing_is_split() {
        let mut calm = report();
        calm.tasks
            .iter_mut()
            .for_each(|task| task.delta = Some(Interval { value: 0.4, low: -0.2, high: 1.0 }));
        let found = conflict(&calm, None).unwrap();
        assert_eq!((found.suggested, kinds(&found, "together").len(), found.advice.len()), (0, 1, 1));
        assert!(
            found.verdict.starts_with("nothing hurts clearly: train all tasks together"),
            "{}",
            found.verdict
        );
    }

    /// The sample with other scores of the task `sts`, alone and jointly.
    fn with_sts(low: f64, high: f64) -> RunReport {
        let mut report = report();
        let interval = Interval { value: f64::midpoint(low, high), low, high };
        let sts = &mut report.tasks[0];
        (sts.joint[0].interval, sts.single[0].interval) = (interval, interval);
        report
    }

    /// The sample with only its first measurements.
    fn measured(mut report: RunReport, n: usize) -> RunReport {
        report.diagnosis.as_mut().unwrap().measurements.truncate(n);
        report
    }

    /// In which order kinds of advice come.
    const ORDER: [&str; 6] = ["measure", "check-labels", "together", "split", "down-weight", "own-capacity"];

    /// Advice stands in order, and none of it contradicts another.
    fn is_sound(found: &Conflict) {
        let place = |advice: &Advice| ORDER.iter().position(|kind| *kind == advice.kind).unwrap();
        assert!(found.advice.is_sorted_by_key(place), "{:?}", found.advice);
        let of = |kind: &str| kinds(found, kind);
        for suspect in of("check-labels").concat() {
            for kind in &ORDER[2..] {
                assert!(!of(kind).concat().contains(&suspect), "{suspect}: {:?}", found.advice);
            }
            assert!(found.left_out.contains(&suspect));
        }
        assert!(of("together").len() + of("split").len() <= 1);
        let weighted: Vec<String> = of("down-weight").into_iter().map(|tasks| tasks[0].clone()).collect();
        for own in of("own-capacity").concat() {
            assert!(!weighted.contains(&own), "{:?}", found.advice);
        }
        if !of("measure").is_empty() {
            assert!(ORDER[2..].iter().all(|kind| of(kind).is_empty()), "{:?}", found.advice);
            assert!(
                !found.verdict.contains(" hurts ") && !found.verdict.contains("split"),
                "{}",
                found.verdict
            );
        }
        for advice in &found.advice {
            assert!(!advice.text.contains("apart"), "{}", advice.text);
            assert!(!advice.text.contains("[0.0, 0.0]"), "{}", advice.text);
        }
    }

    #[test]
    fn labels_that_teach_nothing_or_the_opposite_are_said_before_anything_else() {
        for (low, high, words) in [(-0.03, 0.05, "it learns nothing"), (-0.5, -0.3, "below chance")] {
            let found = conflict(&with_sts(low, high), None).unwrap();
            assert_eq!(
                (found.left_out.as_slice(), &*found.advice[0].kind),
                (&["sts".into()][..], "check-labels")
            );
            assert!(found.advice[0].text.starts_with("check the labels of sts first"), "{:?}", found.advice);
            assert!(found.advice[0].text.contains(words), "{}", found.advice[0].text);
            assert!(found.verdict.starts_with("check the labels of sts first; search hurts intent"));
            assert!(!found.budgets[0].groups.concat().contains(&"sts".into()));
            assert_eq!(found.unit, "percent", "a task that is left out is no baseline");
            is_sound(&found);
        }
        let learned = conflict(&with_sts(0.3, 0.5), None).unwrap();
        assert!(learned.left_out.is_empty() && kinds(&learned, "check-labels").is_empty());
    }

    #[test]
    fn few_measurements_are_said_first_and_nothing_is_made_of_them() {
        for n in [1, 2, 4] {
            let found = conflict(&measured(report(), n), None).unwrap();
            assert_eq!((&*found.advice[0].kind, found.advice.len()), ("measure", 1));
            let start = format!("rests on few measurements ({n})");
            assert!(found.verdict.starts_with(&start), "{}", found.verdict);
            assert!(found.verdict.contains("intent loses by sharing (−2.1 ± 0.7)"), "{}", found.verdict);
            assert_eq!((found.budgets.len(), found.suggested), (1, 0));
            let shown = [text(&found, 200), crate::html::render_conflict(&found).unwrap()];
            assert!(
                shown
                    .iter()
                    .all(|shown| shown.contains("too few measurements") && !shown.contains("search hurts"))
            );
            is_sound(&found);
            let both = conflict(&measured(with_sts(-0.03, 0.05), n), None).unwrap();
            let order: Vec<&str> = both.advice.iter().map(|advice| &*advice.kind).collect();
            assert_eq!(order, ["measure", "check-labels"]);
            is_sound(&both);
        }
        assert!(kinds(&conflict(&measured(report(), 5), None).unwrap(), "measure").is_empty());
    }

    #[test]
    fn advice_on_any_findings_is_in_order_and_without_contradiction() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..300 {
            let rng = &mut polytask_core::Rng::new(seed, polytask_core::Purpose::Bench, &[9]);
            let n = 2 + rng.below(23);
            let mut report = measured(report(), n);
            let bias: Vec<f64> = (0..36).map(|_| 0.6 * rng.normal()).collect();
            for m in &mut report.diagnosis.as_mut().unwrap().measurements {
                for (cell, bias) in m.affinity.iter_mut().flatten().zip(&bias) {
                    *cell = Some(bias + 0.1 * rng.normal());
                }
            }
            for task in &mut report.tasks {
                let about = |value: f64, half: f64| Interval { value, low: value - half, high: value + half };
                task.delta = Some(about(3.0 * rng.normal(), 1.0));
                for scores in [&mut task.joint, &mut task.single] {
                    let value = if rng.uniform() < 0.3 { 0.2 * rng.normal() } else { 0.8 };
                    scores[0].interval = about(value, 0.1);
                }
            }
            let found = conflict(&report, if seed % 4 == 0 { Some(1) } else { None }).unwrap();
            is_sound(&found);
            seen.extend(found.advice.into_iter().map(|advice| advice.kind));
        }
        assert_eq!(seen.len(), ORDER.len(), "{seen:?}");
    }

    #[test]
    fn a_copy_that_harms_nobody_stays_with_the_others() {
        let mut copied = report();
        for task in &mut copied.tasks {
            task.delta = Some(Interval { value: 0.1, low: -0.4, high: 0.6 });
        }
        for m in &mut copied.diagnosis.as_mut().unwrap().measurements {
            // Task 1 is task 0 once more: its steps do to every task what those of task 0 do.
            m.affinity[1] = m.affinity[0].clone();
            m.affinity[0][1] = m.affinity[0][0];
            m.affinity[1][1] = m.affinity[0][0];
        }
        let found = conflict(&copied, None).unwrap();
        assert_eq!((found.advice.len(), &*found.advice[0].kind), (1, "together"));
        assert_eq!(found.suggestion().groups.len(), 1);
        is_sound(&found);
    }

    #[test]
    fn percent_of_next_to_nothing_is_points() {
        for (value, half) in [(0.05, 0.02), (0.02, 0.04), (-0.03, 0.01)] {
            let mut near = report();
            let interval = Interval { value, low: value - half, high: value + half };
            // Accuracy says nothing of chance, so the task is no suspect.
            near.tasks[1].single[0].interval = interval;
            let mut found = conflict(&near, None).unwrap();
            assert_eq!(found.unit, "points");
            let mean = near.tasks.iter().map(|task| task.delta.unwrap().value).sum::<f64>() / 6.0;
            assert!((found.together.unwrap().value - mean).abs() < 1e-9, "{:?}", found.together);
            assert!(
                found.notes.iter().any(|note| note.contains("Δm is in points") && note.contains("entail"))
            );
            verify(&mut found, &near.tasks);
            let text = text(&found, 400);
            assert!(text.contains("] points"), "{text}");
            for line in text.lines().filter(|line| line.contains("Δm") && !line.starts_with("note:")) {
                assert!(!line.contains('%'), "{line}");
            }
            assert!(crate::html::render_conflict(&found).unwrap().contains("in points"));
        }
        assert_eq!(conflict(&report(), None).unwrap().unit, "percent");
    }

    #[test]
    fn a_suggestion_of_models_of_their_own_is_measured_as_zero() {
        let mut found = conflict(&report(), None).unwrap();
        let names: Vec<String> = found.tasks.iter().map(|task| task.task.clone()).collect();
        let alone =
            names.iter().map(|name| (name.clone(), Some(Interval { value: 0.0, low: 0.0, high: 0.0 })));
        let groups = names.iter().map(|name| vec![name.clone()]).collect();
        found.budgets = vec![Grouping { groups, tasks: alone.collect(), ..Grouping::default() }];
        found.suggested = 0;
        verify(&mut found, &[]);
        assert_eq!(found.verified.as_ref().unwrap().measured.unwrap().value, 0.0);
        let printed = [text(&found, 200), crate::html::render_conflict(&found).unwrap()];
        for shown in printed {
            assert!(shown.contains("0 (by definition: every task alone)"));
            assert!(!shown.contains("0.0 [0.0, 0.0]"));
        }
        assert!(text(&found, 200).contains("verified: nothing to train"));
        found.verified = None;
        let mut whole = conflict(&report(), Some(1)).unwrap();
        verify(&mut whole, &report().tasks);
        let verified = whole.verified.unwrap();
        assert!((verified.measured.unwrap().value - whole.together.unwrap().value).abs() < 1e-9);
        assert_eq!(verified.agrees, Some(true));
    }

    #[test]
    fn what_cannot_be_compared_is_said() {
        let unmeasured = RunReport { diagnosis: None, ..report() };
        assert!(conflict(&unmeasured, None).unwrap_err().to_string().contains("no measurements"));
        let mut one = report();
        one.tasks.truncate(1);
        assert!(conflict(&one, None).unwrap_err().to_string().contains("one task"));
    }

    #[test]
    fn the_file_of_findings_reads_back() {
        let found = conflict(&report(), None).unwrap();
        let back: Conflict = serde_json::from_str(&serde_json::to_string(&found).unwrap()).unwrap();
        assert_eq!(back.verdict, found.verdict);
        assert_eq!((back.budgets, back.effect), (found.budgets, found.effect));
    }

    #[test]
    fn the_printed_text_fits_and_names_everything() {
        let mut found = conflict(&report(), None).unwrap();
        verify(&mut found, &report().tasks);
        let text = text(&found, 110);
        for part in [
            "20 measurements over 1\u{202f}200 steps",
            "search hurts intent",
            "≤ 2",
            "←",
            "verified by training the groups",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}
