//! What a run writes when it is finished, and what stands on it.

use std::collections::BTreeMap;

use polytask_core::report::{Lineage, RunReport, TaskReport};
use polytask_core::{KindInfo, Split, atomic, hash, suite};
use polytask_data::{Dataset, TextId};
use polytask_eval::{JudgedRows, ModelFacts, MtebRun, Predictions, RowsOf, words};
use polytask_nn::Result;

use crate::facts::LabelRun;

/// A kind's metrics, the task's main one first.
pub(crate) fn metrics<'a>(kind: &KindInfo, main: &'a str) -> Vec<&'a str> {
    let others = kind.metrics.iter().copied().filter(|metric| *metric != main);
    std::iter::once(main).chain(others).collect()
}

fn lineage(of: LabelRun<'_>) -> Result<Lineage> {
    let files: Vec<String> = of.dataset.files.iter().map(|(file, hash)| format!("{hash} {file}")).collect();
    Ok(Lineage {
        version: env!("CARGO_PKG_VERSION").into(),
        suite: suite::hash(of.suite),
        data: hash::sha256(files.join("\n").as_bytes()),
        encoder: of.encoder.hash()?,
        seed: of.suite.seed,
        threads: rayon::current_num_threads(),
        machine: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// Things a reader of the scores should know.
pub(crate) fn notes(
    of: LabelRun<'_>,
    tasks: &[TaskReport],
    own: impl Iterator<Item = String>,
) -> Vec<String> {
    let mut notes: Vec<String> = own.collect();
    notes
        .extend(of.dataset.warnings.iter().filter(|note| !note.starts_with(polytask_data::NO_TEST)).cloned());
    let on_valid = tasks.iter().filter(|task| task.split == Split::Valid.name());
    notes.extend(words::on_valid(&on_valid.map(|task| task.task.as_str()).collect::<Vec<_>>()));
    notes
}

/// Report, card, results and what is compared later.
pub(crate) fn write(
    of: LabelRun<'_>,
    report: &mut RunReport,
    joint: &BTreeMap<usize, Predictions>,
) -> Result<()> {
    let LabelRun { suite, dataset, out, .. } = of;
    report.lineage = lineage(of)?;
    polytask_eval::html::write(report, &out.join("report.html"))?;
    let about = ModelFacts {
        name: suite.name.clone(),
        encoder: suite
            .model
            .endpoint
            .as_ref()
            .map_or_else(|| suite.model.encoder.clone(), ToString::to_string),
        folder: "model".into(),
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
    Ok(atomic::write_json(&out.join("report.json"), report)?)
}

/// What tells the known rows of a task apart.
fn keys(dataset: &Dataset, task: usize, split: Split) -> Vec<u64> {
    let (Some(rows), Some(targets)) = (dataset.rows(task, split), dataset.tasks[task].targets.get(&split))
    else {
        return Vec::new();
    };
    let folded = |text: TextId| dataset.folded[text as usize];
    let key = |row: usize| rows.keys.get(row).copied().unwrap_or_else(|| folded(rows.texts[row]));
    (0..targets.len()).filter(|&row| targets.is_known(row)).map(key).collect()
}
