//! A conflict method inside another one: it is asked about rows the outer method made, and works unchanged.

use polytask_core::method::Choice;
use polytask_core::{Problem, Purpose, Rng};
use serde_json::Value;

use super::table::{self, Setup};
use super::{
    At, Direction, Gramian, Heads, Jacobian, Observation, OutputStates, Part, Probe, Spaces, Update,
    Weighting, blocks, dot, refuse_state,
};
use crate::Result;

/// A method with a stream of draws of its own.
pub(super) struct Inner {
    method: Box<dyn Weighting>,
    stream: u64,
}

/// What an inner method answered.
pub(super) struct Answer {
    /// Its direction as it said it, by rows.
    pub(super) direction: Direction,
    /// Its direction as a vector, `[width]`.
    pub(super) vector: Vec<f32>,
    /// Its factors on the heads, `[rows]`.
    pub(super) factors: Vec<f64>,
}

impl Answer {
    /// Multiplies the heads' gradients at these places by the method's factors.
    pub(super) fn scale_heads(&self, places: &[usize], heads: &mut [Vec<f32>]) {
        for (&place, &factor) in places.iter().zip(&self.factors).filter(|(_, factor)| **factor != 1.0) {
            heads[place].iter_mut().for_each(|g| *g = (f64::from(*g) * factor) as f32);
        }
    }

    /// Its weights of these tasks, as something measured.
    pub(super) fn weights(&self, name: &'static str, tasks: &[usize]) -> Vec<Observation> {
        let weights = self.direction.weights().unwrap_or_default();
        let seen = |(&task, &value): (&usize, &f64)| Observation { name, task: Some(task), value };
        tasks.iter().zip(weights).map(seen).collect()
    }
}

/// Rows with the tasks and losses they stand for.
pub(super) struct Rows<'a> {
    /// The rows.
    pub(super) jacobian: &'a Jacobian,
    /// Suite index of the task of each.
    pub(super) tasks: &'a [usize],
    /// Loss of each.
    pub(super) losses: &'a [f64],
    /// Place of each row's task among the outer probe's tasks.
    pub(super) places: &'a [usize],
}

impl Inner {
    /// The method that a parameter of `outer` names; stream 0 draws what the method would draw on its own.
    pub(super) fn new(outer: &str, value: &Value, setup: &Setup, stream: u64) -> Result<Self> {
        let choice = Choice::from_json(value).ok_or_else(|| {
            Problem::new(format!("parameter `of` of weighting `{outer}` is {value}, expected a weighting"))
                .try_this("a name, or a table of `name` and parameters")
        })?;
        let method = table::make(&choice, setup)?;
        let needs = method.needs();
        if needs.displaced || needs.extra_batches > 0 || needs.spaces == Spaces::Representation {
            let what = format!(
                "weighting `{}` inside `{outer}` looks beyond the gradients of its step, expected one that does not",
                choice.name
            );
            return Err(Problem::new(what).try_this("`mgda`, `pcgrad` or `equal`").into());
        }
        Ok(Self { method, stream })
    }

    /// Whether it wants [`Weighting::after_step`].
    pub(super) fn has_after_step(&self) -> bool {
        self.method.needs().after_step
    }

    /// A step of the method on its own.
    pub(super) fn plain(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        self.method.update(probe)
    }

    /// Tells it that the optimiser has stepped.
    pub(super) fn after_step(&mut self, probe: &mut dyn Probe) -> Result<()> {
        if self.has_after_step() { self.method.after_step(probe) } else { Ok(()) }
    }

    /// Its answer to these rows.
    pub(super) fn ask(&mut self, outer: &mut dyn Probe, rows: &Rows) -> Result<Answer> {
        let parts = outer.parts();
        let mut probe = FixedRows { outer, rows, stream: self.stream };
        let Update { trunk, heads } = self.method.update(&mut probe)?;
        let vector = vector_of(&trunk, rows.jacobian, &parts);
        let factors = match heads {
            Heads::Factors(factors) => factors,
            Heads::Gradients(_) => vec![1.0; rows.jacobian.n],
        };
        Ok(Answer { direction: trunk, vector, factors })
    }
}

/// A direction in the space of the rows.
fn vector_of(direction: &Direction, rows: &Jacobian, parts: &[Part]) -> Vec<f32> {
    match direction {
        Direction::Weights(weights) => rows.weighted(weights, 0..rows.width),
        Direction::BlockWeights(all) => {
            let spans = blocks(parts).into_iter().zip(all);
            spans.flat_map(|(span, weights)| rows.weighted(weights, span)).collect()
        }
        Direction::Vector(vector) | Direction::Gradient(vector) => vector.clone(),
    }
}

/// States of several inner methods as one.
pub(super) fn join<'a>(states: impl Iterator<Item = Vec<f64>> + 'a) -> Vec<f64> {
    states.flat_map(|state| std::iter::once(state.len() as f64).chain(state)).collect()
}

/// Hands the pieces of a joined state to `take`, one per inner method.
pub(super) fn split<'a>(
    mut state: &[f64],
    inner: impl Iterator<Item = &'a mut Inner>,
    mut take: impl FnMut(&mut dyn Weighting, &[f64]) -> Result<()>,
) -> Result<()> {
    for inner in inner {
        let Some((&n, rest)) = state.split_first() else { return refuse_state(0, 1) };
        let n = n as usize;
        if rest.len() < n {
            return refuse_state(rest.len(), n);
        }
        let (own, rest) = rest.split_at(n);
        take(&mut *inner.method, own)?;
        state = rest;
    }
    refuse_state(state.len(), 0)
}

impl Inner {
    /// Its state.
    pub(super) fn state(&self) -> Vec<f64> {
        self.method.state()
    }

    /// As [`Weighting::mark`].
    pub(super) fn mark(&self) -> Vec<f64> {
        self.method.mark()
    }
}

/// The outer probe with other rows in the place of its gradients.
struct FixedRows<'a, 'b> {
    outer: &'a mut dyn Probe,
    rows: &'a Rows<'b>,
    stream: u64,
}

/// Refuses any place but the main one: these rows exist nowhere else.
fn only_here(at: At) -> Result<()> {
    if at == At::default() {
        return Ok(());
    }
    let what = "a weighting inside another one cannot evaluate at other weights or on other batches";
    Err(Problem::new(what).try_this("use it on its own").into())
}

impl Probe for FixedRows<'_, '_> {
    fn step(&self) -> u64 {
        self.outer.step()
    }
    fn epoch(&self) -> u64 {
        self.outer.epoch()
    }
    fn tasks(&self) -> &[usize] {
        self.rows.tasks
    }
    fn lr(&self) -> f64 {
        self.outer.lr()
    }
    fn rng(&self) -> Rng {
        let mut own = self.outer.rng();
        match self.stream {
            0 => own,
            stream => Rng::new(own.next_u64(), Purpose::Method, &[stream]),
        }
    }
    fn losses(&mut self, at: At) -> Result<Vec<f64>> {
        only_here(at)?;
        Ok(self.rows.losses.to_vec())
    }
    fn gramian(&mut self, at: At) -> Result<Gramian> {
        only_here(at)?;
        Ok(self.rows.jacobian.gramian(0..self.rows.jacobian.width))
    }
    fn rows(&mut self, at: At) -> Result<Jacobian> {
        only_here(at)?;
        Ok(self.rows.jacobian.clone())
    }
    fn gradient(&mut self, at: At, weights: &[f64]) -> Result<Vec<f32>> {
        only_here(at)?;
        Ok(self.rows.jacobian.weighted(weights, 0..self.rows.jacobian.width))
    }
    fn heads(&mut self, at: At) -> Result<Vec<Vec<f32>>> {
        only_here(at)?;
        let all = self.outer.heads(at)?;
        Ok(self.rows.places.iter().map(|&place| all[place].clone()).collect())
    }
    fn states(&mut self, at: At) -> Result<OutputStates> {
        only_here(at)?;
        self.outer.states(at)
    }
    fn parts(&self) -> Vec<Part> {
        self.outer.parts()
    }
    fn shared(&self) -> Vec<f32> {
        self.outer.shared()
    }
    fn head(&self, i: usize) -> Vec<f32> {
        self.outer.head(self.rows.places[i])
    }
    fn products(&mut self, at: At, direction: &[f32]) -> Result<Vec<f64>> {
        only_here(at)?;
        Ok((0..self.rows.jacobian.n).map(|i| dot(self.rows.jacobian.row(i), direction)).collect())
    }
    fn block_gramians(&mut self, at: At) -> Result<Vec<Gramian>> {
        only_here(at)?;
        Ok(blocks(&self.parts()).into_iter().map(|span| self.rows.jacobian.gramian(span)).collect())
    }
}
