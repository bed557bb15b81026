//! A model without a network but with curvature, and the golden values of `xtask/parity/aggregators.py`.

use polytask_core::method::Choice;
use polytask_core::{Purpose, Rng};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::table::{Setup, find};
use super::testing::FakeProbe;
use super::{At, Direction, Gramian, Heads, Jacobian, OutputStates, Part, Probe, Update, Weighting};
use crate::Result;

/// The golden values.
#[derive(Debug, Deserialize)]
pub(crate) struct Golden {
    pub(crate) jacobians: Vec<Named>,
    pub(crate) graddrop: Vec<Drawn>,
    pub(crate) graddrop_leak: Vec<Drawn>,
    pub(crate) config: Vec<Vec<f64>>,
    pub(crate) trimmed_mean: Vec<Trimmed>,
    pub(crate) moco: Vec<Sequence>,
    pub(crate) db_mtl: Vec<Sequence>,
    pub(crate) modo: Vec<Sequence>,
    pub(crate) sdmgrad: Vec<Sequence>,
    pub(crate) models: Vec<Model>,
    pub(crate) flat: Vec<Displaced>,
    pub(crate) sam: Vec<Displaced>,
    pub(crate) samo: Vec<Displaced>,
}

/// The values the program made.
pub(crate) fn golden() -> Golden {
    serde_json::from_str(include_str!("../tests/data/aggregators.json")).unwrap()
}

/// A Jacobian and what is special about it.
#[derive(Debug, Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) rows: Vec<Vec<f32>>,
}

/// A direction for written draws.
#[derive(Debug, Deserialize)]
pub(crate) struct Drawn {
    pub(crate) draws: Vec<f64>,
    #[serde(default)]
    pub(crate) leak: Vec<f64>,
    pub(crate) expected: Vec<f64>,
}

/// A mean without this many extremes at either end.
#[derive(Debug, Deserialize)]
pub(crate) struct Trimmed {
    pub(crate) trim: usize,
    pub(crate) expected: Vec<f64>,
}

/// Successive steps: `[steps][batches]` Jacobians, losses and directions.
#[derive(Debug, Deserialize)]
pub(crate) struct Sequence {
    name: String,
    steps: Vec<Vec<Vec<Vec<f32>>>>,
    losses: Vec<Vec<f64>>,
    expected: Vec<Vec<f64>>,
}

/// A step of a sharpness-aware method on a model.
#[derive(Debug, Deserialize)]
pub(crate) struct Displaced {
    pub(crate) model: usize,
    #[serde(default)]
    inner: String,
    params: Map<String, Value>,
    #[serde(default)]
    pub(crate) draws: Vec<Vec<f32>>,
    trunk: Vec<f64>,
    heads: Vec<Vec<f64>>,
    #[serde(default)]
    pub(crate) sharpness: Vec<f64>,
}

impl Displaced {
    /// Whether the inner method is in the table.
    pub(crate) fn is_made(&self) -> bool {
        find(&self.inner).is_some()
    }

    /// How near directions come: CAGrad's are found by a solver on either side.
    pub(crate) fn tolerance(&self) -> f64 {
        if self.inner == "cagrad" { 1e-4 } else { 5e-6 }
    }

    /// The method with the parameters of the case.
    pub(crate) fn choice(&self, name: &str) -> Choice {
        Choice { name: name.into(), params: self.params.clone().into_iter().collect() }
    }

    /// Asserts that an update, whose trunk direction is `trunk`, is the one expected.
    pub(crate) fn check(&self, update: &Update, trunk: &[f32], tolerance: f64) {
        let what = format!("model {} {:?}", self.model, self.params);
        trunk.close(&self.trunk, tolerance, &what);
        let Heads::Gradients(heads) = &update.heads else { panic!("expected gradients of heads") };
        assert_eq!(heads.len(), self.heads.len(), "{what}");
        heads.iter().zip(&self.heads).for_each(|(found, expected)| found.close(expected, tolerance, &what));
    }
}

/// Comparison with a reference.
pub(crate) trait Close {
    /// Asserts that all entries agree within `tolerance` times the largest.
    fn close(&self, expected: &[f64], tolerance: f64, what: &str);
}

impl Close for [f32] {
    fn close(&self, expected: &[f64], tolerance: f64, what: &str) {
        let size = expected.iter().fold(1e-12, |m: f64, v| m.max(v.abs()));
        assert_eq!(self.len(), expected.len(), "{what}");
        let apart = self.iter().zip(expected).map(|(&f, e)| (f64::from(f) - e).abs()).fold(0.0, f64::max);
        assert!(apart <= tolerance * size, "{what}: off by {}, {self:?} is not {expected:?}", apart / size);
    }
}

/// The rows that are not zero.
pub(crate) fn pulling(rows: &[Vec<f32>]) -> Jacobian {
    let rows: Vec<_> = rows.iter().filter(|row| row.iter().any(|v| *v != 0.0)).collect();
    Jacobian { n: rows.len(), width: rows[0].len(), values: rows.into_iter().flatten().copied().collect() }
}

/// One step's direction as a vector.
pub(crate) fn vector(method: &mut dyn Weighting, probe: &mut dyn Probe) -> Vec<f32> {
    let update = method.update(probe).unwrap();
    vector_of(&update, probe)
}

/// An update's direction as a vector.
pub(crate) fn vector_of(update: &Update, probe: &mut dyn Probe) -> Vec<f32> {
    match &update.trunk {
        Direction::Vector(vector) | Direction::Gradient(vector) => vector.clone(),
        Direction::Weights(weights) => probe.gradient(At::default(), weights).unwrap(),
        Direction::BlockWeights(_) => panic!("expected a direction or weights"),
    }
}

/// Asserts that a fresh method's directions of successive steps are those expected. Of several batches the last is
/// the step's own.
pub(crate) fn check_sequences(all: &[Sequence], make: impl Fn(&Setup) -> Box<dyn Weighting>, tolerance: f64) {
    assert!(!all.is_empty());
    for case in all {
        let n = case.losses[0].len();
        let names: Vec<&str> = ["a", "b", "c", "d", "e"][..n].to_vec();
        let mut method = make(&Setup::of(&names));
        for (k, batches) in case.steps.iter().enumerate() {
            let (own, extra) = batches.split_last().unwrap();
            let jacobian = |rows: &Vec<Vec<f32>>| pulling(rows);
            let slices: Vec<&[f32]> = own.iter().map(Vec::as_slice).collect();
            let extra = extra.iter().map(jacobian).collect();
            let mut probe = FakeProbe::from_rows(&slices).at_step(k as u64 + 1).with_extra(extra);
            probe.set_losses(&case.losses[k]);
            let found = vector(method.as_mut(), &mut probe);
            found.close(&case.expected[k], tolerance, &format!("{}, step {}", case.name, k + 1));
        }
    }
}

/// Losses that are polynomials of fourth degree in two trunk tensors and a head per task.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Model {
    sizes: Vec<usize>,
    theta: Vec<f32>,
    heads: Vec<Vec<f32>>,
    quadratic: Vec<Vec<Vec<f64>>>,
    linear: Vec<Vec<f64>>,
    quartic: Vec<Vec<f64>>,
    mixed: Vec<Vec<Vec<f64>>>,
    of_head: Vec<Vec<f64>>,
}

/// A probe of such a model. The second tensor is no matrix.
#[derive(Debug, Clone)]
pub(crate) struct Toy {
    model: Model,
    tasks: Vec<usize>,
    /// A task whose loss is not a number anywhere but at the weights themselves.
    pub(crate) cliff: Option<usize>,
}

fn sum(values: impl Iterator<Item = f64>) -> f64 {
    values.sum()
}

impl Toy {
    pub(crate) fn of(model: &Model) -> Self {
        Self { tasks: (0..model.heads.len()).collect(), model: model.clone(), cliff: None }
    }

    pub(crate) fn setup(&self) -> Setup {
        let names: Vec<&str> = ["a", "b", "c", "d"][..self.tasks.len()].to_vec();
        Setup::of(&names)
    }

    /// Loss, trunk gradient and head gradient of a task at a place.
    fn gradients_of(&self, i: usize, at: At) -> (f64, Vec<f32>, Vec<f32>) {
        let m = &self.model;
        let moved = |values: &[f32], by: Option<&[f32]>| -> Vec<f64> {
            let by = |k: usize| by.and_then(|by| by.get(k)).copied().unwrap_or(0.0);
            values.iter().enumerate().map(|(k, &v)| f64::from(v) + f64::from(by(k))).collect()
        };
        let x = moved(&m.theta, at.displacement);
        let h = moved(&m.heads[i], at.heads.map(|heads| heads[i].as_slice()));
        let (d, p) = (x.len(), h.len());
        let pull = |k: usize| sum((0..d).map(|j| m.quadratic[i][k][j] * x[j]));
        let cross = |k: usize| sum((0..p).map(|j| m.mixed[i][k][j] * h[j]));
        let of_trunk = |k: usize| {
            x[k] * (0.5 * pull(k) + m.linear[i][k] + cross(k)) + m.quartic[i][k] * x[k].powi(4) / 4.0
        };
        let loss = 5.0 + sum((0..d).map(of_trunk)) + sum((0..p).map(|j| m.of_head[i][j] * h[j] * h[j] / 2.0));
        let trunk = |k: usize| pull(k) + m.linear[i][k] + cross(k) + m.quartic[i][k] * x[k].powi(3);
        let head = |j: usize| sum((0..d).map(|k| m.mixed[i][k][j] * x[k])) + m.of_head[i][j] * h[j];
        let fall = if self.cliff == Some(i) && at != At::default() { f64::NAN } else { 1.0 };
        let row = (0..d).map(|k| (trunk(k) * fall) as f32).collect();
        (loss * fall, row, (0..p).map(|j| (head(j) * fall) as f32).collect())
    }
}

impl Probe for Toy {
    fn step(&self) -> u64 {
        1
    }
    fn epoch(&self) -> u64 {
        0
    }
    fn tasks(&self) -> &[usize] {
        &self.tasks
    }
    fn lr(&self) -> f64 {
        1e-3
    }
    fn rng(&self) -> Rng {
        Rng::new(1, Purpose::Method, &[1])
    }
    fn losses(&mut self, at: At) -> Result<Vec<f64>> {
        Ok(self.tasks.iter().map(|&i| self.gradients_of(i, at).0).collect())
    }
    fn gramian(&mut self, at: At) -> Result<Gramian> {
        let rows = self.rows(at)?;
        Ok(rows.gramian(0..rows.width))
    }
    fn rows(&mut self, at: At) -> Result<Jacobian> {
        let values = self.tasks.iter().flat_map(|&i| self.gradients_of(i, at).1).collect();
        Ok(Jacobian { n: self.tasks.len(), width: self.model.theta.len(), values })
    }
    fn gradient(&mut self, at: At, weights: &[f64]) -> Result<Vec<f32>> {
        let rows = self.rows(at)?;
        Ok(rows.weighted(weights, 0..rows.width))
    }
    fn heads(&mut self, at: At) -> Result<Vec<Vec<f32>>> {
        Ok(self.tasks.iter().map(|&i| self.gradients_of(i, at).2).collect())
    }
    fn states(&mut self, _at: At) -> Result<OutputStates> {
        Ok(OutputStates { values: Vec::new(), width: 1, samples: vec![0] })
    }
    fn parts(&self) -> Vec<Part> {
        let part = |start: usize, n: usize, matrix| Part {
            block: "layer.0".into(),
            tensor: format!("layer.0.{start}"),
            range: start..start + n,
            matrix,
        };
        let (first, second) = (self.model.sizes[0], self.model.sizes[1]);
        vec![part(0, first, true), part(first, second, false)]
    }
    fn shared(&self) -> Vec<f32> {
        self.model.theta.clone()
    }
    fn head(&self, i: usize) -> Vec<f32> {
        self.model.heads[i].clone()
    }
}
