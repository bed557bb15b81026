//! Training the label-cross head: AdamW, an early stop on valid, the best pass kept. The first candidate is the fresh head,
//! which with its prior is the zero-shot classifier.

use polytask_core::method::Choice;
use polytask_core::{Purpose, Rng};
use polytask_nn::label_cross::{CrossTask, CrossTexts, LabelCross};
use polytask_nn::losses;
use polytask_nn::optim::{AdamW, Moments};
use polytask_nn::{Block, Result};

use super::{FitRows, FittedHead, info_of};
use crate::features::Features;
use crate::labels::LabelTexts;
use crate::rows::{Examples, Right};

/// Rows of a step, and of a pass that only scores.
const BATCH: usize = 32;
const SCORED: usize = 64;
/// Passes where no valid says when to stop.
const BLIND: usize = 20;
/// Name of the parameters.
pub(crate) const NAME: &str = "head.label-cross";

/// Trains a head.
pub(super) fn fit(
    choice: &Choice,
    on: FitRows<'_>,
    observe: &mut dyn FnMut(usize, usize, f64),
) -> Result<FittedHead> {
    let info = info_of("label-cross")?;
    let head =
        LabelCross::new(on.train.features.d_state, choice.count(info, "width"), choice.count(info, "heads"));
    let has_prior = choice.param(info, "prior").as_str() != Some("none");
    let training = Training {
        head,
        has_prior,
        on,
        rates: (choice.real(info, "lr"), choice.real(info, "dropout")),
        valid: on.valid.filter(|valid| !valid.is_empty()),
    };
    let epochs = choice.count(info, "epochs");
    let epochs = if training.valid.is_some() { epochs } else { epochs.min(BLIND) };
    let block = training.run(epochs, choice.count(info, "patience"), observe)?;
    Ok(FittedHead::Cross(head, block, has_prior))
}

struct Training<'a> {
    head: LabelCross,
    has_prior: bool,
    on: FitRows<'a>,
    /// Learning rate and dropout.
    rates: (f64, f64),
    valid: Option<&'a Examples>,
}

impl Training<'_> {
    fn run(
        &self,
        epochs: usize,
        patience: usize,
        observe: &mut dyn FnMut(usize, usize, f64),
    ) -> Result<Block> {
        let mut block = self.head.block(NAME, self.on.seed);
        let mut moments = Moments::zeros(block.values.len());
        let (mut best, mut least, mut since, mut step) = (block.clone(), self.valid_loss(&block)?, 0, 0);
        for epoch in 0..epochs {
            let loss = self.epoch(epoch, &mut block, &mut moments, &mut step)?;
            observe(epoch + 1, epochs, loss);
            let valid = self.valid_loss(&block)?;
            if valid < least || self.valid.is_none() {
                (best, least, since) = (block.clone(), valid, 0);
            } else {
                since += 1;
            }
            if since >= patience {
                break;
            }
        }
        Ok(best)
    }

    /// A pass over the rows of train; the mean loss.
    fn epoch(&self, epoch: usize, block: &mut Block, moments: &mut Moments, step: &mut u64) -> Result<f64> {
        let mut order: Vec<usize> = (0..self.on.train.len()).collect();
        Rng::new(self.on.seed, Purpose::Shuffle, &[epoch as u64]).shuffle(&mut order);
        let mut total = 0.0;
        for places in order.chunks(BATCH) {
            *step += 1;
            let (loss, gradient) = self.gradient(block, places, *step)?;
            AdamW::default().step(block, &gradient, moments, *step, self.rates.0);
            total += loss * places.len() as f64;
        }
        Ok(total / order.len().max(1) as f64)
    }

    fn gradient(&self, block: &Block, places: &[usize], step: u64) -> Result<(f64, Vec<f32>)> {
        let labels = self.on.labels;
        let batch = self.on.train.pick(places, labels.len());
        let name = if matches!(batch.right, Right::One(_)) { "cross-entropy" } else { "bce" };
        let loss = losses::make(&Choice::named(name), &[], &[])?;
        let cosines = if self.has_prior { labels.cosines(&batch.features) } else { Vec::new() };
        let target = batch.right.target(labels.len());
        let texts = texts_of(&batch.features, labels, &cosines);
        let key = polytask_core::rng::key(self.on.seed, Purpose::Dropout, &[step]);
        let dropout = (self.rates.1, key);
        self.head.gradient(
            block,
            &texts,
            &CrossTask { target: &target, weights: &batch.weights, loss: &*loss, dropout },
        )
    }

    /// The loss on valid; infinite without.
    fn valid_loss(&self, block: &Block) -> Result<f64> {
        let Some(valid) = self.valid else { return Ok(f64::INFINITY) };
        let found = scores(&self.head, block, self.has_prior, self.on.labels, &valid.features)?;
        Ok(valid.judged(&found, self.on.labels.len()).1)
    }
}

fn texts_of<'a>(features: &'a Features, labels: &'a LabelTexts, cosines: &'a [f32]) -> CrossTexts<'a, f32> {
    CrossTexts { states: &features.states, starts: &features.starts, labels: &labels.means, cosines }
}

/// The scores of a head, in parts that need little memory.
pub(super) fn scores(
    head: &LabelCross,
    block: &Block,
    has_prior: bool,
    labels: &LabelTexts,
    texts: &Features,
) -> Result<Vec<f32>> {
    let all: Vec<usize> = (0..texts.len()).collect();
    let mut found = Vec::with_capacity(all.len() * labels.len());
    for places in all.chunks(SCORED) {
        let part = texts.pick(places);
        let cosines = if has_prior { labels.cosines(&part) } else { Vec::new() };
        found.extend(head.scores(block, &texts_of(&part, labels, &cosines))?);
    }
    Ok(found)
}
