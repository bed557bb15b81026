//! The page as words and coordinates.

use std::collections::BTreeMap;

use polytask_core::report::{ConflictReport, Isolated, Point, RunReport, Score, TaskReport};
use serde::Serialize;

use super::chart::{Chart, chart};
use super::data::DataView;
use super::labels::LabelView;
use super::trees::TreesView;
use crate::words::{self, Standing, count, duration, number, signed};

#[derive(Debug, Serialize)]
pub(super) struct Page<'a> {
    name: &'a str,
    cautions: &'a [String],
    verdict: String,
    /// That training changed nothing; what one model saves.
    sentences: Vec<String>,
    class: &'static str,
    facts: Vec<Fact>,
    compared: bool,
    /// Headings of the learners beside joint and single-task models, a column each.
    others: Vec<&'a str>,
    /// What these columns mean.
    legend: Vec<&'static str>,
    tasks: Vec<TaskView<'a>>,
    scale: String,
    /// Whether charts of losses show single-task models too.
    has_single_losses: bool,
    losses: Vec<Chart>,
    valid: Vec<Chart>,
    observed: Vec<Chart>,
    heat: Option<Heat<'a>>,
    trees: Option<TreesView>,
    labels: Vec<LabelView>,
    data: DataView<'a>,
    isolated: Vec<IsolatedView<'a>>,
    notes: &'a [String],
    lineage: Vec<(&'static str, String)>,
    seconds: Vec<(&'a str, String, String)>,
}

#[derive(Debug, Serialize)]
struct Fact {
    label: &'static str,
    value: String,
    note: String,
}

#[derive(Debug, Serialize)]
struct TaskView<'a> {
    task: &'a str,
    kind: &'a str,
    split: &'a str,
    n: String,
    standing: &'static str,
    class: &'static str,
    delta: String,
    delta_range: String,
    margin: String,
    forest: Option<Forest>,
    scores: Vec<ScoreView<'a>>,
}

#[derive(Debug, Serialize)]
struct ScoreView<'a> {
    metric: &'a str,
    better: &'static str,
    joint: String,
    joint_range: String,
    single: String,
    single_range: String,
    others: Vec<String>,
}

/// A delta on the common axis, 200 units wide with zero in the middle.
#[derive(Debug, Serialize)]
struct Forest {
    low: String,
    high: String,
    at: String,
    margin: String,
}

#[derive(Debug, Serialize)]
struct Heat<'a> {
    tasks: &'a [String],
    rows: Vec<(&'a str, Vec<Cell>)>,
    n: usize,
}

#[derive(Debug, Serialize)]
struct Cell {
    text: String,
    share: String,
    /// `cool` for agreement, `warm` for conflict, `self` on the diagonal, `none` where tasks never met.
    class: &'static str,
    /// Strength of the colour, 0 to 1.
    alpha: String,
}

#[derive(Debug, Serialize)]
struct IsolatedView<'a> {
    task: &'a str,
    what: &'a str,
    when: String,
}

impl<'a> Page<'a> {
    pub(super) fn new(report: &'a RunReport) -> Self {
        let (scale, others) = (scale(&report.tasks), words::others(report));
        Self {
            name: if report.name.is_empty() { "unnamed suite" } else { &report.name },
            cautions: &report.cautions,
            verdict: words::verdict(report),
            sentences: words::unmoved(report).into_iter().chain(words::saving(report)).collect(),
            class: class(report),
            facts: facts(report),
            compared: report.tasks.iter().any(|task| task.delta.is_some()),
            others: others.iter().map(|id| words::heading(id)).collect(),
            legend: words::legend(report).map(|column| column.said).collect(),
            tasks: report.tasks.iter().map(|task| TaskView::new(task, scale, &others)).collect(),
            scale: number(scale, usize::from(scale < 10.0)),
            has_single_losses: report.single_losses.values().any(|points| !points.is_empty()),
            losses: losses(report),
            valid: valid(report),
            observed: observed(report),
            heat: Heat::new(&report.conflict),
            trees: report.trees.as_ref().map(TreesView::new),
            labels: report.labels.iter().map(LabelView::new).collect(),
            data: DataView::new(&report.data),
            isolated: report.isolated.iter().map(IsolatedView::new).collect(),
            notes: &report.notes,
            lineage: lineage(report),
            seconds: seconds(&report.seconds),
        }
    }
}

fn class(report: &RunReport) -> &'static str {
    match words::delta_m(report) {
        _ if report.tasks.iter().any(|task| task.regressed) => "bad",
        None => "even",
        Some(_) => "good",
    }
}

fn facts(report: &RunReport) -> Vec<Fact> {
    let compared = report.tasks.iter().filter(|task| task.delta.is_some()).count();
    let worst = report.tasks.iter().find(|task| Some(&task.task) == report.worst.as_ref());
    let worst_delta = worst.and_then(|task| Some((task, task.delta?)));
    let regressed = report.tasks.iter().filter(|task| task.regressed).count();
    let mut facts = Vec::new();
    let mut fact = |label, value: String, note: String| facts.push(Fact { label, value, note });
    if let Some(delta_m) = words::delta_m(report) {
        fact("Δm", format!("{} %", signed(delta_m, 2)), "mean relative change, positive = better".into());
    }
    if let Some((task, delta)) = worst_delta {
        fact(
            "Worst task",
            format!("{} {}", signed(delta.value, 1), words::delta_unit(task)),
            task.task.clone(),
        );
    }
    if compared > 0 {
        fact(
            "Below single-task",
            format!("{} of {compared}", report.below),
            format!("{regressed} regressed"),
        );
    }
    let pace = if report.trees.is_some() { "round" } else { "step" };
    fact("Training", words::plural(report.steps as usize, pace), words::kept(report));
    let total: f64 = report.seconds.values().filter(|s| s.is_finite()).sum();
    fact("Time", duration(total), words::plural(report.lineage.threads, "thread"));
    // Parameters are no headline.
    let (weighting, parameters) = report.weighting.split_once('(').unwrap_or((&report.weighting, ""));
    let parameters = words::settings(parameters.strip_suffix(')').unwrap_or(parameters));
    let regularized = match report.regularizer.as_str() {
        "" | "none" => format!("seed {}", report.lineage.seed),
        regularizer => format!("{regularizer} · seed {}", report.lineage.seed),
    };
    let note = [parameters, regularized].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
    let label = if report.trees.is_some() { "Trees" } else { "Weighting" };
    fact(label, weighting.to_owned(), note.join(" · "));
    facts
}

/// The largest delta, interval end or margin, rounded up: the half width of the common axis.
fn scale(tasks: &[TaskReport]) -> f64 {
    let ends = tasks.iter().filter_map(|task| Some((task, task.delta?)));
    let sizes = ends.flat_map(|(task, d)| [d.low.abs(), d.high.abs(), d.value.abs(), task.margin.abs()]);
    let largest = sizes.filter(|x| x.is_finite()).fold(0.0, f64::max);
    let steps = [1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 50.0, 100.0];
    steps.into_iter().find(|step| *step >= largest).unwrap_or(largest)
}

impl<'a> TaskView<'a> {
    fn new(task: &'a TaskReport, scale: f64, others: &[&str]) -> Self {
        let standing = Standing::of(task);
        let score = |i: usize| ScoreView::new(task, i, others);
        Self {
            task: &task.task,
            kind: &task.kind,
            split: &task.split,
            n: count(task.joint.first().map_or(0, |score| score.n)),
            standing: standing.words(),
            class: standing.class(),
            delta: words::delta(task),
            delta_range: task.delta.map_or_else(String::new, words::signed_range),
            margin: number(task.margin, 1),
            forest: Forest::new(task, scale),
            scores: (0..task.joint.len()).map(score).collect(),
        }
    }
}

impl Forest {
    fn new(task: &TaskReport, scale: f64) -> Option<Self> {
        let delta = task.delta.filter(|d| d.value.is_finite() && d.low.is_finite() && d.high.is_finite())?;
        let at = |x: f64| format!("{:.1}", 100.0 + (x / scale).clamp(-1.0, 1.0) * 96.0);
        Some(Self { low: at(delta.low), high: at(delta.high), at: at(delta.value), margin: at(-task.margin) })
    }
}

impl<'a> ScoreView<'a> {
    /// The metric at a place of a task's list.
    fn new(task: &'a TaskReport, place: usize, others: &[&str]) -> Self {
        let (joint, single) = (&task.joint[place], task.single.get(place));
        let value = |s: Option<&Score>| {
            s.map_or_else(|| "–".to_string(), |s| words::value(&s.metric, s.interval.value))
        };
        Self {
            metric: &joint.metric,
            better: if joint.higher_is_better { "" } else { "lower is better" },
            joint: value(Some(joint)),
            joint_range: words::range(joint),
            single: value(single),
            single_range: single.map_or_else(String::new, words::range),
            others: others.iter().map(|id| value(task.other(id).and_then(|o| o.scores.get(place)))).collect(),
        }
    }
}

fn curve<'r>(curves: &'r BTreeMap<String, Vec<Point>>, task: &str) -> &'r [Point] {
    curves.get(task).map_or(&[], Vec::as_slice)
}

fn losses(report: &RunReport) -> Vec<Chart> {
    report
        .tasks
        .iter()
        .filter_map(|task| {
            let single = curve(&report.single_losses, &task.task);
            let lines = [("single", single), ("joint", curve(&report.losses, &task.task))];
            let models = if single.is_empty() { "joint model" } else { "joint and single-task model" };
            let label = format!("Training loss of {} by step, {models}", task.task);
            chart(task.task.clone(), label, &lines, None)
        })
        .collect()
}

fn valid(report: &RunReport) -> Vec<Chart> {
    report
        .tasks
        .iter()
        .filter_map(|task| {
            let metric = task.joint.first().map_or("score", |score| score.metric.as_str());
            let label = format!("{metric} of {} on valid by step, joint model", task.task);
            let points = report.valid.get(&task.task)?;
            chart(
                format!("{} · {metric}", task.task),
                label,
                &[("joint", points)],
                Some(report.kept).filter(|_| report.share.is_none()),
            )
        })
        .collect()
}

/// What the weighting and the regularizer measured, a chart per name and task.
fn observed(report: &RunReport) -> Vec<Chart> {
    let all = report.observed.iter().flat_map(|(name, tasks)| tasks.iter().map(move |each| (name, each)));
    all.filter_map(|(name, (task, points))| {
        let title = if task.is_empty() { name.clone() } else { format!("{name} · {task}") };
        let label = format!("{title} by step, joint model");
        chart(title, label, &[("joint", points.as_slice())], None)
    })
    .collect()
}

impl<'a> Heat<'a> {
    /// `None` without two tasks, measurements, or a full table.
    fn new(conflict: &'a ConflictReport) -> Option<Self> {
        let n = conflict.tasks.len();
        let square = |table: &[Vec<Option<f64>>]| table.len() == n && table.iter().all(|row| row.len() == n);
        if n < 2 || conflict.n == 0 || !square(&conflict.cosine) {
            return None;
        }
        let share = |i: usize, j: usize| *conflict.conflicting.get(i)?.get(j)?;
        let row = |i: usize| (0..n).map(|j| Cell::new(i == j, conflict.cosine[i][j], share(i, j))).collect();
        let rows = conflict.tasks.iter().enumerate().map(|(i, task)| (task.as_str(), row(i))).collect();
        Some(Self { tasks: &conflict.tasks, rows, n: conflict.n })
    }
}

impl Cell {
    fn new(diagonal: bool, cosine: Option<f64>, share: Option<f64>) -> Self {
        let class = match cosine {
            _ if diagonal => "self",
            None => "none",
            Some(c) if c < 0.0 => "warm",
            Some(_) => "cool",
        };
        let shown = cosine.filter(|c| c.is_finite() && !diagonal);
        Self {
            text: if diagonal { String::new() } else { number_or_dash(shown) },
            share: shown.and(share).map_or_else(String::new, |s| format!("{} %", number(s * 100.0, 0))),
            class,
            // Small cosines are the rule: the root keeps them apart.
            alpha: format!("{:.2}", shown.unwrap_or(0.0).abs().min(1.0).sqrt() * 0.62),
        }
    }
}

fn number_or_dash(x: Option<f64>) -> String {
    x.map_or_else(|| "–".into(), |x| signed(x, 2))
}

impl<'a> IsolatedView<'a> {
    fn new(isolated: &'a Isolated) -> Self {
        let when = format!(
            "first at step {}, left out of {}",
            isolated.step,
            words::plural(isolated.steps as usize, "step")
        );
        Self { task: &isolated.task, what: &isolated.what, when }
    }
}

fn lineage(report: &RunReport) -> Vec<(&'static str, String)> {
    let lineage = &report.lineage;
    let all = [
        ("polytask", lineage.version.clone()),
        ("suite (SHA-256)", lineage.suite.clone()),
        ("data (SHA-256)", lineage.data.clone()),
        ("encoder (SHA-256)", lineage.encoder.clone()),
        ("seed", lineage.seed.to_string()),
        ("threads", lineage.threads.to_string()),
        ("machine", lineage.machine.clone()),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

/// (phase, time, share of the longest in percent), longest first.
fn seconds(seconds: &BTreeMap<String, f64>) -> Vec<(&str, String, String)> {
    let mut phases: Vec<(&str, f64)> = seconds.iter().map(|(phase, s)| (phase.as_str(), *s)).collect();
    phases.sort_by(|a, b| b.1.total_cmp(&a.1));
    let longest = phases.first().map_or(1.0, |phase| phase.1.max(1e-9));
    phases.iter().map(|&(phase, s)| (phase, duration(s), format!("{:.1}", s / longest * 100.0))).collect()
}
