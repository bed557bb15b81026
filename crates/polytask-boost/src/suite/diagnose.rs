//! A run that also measures what the tasks do to each other.

use polytask_core::method::Choice;
use polytask_core::report::{RunReport, TaskReport};
use polytask_core::{Problem, Result, Split};

use super::facts::{ByTask, RunFacts, RunProgress};
use super::fit::{Fitting, fit_suite};
use super::run::{predictions, task_reports, trained};
use crate::method::{BOOST, boost_params};
use crate::params::Leaves;

/// A run whose report holds what the tasks do to each other, measured this many times.
///
/// # Errors
/// As a run, and where trees share nothing or no row of valid is known.
pub fn diagnose(
    facts: RunFacts<'_>,
    measurements: usize,
    observe: &mut dyn FnMut(RunProgress<'_>),
) -> Result<RunReport> {
    let Some(choice) = &facts.suite.model.trees else {
        return Err(Problem::new("the suite names no trees").try_this("trees = \"boost\" in [model]").into());
    };
    check(facts, choice)?;
    trained(facts, Some((choice, measurements)), observe)
}

/// How the tasks of some groups fare in trees for their group, against trees for each alone.
///
/// # Errors
/// When trees cannot be fitted.
pub fn groups(facts: RunFacts<'_>, groups: &[Vec<usize>]) -> Result<Vec<TaskReport>> {
    let Some(choice) = &facts.suite.model.trees else { return Ok(Vec::new()) };
    let said = |tasks: &[usize]| {
        let fitting = Fitting { suite: facts.suite, dataset: facts.dataset, choice, tasks };
        let (model, _) = fit_suite(fitting, &mut |_, _, _| ())?;
        predictions(facts, &model, tasks)
    };
    let mut reports = Vec::new();
    for group in groups {
        let joint = said(group)?;
        let mut single = ByTask::new();
        for &task in group {
            single.extend(said(&[task])?);
        }
        reports.extend(task_reports(facts, (&joint, &single), &[], None)?);
    }
    Ok(reports)
}

/// Refuses trees that tasks do not share.
fn check(facts: RunFacts<'_>, choice: &Choice) -> Result<()> {
    if choice.name != BOOST.id {
        let what =
            format!("trees `{}` learn a gate per group, which says who is unlike the others", choice.name);
        return Err(Problem::new(what)
            .try_this("`polytask train` and `polytask boost explain`, or trees = \"boost\"")
            .into());
    }
    if boost_params(choice, facts.suite.seed)?.leaves == Leaves::Apart {
        let what = "`leaves` of trees is `apart`: no task has a say in another's trees";
        return Err(Problem::new(what).try_this("leaves = \"vector\"").into());
    }
    let has_valid = |task: &polytask_data::TaskData| {
        task.targets.get(&Split::Valid).is_some_and(|all| (0..all.len()).any(|row| all.is_known(row)))
    };
    match facts.dataset.tasks.iter().find(|task| !has_valid(task)) {
        None => Ok(()),
        Some(task) => {
            let what =
                format!("task `{}` has no known target in valid, on which effects are measured", task.name);
            Err(Problem::new(what).try_this("`valid` with a share of train, or a file for it").into())
        }
    }
}
