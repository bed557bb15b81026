//! `probe`: each task's head fitted to the end on vectors of the encoder as it was loaded.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use polytask_core::{Family, MethodInfo, Split};
use polytask_eval::Predictions;

use super::folder::ModelFolder;
use super::{Fitted, Learner};
use crate::Result;
use crate::context::Run;
use crate::engine::Weights;
use crate::evaluate;
use crate::linear_probe::{self, Probes};
use crate::observe::Observer;
use crate::side::{Parts, Side};
use crate::to_model::to_model;

const INFO: MethodInfo = MethodInfo {
    id: "probe",
    title: "Linear probe",
    paper: "",
    family: Family::Learner,
    about: "logistic or ridge regression on vectors of the encoder as it was loaded; their cosines, where the head has no parameters",
    cost: "one encode of every text",
    kinds: &[],
    params: &[],
};

/// The learner of heads on frozen vectors.
pub(super) struct Probe;

/// The probes of a run's tasks.
struct FittedProbes<'r> {
    run: &'r Run<'r>,
    /// What they were fitted on, where that is not what the run trains: the encoder without fresh adapters.
    bare: Option<Parts<'r>>,
    probes: Cow<'r, Probes>,
    tasks: Vec<usize>,
}

impl Learner for Probe {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn is_at_hand(&self, run: &Run) -> bool {
        run.probes().is_some() && run.prepared().bare.is_none()
    }

    fn fit<'r>(
        &self,
        run: &'r Run,
        tasks: &[usize],
        observer: &mut dyn Observer,
    ) -> Result<Box<dyn Fitted + 'r>> {
        let prepared = run.prepared();
        let bare = prepared.bare.as_ref().map(|encoder| Parts::new(prepared, encoder)).transpose()?;
        let probes = match (&bare, run.probes()) {
            (Some(parts), _) => Cow::Owned(linear_probe::fit(prepared, Side::new(parts, None), observer)?),
            (None, Some(probes)) => Cow::Borrowed(probes),
            (None, None) => Cow::Owned(linear_probe::fit(prepared, run.single(), observer)?),
        };
        Ok(Box::new(FittedProbes { run, bare, probes, tasks: tasks.to_vec() }))
    }

    fn read<'r>(&self, run: &'r Run, folder: &Path) -> Result<Box<dyn Fitted + 'r>> {
        Ok(Box::new(ModelFolder::read(run, folder)?))
    }
}

impl FittedProbes<'_> {
    fn side(&self) -> Side<'_> {
        self.bare.as_ref().map_or_else(|| self.run.single(), |parts| Side::new(parts, None))
    }

    /// What was predicted when the probes were fitted: the split a task is reported on, and valid.
    fn known(&self, task: usize, split: Split) -> Option<&Predictions> {
        let reported = self.probes.predictions.get(&task).filter(|_| self.run.split_of(task) == split);
        reported.or_else(|| self.probes.valid.get(&task).filter(|_| split == Split::Valid))
    }
}

impl Fitted for FittedProbes<'_> {
    fn predict(&self, split: Split) -> Result<BTreeMap<usize, Predictions>> {
        let known = |&task: &usize| Some((task, self.known(task, split)?.clone()));
        let mut found: BTreeMap<usize, Predictions> = self.tasks.iter().filter_map(known).collect();
        let missing: Vec<usize> =
            self.tasks.iter().copied().filter(|task| !found.contains_key(task)).collect();
        let side = self.side();
        let weights = Weights { trunk: &side.parts.encoder.params, heads: &self.probes.heads };
        found.extend(evaluate::predict(&side.engine, weights, &missing, split)?);
        Ok(found)
    }

    fn write(&self, folder: &Path) -> Result<()> {
        let parts = self.side().parts;
        let heads = self.probes.heads.clone();
        let mut model = to_model(self.run.prepared(), parts.encoder, &parts.heads, heads);
        let is_fitted = |name: &str| self.tasks.iter().any(|&task| parts.heads[task].name == name);
        model.tasks.retain(|task| is_fitted(&task.info.name));
        Ok(model.save(&parts.encoder.params, folder)?)
    }
}
