//! From weights to predictions on a split, and from predictions to scores.

use std::collections::BTreeMap;

use polytask_core::outputs::largest;
use polytask_core::{KindInfo, Split};
use polytask_data::{Rows, Targets, TaskData, TextId};
use polytask_eval::Predictions;
use polytask_nn::heads::Cosine;
use polytask_nn::objective;

use crate::Result;
use crate::engine::{Engine, Weights};
use crate::pooled::{Pooled, for_batches};
use crate::ranking::rank;
use crate::token_states;
use crate::units::read_outputs;

/// The texts a task's scoring needs as sentence vectors.
pub(crate) fn texts_of(engine: &Engine, task: usize, split: Split) -> Vec<TextId> {
    let data = &engine.dataset.tasks[task];
    let Some((rows, targets)) = known(engine, data, split) else { return Vec::new() };
    if engine.heads[task].kind.tags_words() {
        return Vec::new();
    }
    let inputs = (0..rows.len()).filter(|&i| targets.is_known(i)).flat_map(|i| rows.inputs(i));
    inputs.chain(&data.corpus).copied().collect()
}

/// A task's rows and targets of a split, when there is a known one.
pub(crate) fn known<'a>(
    engine: &'a Engine,
    data: &'a TaskData,
    split: Split,
) -> Option<(&'a Rows, &'a Targets)> {
    let rows = engine.dataset.sources[data.source].splits.get(&split)?;
    let targets = data.targets.get(&split)?;
    (0..targets.len()).any(|i| targets.is_known(i)).then_some((rows, targets))
}

/// Predictions of some tasks on a split; tasks without a known target there are absent.
pub fn predict(
    engine: &Engine,
    weights: Weights,
    tasks: &[usize],
    split: Split,
) -> Result<BTreeMap<usize, Predictions>> {
    let mut out = BTreeMap::new();
    for tasks in by_view(engine, tasks) {
        let is_pooled = |task: &&usize| !engine.heads[**task].head.reads_states();
        let texts = tasks.iter().filter(is_pooled).flat_map(|&task| texts_of(engine, task, split));
        let pooled = Pooled::encode(engine, weights.trunk, engine.view_of(tasks[0]), texts)?;
        for task in tasks {
            let data = &engine.dataset.tasks[task];
            let Some((rows, targets)) = known(engine, data, split) else { continue };
            let of_split = (split, rows, targets);
            let predicted = match engine.heads[task].head.scoring() {
                Some(scoring) => token_states::predict(engine, weights, (task, &scoring), of_split)?,
                None => predict_task(engine, weights, task, &pooled, of_split)?,
            };
            out.insert(task, predicted);
        }
    }
    Ok(out)
}

/// Predictions of one task on a split from vectors that hold all its texts; none without a known target there.
pub(crate) fn predict_pooled(
    engine: &Engine,
    weights: Weights,
    task: usize,
    pooled: &Pooled,
    split: Split,
) -> Result<Option<Predictions>> {
    let Some((rows, targets)) = known(engine, &engine.dataset.tasks[task], split) else { return Ok(None) };
    predict_task(engine, weights, task, pooled, (split, rows, targets)).map(Some)
}

/// Tasks that read the same view of the trunk's states.
fn by_view(engine: &Engine, tasks: &[usize]) -> Vec<Vec<usize>> {
    let mut views = BTreeMap::<usize, Vec<usize>>::new();
    tasks.iter().for_each(|&task| views.entry(engine.view_of(task)).or_default().push(task));
    views.into_values().collect()
}

fn predict_task(
    engine: &Engine,
    weights: Weights,
    task: usize,
    pooled: &Pooled,
    (split, rows, targets): (Split, &Rows, &Targets),
) -> Result<Predictions> {
    let data = &engine.dataset.tasks[task];
    let shown: Vec<usize> = (0..targets.len()).filter(|&i| targets.is_known(i)).collect();
    match targets {
        Targets::Tags(tags) => tag_words(engine, weights, task, rows, tags, &shown),
        Targets::Passages(_) => {
            let told_apart = engine.heads[task].told_apart.contains(&split);
            rank(data, pooled, rows, targets, &shown, told_apart)
        }
        _ => {
            let output = sentence_outputs(engine, weights, task, pooled, rows, &shown)?;
            Ok(read_outputs(engine.heads[task].kind, data, targets, &shown, &output))
        }
    }
}

/// Head outputs of sentence tasks, `[rows, outputs]`.
fn sentence_outputs(
    engine: &Engine,
    weights: Weights,
    task: usize,
    pooled: &Pooled,
    rows: &Rows,
    shown: &[usize],
) -> Result<Vec<f32>> {
    // What scores token states has no other way with single vectors than their cosine.
    let cosine = Cosine { d_in: pooled.width() };
    let head = &*engine.heads[task].head;
    let head = if head.reads_states() { &cosine } else { head };
    let mut output = Vec::new();
    for rows_now in shown.chunks(1024) {
        let texts: Vec<TextId> = (0..rows.n_inputs)
            .flat_map(|input| rows_now.iter().map(move |&i| rows.inputs(i)[input]))
            .collect();
        let n = rows_now.len() as u32;
        let inputs: Vec<Vec<u32>> =
            (0..rows.n_inputs as u32).map(|i| (i * n..(i + 1) * n).collect()).collect();
        let z = pooled.gather(&texts);
        output.extend(objective::output(head, &weights.heads[task], &z, pooled.width(), &inputs)?);
    }
    Ok(output)
}

/// The most likely tag of every word; a word cut off by the length limit gets tag `O` (else the first tag).
fn tag_words(
    engine: &Engine,
    weights: Weights,
    task: usize,
    rows: &Rows,
    tags: &[Option<Vec<u32>>],
    shown: &[usize],
) -> Result<Predictions> {
    let data = &engine.dataset.tasks[task];
    let outside = data.labels.iter().position(|l| l == "O").unwrap_or(0) as u32;
    let texts: Vec<TextId> = shown.iter().map(|&i| rows.inputs(i)[0]).collect();
    let truth: Vec<Vec<u32>> = shown.iter().map(|&i| tags[i].clone().unwrap_or_default()).collect();
    let mut predicted: Vec<Vec<u32>> = truth.iter().map(|t| vec![outside; t.len()]).collect();
    for_batches(engine, weights.trunk, engine.view_of(task), &texts, |positions, layout, states| {
        for (s, &at) in positions.iter().enumerate() {
            let s = engine.view_of(task) * positions.len() + s;
            let starts = engine.dataset.texts.word_starts(texts[at]).unwrap_or(&[]);
            let seen: Vec<(usize, u32)> =
                starts.iter().copied().enumerate().filter(|(_, start)| *start != u32::MAX).collect();
            let row = |start: u32| states.row(layout.rows(s).start + start as usize);
            let z: Vec<f32> = seen.iter().flat_map(|&(_, start)| row(start).iter().copied()).collect();
            let inputs = [(0..seen.len() as u32).collect::<Vec<_>>()];
            let head = &*engine.heads[task].head;
            let output = objective::output(head, &weights.heads[task], &z, states.width, &inputs)?;
            for (&(word, _), scores) in seen.iter().zip(output.chunks(data.labels.len().max(1))) {
                if let Some(tag) = predicted[at].get_mut(word) {
                    *tag = largest(scores);
                }
            }
        }
        Ok(())
    })?;
    Ok(Predictions::Tags { labels: data.labels.clone(), truth, predicted })
}

/// A kind's metrics, the task's main one first.
pub(crate) fn metrics<'a>(kind: &KindInfo, main: &'a str) -> Vec<&'a str>
where
    'static: 'a,
{
    let own = polytask_eval::infos().into_iter().filter(|info| info.kinds.contains(&kind.name));
    let all = kind.metrics.iter().copied().chain(own.map(|info| info.id));
    std::iter::once(main).chain(all.filter(|metric| *metric != main)).collect()
}
