//! What a training works on: an encoder with heads, as tasks together share it or as one alone has it.

use std::sync::Arc;

use polytask_core::Suite;
use polytask_nn::Trunk;
use polytask_nn::encoder::Encoder;
use polytask_nn::trunk::InPieces;

use crate::Result;
use crate::cache::FrozenCache;
use crate::engine::Engine;
use crate::heads::TaskHead;
use crate::observe::Observer;
use crate::prepared::{Prepared, encoder_settings};
use crate::share;

/// What an engine borrows.
pub(crate) struct Parts<'a> {
    prepared: &'a Prepared,
    /// The encoder as these tasks share it.
    pub(crate) encoder: &'a Encoder,
    /// Its network, in pieces where the suite says so.
    trunk: Arc<dyn Trunk>,
    /// Heads of all tasks.
    pub(crate) heads: Vec<TaskHead>,
    /// Whether each trunk block is trained.
    pub(crate) trainable: Vec<bool>,
}

/// An engine and what it works on: tasks together may share the encoder in another way than a task alone has it.
#[derive(Clone, Copy)]
pub(crate) struct Side<'a> {
    /// What it works on.
    pub(crate) parts: &'a Parts<'a>,
    /// The engine.
    pub(crate) engine: Engine<'a>,
}

/// Lets `work` have the engines of a suite's tasks together and of a task alone; the same one where they share plainly.
pub(crate) fn with_sides<R>(
    prepared: &Prepared,
    observer: &mut dyn Observer,
    work: impl FnOnce(Side, Side, &mut dyn Observer) -> Result<R>,
) -> Result<R> {
    let shared = share::encoder(prepared, observer)?;
    let single = Parts::new(prepared, &prepared.encoder)?;
    let joint = shared.as_ref().map(|encoder| Parts::new(prepared, encoder)).transpose()?;
    let is_used = joint.is_none() || suite_compares(&prepared.suite);
    let single_cache = if is_used { single.cache(observer)? } else { None };
    let joint_cache = joint.as_ref().map(|parts| parts.cache(observer)).transpose()?.flatten();
    let single = Side::new(&single, single_cache.as_deref());
    let joint = joint.as_ref().map_or(single, |parts| Side::new(parts, joint_cache.as_deref()));
    work(joint, single, observer)
}

impl<'a> Side<'a> {
    /// The engine over some parts.
    pub(crate) fn new(parts: &'a Parts<'a>, cache: Option<&'a FrozenCache>) -> Self {
        Self { parts, engine: parts.engine(cache) }
    }
}

impl<'a> Parts<'a> {
    /// Heads and trained blocks of an encoder.
    pub(crate) fn new(prepared: &'a Prepared, encoder: &'a Encoder) -> Result<Self> {
        let Prepared { suite, dataset, .. } = prepared;
        let heads = TaskHead::all(suite, dataset, encoder)?;
        let frozen = encoder.frozen(&suite.model.freeze)?;
        let trainable = frozen.iter().map(|f| !f).collect();
        let trunk = match suite.train.micro_tokens {
            0 => encoder.trunk.clone(),
            tokens => Arc::new(InPieces::new(encoder.trunk.clone(), tokens)?),
        };
        Ok(Self { prepared, encoder, trunk, heads, trainable })
    }

    /// States of the frozen part, when keeping them pays.
    fn cache(&self, observer: &mut dyn Observer) -> Result<Option<Arc<FrozenCache>>> {
        let (Prepared { suite, dataset, .. }, encoder) = (self.prepared, self.encoder);
        let lowest = self.trainable.iter().position(|t| *t).unwrap_or(self.trainable.len());
        // Below the adapters of the lowest layer lies hardly more than a look-up.
        if encoder.is_adapted() && suite.model.freeze.is_empty() {
            return Ok(None);
        }
        if !FrozenCache::pays(dataset, &*encoder.trunk, lowest, suite.train.cache_mb) {
            return Ok(None);
        }
        let settings = encoder_settings(self.prepared);
        self.prepared.frozen.get((dataset, encoder, &settings), lowest, observer).map(Some)
    }

    fn engine(&'a self, cache: Option<&'a FrozenCache>) -> Engine<'a> {
        let (Prepared { suite, dataset, .. }, encoder) = (self.prepared, self.encoder);
        Engine {
            dataset,
            trunk: &*self.trunk,
            pooling: &encoder.pooling,
            heads: &self.heads,
            trainable: &self.trainable,
            cache,
            dropout: suite.model.dropout.unwrap_or(encoder.network.dropout()),
            seed: suite.seed,
            recompute: suite.train.recompute,
        }
    }
}

/// The id of the learner that is a model of its own for each task.
pub const SINGLE: &str = "single";

/// Whether tasks are trained alone too.
pub(crate) fn suite_compares(suite: &Suite) -> bool {
    suite.train.compares(SINGLE) && suite.tasks.len() > 1
}
