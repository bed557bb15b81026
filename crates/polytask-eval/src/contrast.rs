//! Two models on the same rows, by what was kept of them: every metric's difference with its paired interval.

use polytask_core::report::Interval;
use polytask_core::{Problem, Result, plural};
use serde::Serialize;

use crate::delta::{Comparison, compare, mean, scored};
use crate::judged::JudgedRows;
use crate::metric::find;
use crate::table::{aligned, fitting, shortened, wrapped};
use crate::words::{self, plain, signed, signed_range};

/// Two models compared.
#[derive(Debug, Clone, Serialize)]
pub struct Contrast {
    /// What they are called; differences are the first less the second.
    pub sides: [String; 2],
    /// Tasks that both were judged by, on the same rows.
    pub tasks: Vec<TaskContrast>,
    /// Mean over tasks of the relative change of the main metric, in percent; none where no task has one.
    pub delta_m: Option<f64>,
    /// Tasks that only one of them has.
    pub left_out: Vec<String>,
}

/// A task of two models.
#[derive(Debug, Clone, Serialize)]
pub struct TaskContrast {
    /// Name of the task.
    pub task: String,
    /// Name of its kind.
    pub kind: String,
    /// The split.
    pub split: String,
    /// Rows with a known truth.
    pub rows: usize,
    /// Metrics, the main one first.
    pub metrics: Vec<MetricContrast>,
    /// Whether the first model is beyond the margin below the second by the main metric.
    pub regressed: bool,
}

/// A metric of two models.
#[derive(Debug, Clone, Serialize)]
pub struct MetricContrast {
    /// Name of the metric.
    pub metric: String,
    /// Whether a larger value is better.
    pub higher_is_better: bool,
    /// Of the first model, with its 95 % interval.
    pub first: Interval,
    /// Of the second model.
    pub second: Interval,
    /// Points (of 100; percent of the second's for errors in the target's unit), positive = the first is better.
    pub delta: Interval,
    /// Relative change in percent; none where the second is near zero.
    pub relative: Option<f64>,
}

/// Compares two models by their judged rows; `only` names the tasks that are asked for, none of them means all.
///
/// # Errors
/// When a task's rows or their truth differ, none is in both, or an asked one is not.
pub fn contrast(
    first: &[JudgedRows],
    second: &[JudgedRows],
    sides: [String; 2],
    only: &[String],
) -> Result<Contrast> {
    let of = |task: &str| second.iter().find(|rows| rows.task == task);
    let is_asked = |rows: &&JudgedRows| only.is_empty() || only.contains(&rows.task);
    let pairs: Vec<(&JudgedRows, &JudgedRows)> =
        first.iter().filter(is_asked).filter_map(|rows| Some((rows, of(&rows.task)?))).collect();
    let is_paired = |task: &String| pairs.iter().any(|(rows, _)| rows.task == *task);
    if let Some(missing) = only.iter().find(|task| !is_paired(task)) {
        return Err(not_in_both(&format!("task `{missing}`"), first, second));
    }
    if pairs.is_empty() {
        return Err(not_in_both("no task", first, second));
    }
    let problems: Vec<Problem> = pairs.iter().filter_map(|(a, b)| difference(a, b, &sides)).collect();
    if !problems.is_empty() {
        return Err(polytask_core::Error::Invalid(problems));
    }
    let tasks = pairs.iter().map(|(a, b)| of_task(a, b)).collect::<Result<Vec<_>>>()?;
    let relatives: Vec<f64> = tasks.iter().filter_map(|task| task.metrics.first()?.relative).collect();
    let mut left_out: Vec<String> = first.iter().chain(second).map(|rows| rows.task.clone()).collect();
    left_out.retain(|task| only.is_empty() && !is_paired(task));
    Ok(Contrast { sides, delta_m: mean(&relatives), tasks, left_out })
}

fn not_in_both(what: &str, first: &[JudgedRows], second: &[JudgedRows]) -> polytask_core::Error {
    let names =
        |rows: &[JudgedRows]| rows.iter().map(|rows| rows.task.as_str()).collect::<Vec<_>>().join(", ");
    let are = if what.starts_with("no") { "is in both" } else { "is not in both" };
    let what = format!("{what} {are}: found {} and {}", names(first), names(second));
    Problem::new(what).try_this("runs of the same tasks").into()
}

/// Why a task's rows cannot be paired.
fn difference(a: &JudgedRows, b: &JudgedRows, sides: &[String; 2]) -> Option<Problem> {
    let n = |rows: &JudgedRows| plural(rows.predictions.n_rows(), "row");
    let (x, y) = (&sides[0], &sides[1]);
    let what = if a.kind != b.kind {
        format!("kind {} in {x} and {} in {y}", a.kind, b.kind)
    } else if a.split != b.split {
        format!("{x} was judged by its {} rows and {y} by its {} rows", a.split, b.split)
    } else if a.inputs != b.inputs {
        format!("the {} rows differ: {} in {x}, {} in {y}", a.split, n(a), n(b))
    } else if a.truth != b.truth {
        format!("the {} rows are the same but their targets differ", a.split)
    } else {
        return None;
    };
    let remedy = format!(
        "`polytask eval SUITE --model A --against B` judges both on one suite's rows, `--task` leaves `{}` out",
        a.task
    );
    Some(Problem::new(format!("task `{}`: {what}", a.task)).try_this(remedy))
}

fn of_task(a: &JudgedRows, b: &JudgedRows) -> Result<TaskContrast> {
    let metrics = a.metrics.iter().map(|metric| of_metric(metric, a, b)).collect::<Result<Vec<_>>>()?;
    let regressed = metrics.first().is_some_and(|(_, regressed)| *regressed);
    Ok(TaskContrast {
        task: a.task.clone(),
        kind: a.kind.clone(),
        split: a.split.clone(),
        rows: a.predictions.known_rows().len(),
        metrics: metrics.into_iter().map(|(metric, _)| metric).collect(),
        regressed,
    })
}

/// A metric, and whether the first model is beyond the margin below the second.
fn of_metric(metric: &str, a: &JudgedRows, b: &JudgedRows) -> Result<(MetricContrast, bool)> {
    let Comparison { delta, relative, regressed } =
        compare(metric, &a.predictions, &b.predictions, a.margin, a.seed)?;
    let of = |rows: &JudgedRows| {
        Ok::<_, polytask_core::Error>(scored(metric, &rows.predictions, a.seed)?.interval)
    };
    let contrast = MetricContrast {
        metric: metric.to_owned(),
        higher_is_better: find(metric)?.0.higher_is_better,
        first: of(a)?,
        second: of(b)?,
        delta,
        relative,
    };
    Ok((contrast, regressed))
}

impl Contrast {
    /// The table of all metrics and the lines below it; no line is wider than `width` columns if that is possible.
    pub fn table(&self, width: usize) -> String {
        let layouts = [true, false].map(|is_wide| self.cells(is_wide));
        let mut lines = fitting(layouts.clone(), width).unwrap_or_else(|| aligned(&layouts[1]));
        lines.push(String::new());
        lines.extend(self.summary().iter().flat_map(|line| wrapped(line, width)));
        lines.join("\n") + "\n"
    }

    fn cells(&self, is_wide: bool) -> Vec<Vec<String>> {
        let [a, b] =
            self.sides.each_ref().map(|side| if is_wide { plain(side) } else { shortened(&plain(side)) });
        let mut head = vec!["task".to_owned(), "metric".into(), a, b, "difference".into()];
        if is_wide {
            head.insert(1, "rows".into());
        }
        let mut rows = vec![head];
        for task in &self.tasks {
            for (i, metric) in task.metrics.iter().enumerate() {
                let first = |text: String| if i == 0 { text } else { String::new() };
                let name = if is_wide { plain(&task.task) } else { shortened(&plain(&task.task)) };
                let mut row = vec![first(name)];
                if is_wide {
                    row.push(first(format!("{} {}", words::count(task.rows), task.split)));
                }
                let [a, b] = [metric.first, metric.second].map(|of| words::value(&metric.metric, of.value));
                row.extend([metric.metric.clone(), a, b, metric.difference()]);
                rows.push(row);
            }
        }
        rows
    }

    fn summary(&self) -> Vec<String> {
        let [a, b] = self.sides.each_ref().map(|side| plain(side));
        let named = |is: &dyn Fn(&Interval) -> bool| {
            let mains =
                self.tasks.iter().filter(|task| task.metrics.first().is_some_and(|main| is(&main.delta)));
            mains.map(|task| plain(&task.task)).collect::<Vec<_>>().join(", ")
        };
        let (better, worse) = (named(&|delta| delta.low > 0.0), named(&|delta| delta.high < 0.0));
        let said = |what: &str, names: String| {
            (!names.is_empty()).then(|| format!("{a} is clearly {what}: {names}."))
        };
        let mut lines: Vec<String> = said("better", better).into_iter().chain(said("worse", worse)).collect();
        let unknown = named(&|delta| delta.value.is_nan());
        if !unknown.is_empty() {
            lines.push(format!("No difference can be told, for one of them has no score (all its outputs are the same): {unknown}."));
        }
        if lines.is_empty() {
            lines.push("No task differs clearly: every interval holds 0.".into());
        }
        if let Some(delta_m) = self.delta_m {
            lines.push(format!(
                "Δm {} % (mean relative change of the main metrics, the first of each task).",
                signed(delta_m, 1)
            ));
        }
        if !self.left_out.is_empty() {
            lines.push(format!("Only in one of them, so left out: {}.", self.left_out.join(", ")));
        }
        lines.push(format!(
            "Difference: {a} minus {b} in points (percent for errors in the target's unit), positive = better, with its paired 95 % interval."
        ));
        lines
    }
}

impl MetricContrast {
    fn difference(&self) -> String {
        if self.delta.value.is_nan() {
            return "–".into();
        }
        format!("{} {}", signed(self.delta.value, 1), signed_range(self.delta))
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;
    use crate::judged::RowsOf;
    use crate::predictions::Predictions;

    type Spoil = fn(&mut JudgedRows);

    /// 400 rows, of which some are wrong.
    fn rows(task: &str, wrong: usize) -> JudgedRows {
        let predicted = (0..400u32).map(|i| u32::from((i as usize) < wrong) ^ (i % 2)).collect();
        let truth = (0..400u32).map(|i| i % 2).collect();
        let predictions = Predictions::Labels { truth, predicted, n_labels: 2 };
        let inputs: Vec<u64> = (0..400).collect();
        let labels = ["a".to_owned(), "b".to_owned()];
        let of = RowsOf {
            task,
            kind: "class",
            split: "test",
            metrics: &["accuracy", "macro_f1"],
            margin: 1.0,
            seed: 7,
            inputs: &inputs,
            labels: &labels,
            passages: &[],
        };
        JudgedRows::new(&of, predictions)
    }

    fn sides() -> [String; 2] {
        ["spring".into(), "autumn".into()]
    }

    #[test]
    fn every_metric_has_a_paired_difference_and_the_margin_decides() {
        let (a, b) = ([rows("up", 20), rows("down", 80)], [rows("up", 60), rows("down", 40), rows("new", 1)]);
        let found = contrast(&a, &b, sides(), &[]).unwrap();
        let up = &found.tasks[0].metrics;
        assert!((up[0].delta.value - 10.0).abs() < 1e-9 && up[0].delta.low > 0.0 && up.len() == 2);
        assert_eq!((found.tasks[0].regressed, found.tasks[1].regressed), (false, true));
        assert_eq!(found.left_out, ["new"]);
        let expected = f64::midpoint((0.95 - 0.85) / 0.85, (0.8 - 0.9) / 0.9) * 100.0;
        assert!((found.delta_m.unwrap() - expected).abs() < 1e-9);
        for width in [60, 100, 160] {
            let text = found.table(width);
            for word in
                ["spring", "autumn", "+10.0", "clearly better: up.", "clearly worse: down.", "left out: new"]
            {
                assert!(text.replace('\n', " ").contains(word), "{width} {word}: {text}");
            }
        }
    }

    #[test]
    fn a_model_beside_itself_differs_nowhere() {
        let found = contrast(&[rows("up", 20)], &[rows("up", 20)], sides(), &[]).unwrap();
        assert_eq!(found.tasks[0].metrics[0].delta, Interval { value: 0.0, low: 0.0, high: 0.0 });
        assert!(found.table(100).contains("No task differs clearly"));
    }

    #[test]
    fn a_model_without_a_score_is_said_to_have_none() {
        let numbers = |predicted: Vec<f64>| {
            let truth: Vec<f64> = (0..40).map(f64::from).collect();
            let mut rows = rows("up", 1);
            rows.metrics = vec!["spearman".into()];
            rows.predictions = Predictions::Numbers { width: 1, truth, predicted };
            rows
        };
        let (same, good) = (numbers(vec![1.0; 40]), numbers((0..40).map(f64::from).collect()));
        let found = contrast(&[same], &[good], sides(), &[]).unwrap();
        assert!(found.tasks[0].regressed);
        let text = found.table(160);
        assert!(text.contains("has no score") && !text.contains("every interval"), "{text}");
    }

    #[test]
    fn rows_that_differ_are_refused_by_task_with_the_reason() {
        let good = rows("up", 20);
        let cases: [(Spoil, &str); 4] = [
            (|rows| rows.inputs = "other".into(), "the test rows differ: 400 rows in spring"),
            (|rows| rows.truth = "other".into(), "their targets differ"),
            (|rows| rows.split = "valid".into(), "autumn by its valid rows"),
            (|rows| rows.kind = "pair-class".into(), "kind class in spring and pair-class"),
        ];
        for (spoil, words) in cases {
            let mut other = good.clone();
            spoil(&mut other);
            let both = [other, rows("down", 1)];
            let error =
                contrast(&[good.clone(), rows("down", 1)], &both, sides(), &[]).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("task `up`"), "{error}");
            assert!(contrast(&[good.clone(), rows("down", 1)], &both, sides(), &["down".into()]).is_ok());
        }
        let error = contrast(from_ref(&good), &[rows("down", 1)], sides(), &[]).unwrap_err().to_string();
        assert!(error.contains("no task is in both: found up and down"), "{error}");
        let error =
            contrast(from_ref(&good), from_ref(&good), sides(), &["left".into()]).unwrap_err().to_string();
        assert!(error.contains("task `left` is not in both"), "{error}");
    }
}
