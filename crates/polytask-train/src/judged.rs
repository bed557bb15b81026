//! The rows that tasks are judged by, as they are kept with predictions.

use std::collections::BTreeMap;
use std::path::Path;

use polytask_core::{Split, Suite};
use polytask_data::{Targets, TextId};
use polytask_eval::{JudgedRows, Predictions, RowsOf};

use crate::Result;
use crate::engine::Engine;
use crate::evaluate::{known, metrics};
use crate::ranking::{Query, queries};

/// Predictions of some tasks with what their rows are; `split_of` tells the split each was made on.
pub(crate) fn judged(
    suite: &Suite,
    engine: &Engine,
    predictions: &BTreeMap<usize, Predictions>,
    split_of: impl Fn(usize) -> Split,
) -> Vec<JudgedRows> {
    let of_task = |(&task, predictions): (&usize, &Predictions)| {
        let (spec, split) = (&suite.tasks[task], split_of(task));
        let of = RowsOf {
            task: &spec.name,
            kind: spec.kind.name,
            split: split.name(),
            metrics: &metrics(spec.kind, &spec.metric),
            margin: spec.margin,
            seed: suite.seed,
            inputs: &inputs(engine, task, split),
            labels: &engine.dataset.tasks[task].labels,
            passages: &engine.dataset.tasks[task]
                .corpus
                .iter()
                .map(|text| folded(engine, *text))
                .collect::<Vec<_>>(),
        };
        JudgedRows::new(&of, predictions.clone())
    };
    predictions.iter().map(of_task).collect()
}

/// Ids of the queries of a task that ranks, in the order of predictions: those that judgements name, else their numbers.
pub(crate) fn query_ids(engine: &Engine, task: usize, split: Split) -> Vec<String> {
    let data = &engine.dataset.tasks[task];
    let Some((rows, Targets::Passages(relevance))) = known(engine, data, split) else { return Vec::new() };
    let shown: Vec<usize> = (0..relevance.len()).filter(|&i| !relevance[i].positives.is_empty()).collect();
    let told_apart = engine.heads[task].told_apart.contains(&split);
    let id = |(i, query): (usize, Query)| query.id.map_or_else(|| (i + 1).to_string(), String::from);
    queries(rows, relevance, &shown, told_apart).into_iter().enumerate().map(id).collect()
}

/// Writes them into a folder, a file each.
pub(crate) fn write(rows: &[JudgedRows], folder: &Path) -> Result<()> {
    Ok(rows.iter().try_for_each(|rows| rows.write(folder))?)
}

/// What tells the rows apart, a key for each or a hash of every input, of the rows with a known target, in the order of predictions.
fn inputs(engine: &Engine, task: usize, split: Split) -> Vec<u64> {
    let data = &engine.dataset.tasks[task];
    let Some((rows, targets)) = known(engine, data, split) else { return Vec::new() };
    let shown: Vec<usize> = (0..targets.len()).filter(|&i| targets.is_known(i)).collect();
    if let Targets::Passages(relevance) = targets {
        let told_apart = engine.heads[task].told_apart.contains(&split);
        return queries(rows, relevance, &shown, told_apart)
            .iter()
            .map(|query| folded(engine, query.text))
            .collect();
    }
    if !rows.keys.is_empty() {
        return shown.iter().map(|&i| rows.keys[i]).collect();
    }
    shown.iter().flat_map(|&i| rows.inputs(i)).map(|&text| folded(engine, text)).collect()
}

fn folded(engine: &Engine, text: TextId) -> u64 {
    engine.dataset.folded[text as usize]
}
