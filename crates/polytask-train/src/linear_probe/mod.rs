//! The linear probe: each task's head fitted to the end on frozen vectors of the encoder as it was loaded.
//!
//! It is what a user would try instead of training the encoder (logistic or ridge regression on embeddings; cosines
//! where the head has no parameters), so every run is compared with it. And it is where training starts: heads that
//! already fit do not distort the encoder in the first steps (linear probing, then fine-tuning: Kumar et al., ICLR
//! 2022).

mod rows;
mod strength;

use std::collections::BTreeMap;

use polytask_core::Split;
use polytask_data::TextId;
use polytask_eval::Predictions;
use polytask_nn::Block;

use crate::Result;
use crate::engine::{Engine, Weights};
use crate::evaluate;
use crate::observe::{Event, Observer};
use crate::pooled::Pooled;
use crate::prepared::Prepared;
use crate::side::Side;

/// Most train rows (words, for tags) a probe is fitted on, evenly taken: more move a linear model's score no more.
const MOST_ROWS: usize = 40_000;
/// Most memory of the features of a fit, in values (512 MiB).
const MOST_VALUES: usize = 1 << 27;

/// Size of the heads of words: fitted ones leave no loss on their few sentences, and with it no gradient that would move
/// the encoder. The likeliest tag of every word stays what it was.
const OF_WORDS: f32 = 0.1;

/// The probes of a suite's tasks.
#[derive(Clone)]
pub(crate) struct Probes {
    /// Each task's head: fitted, or as it is fresh where no linear model fits it (a hidden layer, no parameters).
    pub(crate) heads: Vec<Block>,
    /// Predictions on the split each task is reported on.
    pub(crate) predictions: BTreeMap<usize, Predictions>,
    /// Predictions on valid.
    pub(crate) valid: BTreeMap<usize, Predictions>,
}

/// Fits the probes of all tasks on the encoder of a side.
pub(crate) fn fit(prepared: &Prepared, side: Side, observer: &mut dyn Observer) -> Result<Probes> {
    let (suite, heads) = (&prepared.suite, &side.parts.heads);
    let mut blocks: Vec<Block> = heads.iter().map(|head| head.block(suite.seed)).collect();
    let texts = texts_to_encode(&side.engine);
    observer.event(Event::Phase { name: "vectors", total: texts.len() as u64, done: 0 });
    let trunk = &side.parts.encoder.params;
    let pooled = Pooled::encode_told(&side.engine, trunk, 0, texts, observer)?;
    observer.event(Event::Done);
    observer.event(Event::Phase { name: "linear probes", total: heads.len() as u64, done: 0 });
    for (task, block) in blocks.iter_mut().enumerate() {
        fit_task(side, task, &pooled, block)?;
        let done = task as u64 + 1;
        observer.event(Event::Step { done, losses: &[], lr: 0.0, tokens: 0, observed: &[] });
    }
    observer.event(Event::Done);
    let weights = Weights { trunk, heads: &blocks };
    let (mut predictions, mut valid) = (BTreeMap::new(), BTreeMap::new());
    for task in 0..heads.len() {
        let predict = |split| evaluate::predict_pooled(&side.engine, weights, task, &pooled, split);
        predictions.extend(predict(prepared.dataset.report_split(task))?.map(|found| (task, found)));
        valid.extend(predict(Split::Valid)?.map(|found| (task, found)));
    }
    Ok(Probes { heads: blocks, predictions, valid })
}

/// Fits a task's head into `block`, which stays as it is where no linear model fits it or nothing is known.
fn fit_task(side: Side, task: usize, pooled: &Pooled, block: &mut Block) -> Result<()> {
    let head = &side.parts.heads[task];
    if head.head.n_features().is_none() {
        return Ok(());
    }
    let reader = rows::Reader { engine: &side.engine, trunk: &side.parts.encoder.params, task, pooled };
    let most = MOST_ROWS.min(MOST_VALUES / reader.width());
    let Some(train) = reader.rows(Split::Train, most)? else { return Ok(()) };
    let valid = reader.rows(Split::Valid, most)?;
    let (data, fit) = strength::fitted(&reader, train, valid.as_ref(), &head.metric)?;
    let (weight, bias) = data.unscaled(&fit);
    let size = if head.kind.tags_words() { OF_WORDS } else { 1.0 };
    for (tensor, fitted) in [weight, bias].iter().enumerate() {
        let sized: Vec<f32> = fitted.iter().map(|value| size * value).collect();
        block.tensor_mut(tensor).copy_from_slice(&sized);
    }
    Ok(())
}

/// The texts whose vectors the probes read.
fn texts_to_encode(engine: &Engine) -> Vec<TextId> {
    let mut texts = Vec::new();
    for (task, head) in engine.heads.iter().enumerate() {
        for split in [engine.dataset.report_split(task), Split::Valid] {
            texts.extend(evaluate::texts_of(engine, task, split));
        }
        // A head without parameters learns nothing, and words are read from the states themselves.
        if head.has_params && !head.kind.tags_words() {
            let Some(inputs) = engine.dataset.rows(task, Split::Train) else { continue };
            let rows = rows::known_rows(engine, task, Split::Train, MOST_ROWS);
            texts.extend(rows.iter().flat_map(|&row| inputs.inputs(row as usize)));
        }
    }
    texts.sort_unstable();
    texts.dedup();
    texts
}
