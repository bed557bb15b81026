//! The work of the training benches: an encoder, a batch, and one step on it.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use polytask_core::method::Choice;
use polytask_core::{PackedBatch, Purpose, Rng};
use polytask_nn::encoder::Encoder;
use polytask_nn::optim::{AdamW, Moments};
use polytask_nn::trunk::{BertConfig, LoraSpec, Packed, sinks};
use polytask_nn::{Block, Cotangent, Mode, Params, SavedForward, States, Trunk};

/// A trunk with weights.
pub(super) struct Net {
    pub(super) trunk: Arc<dyn Trunk>,
    pub(super) params: Params,
    /// Whether activations are computed again in the backward.
    pub(super) recompute: bool,
    /// The lowest block that is trained.
    pub(super) lowest: usize,
}

impl Net {
    /// Fresh weights of MiniLM's shape.
    pub(super) fn fresh() -> Self {
        let graph = BertConfig::mini_lm().graph();
        Self { params: graph.init(1), trunk: Arc::new(Packed::new(graph)), recompute: false, lowest: 0 }
    }

    /// The weights of a model folder.
    pub(super) fn load(folder: &Path) -> Result<Self> {
        let encoder = Encoder::load(folder)?;
        Ok(Self { trunk: encoder.trunk, params: encoder.params, recompute: false, lowest: 0 })
    }

    /// The same with LoRA beside every matrix of its layers, which alone is trained; in `written` also as a folder of the
    /// PEFT library.
    pub(super) fn adapted(folder: &Path, rank: usize, written: Option<&Path>) -> Result<Self> {
        let spec = LoraSpec { rank, alpha: 2.0 * rank as f64, dropout: 0.0, targets: Vec::new() };
        let plain = Encoder::load(folder)?;
        let lowest = plain.params.blocks.len();
        let mut encoder =
            plain.adapt(Arc::new(spec), &Choice::named("lora"), (&folder.to_string_lossy(), 1))?;
        // Second factors start at zero, and so would the gradients of the first ones.
        let mut rng = Rng::new(1, Purpose::Bench, &[]);
        for block in &mut encoder.params.blocks[lowest..] {
            block.values.iter_mut().for_each(|v| *v += 0.01 * rng.normal() as f32);
        }
        if let Some(written) = written {
            encoder.save(&encoder.params, written, &[])?;
        }
        Ok(Self { trunk: encoder.trunk, params: encoder.params, recompute: false, lowest })
    }

    /// A forward that a backward can follow.
    pub(super) fn forward(
        &self,
        batch: &PackedBatch,
        dropout: f64,
        step: u64,
    ) -> Result<(States, SavedForward)> {
        let mode = Mode { dropout, seed: 1, step, save: true, train: true, ..Mode::EVAL };
        let mode = Mode { recompute: self.recompute, lowest: self.lowest, ..mode };
        Ok(self.trunk.forward(&self.params, batch, mode)?)
    }
}

/// Training steps on one batch: forward, one merged backward, AdamW on what is trained.
pub(super) struct Step {
    pub(super) net: Net,
    batch: PackedBatch,
    cotangent: Cotangent,
    moments: Vec<Moments>,
    sum: sinks::Sum,
}

impl Step {
    pub(super) fn new(net: Net, batch: &super::batch::Batch) -> Self {
        let cotangent = batch.merged(net.trunk.d_hidden());
        Self::on(net, batch.packed(), cotangent)
    }

    /// Steps on a packed batch whose loss has this gradient at the states.
    pub(super) fn on(net: Net, batch: PackedBatch, cotangent: Cotangent) -> Self {
        let blocks = net.params.blocks.iter();
        let trained = |(i, block): (usize, &Block)| if i < net.lowest { 0 } else { block.values.len() };
        let moments = blocks.enumerate().map(|block| Moments::zeros(trained(block))).collect();
        let sum = sinks::Sum::new(&net.params, &[1.0]);
        Self { net, batch, cotangent, moments, sum }
    }

    /// Forward and backward; the gradients lie in `sum`. Gives the loss and the states.
    fn gradients(&mut self, dropout: f64, step: u64) -> Result<(f64, States)> {
        let (states, saved) = self.net.forward(&self.batch, dropout, step)?;
        let product = |(z, d): (&f32, &f32)| f64::from(z * d);
        let loss = states.values.iter().zip(self.cotangent.values.iter()).map(product).sum();
        self.sum.reset(&[1.0]);
        let cotangents = std::slice::from_ref(&self.cotangent);
        self.net.trunk.vjp(&self.net.params, &saved, cotangents, &mut self.sum)?;
        Ok((loss, states))
    }

    /// One whole step; `step` counts from 1.
    pub(super) fn run(&mut self, step: u64) -> Result<()> {
        std::hint::black_box(self.gradients(0.1, step)?.0);
        let adamw = AdamW { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01 };
        let blocks = self.net.params.blocks.iter_mut().zip(&mut self.moments);
        for (i, (block, moments)) in blocks.enumerate().skip(self.net.lowest) {
            let gradient = self.sum.gradient(i).expect("the one cotangent reaches every block");
            adamw.step(block, gradient, moments, step, 1e-5);
        }
        Ok(())
    }

    /// The states, and the norm of each block's gradient, without dropout.
    pub(super) fn answers(&mut self) -> Result<(States, Vec<(String, f64)>)> {
        let (_, states) = self.gradients(0.0, 1)?;
        let norm = |(i, block): (usize, &Block)| {
            let gradient = self.sum.gradient(i).expect("the one cotangent reaches every block");
            (block.name.clone(), polytask_nn::optim::norm(&[gradient]))
        };
        let norms = self.net.params.blocks.iter().enumerate().skip(self.net.lowest).map(norm).collect();
        Ok((states, norms))
    }
}
