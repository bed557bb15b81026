//! A model whose losses are quadratic in trunk and heads: the probe for methods that evaluate at displaced weights.

use polytask_core::{Purpose, Rng};
use serde::Deserialize;

use super::{At, Direction, Gramian, Heads, Jacobian, OutputStates, Part, Probe, Update};
use crate::Result;

/// A task's loss on a batch, ½ ‖A θ + B h − y‖².
#[derive(Debug, Clone, Deserialize)]
struct Term {
    a: Vec<Vec<f64>>,
    b: Vec<Vec<f64>>,
    y: Vec<f64>,
    #[serde(skip)]
    is_absent: bool,
}

/// The model, with its weights as they are at a step.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Quadratic {
    /// What is special about it.
    pub(crate) name: String,
    lr: f64,
    shared: Vec<f64>,
    heads: Vec<Vec<f64>>,
    /// `[batches][tasks]`.
    batches: Vec<Vec<Term>>,
    #[serde(skip)]
    tasks: Vec<usize>,
    #[serde(skip)]
    step: u64,
    #[serde(skip)]
    epoch: u64,
}

/// A loss and its gradients along trunk and head.
struct Point {
    loss: f64,
    shared: Vec<f64>,
    head: Vec<f64>,
}

impl Term {
    fn at(&self, shared: &[f64], head: &[f64]) -> Point {
        let row = |k: usize| inner(&self.a[k], shared) + inner(&self.b[k], head) - self.y[k];
        let residual: Vec<f64> = (0..self.y.len()).map(row).collect();
        Point {
            loss: if self.is_absent { f64::NAN } else { 0.5 * inner(&residual, &residual) },
            shared: transposed(&self.a, &residual),
            head: transposed(&self.b, &residual),
        }
    }
}

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn transposed(matrix: &[Vec<f64>], vector: &[f64]) -> Vec<f64> {
    let column = |k: usize| matrix.iter().zip(vector).map(|(row, v)| row[k] * v).sum();
    (0..matrix[0].len()).map(column).collect()
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|v| *v as f32).collect()
}

fn displaced(values: &[f64], by: Option<&[f32]>) -> Vec<f64> {
    let by = |k: usize| by.and_then(|d| d.get(k)).map_or(0.0, |d| f64::from(*d));
    values.iter().enumerate().map(|(k, v)| v + by(k)).collect()
}

impl Quadratic {
    /// The model at a step.
    pub(crate) fn at_step(&mut self, step: u64, epoch: u64) {
        (self.step, self.epoch) = (step, epoch);
        self.tasks = (0..self.heads.len()).collect();
    }

    /// The model with this learning rate.
    pub(crate) fn with_lr(self, lr: f64) -> Self {
        Self { lr, ..self }
    }

    /// The model without task `task` in the extra batch: its loss there is NaN, its gradients are zero.
    pub(crate) fn without_extra(mut self, task: usize) -> Self {
        let term = &mut self.batches[1][task];
        term.a.iter_mut().chain(&mut term.b).for_each(|row| row.fill(0.0));
        term.is_absent = true;
        self
    }

    fn points(&self, at: At) -> Vec<Point> {
        let shared = displaced(&self.shared, at.displacement);
        let point = |(i, term): (usize, &Term)| {
            let head = displaced(&self.heads[i], at.heads.map(|h| h[i].as_slice()));
            term.at(&shared, &head)
        };
        let batch = &self.batches[at.batch % self.batches.len()];
        batch.iter().enumerate().map(point).collect()
    }

    /// Gradient descent by an update.
    pub(crate) fn apply(&mut self, update: &Update) {
        let points = self.points(At::default());
        let head_gradient = |i: usize| match &update.heads {
            Heads::Factors(factors) => points[i].head.iter().map(|g| g * factors[i]).collect(),
            Heads::Gradients(gradients) => displaced(&vec![0.0; points[i].head.len()], Some(&gradients[i])),
        };
        let heads: Vec<Vec<f64>> = (0..points.len()).map(head_gradient).collect();
        let shared: Vec<f64> = match &update.trunk {
            Direction::Weights(weights) => {
                let entry = |k: usize| weights.iter().zip(&points).map(|(w, p)| w * p.shared[k]).sum();
                (0..self.shared.len()).map(entry).collect()
            }
            Direction::Gradient(gradient) | Direction::Vector(gradient) => {
                gradient.iter().map(|g| f64::from(*g)).collect()
            }
            Direction::BlockWeights(_) => panic!("the model is one block"),
        };
        let lr = self.lr;
        let step =
            |values: &mut Vec<f64>, g: &[f64]| values.iter_mut().zip(g).for_each(|(v, g)| *v -= lr * g);
        step(&mut self.shared, &shared);
        self.heads.iter_mut().zip(&heads).for_each(|(head, g)| step(head, g));
    }
}

impl Probe for Quadratic {
    fn step(&self) -> u64 {
        self.step
    }
    fn epoch(&self) -> u64 {
        self.epoch
    }
    fn tasks(&self) -> &[usize] {
        &self.tasks
    }
    fn lr(&self) -> f64 {
        self.lr
    }
    fn rng(&self) -> Rng {
        Rng::new(0, Purpose::Method, &[self.step])
    }
    fn losses(&mut self, at: At) -> Result<Vec<f64>> {
        Ok(self.points(at).iter().map(|point| point.loss).collect())
    }
    fn gramian(&mut self, at: At) -> Result<Gramian> {
        let rows = self.rows(at)?;
        Ok(rows.gramian(0..rows.width))
    }
    fn rows(&mut self, at: At) -> Result<Jacobian> {
        let points = self.points(at);
        let values = points.iter().flat_map(|point| narrow(&point.shared)).collect();
        Ok(Jacobian { n: points.len(), width: self.shared.len(), values })
    }
    fn gradient(&mut self, at: At, weights: &[f64]) -> Result<Vec<f32>> {
        let rows = self.rows(at)?;
        Ok(rows.weighted(weights, 0..rows.width))
    }
    fn heads(&mut self, at: At) -> Result<Vec<Vec<f32>>> {
        Ok(self.points(at).iter().map(|point| narrow(&point.head)).collect())
    }
    fn states(&mut self, _at: At) -> Result<OutputStates> {
        Ok(OutputStates { values: narrow(&self.shared), width: self.shared.len(), samples: vec![0, 1] })
    }
    fn parts(&self) -> Vec<Part> {
        let range = 0..self.shared.len();
        vec![Part { block: "layer.0".into(), tensor: "layer.0.weight".into(), range, matrix: true }]
    }
    fn shared(&self) -> Vec<f32> {
        narrow(&self.shared)
    }
    fn head(&self, i: usize) -> Vec<f32> {
        narrow(&self.heads[i])
    }
}
