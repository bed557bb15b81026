//! Ten tasks of one function of steps, two of them with its sign turned: what pooling, models apart and gates make of it.
//!
//! `y = ±f(x) + e`: `f` is a sum of five steps of variance 1, so that stumps can represent it, and `e` has a standard
//! deviation of 0.3, which is the error of whoever knows `f` and the turned tasks. Pooling ends at 0.5 on the others and
//! at 1.63 on those turned, however many rows there are.

use polytask_boost::robust::gate_rows;
use polytask_boost::{
    ColumnSort, LossSpec, NumericColumn, NumericTable, Robust, RobustParams, RobustSet, fit_robust,
};
use polytask_core::{Problem, Purpose, Rng};
use polytask_train::Result;

use crate::apart::auc;
use crate::paper::{OracleRequest, OracleScore, OracleScores};

/// Tasks, those of them with the sign turned, columns.
const TASKS: usize = 10;
const TURNED: usize = 2;
const COLUMNS: usize = 5;
/// Standard deviation of the noise.
const NOISE: f64 = 0.3;
/// Rows of a task that are tested, and rows that the function's mean and variance are taken of.
const TEST: usize = 500;
const REFERENCE: usize = 100_000;

/// Fits an arm; the score is the share of variance explained, all tasks together.
///
/// # Errors
/// An arm that is none of this world.
pub(crate) fn run(request: &OracleRequest) -> Result<OracleScores> {
    let n = request.count("rows", 2..=100_000)?;
    let params = RobustParams { seed: request.seed, ..rounds(request.arm)? };
    let mut rng = Rng::new(request.seed, Purpose::Method, &[16]);
    let world = World::new(&mut rng);
    let (train, test) = (world.rows(n, &mut rng)?, world.rows(TEST, &mut rng)?);
    let names: Vec<String> = (0..TASKS).map(|task| format!("task {task}")).collect();
    let set = RobustSet {
        table: &train.table,
        names: &names,
        groups: &train.tasks,
        loss: &LossSpec::named("squared"),
        values: &train.targets,
        weights: &[],
    };
    let mut steps = 0;
    let model = fit_robust(set, &params, None, &mut |round, _| steps = round as u64)?;
    Ok(measured(&model, &test, steps))
}

/// The rounds of an arm.
fn rounds(arm: &str) -> Result<RobustParams> {
    let of = |shared, gated, own| Ok(RobustParams { shared, gated, own, ..RobustParams::default() });
    match arm {
        "single-task" => of(0, 0, 150),
        "pooling" => of(150, 0, 0),
        "MTGB" => of(100, 0, 50),
        "R-MTGB" => of(30, 100, 50),
        "R-MTGB, one start" => Ok(RobustParams { starts: 1, ..of(30, 100, 50)? }),
        "R-MTGB, nothing shared first" => of(0, 100, 50),
        other => Err(Problem::new(format!("no arm `{other}` of this world")).into()),
    }
}

/// The function: steps of some heights at some places, shifted and scaled to mean 0 and variance 1.
struct World {
    steps: Vec<(f64, f64)>,
    mean: f64,
    deviation: f64,
}

/// Rows of all tasks.
struct Rows {
    table: NumericTable,
    tasks: Vec<Option<usize>>,
    targets: Vec<f64>,
}

impl World {
    fn new(rng: &mut Rng) -> Self {
        let steps = (0..COLUMNS).map(|_| (rng.normal(), rng.uniform() - 0.5)).collect();
        let mut world = Self { steps, mean: 0.0, deviation: 1.0 };
        let values: Vec<f64> = (0..REFERENCE).map(|_| world.at(&inputs(rng))).collect();
        let mean = values.iter().sum::<f64>() / REFERENCE as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / REFERENCE as f64;
        (world.mean, world.deviation) = (mean, variance.sqrt());
        world
    }

    fn at(&self, x: &[f64]) -> f64 {
        let height = |((height, place), x): (&(f64, f64), &f64)| height * (x - place).signum();
        (self.steps.iter().zip(x).map(height).sum::<f64>() - self.mean) / self.deviation
    }

    /// As many rows of every task.
    fn rows(&self, n: usize, rng: &mut Rng) -> Result<Rows> {
        let (mut columns, mut targets) = (vec![Vec::new(); COLUMNS], Vec::new());
        let tasks: Vec<Option<usize>> = (0..TASKS * n).map(|row| Some(row / n)).collect();
        for task in tasks.iter().flatten() {
            let x = inputs(rng);
            let sign = if is_turned(*task) { -1.0 } else { 1.0 };
            targets.push(sign * self.at(&x) + NOISE * rng.normal());
            columns.iter_mut().zip(&x).for_each(|(column, x)| column.push(*x as f32));
        }
        let column =
            |(at, values)| NumericColumn { name: format!("x{at}"), sort: ColumnSort::Number, values };
        Ok(Rows {
            table: NumericTable::new(columns.into_iter().enumerate().map(column).collect())?,
            tasks,
            targets,
        })
    }
}

fn inputs(rng: &mut Rng) -> Vec<f64> {
    // As the columns hold them, so that the truth and the trees see the same side of every step.
    (0..COLUMNS).map(|_| f64::from((2.0 * rng.uniform() - 1.0) as f32)).collect()
}

fn is_turned(task: usize) -> bool {
    task >= TASKS - TURNED
}

fn measured(model: &Robust, test: &Rows, steps: u64) -> OracleScores {
    let predicted = model.margins(&test.table, &test.tasks);
    let squares: Vec<f64> = predicted.iter().zip(&test.targets).map(|(p, y)| (p - y).powi(2)).collect();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let of = |kind: bool| {
        let rows = squares.iter().zip(&test.tasks).filter(|(_, task)| task.is_some_and(is_turned) == kind);
        mean(&rows.map(|(square, _)| *square).collect::<Vec<_>>()).sqrt()
    };
    let centre = mean(&test.targets);
    let variance = mean(&test.targets.iter().map(|y| (y - centre).powi(2)).collect::<Vec<_>>());
    let marked: Vec<bool> = (0..TASKS).map(is_turned).collect();
    // Without rounds of them gates stay where they were drawn, and say nothing.
    let has_gates = !model.normal.is_empty();
    let gate = |task| if has_gates { model.gate(Some(task)) } else { 0.5 };
    let gates: Vec<f64> = (0..TASKS).map(gate).collect();
    let mut distances = vec![0.0; TASKS];
    for row in gate_rows(model).into_iter().filter(|_| has_gates) {
        let place = model.group(&row.group).unwrap_or_default();
        distances[place] = row.distance;
    }
    OracleScores {
        tasks: vec![OracleScore { task: "all", metric: "r2", value: 1.0 - mean(&squares) / variance }],
        measured: vec![
            ("rmse", mean(&squares).sqrt()),
            ("rmse of the others", of(false)),
            ("rmse of those turned", of(true)),
            ("gate auc", auc(&distances, &marked)),
            ("told apart", f64::from(u8::from(are_apart(&gates, &marked)))),
        ],
        steps,
    }
}

/// Whether the gates of the turned tasks all lie on one side of those of the others.
fn are_apart(gates: &[f64], is_marked: &[bool]) -> bool {
    let of =
        |kind: bool| gates.iter().zip(is_marked).filter(move |(_, is)| **is == kind).map(|(gate, _)| *gate);
    let least = |kind| of(kind).fold(f64::INFINITY, f64::min);
    let most = |kind| of(kind).fold(f64::NEG_INFINITY, f64::max);
    least(true) > most(false) || most(true) < least(false)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn ask(arm: &str, rows: f64, seed: u64) -> BTreeMap<&'static str, f64> {
        let numbers = BTreeMap::from([("rows".to_owned(), rows)]);
        let found = run(&OracleRequest { arm, numbers: &numbers, seed }).unwrap();
        found.measured.into_iter().collect()
    }

    #[test]
    fn pooling_ends_where_it_must_and_gates_tell_the_turned_tasks() {
        let pooled = ask("pooling", 400.0, 1);
        assert!((pooled["rmse of the others"] - 0.5).abs() < 0.05, "{pooled:?}");
        assert!((pooled["rmse of those turned"] - 1.628).abs() < 0.1, "{pooled:?}");
        let (gated, plain) = (ask("R-MTGB", 40.0, 1), ask("MTGB", 40.0, 1));
        assert_eq!((gated["told apart"], gated["gate auc"], plain["told apart"]), (1.0, 1.0, 0.0));
        assert_eq!(plain["gate auc"], 0.5, "without gates nothing is told");
        // An independent program gives 0.41 and 0.52, means over ten seeds.
        assert!(
            (gated["rmse"] - 0.41).abs() < 0.07 && (plain["rmse"] - 0.52).abs() < 0.1,
            "{gated:?} {plain:?}"
        );
    }

    #[test]
    fn an_unknown_arm_is_refused() {
        let numbers = BTreeMap::from([("rows".to_owned(), 5.0)]);
        assert!(run(&OracleRequest { arm: "none", numbers: &numbers, seed: 1 }).is_err());
    }
}
