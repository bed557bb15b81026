//! Training the label-cross head: AdamW, an early stop on valid, the best pass kept. The first candidate is the fresh head,
//! which is its prior: the zero-shot classifier, or the matrix that was fitted before. What was learnt beyond it has to be
//! better on valid by more than chance: else the fresh head stays.

use polytask_core::method::Choice;
use polytask_core::{Purpose, Rng};
use polytask_nn::label_cross::{CrossTask, CrossTexts, LabelCross};
use polytask_nn::losses;
use polytask_nn::optim::{AdamW, Moments};
use polytask_nn::{Block, Result};

use super::{CrossPrior, FitRows, FittedHead, info_of, matrix};
use crate::features::Features;
use crate::labels::LabelTexts;
use crate::rows::{Examples, Right};

/// Rows of a step, and of a pass that only scores.
const BATCH: usize = 32;
const SCORED: usize = 64;
/// Passes where no valid says when to stop, and nothing is there to start from.
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
    let training = Training {
        head,
        prior: prior(choice, on)?,
        on,
        rates: (choice.real(info, "lr"), choice.real(info, "dropout")),
        valid: on.valid.filter(|valid| !valid.is_empty()),
        most_steps: choice.count(info, "steps") as u64,
    };
    let epochs = choice.count(info, "epochs");
    let epochs = match (&training.valid, &training.prior) {
        (Some(_), _) => epochs,
        (None, CrossPrior::None) => epochs.min(BLIND),
        // Nobody could say whether the prior becomes better.
        (None, _) => 0,
    };
    let block = training.run(epochs, choice.count(info, "patience"), observe)?;
    Ok(FittedHead::Cross(head, block, training.prior))
}

/// What scores start from.
fn prior(choice: &Choice, on: FitRows<'_>) -> Result<CrossPrior> {
    let name = choice.param(info_of("label-cross")?, "prior");
    Ok(match name.as_str() {
        Some("none") => CrossPrior::None,
        Some("cosine") => CrossPrior::Cosine,
        _ => {
            let (info, usual) = (info_of("bilinear")?, Choice::named("bilinear"));
            CrossPrior::Bilinear(matrix(on, usual.real(info, "scale"), None))
        }
    })
}

struct Training<'a> {
    head: LabelCross,
    prior: CrossPrior,
    on: FitRows<'a>,
    /// Learning rate and dropout.
    rates: (f64, f64),
    valid: Option<&'a Examples>,
    most_steps: u64,
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
        let fresh = (block.clone(), self.valid_losses(&block)?);
        let (mut best, mut since, mut step) = (fresh.clone(), 0, 0);
        for epoch in 0..epochs {
            let loss = self.epoch(epoch, &mut block, &mut moments, &mut step)?;
            observe(epoch + 1, epochs, loss);
            let losses = self.valid_losses(&block)?;
            if self.valid.is_none() || mean(&losses) < mean(&best.1) {
                (best, since) = ((block.clone(), losses), 0);
            } else {
                since += 1;
            }
            if since >= patience || step >= self.most_steps {
                break;
            }
        }
        let is_kept = self.valid.is_none() || is_better(&best.1, &fresh.1);
        Ok(if is_kept { best.0 } else { fresh.0 })
    }

    /// A pass over the rows of train; the mean loss.
    fn epoch(&self, epoch: usize, block: &mut Block, moments: &mut Moments, step: &mut u64) -> Result<f64> {
        let mut order: Vec<usize> = (0..self.on.train.len()).collect();
        Rng::new(self.on.seed, Purpose::Shuffle, &[epoch as u64]).shuffle(&mut order);
        let mut total = 0.0;
        for places in order.chunks(BATCH) {
            if *step >= self.most_steps {
                break;
            }
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
        let cosines = self.prior.of(labels, &batch.features);
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

    /// The loss of each row of valid, when it is calibrated on them; none without.
    fn valid_losses(&self, block: &Block) -> Result<Vec<f64>> {
        let Some(valid) = self.valid else { return Ok(Vec::new()) };
        let found = scores(&self.head, block, &self.prior, self.on.labels, &valid.features)?;
        Ok(valid.calibrated_losses(&found, self.on.labels.len()))
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Whether losses of some rows are lower than others by more than the standard error of their difference.
fn is_better(new: &[f64], old: &[f64]) -> bool {
    let gains: Vec<f64> = old.iter().zip(new).map(|(old, new)| old - new).collect();
    let (n, gain) = (gains.len() as f64, mean(&gains));
    let variance = gains.iter().map(|one| (one - gain).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    n > 1.0 && gain > (variance / n).sqrt()
}

fn texts_of<'a>(features: &'a Features, labels: &'a LabelTexts, cosines: &'a [f32]) -> CrossTexts<'a, f32> {
    CrossTexts { states: &features.states, starts: &features.starts, labels: &labels.means, cosines }
}

/// The scores of a head, in parts that need little memory.
pub(super) fn scores(
    head: &LabelCross,
    block: &Block,
    prior: &CrossPrior,
    labels: &LabelTexts,
    texts: &Features,
) -> Result<Vec<f32>> {
    let all: Vec<usize> = (0..texts.len()).collect();
    let mut found = Vec::with_capacity(all.len() * labels.len());
    for places in all.chunks(SCORED) {
        let part = texts.pick(places);
        let cosines = prior.of(labels, &part);
        found.extend(head.scores(block, &texts_of(&part, labels, &cosines))?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gain_counts_where_it_is_larger_than_its_error() {
        assert!(is_better(&[1.0, 1.1, 0.9, 1.0], &[1.5, 1.7, 1.3, 1.5]));
        assert!(!is_better(&[1.0, 1.0, 1.0, 1.9], &[1.0, 1.0, 1.0, 2.0]), "one row alone");
        assert!(!is_better(&[1.0, 1.0], &[1.0, 1.0]) && !is_better(&[0.5], &[1.0]) && !is_better(&[], &[]));
    }
}
