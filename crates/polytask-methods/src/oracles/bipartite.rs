//! A graph between two sets of nodes whose places are known: the closest pairs are edges, half of them are held out, and
//! free vectors are trained on the rest by the losses of this program.

use polytask_core::method::Choice;
use polytask_core::{Problem, Purpose, Rng};
use polytask_nn::Block;
use polytask_nn::heads::{Cosine, Head};
use polytask_nn::losses::{self, LossFn};
use polytask_nn::objective::{Relation, Target, TaskInput, gradient};
use polytask_train::Result;
use serde_json::json;

use super::MOST_STEPS;
use super::adam::Adam;
use crate::paper::{OracleRequest, OracleScore, OracleScores};

/// Nodes of each side, values of their places and of the trained vectors, edges of a step.
const NODES: usize = 400;
const LATENT: usize = 6;
const WIDTH: usize = 8;
const BATCH: usize = 64;

/// Which pairs are edges, `[left][right]`.
type Edges = Vec<Vec<bool>>;

/// A world of a mean number of edges per node.
struct World {
    train: Edges,
    held_out: Edges,
}

/// Trains an arm and ranks the held-out edges both ways.
///
/// # Errors
/// An arm that is no loss of the experiment.
pub(crate) fn run(request: &OracleRequest) -> Result<OracleScores> {
    let (degree, steps) = (request.count("degree", 1..=NODES / 2)?, request.count("steps", 0..=MOST_STEPS)?);
    let mut rng = Rng::new(request.seed, Purpose::Method, &[degree as u64]);
    let world = World::new(degree, &mut rng);
    let mut learner = Learner::new(request.arm, &mut rng)?;
    for _ in 0..steps {
        learner.step(&world.train, &mut rng)?;
    }
    let scores = learner.scores();
    let forth = mean_average_precision(&scores, &world.train, &world.held_out);
    let back = mean_average_precision(&turned(&scores), &turned(&world.train), &turned(&world.held_out));
    let score = |task, value| OracleScore { task, metric: "map", value };
    let tasks = vec![score("left to right", forth), score("right to left", back)];
    Ok(OracleScores { tasks, steps: steps as u64, ..OracleScores::default() })
}

impl World {
    fn new(degree: usize, rng: &mut Rng) -> Self {
        let (left, right) = (places(rng), places(rng));
        let cosines: Vec<Vec<f64>> = left.iter().map(|a| right.iter().map(|b| dot(a, b)).collect()).collect();
        let mut sorted: Vec<f64> = cosines.iter().flatten().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let least = sorted[sorted.len() - NODES * degree];
        let (mut train, mut held_out) = (vec![vec![false; NODES]; NODES], vec![vec![false; NODES]; NODES]);
        for (i, row) in cosines.iter().enumerate() {
            for j in (0..NODES).filter(|&j| row[j] >= least) {
                let side = if rng.uniform() < 0.5 { &mut train } else { &mut held_out };
                side[i][j] = true;
            }
        }
        Self { train, held_out }
    }
}

/// The edges of a step: left nodes, the right ones they drew, each once, and the place of each one's own.
struct Drawn {
    nodes: Vec<usize>,
    columns: Vec<usize>,
    positive: Vec<u32>,
}

impl Drawn {
    fn new(train: &Edges, rng: &mut Rng) -> Self {
        let mut nodes: Vec<usize> = (0..NODES).filter(|&i| train[i].contains(&true)).collect();
        rng.shuffle(&mut nodes);
        nodes.truncate(BATCH);
        let (mut columns, mut positive) = (Vec::new(), Vec::new());
        for &i in &nodes {
            let answers: Vec<usize> = (0..NODES).filter(|&j| train[i][j]).collect();
            let drawn = answers[rng.below(answers.len())];
            let place = columns.iter().position(|&j| j == drawn).unwrap_or_else(|| {
                columns.push(drawn);
                columns.len() - 1
            });
            positive.push(place as u32);
        }
        Self { nodes, columns, positive }
    }
}

/// Free vectors of both sides and what trains them.
struct Learner {
    vectors: Vec<f64>,
    adam: Adam,
    loss: Box<dyn LossFn>,
    head: Cosine,
    block: Block<f64>,
    /// Whether other answers in the batch stand as negatives.
    sees_one: bool,
}

impl Learner {
    fn new(arm: &str, rng: &mut Rng) -> Result<Self> {
        let (name, two_way) = match arm {
            "one answer" | "one answer, others masked" => ("info-nce", None),
            "many answers" => ("many-to-many", Some(false)),
            "many answers, two ways" => ("many-to-many", Some(true)),
            other => return Err(Problem::new(format!("no arm `{other}` of this world")).into()),
        };
        let mut choice = Choice::named(name);
        choice.params.extend(two_way.map(|two_way| ("two_way".to_owned(), json!(two_way))));
        let head = Cosine { d_in: WIDTH };
        let vectors: Vec<f64> = (0..2 * NODES * WIDTH).map(|_| rng.normal()).collect();
        Ok(Self {
            adam: Adam::new(vectors.len(), 0.02),
            vectors,
            loss: losses::make(&choice, &[], &[])?,
            block: head.block("oracle", 0).cast(),
            head,
            sees_one: arm == "one answer",
        })
    }

    /// One step on edges of some left nodes, each once.
    fn step(&mut self, train: &Edges, rng: &mut Rng) -> Result<()> {
        let Drawn { nodes, columns, positive } = Drawn::new(train, rng);
        let relation = |row: usize, column: usize| {
            let is_answer = if self.sees_one {
                positive[row] as usize == column
            } else {
                train[nodes[row]][columns[column]]
            };
            if is_answer { Relation::Answer } else { Relation::Negative }
        };
        let relations = (0..nodes.len())
            .flat_map(|i| (0..columns.len()).map(move |j| (i, j)))
            .map(|(i, j)| relation(i, j));
        let relations = relations.collect();
        let rows: Vec<usize> = nodes.iter().copied().chain(columns.iter().map(|j| NODES + j)).collect();
        let input = TaskInput {
            z: rows.iter().flat_map(|&row| self.vector(row).iter().copied()).collect(),
            width: WIDTH,
            starts: Vec::new(),
            inputs: vec![
                (0..nodes.len() as u32).collect(),
                (nodes.len() as u32..rows.len() as u32).collect(),
            ],
            target: Target::Passages { positive, relations },
            weights: Vec::new(),
        };
        let found = gradient(&self.head, &self.block, &*self.loss, &input)?;
        let mut all = vec![0.0; self.vectors.len()];
        for (row, d) in rows.iter().zip(found.d_z.chunks(WIDTH)) {
            all[row * WIDTH..(row + 1) * WIDTH].copy_from_slice(d);
        }
        self.adam.step(&mut self.vectors, &all);
        Ok(())
    }

    fn vector(&self, row: usize) -> &[f64] {
        &self.vectors[row * WIDTH..(row + 1) * WIDTH]
    }

    /// Cosines of all pairs.
    fn scores(&self) -> Vec<Vec<f64>> {
        let unit = |row: usize| scaled(self.vector(row).to_vec());
        let right: Vec<Vec<f64>> = (NODES..2 * NODES).map(unit).collect();
        (0..NODES).map(unit).map(|a| right.iter().map(|b| dot(&a, b)).collect()).collect()
    }
}

/// Places on the unit sphere.
fn places(rng: &mut Rng) -> Vec<Vec<f64>> {
    (0..NODES).map(|_| scaled((0..LATENT).map(|_| rng.normal()).collect())).collect()
}

fn scaled(mut values: Vec<f64>) -> Vec<f64> {
    let length = dot(&values, &values).sqrt().max(f64::MIN_POSITIVE);
    values.iter_mut().for_each(|v| *v /= length);
    values
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn turned<T: Copy>(rows: &[Vec<T>]) -> Vec<Vec<T>> {
    (0..rows[0].len()).map(|j| rows.iter().map(|row| row[j]).collect()).collect()
}

/// MAP of the held-out edges of each row among all that are no edges of train.
fn mean_average_precision(scores: &[Vec<f64>], train: &Edges, held_out: &Edges) -> f64 {
    let of_row = |(i, row): (usize, &Vec<f64>)| {
        let mut order: Vec<usize> = (0..row.len()).filter(|&j| !train[i][j]).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
        let hits = order.iter().enumerate().filter(|(_, j)| held_out[i][**j]);
        let precisions: Vec<f64> =
            hits.enumerate().map(|(n, (rank, _))| (n + 1) as f64 / (rank + 1) as f64).collect();
        (!precisions.is_empty()).then(|| precisions.iter().sum::<f64>() / precisions.len() as f64)
    };
    let values: Vec<f64> = scores.iter().enumerate().filter_map(of_row).collect();
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn average_precision_leaves_known_edges_out() {
        let scores = vec![vec![0.9, 0.8, 0.7, 0.6]];
        let (train, held_out) = (vec![vec![true, false, false, false]], vec![vec![false, false, true, true]]);
        let found = mean_average_precision(&scores, &train, &held_out);
        assert!((found - f64::midpoint(0.5, 2.0 / 3.0)).abs() < 1e-12, "{found}");
    }

    #[test]
    fn training_finds_held_out_edges_far_better_than_chance() {
        let numbers = BTreeMap::from([("degree".to_owned(), 20.0), ("steps".to_owned(), 1200.0)]);
        let scores = |steps: f64| {
            let numbers =
                BTreeMap::from([("steps".to_owned(), steps), ("degree".to_owned(), numbers["degree"])]);
            run(&OracleRequest { arm: "many answers, two ways", numbers: &numbers, seed: 1 }).unwrap()
        };
        let (start, end) = (scores(0.0), scores(1200.0));
        assert!(end.tasks[0].value > 3.0 * start.tasks[0].value, "{start:?} {end:?}");
        assert!(run(&OracleRequest { arm: "none", numbers: &numbers, seed: 1 }).is_err());
        for (name, wrong) in [("degree", 0.0), ("degree", 400.0), ("steps", -5.0), ("steps", 1.5)] {
            let numbers: BTreeMap<_, _> =
                numbers.clone().into_iter().chain([(name.to_owned(), wrong)]).collect();
            let error = run(&OracleRequest { arm: "many answers", numbers: &numbers, seed: 1 }).unwrap_err();
            assert!(error.to_string().contains(&format!("method.data.{name} is {wrong}")), "{error}");
        }
    }
}
