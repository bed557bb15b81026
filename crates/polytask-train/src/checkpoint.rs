//! Checkpoints: one safetensors file that is complete or absent.
//!
//! It holds all that changes in a training (weights, moments, the best weights, the method's state, the
//! history); everything else is a function of suite, data and step. A resumed run continues byte for byte. The
//! number of threads is no part of a checkpoint's identity: work is cut in the same pieces whoever does them and
//! sums are taken in a fixed order, so the weights do not depend on it.

use std::path::{Path, PathBuf};

use polytask_core::{Problem, hash};
use polytask_nn::optim::Moments;
use polytask_nn::weights::{self, Dtype, TensorOut, Values, WeightFiles};
use polytask_nn::{Block, Params};
use serde::{Deserialize, Serialize};

use crate::history::History;
use crate::optimise::Slot;
use crate::trainer::{Best, State};
use crate::{Error, Result};

/// Version of the file's layout.
const VERSION: u32 = 1;

/// Where a training keeps its last state.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    path: PathBuf,
    /// Hash of suite, data and encoder: a checkpoint of another training is refused.
    identity: String,
}

/// The small things of a state, as JSON in the file.
#[derive(Debug, Serialize, Deserialize)]
struct Meta {
    version: u32,
    identity: String,
    step: u64,
    stale: u64,
    best: Option<(u64, f64)>,
    trunk_counts: Vec<u64>,
    head_counts: Vec<u64>,
    history: History,
}

impl Checkpoints {
    /// Checkpoints in `folder` of the training with this identity.
    pub fn new(folder: &Path, identity: &str) -> Self {
        Self { path: folder.join("state.safetensors"), identity: hash::sha256(identity.as_bytes()) }
    }

    /// Writes the state in place of the last one. Frozen blocks are left out: they are the encoder's.
    pub fn save(&self, state: &State, trainable: &[bool]) -> Result<()> {
        let meta = serde_json::to_vec(&self.meta(state))
            .map_err(|e| polytask_core::Error::Bug(format!("checkpoint cannot be written as JSON: {e}")))?;
        let mut out = Tensors::default();
        for ((block, slot), _) in
            state.trunk.blocks.iter().zip(&state.slots.trunk).zip(trainable).filter(|(_, t)| **t)
        {
            out.block("trunk", &block.name, &block.values, slot);
        }
        for (block, slot) in state.heads.iter().zip(&state.slots.heads) {
            out.block("heads", &block.name, &block.values, slot);
        }
        if let Some(best) = &state.best {
            let names = state.trunk.blocks.iter().map(|block| &block.name);
            names
                .zip(&best.trunk)
                .for_each(|(name, values)| out.push(format!("best.{name}"), Values::F32(values)));
            best.heads.iter().for_each(|b| out.push(format!("best.{}", b.name), Values::F32(&b.values)));
        }
        out.push("method".into(), Values::F64(&state.method));
        out.push("meta".into(), Values::Raw(Dtype::U8, &meta));
        Ok(weights::write(&self.path, &out.tensors(), &[])?)
    }

    fn meta(&self, state: &State) -> Meta {
        let counts = |slots: &[Slot]| slots.iter().map(|slot| slot.count).collect();
        Meta {
            version: VERSION,
            identity: self.identity.clone(),
            step: state.step,
            stale: state.stale,
            best: state.best.as_ref().map(|best| (best.step, best.score)),
            trunk_counts: counts(&state.slots.trunk),
            head_counts: counts(&state.slots.heads),
            history: state.history.clone(),
        }
    }

    /// Fills `state` (fresh, of the same suite) from the last checkpoint; false when there is none. Every trained
    /// block must be in the file.
    pub fn load(&self, state: &mut State, trainable: &[bool]) -> Result<bool> {
        if !self.path.exists() {
            return Ok(false);
        }
        let file = WeightFiles::open(&self.path)?;
        let meta = self.read_meta(&file)?;
        let trunk = Group { name: "trunk", trained: trainable, counts: &meta.trunk_counts };
        trunk.read(&file, &mut state.trunk.blocks, &mut state.slots.trunk)?;
        let all = vec![true; state.heads.len()];
        let heads = Group { name: "heads", trained: &all, counts: &meta.head_counts };
        heads.read(&file, &mut state.heads, &mut state.slots.heads)?;
        state.best = meta.best.map(|best| read_best(&file, state, trainable, best)).transpose()?;
        state.method = file.f64("method")?;
        (state.step, state.stale, state.history) = (meta.step, meta.stale, meta.history);
        Ok(true)
    }

    fn read_meta(&self, file: &WeightFiles) -> Result<Meta> {
        let broken = |what: String| {
            Problem::new(format!("checkpoint {} {what}", self.path.display()))
                .try_this("start anew with `--force`, or resume with the suite and data it was made with")
        };
        let meta: Meta = serde_json::from_slice(&file.raw("meta")?.bytes)
            .map_err(|e| broken(format!("cannot be read: {e}")))?;
        if meta.version != VERSION {
            return Err(broken(format!("has layout {}, expected {VERSION}", meta.version)).into());
        }
        if meta.identity != self.identity {
            return Err(broken("belongs to another suite, other data or another encoder".into()).into());
        }
        Ok(meta)
    }
}

/// Tensors waiting to be written.
#[derive(Default)]
struct Tensors<'a> {
    names: Vec<String>,
    shapes: Vec<[usize; 1]>,
    values: Vec<Values<'a>>,
}

impl<'a> Tensors<'a> {
    fn push(&mut self, name: String, values: Values<'a>) {
        let n = match values {
            Values::F32(v) => v.len(),
            Values::F64(v) => v.len(),
            Values::Raw(_, v) => v.len(),
        };
        self.names.push(name);
        self.shapes.push([n]);
        self.values.push(values);
    }

    fn block(&mut self, group: &str, name: &str, values: &'a [f32], slot: &'a Slot) {
        self.push(format!("{group}.{name}.value"), Values::F32(values));
        self.push(format!("{group}.{name}.m"), Values::F32(&slot.moments.m));
        self.push(format!("{group}.{name}.v"), Values::F32(&slot.moments.v));
    }

    fn tensors(&self) -> Vec<TensorOut<'_>> {
        let all = self.names.iter().zip(&self.shapes).zip(&self.values);
        all.map(|((name, shape), values)| TensorOut { name, shape, values: *values }).collect()
    }
}

/// The blocks of the trunk or of the heads, as the file names them.
struct Group<'a> {
    name: &'static str,
    /// Which blocks are trained; the others are not in the file.
    trained: &'a [bool],
    /// Optimiser steps of each block.
    counts: &'a [u64],
}

impl Group<'_> {
    /// Reads the trained blocks and their optimiser slots.
    fn read(&self, file: &WeightFiles, blocks: &mut [Block], slots: &mut [Slot]) -> Result<()> {
        if self.counts.len() != blocks.len() {
            let (group, found, expected) = (self.name, self.counts.len(), blocks.len());
            return Err(wrong(
                file,
                &format!("counts the steps of {found} blocks of {group}, expected {expected}"),
            ));
        }
        let each = blocks.iter_mut().zip(slots).zip(self.counts).zip(self.trained);
        for (((block, slot), count), _) in each.filter(|(_, trained)| **trained) {
            let name = |what: &str| format!("{}.{}.{what}", self.name, block.name);
            if file.find(&name("value")).is_none() {
                return Err(wrong(
                    file,
                    &format!("has no block `{}`, expected every trained one", block.name),
                ));
            }
            let mut moments =
                if *count > 0 { Moments::zeros(block.values.len()) } else { Moments::default() };
            fit(&mut moments.m, file, &name("m"))?;
            fit(&mut moments.v, file, &name("v"))?;
            *slot = Slot { moments, count: *count };
            fit(&mut block.values, file, &name("value"))?;
        }
        Ok(())
    }
}

fn read_best(
    file: &WeightFiles,
    state: &State,
    trainable: &[bool],
    (step, score): (u64, f64),
) -> Result<Best> {
    let read = |block: &Block, trained: bool| -> Result<Vec<f32>> {
        let mut values = if trained { block.values.clone() } else { Vec::new() };
        fit(&mut values, file, &format!("best.{}", block.name))?;
        Ok(values)
    };
    let blocks = state.trunk.blocks.iter().zip(trainable);
    let trunk = blocks.map(|(block, &trained)| read(block, trained)).collect::<Result<_>>()?;
    let mut heads = state.heads.clone();
    for head in &mut heads {
        head.values = read(head, true)?;
    }
    Ok(Best { step, score, trunk, heads })
}

/// A checkpoint that does not fit the training it claims to be of.
fn wrong(file: &WeightFiles, what: &str) -> Error {
    let what = format!("checkpoint {} {what}", file.path().display());
    Problem::new(what).try_this("start anew with `--force`, or resume with the suite it was made with").into()
}

/// Takes a tensor's values over when their number is right.
fn fit(values: &mut Vec<f32>, file: &WeightFiles, name: &str) -> Result<()> {
    let read = file.f32(name)?;
    if read.len() != values.len() {
        let (found, expected) = (read.len(), values.len());
        return Err(wrong(file, &format!("has {found} values in `{name}`, expected {expected}")));
    }
    *values = read;
    Ok(())
}

/// The trunk's parameters alone, as a new state needs them.
pub fn fresh(trunk: Params, heads: Vec<Block>, n_tasks: usize) -> State {
    let slots = crate::optimise::Slots::new(trunk.blocks.len(), n_tasks);
    State {
        step: 0,
        trunk,
        heads,
        slots,
        method: Vec::new(),
        best: None,
        stale: 0,
        history: History::default(),
    }
}
