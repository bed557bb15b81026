//! A cell run: its data written, the default and every point of the grid trained, and what each came to.

use std::fmt::{Display, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use polytask_core::atomic;
use polytask_core::report::{RunReport, TaskReport};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cells::{ALL, Cell, Part};
use super::read::Row;
use super::{rows, sets};

/// Rows of a test part.
const TEST: usize = 1000;

/// A setting of the grid: the usual fine-tuning with random heads that learn ten times as fast.
pub(super) struct Point {
    lr: f64,
}

/// What somebody would try by hand. Passes are chosen too: each is followed by an evaluation, and the best one is kept.
pub(super) const GRID: &[Point] = &[Point { lr: 5e-5 }, Point { lr: 1.5e-4 }, Point { lr: 4e-4 }];

impl Point {
    /// The settings for a suite whose largest source has `rows` rows.
    fn settings(&self, rows: usize) -> Vec<String> {
        let epochs = if rows >= ALL { 3 } else { 8 };
        let fixed = [
            "train.start=random",
            "train.head_lr_factor=10",
            "train.weighting=equal",
            "train.schedule=linear",
        ];
        let own =
            [format!("train.lr={}", self.lr), format!("train.epochs={epochs}"), "train.eval_every=0".into()];
        fixed.iter().map(|setting| (*setting).to_owned()).chain(own).collect()
    }
}

impl Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(
            f,
            "lr {}, random heads ten times as fast, 8 passes (3 over {ALL} rows), the best on valid kept",
            self.lr
        )
    }
}

/// What a cell came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) cell: String,
    /// Step whose weights the default run kept; 0 for the probes.
    pub(super) kept: u64,
    /// Share of the way from the probes to the last step, where interpolated weights were kept.
    #[serde(default)]
    pub(super) share: Option<f64>,
    /// Steps of the default run.
    pub(super) steps: u64,
    /// Whole default run, in seconds, with reading and probes.
    pub(super) seconds: f64,
    /// Place in the grid of the point that won on valid.
    pub(super) won: usize,
    pub(super) tasks: Vec<Task>,
}

/// A task's test scores.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) set: String,
    pub(super) kind: String,
    pub(super) rows: usize,
    pub(super) metric: String,
    pub(super) default: f64,
    pub(super) probe: f64,
    pub(super) tuned: f64,
    /// Default less probe with its paired 95 % interval.
    pub(super) over_probe: [f64; 3],
}

/// A training's report and how long it took.
struct Run {
    report: RunReport,
    seconds: f64,
}

/// Runs a cell.
pub(super) fn cell(cell: &Cell, binary: &Path, data: &Path, work: &Path) -> Result<Outcome> {
    let folder = work.join(cell.name.replace([' ', ':', ','], "-"));
    write_data(cell, data, &folder)?;
    let default = train(binary, &folder, &[])?;
    let rows = cell.parts.iter().map(|part| part.rows).max().unwrap_or(0);
    let grid: Vec<Run> =
        GRID.iter().map(|point| train(binary, &folder, &point.settings(rows))).collect::<Result<_>>()?;
    let won = (0..grid.len())
        .max_by(|&a, &b| valid(&grid[a].report).total_cmp(&valid(&grid[b].report)))
        .unwrap_or(0);
    let tasks = cell
        .parts
        .iter()
        .map(|part| task(part, &default.report, &grid[won].report))
        .collect::<Result<_>>()?;
    std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    let RunReport { kept, share, steps, .. } = default.report;
    Ok(Outcome { cell: cell.name.clone(), kept, share, steps, seconds: default.seconds, won, tasks })
}

/// Writes the data and the suite that names only them.
fn write_data(cell: &Cell, data: &Path, folder: &Path) -> Result<()> {
    let mut suite = "name = \"cell\"\n[train]\nbaselines = false\n".to_owned();
    for part in &cell.parts {
        let set = sets::find(part.set);
        let parts = (set.read)(data).with_context(|| format!("reading {}", set.name))?;
        let place = folder.join(set.name);
        atomic::create_dir(&place.join("qrels"))?;
        let train = rows::sampled(parts.train, part.rows);
        let test = rows::sampled(rows::with_labels_of(&train, parts.test), TEST);
        if set.kind == "retrieval" {
            write_retrieval(&place, &parts.corpus, &train, &test)?;
        } else {
            jsonl(&place.join("train.jsonl"), &train)?;
            jsonl(&place.join("test.jsonl"), &test)?;
        }
        let _ =
            write!(suite, "[[task]]\nname = \"{0}\"\nkind = \"{1}\"\ndata = \"{0}\"\n", set.name, set.kind);
    }
    Ok(atomic::write(&folder.join("suite.toml"), suite.as_bytes())?)
}

/// The layout of retrieval benchmarks: corpus, queries, judgements.
fn write_retrieval(place: &Path, corpus: &[Row], train: &[Row], test: &[Row]) -> Result<()> {
    jsonl(&place.join("corpus.jsonl"), corpus)?;
    let mut queries = Vec::new();
    for (name, rows) in [("train", train), ("test", test)] {
        let mut judged = "query-id\tcorpus-id\tscore\n".to_owned();
        for (i, row) in rows.iter().enumerate() {
            let id = format!("{name}{i}");
            for passage in row["passages"].as_array().into_iter().flatten() {
                let _ = writeln!(judged, "{id}\t{}\t1", passage.as_str().unwrap_or_default());
            }
            queries.push(Row::from_iter([("_id".into(), id.into()), ("text".into(), row["text"].clone())]));
        }
        atomic::write(&place.join("qrels").join(format!("{name}.tsv")), judged.as_bytes())?;
    }
    jsonl(&place.join("queries.jsonl"), &queries)
}

fn jsonl(place: &Path, rows: &[Row]) -> Result<()> {
    let lines: String = rows.iter().map(|row| Value::Object(row.clone()).to_string() + "\n").collect();
    Ok(atomic::write(place, lines.as_bytes())?)
}

/// Trains the suite of a folder with the release binary.
fn train(binary: &Path, folder: &Path, settings: &[String]) -> Result<Run> {
    let start = Instant::now();
    let mut command = Command::new(binary);
    command.arg("train").arg(folder.join("suite.toml")).arg("--out").arg(folder.join("run"));
    command.args(["--force", "-q", "--json"]).args(settings.iter().map(|setting| format!("--set={setting}")));
    let output = command.output().context("cannot start polytask (try: cargo build --release)")?;
    // A run whose scores fell ends with 1; its report is whole.
    if !matches!(output.status.code(), Some(0 | 1)) {
        bail!("{settings:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let report = serde_json::from_slice(&output.stdout).context("reading the report")?;
    Ok(Run { report, seconds: start.elapsed().as_secs_f64() })
}

/// The mean score on valid of the weights that were kept.
fn valid(report: &RunReport) -> f64 {
    let scores: Vec<f64> = report
        .tasks
        .iter()
        .filter_map(|task| {
            let kept = report.valid.get(&task.task)?.iter().find(|point| point.step == report.kept)?.value;
            let signed = if task.joint[0].higher_is_better { kept } else { -kept };
            signed.is_finite().then_some(signed)
        })
        .collect();
    // A run without a score on one of its tasks has lost.
    if scores.len() < report.tasks.len() {
        return f64::NEG_INFINITY;
    }
    scores.iter().sum::<f64>() / scores.len().max(1) as f64
}

fn task(part: &Part, default: &RunReport, tuned: &RunReport) -> Result<Task> {
    let of = |report: &RunReport| {
        let found = report.tasks.iter().find(|task| task.task == part.set).cloned();
        found.with_context(|| format!("the report has no task {}", part.set))
    };
    let (default, tuned): (TaskReport, TaskReport) = (of(default)?, of(tuned)?);
    let probe = default.other("probe").context("the default run has no probe")?;
    let over = probe.over.as_ref().context("the default run is not compared with its probe")?;
    let probe = probe.scores.first().context("the probe has no score")?;
    Ok(Task {
        set: part.set.to_owned(),
        kind: default.kind.clone(),
        rows: part.rows,
        metric: probe.metric.clone(),
        default: default.joint[0].interval.value,
        probe: probe.interval.value,
        tuned: tuned.joint[0].interval.value,
        over_probe: [over.value, over.low, over.high],
    })
}
