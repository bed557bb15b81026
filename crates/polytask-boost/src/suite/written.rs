//! What a run writes when it is finished, and what stands on it.

use polytask_core::report::{Lineage, RunReport, TaskReport};
use polytask_core::{Result, Split, Suite, atomic, hash, suite};
use polytask_data::{Dataset, Targets, TextId};
use polytask_eval::{JudgedRows, ModelFacts, MtebRun, RowsOf, words};

use super::facts::{ByTask, RunFacts, metrics};
use super::model::BoostModel;

/// Known targets from which on they may be told to look like ids.
const FEWEST_IDS: usize = 20;

/// Where a run comes from.
pub(super) fn lineage(suite: &Suite, dataset: &Dataset, model: &BoostModel) -> Lineage {
    let files: Vec<String> = dataset.files.iter().map(|(file, hash)| format!("{hash} {file}")).collect();
    let trees = serde_json::to_vec(model).unwrap_or_default();
    Lineage {
        version: env!("CARGO_PKG_VERSION").into(),
        suite: suite::hash(suite),
        data: hash::sha256(files.join("\n").as_bytes()),
        encoder: hash::sha256(&trees),
        seed: suite.seed,
        threads: rayon::current_num_threads(),
        machine: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    }
}

/// Things a reader of the scores should know.
pub(super) fn notes(facts: RunFacts<'_>, tasks: &[TaskReport]) -> Vec<String> {
    let mut notes = facts.dataset.warnings.clone();
    notes.retain(|note| !note.starts_with(polytask_data::NO_TEST));
    let on_valid = tasks.iter().filter(|task| task.split == Split::Valid.name());
    notes.extend(facts.suite.tasks.iter().enumerate().filter_map(|(task, spec)| {
        like_an_id(&facts.dataset.tasks[task])
            .map(|why| format!("the target of task `{}` looks like an id: {why}", spec.name))
    }));
    notes.extend(words::on_valid(&on_valid.map(|task| task.task.as_str()).collect::<Vec<_>>()));
    notes
}

/// Why a target looks like an id, where it does.
fn like_an_id(data: &polytask_data::TaskData) -> Option<String> {
    let targets = data.targets.get(&Split::Train)?;
    let n = (0..targets.len()).filter(|&row| targets.is_known(row)).count();
    match targets {
        Targets::Label(_) if n >= FEWEST_IDS && 2 * data.labels.len() >= n => {
            Some(format!("{} labels in {n} rows", data.labels.len()))
        }
        Targets::Numbers { width: 1, values } if n >= FEWEST_IDS => {
            let mut known: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
            known.sort_by(f64::total_cmp);
            known.dedup();
            let is_whole = known.iter().all(|value| value.fract() == 0.0);
            (is_whole && known.len() == n).then(|| format!("{n} whole numbers in as many rows"))
        }
        _ => None,
    }
}

/// Report, card, results and what is compared later.
pub(super) fn write(facts: RunFacts<'_>, report: &RunReport, joint: &ByTask) -> Result<()> {
    let RunFacts { suite, dataset, out } = facts;
    polytask_eval::html::write(report, &out.join("report.html"))?;
    let method = suite.model.trees.as_ref().map_or_else(String::new, |choice| choice.name.clone());
    let about = ModelFacts {
        name: suite.name.clone(),
        encoder: method,
        folder: "model".into(),
        parameters: report.trees.as_ref().map(|trees| trees.leaves),
        input: Some(suite.input()),
        ..ModelFacts::default()
    };
    polytask_eval::card::write(report, &about, &out.join("CARD.md"))?;
    let revision = report.lineage.suite.chars().take(12).collect();
    let mteb = MtebRun { revision, date: polytask_eval::mteb::now(), ..MtebRun::default() };
    polytask_eval::mteb::write(&out.join("mteb"), report, &about, &mteb)?;
    for (&task, predictions) in joint {
        let (spec, split) = (&suite.tasks[task], dataset.report_split(task));
        let of = RowsOf {
            task: &spec.name,
            kind: spec.kind.name,
            split: split.name(),
            metrics: &metrics(spec.kind, &spec.metric),
            margin: spec.margin,
            seed: suite.seed,
            inputs: &keys(dataset, task, split),
            labels: &dataset.tasks[task].labels,
            passages: &[],
        };
        JudgedRows::new(&of, predictions.clone()).write(&out.join(polytask_eval::judged::FOLDER))?;
    }
    // Last: its presence says that the run is finished.
    atomic::write_json(&out.join("report.json"), report)
}

/// What tells the known rows of a task apart.
pub(super) fn keys(dataset: &Dataset, task: usize, split: Split) -> Vec<u64> {
    let (Some(rows), Some(targets)) = (dataset.rows(task, split), dataset.tasks[task].targets.get(&split))
    else {
        return Vec::new();
    };
    let folded = |text: TextId| dataset.folded[text as usize];
    let key = |row: usize| rows.keys.get(row).copied().unwrap_or_else(|| folded(rows.texts[row]));
    (0..targets.len()).filter(|&row| targets.is_known(row)).map(key).collect()
}
