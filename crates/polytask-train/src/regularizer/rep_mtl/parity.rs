//! Values and whole gradients against a double backward in PyTorch (`xtask/parity/rep_mtl.py`), in f64.

use std::collections::BTreeMap;

use polytask_core::{HeadForm, Layout};
use polytask_nn::heads::{self, Head};
use polytask_nn::losses::{self, LossFn};
use polytask_nn::objective::{self, Target, TaskInput};
use polytask_nn::pooling::{PoolMode, Pooling};
use polytask_nn::{Block, States};
use serde::Deserialize;
use serde_json::Value;

use super::*;
use crate::regularizer::{Gradients, Sample, product};

#[derive(Deserialize)]
struct Case {
    name: String,
    width: usize,
    /// `[samples][positions][C]`.
    states: Vec<Vec<Vec<f64>>>,
    tasks: BTreeMap<String, TaskCase>,
    options: BTreeMap<String, Value>,
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
    /// Weight `[outputs][C]` and bias.
    head: (Vec<Vec<f64>>, Vec<f64>),
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../../tests/data/rep_mtl.json")).unwrap()
}

/// A case as this crate computes it.
struct Network<'a> {
    case: &'a Case,
    layout: Layout,
    log_losses: bool,
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
        Self { case, layout: Layout { starts }, log_losses: case.options["log_losses"] == true }
    }

    fn states(&self) -> Vec<f64> {
        self.case.states.iter().flatten().flatten().copied().collect()
    }

    fn parts(&self, name: &str) -> (Box<dyn Head>, Block<f64>, Box<dyn LossFn>, Target) {
        let task = &self.case.tasks[name];
        let (weight, bias) = &task.head;
        let head = heads::build(HeadForm::Linear, self.case.width, bias.len());
        let mut block = head.block(name, 0).cast::<f64>();
        block.values = weight.iter().flatten().chain(bias).copied().collect();
        let is_number = name == "number";
        let loss = Choice::named(if is_number { "mse" } else { "cross-entropy" });
        let labels: Vec<String> = (0..bias.len()).map(|i| i.to_string()).collect();
        let target = if is_number {
            Target::Numbers { width: bias.len(), values: task.target.iter().map(|v| *v as f32).collect() }
        } else {
            Target::Label(task.target.iter().map(|v| *v as u32).collect())
        };
        (head, block, losses::make(&loss, &labels, &[]).unwrap(), target)
    }

    /// The gradients of a task's objective on these states, those of the states over the whole layout.
    fn gradients(&self, name: &str, states: &[f64]) -> Gradients<f64> {
        let (head, block, loss, target) = self.parts(name);
        let (width, samples) = (self.case.width, &self.case.tasks[name].samples);
        let states = States { values: states.to_vec(), width };
        let rows: Vec<usize> = samples.iter().flat_map(|&s| self.layout.rows(s as usize)).collect();
        let pooling = Pooling::from(PoolMode::Mean);
        let z: Vec<f64> = if name == "tags" {
            rows.iter().flat_map(|&row| states.row(row)).copied().collect()
        } else {
            let pooled = pooling.forward(&states, &self.layout);
            samples.iter().flat_map(|&s| pooled.row(s as usize).to_vec()).collect()
        };
        let inputs = vec![(0..(z.len() / width) as u32).collect()];
        let input = TaskInput { z, width, inputs, target, weights: Vec::new() };
        let found = objective::gradient(&*head, &block, &*loss, &input).unwrap();
        let factor = if self.log_losses { 1.0 / (found.loss + 1e-8) } else { 1.0 };
        let d_rows =
            if name == "tags" { found.d_z } else { pooling.vjp(&states, &self.layout, samples, &found.d_z) };
        let mut d_states = vec![0.0; states.values.len()];
        for (&row, values) in rows.iter().zip(d_rows.chunks_exact(width)) {
            let to = d_states[row * width..(row + 1) * width].iter_mut();
            to.zip(values).for_each(|(to, v)| *to = factor * v);
        }
        Gradients { head: found.d_head.iter().map(|v| factor * v).collect(), states: d_states }
    }

    fn saliencies(&self, own: &[Gradients<f64>]) -> Saliencies {
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
    fn solve(&self, difference: f64) -> Solved<'a> {
        let states = self.states();
        let names: Vec<&str> = self.case.tasks.keys().map(String::as_str).collect();
        let own: Vec<_> = names.iter().map(|name| self.gradients(name, &states)).collect();
        let mut choice = Choice::named("rep-mtl");
        choice.params.extend(self.case.options.clone());
        let saliencies = self.saliencies(&own);
        let penalty = make(&choice).unwrap().penalty(&saliencies, 0);
        let slopes = penalty.slopes.unwrap();
        let (mut by_states, mut by_head) = (vec![0.0; states.len()], BTreeMap::new());
        for (t, (name, own)) in names.iter().zip(own).enumerate() {
            let mut direction = vec![0.0; states.len()];
            for (sample, slopes) in saliencies.samples.iter().zip(&slopes) {
                let Some(i) = sample.tasks.iter().position(|k| *k == t) else { continue };
                let to = direction[sample.rows.start * saliencies.width..].iter_mut().zip(&slopes[i]);
                to.for_each(|(d, slope)| *d = slope * saliencies.samples.len() as f64);
            }
            let second =
                product(&states, &direction, difference, |z| Ok(Some(self.gradients(name, &z)))).unwrap();
            let Gradients { head, states } = second.unwrap();
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
        let observed = Network::new(&case).solve(1e-2).observed;
        for (name, expected) in [("tsr", case.tsr), ("csa", case.csa), ("similarity", case.similarity)] {
            let (_, found) = observed.iter().find(|(n, _)| *n == format!("rep-mtl {name}")).unwrap();
            assert!((found - expected).abs() < 1e-6, "{} {name}: {found} {expected}", case.name);
        }
    }
}

#[test]
fn gradients_of_the_whole_objective_equal_a_double_backward() {
    // The difference a training takes, then smaller ones: the error falls with its square.
    for (difference, tolerance) in [(1e-2, 2e-2), (1e-3, 2e-4), (1e-4, 4e-6)] {
        for case in cases() {
            let Solved { by_states, by_head, .. } = Network::new(&case).solve(difference);
            let gap = apart(&by_states, &case.by_states.concat());
            assert!(gap < tolerance, "{} states {difference}: {gap}", case.name);
            for (name, expected) in &case.by_head {
                let gap = apart(&by_head[name.as_str()], expected);
                assert!(gap < tolerance, "{} head {name} {difference}: {gap}", case.name);
            }
        }
    }
}
