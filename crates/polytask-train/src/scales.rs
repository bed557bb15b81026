//! Losses of different kinds on one scale: each divided by what it is for outputs that know nothing of the input.
//!
//! A soft-max over 77 labels begins at ln 77 = 4.3, one over two at 0.7, a squared error of cosines at 0.1: added up as
//! they are, the largest steers the encoder. Divided so, every loss is the share of its task that is not explained yet.

use std::collections::BTreeMap;

use polytask_core::suite::Start;
use polytask_core::{Split, Suite};
use polytask_data::{Dataset, Plan};
use polytask_nn::encoder::Encoder;
use polytask_nn::objective;

use crate::Result;
use crate::assemble::{Draw, TaskBatch, assemble};
use crate::heads::TaskHead;

/// Steps whose batches the losses are averaged over.
const STEPS: u64 = 8;

/// How much more the losses of tags count beside those of other tasks, where training starts from probes: most words are
/// easy, so that a mean over words moves the encoder little.
const OF_WORDS: f64 = 4.0;

/// Each task's weight, their mean 1; a task that the first batches do not show has the mean weight.
pub(crate) fn weights(suite: &Suite, dataset: &Dataset, encoder: &Encoder) -> Result<BTreeMap<String, f64>> {
    let heads = TaskHead::all(suite, dataset, encoder)?;
    let mut losses = vec![Vec::new(); heads.len()];
    for part in first_parts(suite, dataset, encoder, &heads) {
        let head = &heads[part.task];
        let width = head.head.n_outputs();
        let loss = objective::uninformed(&*head.loss, &part.target, &part.weights, (&part.inputs, width))?;
        losses[part.task].extend(Some(loss).filter(|loss| loss.is_finite() && *loss > 0.0));
    }
    let inverse = |(losses, head): (&Vec<f64>, &TaskHead)| {
        let weight = share_of(suite, head) * losses.len() as f64 / losses.iter().sum::<f64>();
        Some(weight).filter(|weight| weight.is_finite())
    };
    let known: Vec<Option<f64>> = losses.iter().zip(&heads).map(inverse).collect();
    let n = known.iter().flatten().count().max(1) as f64;
    let mean = known.iter().flatten().sum::<f64>() / n;
    let weight = |w: &Option<f64>| w.map_or(1.0, |w| round(w / mean));
    Ok(heads.iter().map(|head| head.name.clone()).zip(known.iter().map(weight)).collect())
}

/// Whether the losses of some tasks count more than those of others.
pub(crate) fn favours_words(suite: &Suite) -> bool {
    suite.train.start == Start::Probe && suite.tasks.iter().any(|task| task.kind.tags_words())
}

/// What a task's loss counts beside others' of the same scale.
fn share_of(suite: &Suite, head: &TaskHead) -> f64 {
    if head.kind.tags_words() && favours_words(suite) { OF_WORDS } else { 1.0 }
}

/// Three significant digits: what a reader of the suite can take in.
fn round(x: f64) -> f64 {
    let unit = 10f64.powf(x.log10().floor() - 2.0);
    // Through the shortest text, so that no digits of rounding are left.
    format!("{:.4e}", (x / unit).round() * unit).parse().unwrap_or(x)
}

/// What the tasks read in the first steps.
fn first_parts(suite: &Suite, dataset: &Dataset, encoder: &Encoder, heads: &[TaskHead]) -> Vec<TaskBatch> {
    let plan = Plan::new(suite, dataset);
    let views: Vec<_> = heads.iter().enumerate().map(|(i, head)| head.view(i, dataset)).collect();
    let of_step = |step: u64| {
        let draw = Draw { seed: suite.seed, step };
        assemble(dataset, &views, Split::Train, &plan.step(step), draw, &*encoder.trunk).parts
    };
    (0..plan.n_steps().min(STEPS)).flat_map(of_step).collect()
}
