//! How a run's tasks fared: joint and single-task models, and other learners, on the same rows.

use std::collections::{BTreeMap, BTreeSet};

use polytask_core::report::TaskReport;
use polytask_core::{MethodInfo, Split};
use polytask_eval::{OtherRun, Predictions, TaskRun};

use super::Run;
use crate::Result;
use crate::evaluate::metrics;
use crate::learner::{Learner, SINGLE, Trained};
use crate::observe::Observer;

/// What a learner beside the trainings predicts.
pub(super) struct Other {
    info: &'static MethodInfo,
    /// By task, on the split it is reported on.
    predictions: BTreeMap<usize, Predictions>,
}

impl Other {
    fn of(&self, task: usize) -> Option<OtherRun<'_>> {
        Some(OtherRun { learner: self.info.id, predictions: self.predictions.get(&task)? })
    }
}

impl Run<'_> {
    /// What other learners predict on the split each task is reported on: those the suite asks for, and those that are
    /// at hand.
    pub(super) fn others(
        &self,
        learners: &[&'static dyn Learner],
        observer: &mut dyn Observer,
    ) -> Result<Vec<Other>> {
        let asked = |learner: &&&'static dyn Learner| {
            let id = learner.info().id;
            id != SINGLE && (self.prepared.suite.train.compares(id) || learner.is_at_hand(self))
        };
        let tasks: Vec<usize> = (0..self.prepared.suite.tasks.len()).collect();
        let other = |learner: &&'static dyn Learner| {
            let fitted = learner.fit(self, &tasks, observer)?;
            let mut predictions = BTreeMap::new();
            for split in [Split::Test, Split::Valid] {
                let of_split = tasks.iter().copied().filter(|&task| self.split_of(task) == split);
                let of_split: BTreeSet<usize> = of_split.collect();
                let found = if of_split.is_empty() { BTreeMap::new() } else { fitted.predict(split)? };
                predictions.extend(found.into_iter().filter(|(task, _)| of_split.contains(task)));
            }
            Ok(Other { info: learner.info(), predictions })
        };
        learners.iter().filter(asked).map(other).collect()
    }

    pub(super) fn task_reports(
        &self,
        joint: &Trained,
        singles: &BTreeMap<usize, Trained>,
        others: &[Other],
    ) -> Result<Vec<TaskReport>> {
        let report = |(task, joint): (&usize, &Predictions)| {
            let others: Vec<OtherRun> = others.iter().filter_map(|other| other.of(*task)).collect();
            let single = singles.get(task).and_then(|single| single.predictions.get(task));
            self.task_report((*task, self.split_of(*task)), (joint, single), &others)
        };
        joint.predictions.iter().map(report).collect()
    }

    /// The same on valid, for whoever chooses by it.
    pub(super) fn valid_reports(
        &self,
        joint: &Trained,
        singles: &BTreeMap<usize, Trained>,
    ) -> Result<Vec<TaskReport>> {
        let report = |(task, joint): (&usize, &Predictions)| {
            let single = singles.get(task).and_then(|single| single.valid.get(task));
            self.task_report((*task, Split::Valid), (joint, single), &[])
        };
        joint.valid.iter().map(report).collect()
    }

    fn task_report(
        &self,
        (task, split): (usize, Split),
        (joint, single): (&Predictions, Option<&Predictions>),
        others: &[OtherRun],
    ) -> Result<TaskReport> {
        let spec = &self.prepared.suite.tasks[task];
        Ok(polytask_eval::task_report(&TaskRun {
            task: &spec.name,
            kind: spec.kind.name,
            split: split.name(),
            metrics: &metrics(spec.kind, &spec.metric),
            margin: spec.margin,
            joint,
            single,
            others,
            seed: self.prepared.suite.seed,
        })?)
    }
}
