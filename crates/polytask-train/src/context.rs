//! A run in the making: what is trained on, compared and written, as its learners see it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use polytask_core::report::Lineage;
use polytask_core::suite::Start;
use polytask_core::{Split, Suite};
use polytask_eval::Predictions;
use polytask_nn::Block;

use crate::Result;
use crate::engine::Weights;
use crate::evaluate;
use crate::heads::TaskHead;
use crate::kept_heads;
use crate::linear_probe::{self, Probes};
use crate::observe::Observer;
use crate::prepared::{Prepared, lineage};
use crate::reference::Reference;
use crate::side::Side;

/// Where a run writes and what it may reuse.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The run's folder.
    pub out: PathBuf,
    /// Continue from the last checkpoint.
    pub resume: bool,
    /// Where finished single-task results are kept between runs.
    pub baselines: Option<PathBuf>,
}

/// A run in the making: what its learners are given.
pub struct Run<'a> {
    pub(crate) prepared: &'a Prepared,
    pub(crate) joint: Side<'a>,
    pub(crate) single: Side<'a>,
    /// Where it all comes from; hashes of all weights and files, so made once.
    pub(crate) lineage: Lineage,
    pub(crate) options: &'a RunOptions,
    /// Steps between measurements of what the tasks do to each other; 0 means never.
    pub(crate) diagnose_every: u64,
    /// Whether that was asked for: it then holds for a resumed training too, which else goes on as it began.
    pub(crate) is_every_asked: bool,
    /// The probes of the tasks, where training starts from them or is compared with them.
    pub(crate) probes: Option<Probes>,
    /// Whether the user knows that the cache takes nothing.
    pub(crate) is_cache_noted: Cell<bool>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        prepared: &'a Prepared,
        (joint, single): (Side<'a>, Side<'a>),
        options: &'a RunOptions,
        diagnose_every: u64,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let lineage = lineage(prepared);
        let starts_there = prepared.suite.train.start == Start::Probe;
        let probes = if starts_there { Some(linear_probe::fit(prepared, single, observer)?) } else { None };
        Ok(Self {
            prepared,
            joint,
            single,
            lineage,
            options,
            diagnose_every,
            is_every_asked: false,
            probes,
            is_cache_noted: Cell::new(false),
        })
    }
}

impl<'a> Run<'a> {
    /// Suite, data and encoder.
    pub fn prepared(&self) -> &'a Prepared {
        self.prepared
    }

    /// What a task alone is trained on.
    pub(crate) fn single(&self) -> Side<'a> {
        self.single
    }

    /// The probes of all tasks, where training starts from them.
    pub(crate) fn probes(&self) -> Option<&Probes> {
        self.probes.as_ref()
    }

    /// Where it writes.
    pub(crate) fn options(&self) -> &RunOptions {
        self.options
    }

    /// Steps between measurements of what the tasks do to each other; 0 means never.
    pub(crate) fn diagnose_every(&self) -> u64 {
        self.diagnose_every
    }

    /// The same, where somebody asked for it.
    pub(crate) fn asked_every(&self) -> Option<u64> {
        self.is_every_asked.then_some(self.diagnose_every)
    }

    /// The split a task is reported on: test where it has a known target, else valid.
    pub fn split_of(&self, task: usize) -> Split {
        self.prepared.dataset.report_split(task)
    }
}

impl Run<'_> {
    /// Predictions on the split each task is reported on.
    pub(crate) fn predict(
        &self,
        side: Side,
        weights: Weights,
        tasks: &[usize],
    ) -> Result<BTreeMap<usize, Predictions>> {
        let mut out = BTreeMap::new();
        for split in [Split::Test, Split::Valid] {
            let of_split: Vec<usize> =
                tasks.iter().copied().filter(|&task| self.split_of(task) == split).collect();
            out.extend(evaluate::predict(&side.engine, weights, &of_split, split)?);
        }
        Ok(out)
    }

    /// The probes, where training starts from them.
    pub(crate) fn reference<'s>(&'s self, side: Side<'s>) -> Option<Reference<'s>> {
        let probes = self.probes.as_ref().filter(|_| self.prepared.suite.train.start == Start::Probe)?;
        Some(Reference { trunk: &side.parts.encoder.params, heads: &probes.heads, valid: &probes.valid })
    }

    /// What the heads start from.
    pub(crate) fn first_heads(&self, side: Side) -> Vec<Block> {
        let Suite { seed, train, .. } = &self.prepared.suite;
        match &self.probes {
            Some(probes) if train.start == Start::Probe => probes.heads.clone(),
            _ => {
                let kept = &self.prepared.kept_heads;
                let head = |head: &TaskHead| kept_heads::or_fresh(kept, &head.name, head.block(*seed));
                side.parts.heads.iter().map(head).collect()
            }
        }
    }
}
