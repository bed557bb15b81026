//! Values and whole gradients against a double backward in PyTorch (`xtask/parity/rep_mtl.py`), in f64.

use std::collections::BTreeMap;

use polytask_core::{HeadForm, Layout};
use polytask_nn::heads::{self, Head, HeadOptions};
use polytask_nn::losses::{self, LossFn};
use polytask_nn::objective::{self, Target, TaskInput};
use polytask_nn::pooling::Pooling;
use polytask_nn::{Block, States};
use serde::Deserialize;
use serde_json::Value;

use super::*;
use crate::regularizer::Sample;

#[derive(Deserialize)]
struct Case {
    name: String,
    width: usize,
    /// `[samples][positions][C]`.
    states: Vec<Vec<Vec<f64>>>,
    tasks: BTreeMap<String, TaskCase>,
    options: BTreeMap<String, Value>,
    pooling: String,
    tsr: f64,
    csa: f64,
    similarity: f64,
    /// `[samples][positions × C]`.
    by_states: Vec<Vec<f64>>,
    by_head: BTreeMap<String, Vec<f64>>,
}

#[derive(Deserialize)]
struct TaskCase {
    samples: Vec<u32>,
    target: Vec<f64>,
    /// Weight `[outputs][inputs]` and bias, of a hidden layer first where there is one.
    head: Vec<Value>,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../../tests/data/rep_mtl.json")).unwrap()
}

/// A case as this crate computes it.
struct Network<'a> {
    case: &'a Case,
    layout: Layout,
    pooling: Pooling,
    log_losses: bool,
}

/// A task of a case.
struct TaskParts {
    head: Box<dyn Head>,
    block: Block<f64>,
    loss: Box<dyn LossFn>,
    target: Target,
}

struct Gradients {
    head: Vec<f64>,
    states: Vec<f64>,
}

/// The numbers of nested lists.
fn flat(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .map_or_else(|| vec![value.as_f64().unwrap()], |list| list.iter().flat_map(flat).collect())
}

/// What was observed, and the gradient of the whole objective.
struct Solved<'a> {
    observed: Vec<(&'static str, f64)>,
    by_states: Vec<f64>,
    by_head: BTreeMap<&'a str, Vec<f64>>,
}

impl<'a> Network<'a> {
    fn new(case: &'a Case) -> Self {
        let mut starts = vec![0];
        case.states.iter().for_each(|rows| starts.push(starts[starts.len() - 1] + rows.len() as u32));
        let (layout, pooling) = (Layout { starts }, case.pooling.parse().unwrap());
        Self { case, layout, pooling, log_losses: case.options["log_losses"] == true }
    }

    fn states(&self) -> States<f64> {
        let values = self.case.states.iter().flatten().flatten().copied().collect();
        States { values, width: self.case.width }
    }

    fn task(&self, name: &str) -> TaskParts {
        let (width, task) = (self.case.width, &self.case.tasks[name]);
        let d_in =
            if name == "tags" { width } else { self.pooling.forward(&self.states(), &self.layout).width };
        let biases: Vec<Vec<f64>> = task.head.iter().skip(1).step_by(2).map(flat).collect();
        let (n_outputs, hidden) = (biases[biases.len() - 1].len(), biases.len() > 1);
        let hidden = hidden.then(|| biases[0].len());
        let options = HeadOptions { hidden, ..HeadOptions::default() };
        let head = heads::build_with(HeadForm::Linear, d_in, n_outputs, options);
        let mut block = head.block(name, 0).cast::<f64>();
        block.values = task.head.iter().flat_map(flat).collect();
        let loss = Choice::named(if name == "number" { "mse" } else { "cross-entropy" });
        let labels: Vec<String> = (0..n_outputs).map(|i| i.to_string()).collect();
        let target = if name == "number" {
            Target::Numbers { width: n_outputs, values: task.target.iter().map(|v| *v as f32).collect() }
        } else {
            Target::Label(task.target.iter().map(|v| *v as u32).collect())
        };
        TaskParts { head, block, loss: losses::make(&loss, &labels, &[]).unwrap(), target }
    }

    /// Rows of the states that a task touches.
    fn rows(&self, name: &str) -> Vec<usize> {
        let samples = &self.case.tasks[name].samples;
        samples.iter().flat_map(|&s| self.layout.rows(s as usize)).collect()
    }

    /// What a task's head reads of states (or of a direction at them), end to end.
    fn leaf(&self, name: &str, direction: &States<f64>) -> Vec<f64> {
        if name == "tags" {
            return self.rows(name).iter().flat_map(|&row| direction.row(row)).copied().collect();
        }
        let pooled = self.pooling.jvp(&self.states(), direction, &self.layout);
        self.case.tasks[name].samples.iter().flat_map(|&s| pooled.row(s as usize).to_vec()).collect()
    }

    /// The gradients of a task's objective, or of their product with a direction; those of the states over the whole
    /// layout.
    fn gradients(&self, name: &str, direction: Option<&[f64]>) -> Gradients {
        let (TaskParts { head, block, loss, target }, states) = (self.task(name), self.states());
        let z = self.leaf(name, &states);
        let (width, log) = (head.d_in(), self.log_losses.then_some(1e-8));
        let inputs = vec![(0..(z.len() / width) as u32).collect()];
        let input = TaskInput { z, width, starts: Vec::new(), inputs, target, weights: Vec::new() };
        let (found, factor) = if let Some(direction) = direction {
            let direction = States { values: direction.to_vec(), width: self.case.width };
            let direction = self.leaf(name, &direction);
            (objective::second_order(&*head, &block, &*loss, &input, &direction, log).unwrap(), 1.0)
        } else {
            let found = objective::gradient(&*head, &block, &*loss, &input).unwrap();
            let factor = log.map_or(1.0, |eps| 1.0 / (found.loss + eps));
            (found, factor)
        };
        let samples = &self.case.tasks[name].samples;
        let d_rows = if name == "tags" {
            found.d_z
        } else {
            self.pooling.vjp(&states, &self.layout, samples, &found.d_z)
        };
        let width = self.case.width;
        let mut d_states = vec![0.0; states.values.len()];
        for (&row, values) in self.rows(name).iter().zip(d_rows.chunks_exact(width)) {
            let to = d_states[row * width..(row + 1) * width].iter_mut();
            to.zip(values).for_each(|(to, v)| *to = factor * v);
        }
        Gradients { head: found.d_head.iter().map(|v| factor * v).collect(), states: d_states }
    }

    fn saliencies(&self, own: &[Gradients]) -> Saliencies {
        let (width, n) = (self.case.width, self.case.states.len());
        let sample = |b: usize| {
            let rows = self.layout.rows(b);
            let all = self.case.tasks.values().enumerate();
            let tasks: Vec<usize> =
                all.filter(|(_, task)| task.samples.contains(&(b as u32))).map(|(t, _)| t).collect();
            let at = rows.start * width..rows.end * width;
            let scaled = |&t: &usize| own[t].states[at.clone()].iter().map(|v| v * n as f64).collect();
            Sample { rows, values: tasks.iter().map(scaled).collect(), tasks }
        };
        Saliencies { width, samples: (0..n).map(sample).collect() }
    }

    /// What was observed, the gradient by the states and by each head.
    fn solve(&self) -> Solved<'a> {
        let names: Vec<&str> = self.case.tasks.keys().map(String::as_str).collect();
        let own: Vec<_> = names.iter().map(|name| self.gradients(name, None)).collect();
        let mut choice = Choice::named("rep-mtl");
        choice.params.extend(self.case.options.clone());
        let saliencies = self.saliencies(&own);
        let penalty = make(&choice).unwrap().penalty(&saliencies, 0);
        let slopes = penalty.slopes.unwrap();
        let (mut by_states, mut by_head) = (vec![0.0; self.states().values.len()], BTreeMap::new());
        for (t, (name, own)) in names.iter().zip(own).enumerate() {
            let mut direction = vec![0.0; by_states.len()];
            for (sample, slopes) in saliencies.samples.iter().zip(&slopes) {
                let Some(i) = sample.tasks.iter().position(|k| *k == t) else { continue };
                let to = direction[sample.rows.start * saliencies.width..].iter_mut().zip(&slopes[i]);
                to.for_each(|(d, slope)| *d = slope * saliencies.samples.len() as f64);
            }
            let Gradients { head, states } = self.gradients(name, Some(&direction));
            let sum = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<f64>>();
            by_states = sum(&by_states, &sum(&own.states, &states));
            by_head.insert(*name, sum(&own.head, &head));
        }
        Solved { observed: penalty.observed, by_states, by_head }
    }
}

fn apart(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest
}

#[test]
fn both_terms_and_the_similarity_equal_those_of_the_printed_formulas() {
    for case in cases() {
        let observed = Network::new(&case).solve().observed;
        for (name, expected) in [("tsr", case.tsr), ("csa", case.csa), ("similarity", case.similarity)] {
            let (_, found) = observed.iter().find(|(n, _)| *n == format!("rep-mtl {name}")).unwrap();
            assert!((found - expected).abs() < 1e-6, "{} {name}: {found} {expected}", case.name);
        }
    }
}

#[test]
fn gradients_of_the_whole_objective_equal_a_double_backward() {
    for case in cases() {
        let Solved { by_states, by_head, .. } = Network::new(&case).solve();
        let gap = apart(&by_states, &case.by_states.concat());
        assert!(gap < 1e-9, "{} states: {gap}", case.name);
        for (name, expected) in &case.by_head {
            let gap = apart(&by_head[name.as_str()], expected);
            assert!(gap < 1e-9, "{} head {name}: {gap}", case.name);
        }
    }
}
