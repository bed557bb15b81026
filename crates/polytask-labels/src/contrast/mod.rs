//! Contrastive fine-tuning of the encoder (as `SetFit`, Tunstall et al. 2022): texts of one label are drawn together, and to
//! what the label means, others apart; then a logistic regression on the tuned vectors.
//!
//! Pairs are never listed: a step draws some rows with a partner each, encodes every text once, and all pairs of these
//! count. Memory is that of the rows, whatever their number of pairs.

mod pairs;

use polytask_core::suite::Schedule;
use polytask_core::{PackedBatch, Problem, Purpose, Rng};
use polytask_model::Model;
use polytask_nn::optim::{self, AdamW, Moments};
use polytask_nn::trunk::{Blocks, sinks};
use polytask_nn::{Cotangent, Encoder, Mode, Result};

use crate::rows::Right;
use pairs::Batch;

/// The lowest block that is tuned: word vectors stay as they are, for few rows touch few of them.
const LOWEST: usize = 1;
/// Largest norm of a gradient.
const CLIP: f64 = 1.0;
/// Share of steps in which the rate rises.
const WARMUP: f64 = 0.1;

/// What an encoder is tuned on.
pub(crate) struct Contrast<'a> {
    pub(crate) model: &'a Model,
    /// Symbols of the rows.
    pub(crate) sequences: &'a [Vec<u32>],
    pub(crate) right: &'a Right,
    /// Symbols of what each label means.
    pub(crate) descriptions: &'a [Vec<u32>],
    pub(crate) steps: usize,
    /// Rows drawn in a step; each comes with a partner.
    pub(crate) rows: usize,
    pub(crate) lr: f64,
    pub(crate) seed: u64,
}

/// The rows of a step: places among the sequences, or behind them among the descriptions.
struct Drawn<'a> {
    sequences: Vec<&'a Vec<u32>>,
    labels: Vec<Vec<u32>>,
}

impl Contrast<'_> {
    /// The tuned model; `observe` hears of steps with their loss.
    pub(crate) fn tune(&self, observe: &mut dyn FnMut(usize, usize, f64)) -> Result<Model> {
        let mut encoder = self.encoder()?;
        let labels: Vec<Vec<u32>> = (0..self.sequences.len()).map(|row| self.labels_of(row)).collect();
        let mut by_label = vec![Vec::new(); self.descriptions.len()];
        for (row, labels) in labels.iter().enumerate() {
            labels.iter().for_each(|&label| by_label[label as usize].push(row));
        }
        let mut sum = sinks::Sum::new(&encoder.params, &[1.0]);
        let mut moments: Vec<Moments> = encoder.params.blocks.iter().map(|_| Moments::default()).collect();
        for step in 1..=self.steps as u64 {
            let drawn = self.drawn(step, &labels, &by_label);
            let loss = self.gradient(&encoder, &drawn, step, &mut sum)?;
            let lr = optim::rate(Schedule::Linear, self.lr, WARMUP, self.steps as u64, step);
            update(&mut encoder, &sum, &mut moments, step, lr);
            observe(step as usize, self.steps, loss);
        }
        Ok(Model::new(encoder, self.model.symbols.clone(), Vec::new()))
    }

    /// The encoder, where it can be tuned.
    fn encoder(&self) -> Result<Encoder> {
        let encoder = &self.model.encoder;
        let what = if encoder.trunk.n_views() != 1 {
            "tasks have versions of the encoder"
        } else if !encoder.dense.is_empty() {
            "the encoder has a Dense module after pooling"
        } else {
            return Ok(encoder.clone());
        };
        let what = format!("head `contrastive` tunes the encoder, but {what}");
        Err(Problem::new(what).try_this("a plain encoder, or head = \"bilinear\"").into())
    }

    fn labels_of(&self, row: usize) -> Vec<u32> {
        let n = self.descriptions.len();
        match self.right {
            Right::One(labels) => vec![labels[row]],
            Right::Any(holds) => (0..n as u32).filter(|&label| holds[row * n + label as usize]).collect(),
        }
    }

    /// Rows in the order of a shuffled pass, each with another row of one of its labels where there is one, and what all
    /// their labels mean.
    fn drawn(&self, step: u64, labels: &[Vec<u32>], by_label: &[Vec<usize>]) -> Drawn<'_> {
        let n = self.sequences.len();
        let mut rng = Rng::new(self.seed, Purpose::Pick, &[step]);
        let mut places = Vec::new();
        for i in 0..self.rows.min(n) {
            let row = self.in_pass((step as usize - 1) * self.rows.min(n) + i);
            places.push(row);
            if !labels[row].is_empty() {
                let label = labels[row][rng.below(labels[row].len())] as usize;
                places.push(by_label[label][rng.below(by_label[label].len())]);
            }
        }
        places.sort_unstable();
        places.dedup();
        let mut named: Vec<u32> = places.iter().flat_map(|&row| labels[row].iter().copied()).collect();
        named.sort_unstable();
        named.dedup();
        let rows = places.iter().map(|&row| (&self.sequences[row], labels[row].clone()));
        let meanings = named.iter().map(|&label| (&self.descriptions[label as usize], vec![label]));
        let (sequences, labels) = rows.chain(meanings).unzip();
        Drawn { sequences, labels }
    }

    /// The row at a place of passes that are each shuffled anew: a permutation that is computed, not kept.
    fn in_pass(&self, place: usize) -> usize {
        let n = self.sequences.len();
        let (pass, mut at) = ((place / n) as u64, place % n);
        // Feistel rounds on the next power of four, walked until the place is one of the rows.
        let half = (usize::BITS - (n - 1).leading_zeros()).div_ceil(2).max(1);
        let mask = (1_usize << half) - 1;
        loop {
            let (mut left, mut right) = (at >> half, at & mask);
            for round in 0..4 {
                let key = polytask_core::rng::key(self.seed, Purpose::Shuffle, &[pass, round, right as u64]);
                (left, right) = (right, left ^ (key as usize & mask));
            }
            at = left << half | right;
            if at < n {
                return at;
            }
        }
    }

    fn gradient(&self, encoder: &Encoder, drawn: &Drawn<'_>, step: u64, sum: &mut sinks::Sum) -> Result<f64> {
        let batch = PackedBatch::pack(drawn.sequences.iter().copied());
        let mode = Mode {
            dropout: encoder.network.dropout(),
            seed: self.seed,
            step,
            save: true,
            lowest: LOWEST,
            recompute: false,
            train: true,
            still: Blocks::default(),
        };
        let (states, saved) = encoder.trunk.forward(&encoder.params, &batch, mode)?;
        let layout = encoder.trunk.layout(&batch);
        let pooled = encoder.pooling.forward(&states, &layout);
        let (loss, d_pooled) = Batch { labels: &drawn.labels, width: pooled.width }.loss(&pooled.values);
        let sequences: Vec<u32> = (0..layout.n_sequences() as u32).collect();
        let values = encoder.pooling.vjp(&states, &layout, &sequences, &d_pooled).into();
        let cotangent = Cotangent { task: 0, sequences, values, lowest: LOWEST };
        sum.reset(&[1.0]);
        encoder.trunk.vjp(&encoder.params, &saved, &[cotangent], sum)?;
        if loss.is_finite() {
            return Ok(loss);
        }
        let what = format!("the loss of the contrastive tuning is {loss} in step {step}");
        Err(Problem::new(what).try_this("a smaller `lr`").into())
    }
}

/// A step of AdamW of the blocks that have a gradient.
fn update(encoder: &mut Encoder, sum: &sinks::Sum, moments: &mut [Moments], step: u64, lr: f64) {
    let gradients: Vec<Option<&[f32]>> = (0..moments.len()).map(|block| sum.gradient(block)).collect();
    let norm = optim::norm(&gradients.iter().flatten().copied().collect::<Vec<_>>());
    let factor = optim::clip_factor(norm, CLIP) as f32;
    for ((block, moments), gradient) in encoder.params.blocks.iter_mut().zip(moments).zip(gradients) {
        let Some(gradient) = gradient else { continue };
        if moments.m.is_empty() {
            *moments = Moments::zeros(gradient.len());
        }
        let clipped: Vec<f32> = gradient.iter().map(|g| g * factor).collect();
        AdamW::default().step(block, &clipped, moments, step, lr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Model {
        let encoder = Encoder::tiny(polytask_data::TINY_VOCAB, 1).unwrap();
        Model::new(encoder, polytask_data::Tokenizer::tiny().into(), Vec::new())
    }

    fn contrast<'a>(
        model: &'a Model,
        sequences: &'a [Vec<u32>],
        right: &'a Right,
        descriptions: &'a [Vec<u32>],
    ) -> Contrast<'a> {
        Contrast { model, sequences, right, descriptions, steps: 40, rows: 4, lr: 2e-3, seed: 1 }
    }

    const TEXTS: [&str; 6] = ["aa b", "ab a", "ba aa", "xy z", "zx yy", "yz x"];

    #[test]
    fn every_pass_holds_every_row_once() {
        let model = model();
        for n in [1, 2, 3, 7, 64, 65] {
            let (sequences, right) = (vec![vec![1]; n], Right::One(vec![0; n]));
            let contrast = contrast(&model, &sequences, &right, &[]);
            for pass in 0..3 {
                let mut rows: Vec<usize> = (0..n).map(|i| contrast.in_pass(pass * n + i)).collect();
                rows.sort_unstable();
                assert_eq!(rows, (0..n).collect::<Vec<_>>(), "{n}");
            }
        }
        let (sequences, right) = (vec![vec![1]; 64], Right::One(vec![0; 64]));
        let contrast = contrast(&model, &sequences, &right, &[]);
        assert_ne!(contrast.in_pass(0), contrast.in_pass(64));
    }

    #[test]
    fn tuned_texts_of_one_label_lie_together() {
        let model = model();
        let sequences = model.sequences(&TEXTS, None).unwrap();
        let descriptions = model.sequences(&["about a", "about z"], None).unwrap();
        for right in [
            Right::One(vec![0, 0, 0, 1, 1, 1]),
            Right::Any([[true, false]; 3].into_iter().chain([[false, true]; 3]).flatten().collect()),
        ] {
            let mut losses = Vec::new();
            let tuned = contrast(&model, &sequences, &right, &descriptions)
                .tune(&mut |_, _, loss| losses.push(loss))
                .unwrap();
            let (first, last) = (losses[..5].iter().sum::<f64>(), losses[35..].iter().sum::<f64>());
            assert!(last < 0.5 * first, "{first} {last}");
            // Word vectors stay, and the model that was given too.
            assert_eq!(tuned.encoder.params.blocks[0], model.encoder.params.blocks[0]);
            assert_ne!(tuned.encoder.params.blocks[1], model.encoder.params.blocks[1]);
            let again = contrast(&model, &sequences, &right, &descriptions).tune(&mut |_, _, _| ()).unwrap();
            assert_eq!(
                again.encoder.weights_hash(),
                tuned.encoder.weights_hash(),
                "the same seed, the same bytes"
            );
        }
    }

    #[test]
    fn rows_without_a_label_and_labels_without_rows_do_no_harm() {
        let model = model();
        let sequences = model.sequences(&TEXTS[..2], None).unwrap();
        let descriptions = model.sequences(&["about a", "about z"], None).unwrap();
        let right = Right::Any(vec![false, false, true, false]);
        let mut contrast = contrast(&model, &sequences, &right, &descriptions);
        contrast.steps = 3;
        contrast.tune(&mut |_, _, loss| assert!(loss.is_finite())).unwrap();
    }
}
