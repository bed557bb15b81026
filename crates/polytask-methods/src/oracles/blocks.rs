//! A linear model in blocks, of which each task reads its own: what coefficients of task vectors can reach, and what they
//! do.
//!
//! Twelve blocks of 8 × 20 values belong to six tasks in turn. The task vector of a task has what is needed in its own
//! blocks, and random drift of a given size elsewhere. The error of a merge is its squared distance from what is needed,
//! relative to that of the base; least squares gives the exact optimum.

use polytask_core::{Problem, Purpose, Rng};
use polytask_merge::learn::{Anisotropic, AnisotropicSettings, Coefficients, Factors, ProbeLoss, learn};
use polytask_train::Result;

use crate::paper::{OracleRequest, OracleScore, OracleScores};

const TASKS: usize = 6;
const BLOCKS: usize = 12;
/// Outputs and inputs of a block.
const OUTPUTS: usize = 8;
const INPUTS: usize = 20;
const VALUES: usize = OUTPUTS * INPUTS;
/// Steps and rate of `AdamW` over the coefficients.
const STEPS: usize = 300;
const RATE: f64 = 0.02;
/// Coefficients that one number for all is chosen from: 0, 0.05, … 1.
const ALPHAS: usize = 21;
/// Noise of labels, in standard deviations of what they are without.
const NOISE: f64 = 0.5;

/// What is needed in each block, and what each task adds to it.
struct World {
    needed: Vec<Vec<f64>>,
    /// `[task][block]`.
    vectors: Vec<Vec<Vec<f64>>>,
    rng: Rng,
}

/// Merges by an arm; the score is the share of the base's error that is gone.
///
/// # Errors
/// An arm that is none of this world.
pub(crate) fn run(request: &OracleRequest) -> Result<OracleScores> {
    let drift = request.number("drift", 0.0..=10.0)?;
    let rows = request.count("rows", 0..=10_000)?;
    let mut world = World::new(drift, Rng::new(request.seed, Purpose::Method, &[18]));
    let factors = world.factors(request.arm, rows)?;
    let error = world.error(&factors);
    let owner = |j: usize| j % TASKS;
    let own: f64 = (0..BLOCKS).map(|j| factors[owner(j)][j]).sum();
    let others = (0..BLOCKS).flat_map(|j| (0..TASKS).filter(move |&i| i != owner(j)).map(move |i| (i, j)));
    let others: f64 = others.map(|(i, j)| factors[i][j].abs()).sum();
    Ok(OracleScores {
        tasks: vec![OracleScore { task: "all", metric: "r2", value: 1.0 - error }],
        measured: vec![
            ("error", error),
            ("coefficient of the owner", own / BLOCKS as f64),
            ("size of the others' coefficients", others / (BLOCKS * (TASKS - 1)) as f64),
        ],
        steps: STEPS as u64,
    })
}

impl World {
    fn new(drift: f64, mut rng: Rng) -> Self {
        let scale = 1.0 / (VALUES as f64).sqrt();
        let mut draws = |size: f64| (0..VALUES).map(|_| size * scale * rng.normal()).collect::<Vec<f64>>();
        let needed: Vec<Vec<f64>> = (0..BLOCKS).map(|_| draws(1.0)).collect();
        let mut block = |i: usize, j: usize| if j % TASKS == i { needed[j].clone() } else { draws(drift) };
        let vectors = (0..TASKS).map(|i| (0..BLOCKS).map(|j| block(i, j)).collect()).collect();
        Self { needed, vectors, rng }
    }

    /// The coefficients an arm ends at.
    fn factors(&mut self, arm: &str, rows: usize) -> Result<Factors> {
        let alike = |factor: f64| vec![vec![factor; BLOCKS]; TASKS];
        Ok(match arm {
            "base" => alike(0.0),
            "average" => alike(1.0 / TASKS as f64),
            "best alpha" => {
                let all = (0..ALPHAS).map(|at| alike(at as f64 / (ALPHAS - 1) as f64));
                let best = all.min_by(|a, b| self.error(a).total_cmp(&self.error(b)));
                best.unwrap_or_else(|| alike(0.0))
            }
            "per model, exact" => self.per_model().into_iter().map(|factor| vec![factor; BLOCKS]).collect(),
            "per block, exact" => self.per_block(|world, j| (world.columns(j), world.needed[j].clone())),
            "per block, few rows" => {
                let seen: Vec<Seen> = (0..BLOCKS).map(|j| self.seen(j, rows.max(1))).collect();
                self.per_block(|_, j| seen[j].clone())
            }
            "aTLAS" => self.learned()?,
            other => return Err(Problem::new(format!("no arm `{other}` of this world")).into()),
        })
    }

    /// Squared distance from what is needed, relative to the base's.
    fn error(&self, factors: &Factors) -> f64 {
        let off: f64 = (0..BLOCKS).map(|j| square(&self.off(factors, j))).sum();
        off / self.needed.iter().map(|needed| square(needed)).sum::<f64>()
    }

    /// What a merge has in a block beyond what is needed.
    fn off(&self, factors: &Factors, j: usize) -> Vec<f64> {
        let mut off: Vec<f64> = self.needed[j].iter().map(|needed| -needed).collect();
        for (vector, factors) in self.vectors.iter().zip(factors) {
            off.iter_mut().zip(&vector[j]).for_each(|(off, v)| *off += factors[j] * v);
        }
        off
    }

    fn columns(&self, j: usize) -> Vec<Vec<f64>> {
        self.vectors.iter().map(|vector| vector[j].clone()).collect()
    }

    fn per_model(&self) -> Vec<f64> {
        let columns: Vec<Vec<f64>> = self.vectors.iter().map(|vector| vector.concat()).collect();
        least_squares(&columns, &self.needed.concat())
    }

    /// The least-squares coefficients of each block, of the columns and the target that it has.
    fn per_block(&self, of: impl Fn(&Self, usize) -> Seen) -> Factors {
        let blocks: Vec<Vec<f64>> = (0..BLOCKS)
            .map(|j| {
                let (columns, target) = of(self, j);
                least_squares(&columns, &target)
            })
            .collect();
        (0..TASKS).map(|i| blocks.iter().map(|block| block[i]).collect()).collect()
    }

    /// Outputs of all task vectors on random inputs of a block, and noisy labels of what is needed.
    fn seen(&mut self, j: usize, rows: usize) -> Seen {
        let inputs: Vec<Vec<f64>> =
            (0..rows).map(|_| (0..INPUTS).map(|_| self.rng.normal()).collect()).collect();
        let outputs = |block: &[f64]| {
            let output =
                |row: &Vec<f64>| block.chunks(INPUTS).map(|weights| dot(weights, row)).collect::<Vec<f64>>();
            inputs.iter().flat_map(output).collect::<Vec<f64>>()
        };
        let columns = self.vectors.iter().map(|vector| outputs(&vector[j])).collect();
        let mut labels = outputs(&self.needed[j]);
        let n = labels.len() as f64;
        let mean = labels.iter().sum::<f64>() / n;
        let spread = (labels.iter().map(|label| (label - mean).powi(2)).sum::<f64>() / n).sqrt();
        labels.iter_mut().for_each(|label| *label += NOISE * spread * self.rng.normal());
        (columns, labels)
    }

    fn learned(&self) -> Result<Factors> {
        let settings = AnisotropicSettings { lr: RATE, ..AnisotropicSettings::default() };
        let mut coefficients = Anisotropic::new(TASKS, BLOCKS, settings);
        learn(&mut coefficients, &mut Probe(self), STEPS, &mut |_, _| {})?;
        Ok(coefficients.factors()?)
    }
}

/// Columns of a least-squares problem, and its target.
type Seen = (Vec<Vec<f64>>, Vec<f64>);

/// The error per block as the coefficients see it.
struct Probe<'a>(&'a World);

impl ProbeLoss for Probe<'_> {
    fn at(&mut self, factors: &Factors, _: usize) -> polytask_merge::Result<(f64, Factors)> {
        let off: Vec<Vec<f64>> = (0..BLOCKS).map(|j| self.0.off(factors, j)).collect();
        let slope = |vector: &Vec<Vec<f64>>| {
            vector.iter().zip(&off).map(|(v, off)| 2.0 * dot(v, off) / BLOCKS as f64).collect()
        };
        let loss = off.iter().map(|off| square(off)).sum::<f64>() / BLOCKS as f64;
        Ok((loss, self.0.vectors.iter().map(slope).collect()))
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn square(a: &[f64]) -> f64 {
    dot(a, a)
}

/// The shortest distance from the target by factors of a few columns: the normal equations, by elimination with the
/// largest pivot. A column without a part of its own has the factor 0.
fn least_squares(columns: &[Vec<f64>], target: &[f64]) -> Vec<f64> {
    let n = columns.len();
    let equation =
        |a: &Vec<f64>| columns.iter().map(|b| dot(a, b)).chain([dot(a, target)]).collect::<Vec<f64>>();
    let mut rows: Vec<Vec<f64>> = columns.iter().map(equation).collect();
    let least = 1e-12 * (0..n).map(|i| rows[i][i]).fold(0.0, f64::max);
    let mut pivots = vec![None; n];
    let mut free: Vec<usize> = (0..n).collect();
    for k in 0..n {
        let by_size = |&&a: &&usize, &&b: &&usize| rows[a][k].abs().total_cmp(&rows[b][k].abs());
        let Some(&at) = free.iter().max_by(by_size).filter(|&&at| rows[at][k].abs() > least) else {
            continue;
        };
        free.retain(|&row| row != at);
        pivots[k] = Some(at);
        let pivot = rows[at].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(i, _)| *i != at) {
            let factor = row[k] / pivot[k];
            row.iter_mut().zip(&pivot).for_each(|(cell, p)| *cell -= factor * p);
        }
    }
    pivots.iter().enumerate().map(|(k, at)| at.map_or(0.0, |at| rows[at][n] / rows[at][k])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(arm: &str, drift: f64, rows: usize, seed: u64) -> f64 {
        let mut world = World::new(drift, Rng::new(seed, Purpose::Method, &[18]));
        let factors = world.factors(arm, rows).unwrap();
        world.error(&factors)
    }

    fn mean(arm: &str, drift: f64, rows: usize) -> f64 {
        (1..=10).map(|seed| error(arm, drift, rows, seed)).sum::<f64>() / 10.0
    }

    #[test]
    fn means_are_those_of_an_independent_program() {
        // Ten other worlds there: average .70 .75 .84, best alpha .169 .646 .836, per model .167 .642 .831, per block 0.
        for (drift, average, alpha, model) in
            [(0.2, 0.70, 0.169, 0.167), (0.6, 0.75, 0.646, 0.642), (1.0, 0.84, 0.836, 0.831)]
        {
            for (arm, expected) in [("average", average), ("best alpha", alpha), ("per model, exact", model)]
            {
                let found = mean(arm, drift, 0);
                assert!((found - expected).abs() < 0.02, "{arm} at {drift}: {found}, expected {expected}");
            }
            assert!(mean("per block, exact", drift, 0) < 1e-12 && mean("aTLAS", drift, 0) < 1e-3, "{drift}");
        }
        assert!(
            error("base", 1.0, 0, 1) == 1.0
                && World::new(1.0, Rng::new(1, Purpose::Method, &[18])).factors("x", 0).is_err()
        );
    }

    #[test]
    fn few_noisy_rows_find_the_owner() {
        // 1, 2, 5 and 20 rows a block there: .98, .15, .05, .01.
        let found = [1, 2, 5, 20].map(|rows| mean("per block, few rows", 1.0, rows));
        assert!(
            found[0] > 0.3 && found[1] < 0.4 && (0.02..0.09).contains(&found[2]) && found[3] < 0.02,
            "{found:?}"
        );
    }

    #[test]
    fn least_squares_leaves_no_slope_and_bears_equal_columns() {
        let columns = vec![vec![1.0, 0.0, 2.0], vec![0.0, 1.0, 1.0]];
        let found = least_squares(&columns, &[3.0, 1.0, 7.5]);
        let off: Vec<f64> = (0..3)
            .map(|k| found[0] * columns[0][k] + found[1] * columns[1][k] - [3.0, 1.0, 7.5][k])
            .collect();
        assert!(columns.iter().all(|column| dot(column, &off).abs() < 1e-12));
        let twice = vec![vec![1.0, 1.0], vec![1.0, 1.0]];
        let found = least_squares(&twice, &[2.0, 2.0]);
        assert!((found[0] + found[1] - 2.0).abs() < 1e-12);
    }
}
