//! Beside a whole run: one that measures what its tasks do to each other, and the joint training of groups of its
//! tasks, which shows whether a grouping keeps what it promises.
//!
//! A group is trained on the rows the joint run shows it, at the same steps, with the suite's weighting: nothing
//! but its company differs, and its scores are paired with the same single-task models. A group of one task is trained
//! plainly, as these are.

use std::collections::BTreeMap;

use polytask_core::method::Choice;
use polytask_core::report::{RunReport, TaskReport};
use polytask_core::{hash, suite};
use polytask_data::Plan;
use serde::{Deserialize, Serialize};

use super::{Fitted, Place, Prepared, Run, RunOptions, SEMANTICS, Trained, Training, kept};
use crate::diagnose::{self, MEASUREMENTS};
use crate::observe::{Event, Observer};
use crate::side::{Parts, with_sides};
use crate::{Error, Result};

/// What a group's joint model scores beside the single-task models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupReport {
    /// Suite indices of its tasks.
    pub group: Vec<usize>,
    /// Its tasks, in suite order.
    pub tasks: Vec<TaskReport>,
}

/// Refuses a suite whose tasks share nothing a training could change: then none can hurt another.
pub fn check_shared(prepared: &Prepared) -> Result<()> {
    let parts = Parts::new(prepared, &prepared.encoder)?;
    diagnose::check_shared(&parts.heads, &parts.trainable)
}

/// As [`super::run`], measuring every `every` steps (0: about [`MEASUREMENTS`] times in all, or as a resumed run began)
/// what the tasks do to each other. The weights are those of a run without measurements.
pub fn diagnose(
    prepared: &Prepared,
    options: &RunOptions,
    every: u64,
    observer: &mut dyn Observer,
) -> Result<RunReport> {
    let n_steps = Plan::new(&prepared.suite, &prepared.dataset).n_steps();
    let diagnose_every = if every > 0 { every } else { (n_steps / MEASUREMENTS).max(1) };
    with_sides(prepared, observer, |joint, single, observer| {
        let run = Run::new(prepared, (joint, single), options, diagnose_every, observer)?;
        Run { is_every_asked: every > 0, ..run }.execute(observer)
    })
}

/// Trains each group of tasks (suite indices) jointly in a folder of its own below `options.out`, which keeps its
/// model; a group trained there before, of the same suite and data, is not trained again.
pub fn groups(
    prepared: &Prepared,
    options: &RunOptions,
    groups: &[Vec<usize>],
    observer: &mut dyn Observer,
) -> Result<Vec<GroupReport>> {
    with_sides(prepared, observer, |joint, single, observer| {
        let run = Run::new(prepared, (joint, single), options, 0, observer)?;
        groups.iter().map(|group| run.group(group, observer)).collect()
    })
}

impl Run<'_> {
    fn group(&self, group: &[usize], observer: &mut dyn Observer) -> Result<GroupReport> {
        let trained = self.trained_group(group, observer)?;
        let mut singles = BTreeMap::new();
        for &task in group {
            match self.alone(task, observer) {
                Ok(single) => drop(singles.insert(task, single)),
                Err(error @ Error::Diverged { .. }) => observer.event(Event::Note(&error.to_string())),
                Err(error) => return Err(error),
            }
        }
        let tasks = self.task_reports(&trained, &singles, &[])?;
        Ok(GroupReport { group: group.to_vec(), tasks })
    }

    fn trained_group(&self, group: &[usize], observer: &mut dyn Observer) -> Result<Trained> {
        let names: Vec<&str> =
            group.iter().map(|&task| self.single.parts.heads[task].name.as_str()).collect();
        let (name, folder) = (format!("group {}", names.join("+")), self.options.out.join(names.join("+")));
        let (place, key) = (folder.join("trained.json"), self.group_key(group));
        if let Some(trained) = kept::read(&place, &key).filter(|trained| self.is_of(group, trained)) {
            observer.event(Event::Note(&format!("{name}: trained before")));
            return Ok(trained);
        }
        let Prepared { suite, dataset, .. } = self.prepared;
        let plan = Plan::new(suite, dataset).for_tasks(group);
        let equal = Choice::named("equal");
        let (side, weighting) = match group {
            [_] => (self.single, &equal),
            _ => (self.joint, &suite.train.weighting),
        };
        let training = Training::fit(self, Place { name: &name, side }, group, plan, weighting, observer)?;
        training.write(&folder.join("model"))?;
        kept::write(&place, &key, &training.trained)?;
        Ok(training.trained)
    }

    /// All that can change a group's training, and nothing else.
    fn group_key(&self, group: &[usize]) -> String {
        let mut suite = self.prepared.suite.clone();
        suite.name = String::new();
        suite.train.baselines.clear();
        suite.train.conflict_every = 0;
        let (suite, identity) = (suite::weight_hash(&suite), self.origin());
        hash::sha256(format!("{SEMANTICS} {suite} {identity} {group:?}").as_bytes())
    }
}
