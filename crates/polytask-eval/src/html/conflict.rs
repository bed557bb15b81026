//! The page of `polytask conflict` as words and coordinates.

use polytask_core::report::{Interval, Point};
use serde::Serialize;

use super::chart::{Chart, chart_in};
use crate::conflict::{
    Advice, Change, Conflict, Grouping, TaskFinding, affinity, braces, is_alone, percent, predicted,
    with_range,
};
use crate::words::{self, number, plural, signed, signed_range};

/// Most pairs of tasks whose cosine is drawn over training.
const CHARTS: usize = 12;

#[derive(Debug, Serialize)]
pub(super) struct Page<'a> {
    name: &'a str,
    verdict: &'a str,
    class: &'static str,
    facts: Vec<(&'static str, String, String)>,
    advice: &'a [Advice],
    tasks: Vec<TaskView<'a>>,
    heats: Vec<Heat<'a>>,
    budgets: Vec<BudgetView>,
    verified: Vec<(&'a str, String, String)>,
    /// What changes are in.
    unit: &'static str,
    charts: Vec<Chart>,
    notes: &'a [String],
    rho: String,
}

#[derive(Debug, Serialize)]
struct TaskView<'a> {
    task: &'a str,
    metric: &'a str,
    joint: String,
    single: String,
    delta: String,
    delta_range: String,
    class: &'static str,
    blamed: String,
    sharpness: String,
}

#[derive(Debug, Serialize)]
struct Heat<'a> {
    title: &'static str,
    lead: &'static str,
    /// What stands in the corner, over the rows and beside the columns.
    corner: &'static str,
    low: String,
    high: String,
    names: Vec<&'a str>,
    rows: Vec<(&'a str, Vec<Cell>)>,
}

#[derive(Debug, Serialize)]
struct Cell {
    text: String,
    small: String,
    class: &'static str,
    alpha: String,
}

#[derive(Debug, Serialize)]
struct BudgetView {
    models: usize,
    groups: String,
    delta_m: String,
    affinity: String,
    is_suggested: bool,
}

impl<'a> Page<'a> {
    pub(super) fn new(conflict: &'a Conflict) -> Self {
        Self {
            name: if conflict.name.is_empty() { "unnamed suite" } else { &conflict.name },
            verdict: &conflict.verdict,
            class: if conflict.harms.is_empty() { "good" } else { "bad" },
            facts: facts(conflict),
            advice: &conflict.advice,
            tasks: conflict.tasks.iter().map(|task| TaskView::new(task, conflict)).collect(),
            heats: heats(conflict),
            budgets: conflict
                .budgets
                .iter()
                .enumerate()
                .map(|(k, g)| BudgetView::new(k, g, conflict))
                .collect(),
            verified: verified(conflict),
            unit: if conflict.unit == "points" { "points (RMSE and MAE: percent)" } else { "percent" },
            charts: charts(conflict),
            notes: &conflict.notes,
            rho: number(conflict.diagnosis.rho, 2),
        }
    }
}

fn facts(conflict: &Conflict) -> Vec<(&'static str, String, String)> {
    let delta_m = |interval: Option<&Interval>| {
        let value = |x: &Interval| format!("{} {}", signed(x.value, 1), conflict.sign());
        interval.map(|x| (value(x), format!("95 % {}", signed_range(*x))))
    };
    let mut facts = Vec::new();
    let mut fact = |label, pair: Option<(String, String)>| {
        facts.extend(pair.map(|(value, note)| (label, value, note)));
    };
    fact("Δm, all in one model", delta_m(conflict.together.as_ref()));
    let suggestion = conflict.budgets.get(conflict.suggested);
    match suggestion.and_then(Grouping::why_zero) {
        Some(why) => fact("Δm, suggestion, predicted", Some(("0".into(), why.into()))),
        None => fact("Δm, suggestion, predicted", delta_m(suggestion.and_then(|s| s.delta_m.as_ref()))),
    }
    let measured = conflict.verified.as_ref().filter(|_| !suggestion.is_some_and(Grouping::is_all_alone));
    fact("Δm, suggestion, measured", delta_m(measured.and_then(|v| v.measured.as_ref())));
    let models = suggestion.map(|s| (plural(s.groups.len(), "model"), left_out(conflict)));
    fact("Suggestion", models);
    let n = conflict.diagnosis.measurements.len();
    fact("Measured", Some((plural(n, "time"), plural(conflict.steps as usize, "step"))));
    fact("Weighting", Some((conflict.weighting.clone(), format!("seed {}", conflict.seed))));
    facts
}

fn left_out(conflict: &Conflict) -> String {
    if conflict.left_out.is_empty() {
        plural(conflict.tasks.len(), "task")
    } else {
        format!("without {}", conflict.left_out.join(", "))
    }
}

impl<'a> TaskView<'a> {
    fn new(task: &'a TaskFinding, conflict: &Conflict) -> Self {
        let score = |score: Option<Interval>| {
            score.map_or_else(|| "–".into(), |score| words::value(&task.metric, score.value))
        };
        let class = match task.delta {
            Some(delta) if delta.high < 0.0 => "bad",
            Some(delta) if delta.low > 0.0 => "good",
            _ => "even",
        };
        let harm = conflict.harms.iter().find(|harm| harm.task == task.task);
        let blamed: Vec<String> = harm.map_or_else(Vec::new, |harm| {
            harm.by
                .iter()
                .map(|culprit| format!("{} ({})", culprit.task, affinity(&culprit.affinity)))
                .collect()
        });
        Self {
            task: &task.task,
            metric: &task.metric,
            joint: score(task.joint),
            single: score(task.single),
            delta: task.delta.map_or_else(|| "–".into(), |delta| signed(delta.value, 1)),
            delta_range: task.delta.map_or_else(String::new, signed_range),
            class,
            blamed: match harm {
                Some(_) if conflict.is_thin() => "too few measurements to say".into(),
                Some(_) if blamed.is_empty() => "nobody in particular".into(),
                _ => blamed.join(", "),
            },
            sharpness: task.relative_sharpness.as_ref().map_or_else(|| "–".into(), percent),
        }
    }
}

impl BudgetView {
    fn new(k: usize, grouping: &Grouping, conflict: &Conflict) -> Self {
        Self {
            models: k + 1,
            groups: braces(&grouping.groups),
            delta_m: predicted(grouping, conflict.sign()),
            affinity: signed(grouping.affinity, 2),
            is_suggested: k == conflict.suggested,
        }
    }
}

fn heats(conflict: &Conflict) -> Vec<Heat<'_>> {
    let names: Vec<&str> = conflict.tasks.iter().map(|task| task.task.as_str()).collect();
    let heat = |title, lead, corner, [low, high]: [String; 2], cell: &dyn Fn(usize, usize) -> Cell| {
        let row =
            |i: usize| (0..names.len()).map(|j| if i == j { Cell::diagonal() } else { cell(i, j) }).collect();
        let rows = names.iter().enumerate().map(|(i, name)| (*name, row(i))).collect();
        Heat { title, lead, corner, low, high, names: names.clone(), rows }
    };
    let (effects, sign) = (largest(&conflict.effect), conflict.sign());
    let range = |x: Interval| format!("[{}, {}]", signed(x.low, 2), signed(x.high, 2));
    vec![
        heat(
            "Affinity",
            "What a step of the shared parameters on the row's task does to the loss of the column's: 1 lowers it like its \
             own step, −1 undoes that; below it the 95 % interval over measurements. Each measurement is in units of the \
             largest effect on the column's task.",
            "a step on ↓ and the loss of →",
            ["raises its loss −1", "+1 lowers its loss"].map(String::from),
            &|i, j| {
                let z = conflict.relative_affinity[i][j];
                Cell::new(
                    z.map(|z| z.value),
                    1.0,
                    z.map(|z| signed(z.value, 2)),
                    z.map_or_else(String::new, range),
                )
            },
        ),
        heat(
            "Change put down to each companion",
            "What the joint training cost or gave the column's task against its single-task score, shared out among the \
             rows' tasks by affinity, in the unit of Δm; a column adds up to the measured change. Predictions are sums of \
             these. A dash: the column's task has no single-task score to change, or its labels are to be checked.",
            "what ↓ did to →",
            [format!("cost −{} {sign}", number(effects, 1)), format!("+{} {sign} gave", number(effects, 1))],
            &|i, j| {
                let effect = conflict.effect[i][j];
                Cell::new(effect, effects, effect.map(|x| signed(x, 1)), String::new())
            },
        ),
        heat(
            "Gradient cosine",
            "Mean cosine of two tasks' gradients of the shared parameters; below it the 95 % interval over measurements.",
            "",
            ["against −1", "+1 along"].map(String::from),
            &|i, j| {
                let cosine = conflict.cosine[i][j];
                let small = cosine.map_or_else(String::new, range);
                Cell::new(cosine.map(|c| c.value), 1.0, cosine.map(|c| signed(c.value, 2)), small)
            },
        ),
        heat(
            "Conflicting share",
            "Share of the measurements in which two gradients pointed against each other; half is what unrelated tasks show.",
            "",
            ["always 100 %", "0 % never"].map(String::from),
            &|i, j| {
                let share = conflict.conflicting[i][j];
                let text = share.map(|share| format!("{} %", number(share * 100.0, 0)));
                Cell::new(share.map(|share| 1.0 - 2.0 * share), 1.0, text, String::new())
            },
        ),
    ]
}

/// The largest size in a table.
fn largest(table: &[Vec<Option<f64>>]) -> f64 {
    table.iter().flatten().flatten().map(|x| x.abs()).filter(|x| x.is_finite()).fold(0.0, f64::max)
}

impl Cell {
    fn new(value: Option<f64>, full: f64, text: Option<String>, small: String) -> Self {
        let value = value.filter(|value| value.is_finite());
        let class = match value {
            None => "none",
            Some(value) if value < 0.0 => "warm",
            Some(_) => "cool",
        };
        let share = if full > 0.0 { value.unwrap_or(0.0).abs() / full } else { 0.0 };
        let alpha = format!("{:.2}", share.min(1.0).sqrt() * 0.62);
        Self { text: text.unwrap_or_else(|| "–".into()), small, class, alpha }
    }

    fn diagonal() -> Self {
        Self { text: String::new(), small: String::new(), class: "self", alpha: "0".into() }
    }
}

/// Each task's predicted and measured change.
fn verified<'a>(conflict: &'a Conflict) -> Vec<(&'a str, String, String)> {
    let Some(verified) = &conflict.verified else { return Vec::new() };
    let pairs = conflict.suggestion().tasks.iter().zip(&verified.tasks);
    let row = |((task, predicted), (_, measured)): (&'a Change, &Change)| {
        if is_alone(conflict.suggestion(), task) {
            return (task.as_str(), "0 by definition (alone)".into(), "not trained again".into());
        }
        (task.as_str(), with_range(predicted.as_ref()), with_range(measured.as_ref()))
    };
    let mut rows: Vec<_> = pairs.map(row).collect();
    let suggestion = conflict.suggestion();
    let measured = match &verified.measured {
        _ if suggestion.is_all_alone() => "nothing to train".into(),
        found => with_range(found.as_ref()),
    };
    rows.push(("Δm", predicted(suggestion, conflict.sign()), measured));
    rows
}

/// The cosines of pairs over training, the most opposed first.
fn charts(conflict: &Conflict) -> Vec<Chart> {
    let n = conflict.tasks.len();
    let mean = |i: usize, j: usize| conflict.cosine[i][j].map_or(f64::NAN, |cosine| cosine.value);
    let mut pairs: Vec<(usize, usize)> = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).collect();
    pairs.sort_by(|&(a, b), &(c, d)| mean(a, b).total_cmp(&mean(c, d)));
    let draw = |&(i, j): &(usize, usize)| {
        let points = conflict.diagnosis.measurements.iter();
        let points: Vec<Point> =
            points.filter_map(|m| Some(Point { step: m.step, value: m.cosine[i][j]? })).collect();
        let title = format!("{} · {}", conflict.tasks[i].task, conflict.tasks[j].task);
        let label = format!("Cosine of the gradients of {title} by step");
        chart_in(Some((-1.0, 1.0)), title, label, &[("joint", &points)], None)
    };
    pairs.iter().take(CHARTS).filter_map(draw).collect()
}
