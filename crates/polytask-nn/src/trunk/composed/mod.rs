//! The composed trunk: the same network in the tensor engine's differentiable operations, f32 and f64.
//!
//! The reference that the packed kernels and every gradient are held against: written from the formulas, one
//! sequence at a time, with no fused operation (those of the engine's network crate have no backward). Dropout
//! uses the same masks as the packed trunk. Each cotangent is one run of the engine's backward over the graph.

mod backward;

use std::marker::PhantomData;

use candle_core::{D, Device, Tensor, Var};
use polytask_core::PackedBatch;

use super::bert::{Activation, BertConfig, EMBEDDINGS, WORDS};
use super::check::{self, Sizes};
use super::dropout::{Dropout, Site};
use super::packed::mask_row;
use super::{Cotangent, GradSink, Mode, SavedForward, States, Trunk};
use crate::Result;
use crate::params::{Block, Params, Real};

/// The BERT family in differentiable tensor operations.
#[derive(Debug)]
pub struct Composed<T> {
    config: BertConfig,
    sizes: Sizes,
    precision: PhantomData<fn() -> T>,
}

/// What [`Composed`] keeps between forward and backward: the graph and its leaves.
struct ComposedSaved {
    batch: PackedBatch,
    mode: Mode,
    /// Leaves per block, empty for frozen ones; their tensors are those of the block, in order.
    leaves: Vec<Vec<Tensor>>,
    /// The states below the first block, a leaf too.
    below: Tensor,
    states: Tensor,
}

/// One forward pass.
struct Pass<'a> {
    config: &'a BertConfig,
    batch: &'a PackedBatch,
    mode: &'a Mode,
}

impl<T: Real> Composed<T> {
    /// The network of a configuration.
    ///
    /// # Errors
    /// [`crate::Error::Core`] when the configuration cannot be built.
    pub fn new(config: BertConfig) -> Result<Self> {
        let config = config.checked()?;
        Ok(Self { sizes: Sizes::new(&config), config, precision: PhantomData })
    }

    /// Its configuration.
    pub fn config(&self) -> &BertConfig {
        &self.config
    }

    fn check(&self, params: &Params<T>, batch: &PackedBatch, mode: Mode) -> Result<()> {
        self.sizes.params(params)?;
        check::batch(&self.config, batch)?;
        check::mode(&self.config, mode)
    }

    /// Runs `blocks` in the place of those from `from` on; `states` are those below.
    fn run(
        &self,
        (from, blocks): (usize, &[&Block<T>]),
        batch: &PackedBatch,
        states: &[T],
        mode: Mode,
    ) -> Result<ComposedSaved> {
        let d = self.config.hidden_size;
        let shape = (if from > WORDS { batch.n_rows() } else { 0 }, d);
        let below = Tensor::from_slice(if from > WORDS { states } else { &[] }, shape, &Device::Cpu)?;
        let below = Var::from_tensor(&below)?.into_inner();
        let mut x = below.clone();
        let pass = Pass { config: &self.config, batch, mode: &mode };
        let mut leaves = vec![Vec::new(); self.n_blocks()];
        let places = leaves.iter_mut().enumerate().skip(from).zip(blocks);
        for ((block, own), weights) in places {
            let trained = mode.save && block >= mode.lowest;
            let tensors = block_tensors(weights, trained)?;
            if batch.n_rows() > 0 {
                x = match block {
                    WORDS => tensors[0].index_select(&Tensor::new(&*batch.ids, &Device::Cpu)?, 0)?,
                    EMBEDDINGS => pass.embeddings::<T>(&tensors, &x)?,
                    _ => pass.layer::<T>(block, &tensors, &x)?,
                };
            }
            if trained {
                *own = tensors;
            }
        }
        Ok(ComposedSaved { batch: batch.clone(), mode, leaves, below, states: x })
    }

    fn states(&self, saved: &ComposedSaved) -> Result<States<T>> {
        Ok(States { values: saved.states.flatten_all()?.to_vec1()?, width: self.config.hidden_size })
    }
}

/// The tensors of a block, as leaves of the graph when they are trained.
fn block_tensors<T: Real>(block: &Block<T>, trained: bool) -> Result<Vec<Tensor>> {
    let make = |i: usize| -> Result<Tensor> {
        let tensor = Tensor::from_slice(block.tensor(i), block.tensors[i].shape.as_slice(), &Device::Cpu)?;
        Ok(if trained { Var::from_tensor(&tensor)?.into_inner() } else { tensor })
    };
    (0..block.tensors.len()).map(make).collect()
}

impl Pass<'_> {
    fn embeddings<T: Real>(&self, tensors: &[Tensor], words: &Tensor) -> Result<Tensor> {
        let positions: Vec<u32> =
            (0..self.batch.n_sequences()).flat_map(|s| 0..self.batch.length(s) as u32).collect();
        let positions = tensors[0].index_select(&Tensor::new(positions, &Device::Cpu)?, 0)?;
        let types = tensors[1].narrow(0, 0, 1)?;
        let x = (words + positions)?.broadcast_add(&types)?;
        self.drop::<T>(EMBEDDINGS, Site::Embedding, &self.norm(&x, &tensors[2], &tensors[3])?)
    }

    /// One layer; `t` in the order of the block's tensors.
    fn layer<T: Real>(&self, block: usize, t: &[Tensor], x: &Tensor) -> Result<Tensor> {
        let attention = self.attention::<T>(block, t, x)?;
        let attention = self.drop::<T>(block, Site::AttentionOut, &linear(&attention, &t[6], &t[7])?)?;
        let x = self.norm(&(attention + x)?, &t[8], &t[9])?;
        let wide = self.activation(&linear(&x, &t[10], &t[11])?)?;
        let out = self.drop::<T>(block, Site::FeedForwardOut, &linear(&wide, &t[12], &t[13])?)?;
        self.norm(&(out + &x)?, &t[14], &t[15])
    }

    fn attention<T: Real>(&self, block: usize, t: &[Tensor], x: &Tensor) -> Result<Tensor> {
        let [q, k, v] = [0, 1, 2].map(|i| linear(x, &t[i], &t[3 + i]));
        let (q, k, v) = (q?, k?, v?);
        let drop = Dropout::new(self.mode, block, Site::Attention);
        let (heads, d) = (self.config.num_attention_heads, self.config.d_head());
        let mut contexts = Vec::new();
        for sequence in (0..self.batch.n_sequences()).filter(|&s| self.batch.length(s) > 0) {
            let (rows, len) = (self.batch.rows(sequence), self.batch.length(sequence));
            // [len, heads·d_head] → [heads, len, d_head]
            let split = |m: &Tensor| {
                m.narrow(0, rows.start, len)?.reshape((len, heads, d))?.transpose(0, 1)?.contiguous()
            };
            let (q, k, v) = (split(&q)?, split(&k)?, split(&v)?);
            let scores = (q.matmul(&k.t()?.contiguous()?)? / (d as f64).sqrt())?;
            let shifted = scores.broadcast_sub(&scores.detach().max_keepdim(D::Minus1)?)?.exp()?;
            let mut p = shifted.broadcast_div(&shifted.sum_keepdim(D::Minus1)?)?;
            if let Some(drop) = &drop {
                let pairs = (0..heads).flat_map(|head| (0..len).map(move |i| (head, i)));
                let rows = pairs.map(|(head, i)| mask_row(self.batch, sequence, heads, head, i));
                p = (p * mask::<T>(drop, rows, len)?.reshape((heads, len, len))?)?;
            }
            contexts.push(p.matmul(&v)?.transpose(0, 1)?.contiguous()?.reshape((len, heads * d))?);
        }
        Ok(Tensor::cat(&contexts, 0)?)
    }

    fn norm(&self, x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let deviation = (centred.sqr()?.mean_keepdim(D::Minus1)? + self.config.layer_norm_eps)?.sqrt()?;
        Ok(centred.broadcast_div(&deviation)?.broadcast_mul(weight)?.broadcast_add(bias)?)
    }

    /// Built from the error function and tanh: the engine's fused activations differentiate with six digits only.
    fn activation(&self, x: &Tensor) -> Result<Tensor> {
        let gate = match self.config.hidden_act {
            Activation::Gelu => (x / std::f64::consts::SQRT_2)?.erf()?,
            Activation::GeluTanh => {
                let cubic = ((x.sqr()? * x)? * 0.044_715)?;
                ((x + cubic)? * (2.0 / std::f64::consts::PI).sqrt())?.tanh()?
            }
            Activation::Relu => return Ok(x.relu()?),
        };
        Ok(((gate + 1.0)? * (x * 0.5)?)?)
    }

    fn drop<T: Real>(&self, block: usize, site: Site, x: &Tensor) -> Result<Tensor> {
        match Dropout::new(self.mode, block, site) {
            Some(drop) => {
                let (rows, width) = x.dims2()?;
                Ok((x * mask::<T>(&drop, 0..rows as u64, width)?)?)
            }
            None => Ok(x.clone()),
        }
    }
}

/// `x · weightᵀ + bias`.
fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    Ok(x.matmul(&weight.t()?)?.broadcast_add(bias)?)
}

/// The factors of some rows, `[rows, width]`.
fn mask<T: Real>(drop: &Dropout, rows: impl Iterator<Item = u64>, width: usize) -> Result<Tensor> {
    let values: Vec<T> = rows.flat_map(|row| drop.factors(row, width)).map(|f| T::of(f64::from(f))).collect();
    let n = values.len() / width;
    Ok(Tensor::from_vec(values, (n, width), &Device::Cpu)?)
}

impl<T: Real> Trunk<T> for Composed<T> {
    fn d_hidden(&self) -> usize {
        self.config.hidden_size
    }

    fn max_positions(&self) -> usize {
        self.config.max_position_embeddings
    }

    fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    fn n_blocks(&self) -> usize {
        self.config.n_blocks()
    }

    fn forward(
        &self,
        params: &Params<T>,
        batch: &PackedBatch,
        mode: Mode,
    ) -> Result<(States<T>, SavedForward)> {
        self.check(params, batch, mode)?;
        let saved = self.run((0, &all(params)), batch, &[], mode)?;
        Ok((self.states(&saved)?, Box::new(saved)))
    }

    fn forward_below(&self, params: &Params<T>, batch: &PackedBatch, lowest: usize) -> Result<States<T>> {
        let mode = Mode { lowest, ..Mode::EVAL };
        self.check(params, batch, mode)?;
        if lowest == 0 {
            return Ok(States { values: Vec::new(), width: self.d_hidden() });
        }
        self.states(&self.run((0, &all(params)[..lowest]), batch, &[], mode)?)
    }

    fn forward_from(
        &self,
        params: &Params<T>,
        batch: &PackedBatch,
        below: &States<T>,
        mode: Mode,
    ) -> Result<(States<T>, SavedForward)> {
        self.check(params, batch, mode)?;
        check::below(&self.config, batch, mode.lowest, below)?;
        let blocks = &all(params)[mode.lowest..];
        let saved = self.run((mode.lowest, blocks), batch, &below.values, mode)?;
        Ok((self.states(&saved)?, Box::new(saved)))
    }

    fn vjp(
        &self,
        _params: &Params<T>,
        saved: &SavedForward,
        cotangents: &[Cotangent<T>],
        sink: &mut dyn GradSink<T>,
    ) -> Result<()> {
        self.backward(saved, cotangents, sink).map(drop)
    }

    fn can_be_cut(&self) -> bool {
        true
    }

    fn through(
        &self,
        (first, blocks): (usize, &[&Block<T>]),
        batch: &PackedBatch,
        below: &States<T>,
        mode: Mode,
    ) -> Result<(States<T>, SavedForward)> {
        self.sizes.blocks(first, blocks)?;
        check::batch(&self.config, batch)?;
        check::mode(&self.config, mode)?;
        check::below(&self.config, batch, first, below)?;
        let mode = Mode { lowest: mode.lowest.max(first), ..mode };
        let saved = self.run((first, blocks), batch, &below.values, mode)?;
        Ok((self.states(&saved)?, Box::new(saved)))
    }

    fn vjp_through(
        &self,
        _blocks: (usize, &[&Block<T>]),
        saved: &SavedForward,
        cotangents: &[Cotangent<T>],
        sink: &mut dyn GradSink<T>,
        below: bool,
    ) -> Result<Vec<Cotangent<T>>> {
        let saved = self.backward(saved, cotangents, sink)?;
        if below { self.inputs(saved, cotangents) } else { Ok(Vec::new()) }
    }
}

/// All blocks.
fn all<T>(params: &Params<T>) -> Vec<&Block<T>> {
    params.blocks.iter().collect()
}
