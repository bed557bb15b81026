//! A model folder that a learner wrote, read again.

use std::collections::BTreeMap;
use std::path::Path;

use polytask_core::Split;
use polytask_eval::Predictions;
use polytask_model::Model;

use super::Fitted;
use crate::Result;
use crate::context::Run;
use crate::engine::Weights;
use crate::evaluate;
use crate::judge::with_engine;

/// A model of some tasks of a run.
pub(super) struct ModelFolder<'r> {
    run: &'r Run<'r>,
    model: Model,
}

impl<'r> ModelFolder<'r> {
    /// Reads the model in `folder`.
    pub(super) fn read(run: &'r Run, folder: &Path) -> Result<Self> {
        Ok(Self { run, model: Model::load(folder)? })
    }
}

impl Fitted for ModelFolder<'_> {
    fn predict(&self, split: Split) -> Result<BTreeMap<usize, Predictions>> {
        let prepared = self.run.prepared();
        let tasks: Vec<usize> = (0..prepared.suite.tasks.len())
            .filter(|&task| self.model.task(&prepared.suite.tasks[task].name).is_ok())
            .collect();
        with_engine(&prepared.suite, &prepared.dataset, &self.model, |engine, heads| {
            let weights = Weights { trunk: &self.model.encoder.params, heads };
            evaluate::predict(engine, weights, &tasks, split)
        })
    }

    fn write(&self, folder: &Path) -> Result<()> {
        Ok(self.model.save(&self.model.encoder.params, folder)?)
    }
}
