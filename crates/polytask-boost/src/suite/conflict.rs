//! Which task hurts which in trees for all: what a task's loss on valid gains or loses by trees grown for it and another
//! one, against trees for it alone.
//!
//! That is the trees' form of a transfer: a step on task i becomes trees whose splits task i has a say in. A measurement is
//! made of fits on drawn rows, so that several of them tell an effect from chance.

use polytask_core::method::Choice;
use polytask_core::report::{Diagnosis, Measurement};
use polytask_core::{Result, Split};

use super::facts::{RunFacts, RunProgress};
use super::fit::{Fitting, LaidSplit, split};
use super::rows::{RowView, spec_of};
use crate::booster::{BoostTarget, TrainingSet, fit};
use crate::method::boost_params;
use crate::params::BoostParams;

/// Share of rows a tree is grown on at most while it is measured.
const DRAWN: f64 = 0.8;

/// The measurements.
pub(super) fn measure(
    facts: RunFacts<'_>,
    (choice, n): (&Choice, usize),
    observe: &mut dyn FnMut(RunProgress<'_>),
) -> Result<Diagnosis> {
    let tasks: Vec<usize> = (0..facts.suite.tasks.len()).collect();
    let fitting = Fitting { suite: facts.suite, dataset: facts.dataset, choice, tasks: &tasks };
    let view = RowView::new(spec_of(facts.dataset)?, None);
    let worlds = [split(fitting, &view, Split::Train)?, split(fitting, &view, Split::Valid)?];
    let n_fits = n * tasks.len() * (tasks.len() + 1) / 2;
    let mut done = 0;
    let mut losses = |tasks: &[usize], params: &BoostParams| -> Result<Vec<f64>> {
        done += 1;
        let found = losses_on_valid(&worlds, tasks, params)?;
        let loss = found.iter().sum::<f64>() / found.len() as f64;
        observe(RunProgress { phase: "pairs", round: done, rounds: n_fits, loss });
        Ok(found)
    };
    let mut measurements = Vec::new();
    for number in 0..n {
        let mut params = boost_params(choice, facts.suite.seed + number as u64)?;
        params.subsample = params.subsample.min(DRAWN);
        measurements.push(measurement(tasks.len(), number, &mut |tasks| losses(tasks, &params))?);
    }
    let names = facts.suite.tasks.iter().map(|task| task.name.clone()).collect();
    Ok(Diagnosis { tasks: names, rho: 0.0, measurements })
}

/// One measurement: every task alone, then every pair.
fn measurement(
    n: usize,
    number: usize,
    losses: &mut dyn FnMut(&[usize]) -> Result<Vec<f64>>,
) -> Result<Measurement> {
    let alone = (0..n).map(|task| Ok(losses(&[task])?[0])).collect::<Result<Vec<f64>>>()?;
    let mut affinity = vec![vec![None; n]; n];
    for (i, j) in (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))) {
        let pair = losses(&[i, j])?;
        let share = |task: usize, loss: f64| {
            Some((alone[task] - loss) / alone[task]).filter(|share| share.is_finite())
        };
        // Row i acts on column j.
        affinity[j][i] = share(i, pair[0]);
        affinity[i][j] = share(j, pair[1]);
    }
    let loss = alone.iter().map(|loss| Some(*loss).filter(|loss| loss.is_finite())).collect();
    let (cosine, sharpness) = (vec![vec![None; n]; n], vec![None; n]);
    Ok(Measurement { step: number as u64 + 1, loss, cosine, affinity, sharpness })
}

/// Mean loss of some tasks on valid, of trees for these together.
fn losses_on_valid(
    [train, valid]: &[LaidSplit; 2],
    tasks: &[usize],
    params: &BoostParams,
) -> Result<Vec<f64>> {
    let of = |world: &LaidSplit| -> Vec<BoostTarget> {
        tasks.iter().flat_map(|&task| world.targets[task].iter().cloned()).collect()
    };
    let (own, judged) = (of(train), of(valid));
    let set = TrainingSet { table: &train.rows.table, targets: &own, weights: &train.weights };
    let valid_set = TrainingSet { table: &valid.rows.table, targets: &judged, weights: &valid.weights };
    let mut rounds: Vec<Vec<f64>> = Vec::new();
    let booster = fit(set, Some(valid_set), params, &mut |losses| rounds.push(losses.valid.clone()))?;
    // With early stopping the trees up to the best round are kept.
    let kept = rounds.get(booster.rounds().max(1) - 1).cloned().unwrap_or_default();
    let mut rest = &kept[..];
    let of_task = |&task: &usize| {
        let (own, later) = rest.split_at(train.targets[task].len());
        rest = later;
        let known: Vec<f64> = own.iter().copied().filter(|loss| loss.is_finite()).collect();
        known.iter().sum::<f64>() / known.len() as f64
    };
    Ok(tasks.iter().map(of_task).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::LossSpec;
    use crate::params::Leaves;
    use crate::suite::ViewedRows;
    use crate::table::{ColumnSort, NumericColumn, NumericTable};

    /// Rows of two columns; the first two tasks are steps of the first column, the third is steps of the second.
    fn world(n: usize, shift: usize) -> LaidSplit {
        let at = |row: usize, column: usize| (((row + shift) * [37, 61][column]) % 101) as f64;
        let column = |c: usize| NumericColumn {
            name: format!("x{c}"),
            sort: ColumnSort::Number,
            values: (0..n).map(|row| at(row, c) as f32).collect(),
        };
        let table = NumericTable::new(vec![column(0), column(1)]).unwrap();
        let target = |task: usize| {
            // A noise that repeats with no column.
            let noise = |row: usize| (((row + shift) * 7919 + task * 13) % 17) as f64 / 17.0 - 0.5;
            let values = (0..n).map(|row| f64::from(u8::from(at(row, task / 2) > 50.0)) + 2.0 * noise(row));
            vec![BoostTarget::new(&format!("y{task}"), LossSpec::named("squared"), values.collect())]
        };
        let groups = vec![None; n];
        LaidSplit {
            rows: ViewedRows { table, groups },
            weights: vec![],
            targets: (0..3).map(target).collect(),
        }
    }

    #[test]
    fn a_task_on_the_same_column_helps_more_than_one_on_another() {
        let worlds = [world(80, 0), world(400, 5000)];
        let tree = crate::TreeParams { num_leaves: 2, ..crate::TreeParams::default() };
        let params = BoostParams { rounds: 20, tree, leaves: Leaves::Vector, ..BoostParams::default() };
        let mut fits = 0;
        let found = measurement(3, 4, &mut |tasks| {
            fits += 1;
            losses_on_valid(&worlds, tasks, &params)
        })
        .unwrap();
        assert_eq!((fits, found.step), (6, 5));
        assert!(found.affinity[1][0].unwrap() > found.affinity[2][0].unwrap(), "{:?}", found.affinity);
        assert!((0..3).all(|task| found.affinity[task][task].is_none() && found.loss[task].unwrap() > 0.0));
    }
}
