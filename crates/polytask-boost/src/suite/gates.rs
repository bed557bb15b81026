//! Groups of rows beside each other: their gates, and how each fares with the others and alone.

use polytask_core::report::GroupGate;
use polytask_core::{Result, Split};
use polytask_data::Dataset;
use polytask_eval::Predictions;

use super::facts::RunFacts;
use super::model::{BoostModel, TreesOf};
use super::rows::Laid;
use crate::robust::{Robust, gate_rows};

/// Rows of a group below which no score of it is told.
const FEWEST_ROWS: usize = 5;

/// The groups of every target, the farthest gate first.
pub(super) fn group_gates(
    facts: RunFacts<'_>,
    model: &BoostModel,
    joint: &std::collections::BTreeMap<usize, Predictions>,
    single: &std::collections::BTreeMap<usize, Predictions>,
) -> Result<Vec<GroupGate>> {
    match &model.trees {
        TreesOf::Boost(_) => Ok(Vec::new()),
        TreesOf::Tasks(one) => Ok(gates_of(one, "")),
        TreesOf::Groups(all) => {
            let mut gates = Vec::new();
            let mut rest = &all[..];
            for (task, spec) in facts.suite.tasks.iter().enumerate() {
                let (own, later) = rest.split_at(model.tasks[task].losses.len());
                rest = later;
                let Some(one) = own.first() else { continue };
                let groups = groups_of_known(facts, model, task)?;
                for mut gate in gates_of(one, &spec.name) {
                    let number = one.group(&gate.group);
                    let rows: Vec<usize> = (0..groups.len()).filter(|&row| groups[row] == number).collect();
                    compare(
                        &mut gate,
                        (joint.get(&task), single.get(&task)),
                        &rows,
                        (&spec.metric, facts.suite.seed),
                    )?;
                    gates.push(gate);
                }
            }
            Ok(gates)
        }
    }
}

fn gates_of(model: &Robust, task: &str) -> Vec<GroupGate> {
    let has_gates = !model.normal.is_empty();
    let of = |row: crate::robust::GateRow| GroupGate {
        task: task.into(),
        group: row.group,
        rows: row.rows,
        gate: has_gates.then_some(row.gate),
        distance: has_gates.then_some(row.distance),
        flagged: row.flagged,
        scored: 0,
        metric: String::new(),
        joint: f64::NAN,
        single: f64::NAN,
        delta: None,
    };
    gate_rows(model).into_iter().map(of).collect()
}

/// Group of each known row of a task, in the order of its predictions.
fn groups_of_known(facts: RunFacts<'_>, model: &BoostModel, task: usize) -> Result<Vec<Option<usize>>> {
    let dataset: &Dataset = facts.dataset;
    let split: Split = dataset.report_split(task);
    let laid = Laid::of(dataset, split);
    let (data, view) = (&dataset.tasks[task], model.view());
    let Some(targets) = data.targets.get(&split).filter(|_| !laid.texts.is_empty()) else {
        return Ok(Vec::new());
    };
    let rows = view.texts(dataset, &laid.texts)?;
    let first = laid.first[data.source];
    Ok((0..targets.len()).filter(|&row| targets.is_known(row)).map(|row| rows.groups[first + row]).collect())
}

fn compare(
    gate: &mut GroupGate,
    (joint, single): (Option<&Predictions>, Option<&Predictions>),
    rows: &[usize],
    (metric, seed): (&str, u64),
) -> Result<()> {
    gate.scored = rows.len();
    metric.clone_into(&mut gate.metric);
    let Some(joint) = joint.filter(|_| rows.len() >= FEWEST_ROWS).map(|all| part(all, rows)) else {
        return Ok(());
    };
    gate.joint = polytask_eval::score(metric, &joint)?;
    let Some(single) = single.map(|all| part(all, rows)) else { return Ok(()) };
    gate.single = polytask_eval::score(metric, &single)?;
    let delta = polytask_eval::compare(metric, &joint, &single, 0.0, seed)?.delta;
    gate.delta = Some(delta).filter(|delta| delta.value.is_finite());
    Ok(())
}

/// Some rows of predictions.
fn part(all: &Predictions, rows: &[usize]) -> Predictions {
    let of = |width: usize| rows.iter().flat_map(move |row| row * width..(row + 1) * width);
    match all {
        Predictions::Labels { truth, predicted, n_labels } => Predictions::Labels {
            truth: of(1).map(|at| truth[at]).collect(),
            predicted: of(1).map(|at| predicted[at]).collect(),
            n_labels: *n_labels,
        },
        Predictions::LabelSets { n_labels, truth, scores } => Predictions::LabelSets {
            n_labels: *n_labels,
            truth: of(*n_labels).map(|at| truth[at]).collect(),
            scores: of(*n_labels).map(|at| scores[at]).collect(),
        },
        Predictions::Numbers { width, truth, predicted } => Predictions::Numbers {
            width: *width,
            truth: of(*width).map(|at| truth[at]).collect(),
            predicted: of(*width).map(|at| predicted[at]).collect(),
        },
        other => other.clone(),
    }
}
