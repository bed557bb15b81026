//! Coefficients of a merge learned on a suite's rows: the loss of the merged model, and its slopes by the factors of the
//! task vectors.
//!
//! The weights are `θ₀ + Σ f_ig τ_i`. One forward and one backward of the trunk give the gradient, whose inner products with
//! the task vectors are taken block by block as it comes.

use std::path::{Path, PathBuf};

use polytask_core::{Problem, Split, Suite};
use polytask_merge::learn::{
    Anisotropic, AnisotropicSettings, Coefficients, Factors, ProbeLoss, Search, SearchSettings, learn,
};
use polytask_nn::encoder::Encoder;
use polytask_nn::{BlockGrad, GradSink, Mode, Params, TaskGrad};
use rayon::prelude::*;
use serde::Serialize;

use crate::engine::{Engine, Weights};
use crate::observe::{Event, Observer};
use crate::subject::{Draws, Subject, even_draws};
use crate::{Error, Result};

mod searched;

pub use searched::{BLOCKS, FORMS, MergeInputs, SearchWords, merge_searched};

/// Most batches that are drawn before they repeat.
const MOST_BATCHES: usize = 1 << 14;

/// What shares a factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactorGroup {
    /// All of a task vector.
    Model,
    /// A layer, or what stands outside layers under one first name.
    Layer,
    /// A tensor.
    Tensor,
}

/// What is learned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Learned {
    /// A number per task vector.
    Search(SearchSettings),
    /// A number per task vector and group.
    Blocks(AnisotropicSettings, FactorGroup),
}

/// How it is learned.
#[derive(Debug, Clone)]
pub struct LearnOptions {
    /// Rows the loss is of.
    pub split: Split,
    /// Rows of each source in a step.
    pub rows: usize,
    /// Steps.
    pub steps: usize,
    /// Share of each task in the loss; 1 for tasks that are not named.
    pub shares: Vec<(String, f64)>,
    /// What is learned.
    pub learned: Learned,
}

/// What was learned.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct LearnedMerge {
    /// Factor of each task vector by tensor; one entry of the empty name where all tensors have one factor.
    pub factors: Vec<Vec<(String, f64)>>,
    /// Relative weights, where the factors are functions of these.
    pub weights: Option<Vec<f64>>,
    /// Length, likewise.
    pub length: Option<f64>,
    /// Inner products of the task vectors.
    pub gram: Vec<Vec<f64>>,
    /// Loss with its penalty before each step.
    pub losses: Vec<f64>,
}

/// Where models lie.
#[derive(Debug, Clone)]
pub struct MergeFolders {
    /// A merge of them with all heads, whose weights do not matter.
    pub start: PathBuf,
    /// The base.
    pub base: PathBuf,
    /// The models.
    pub models: Vec<PathBuf>,
}

/// Learns the coefficients of a merge on a suite's rows.
///
/// # Errors
/// Tasks without head or rows, shares of no task, weights that do not fit.
pub fn learn_merge(
    suite: Suite,
    folders: &MergeFolders,
    options: &LearnOptions,
    observer: &mut dyn Observer,
) -> Result<LearnedMerge> {
    let subject = Subject::of_model(suite, &folders.start, observer)?;
    let weights = shares(&subject, &options.shares)?;
    let base = Encoder::load(&folders.base)?.params;
    let vectors: Vec<Params> =
        folders.models.iter().map(|folder| vector(folder, &base)).collect::<Result<_>>()?;
    let gram = gram(&vectors);
    let grouping = match options.learned {
        Learned::Search(_) => FactorGroup::Model,
        Learned::Blocks(_, grouping) => grouping,
    };
    let groups = Groups::of(&base, grouping);
    let trainable = vec![true; base.blocks.len()];
    let rows = subject.rows(options.split, usize::MAX)?;
    let draws = even_draws(rows, (MOST_BATCHES, options.rows), subject.suite.seed);
    let mut probe = Probe {
        subject: &subject,
        engine: subject.engine(&trainable),
        theta: base.clone(),
        base: &base,
        vectors: &vectors,
        groups: &groups,
        draws: &draws,
        split: options.split,
        weights,
    };
    observer.event(Event::Phase { name: "coefficients", total: options.steps as u64, done: 0 });
    let mut told = |step: usize, loss: f64| {
        let losses = [("loss", loss)];
        observer.event(Event::Step { done: step as u64, losses: &losses, lr: 0.0, tokens: 0, observed: &[] });
    };
    let mut found = LearnedMerge { gram: gram.clone(), ..LearnedMerge::default() };
    let factors = match options.learned {
        Learned::Search(settings) => {
            let mut search = Search::new(gram, &vec![1.0; vectors.len()], 1.0, settings)?;
            found.losses = learn(&mut search, &mut probe, options.steps, &mut told)?;
            (found.weights, found.length) = (Some(search.weights()), Some(search.length()));
            search.factors()?
        }
        Learned::Blocks(settings, _) => {
            let mut blocks = Anisotropic::new(vectors.len(), groups.names.len(), settings);
            found.losses = learn(&mut blocks, &mut probe, options.steps, &mut told)?;
            blocks.factors()?
        }
    };
    observer.event(Event::Done);
    found.factors = factors.iter().map(|factors| groups.by_tensor(&base, factors)).collect();
    Ok(found)
}

/// The share of each task in the loss, in suite order.
fn shares(subject: &Subject, given: &[(String, f64)]) -> Result<Vec<f64>> {
    let names = subject.names();
    if let Some((name, _)) = given.iter().find(|(name, _)| !names.contains(&name.as_str())) {
        let what = format!("share of task `{name}`, which the suite has not");
        return Err(Problem::new(what).try_this(polytask_core::near::advice(name, &names)).into());
    }
    let share = |name: &&str| given.iter().find(|(of, _)| of == name).map_or(1.0, |(_, share)| *share);
    let all: Vec<f64> = names.iter().map(share).collect();
    let sum: f64 = all.iter().sum();
    if sum <= 0.0 || all.iter().any(|share| *share < 0.0) {
        let what = format!("shares {all:?}, expected numbers of at least 0 that are not all 0");
        return Err(Problem::new(what).try_this("`--share sts=1`").into());
    }
    Ok(all.iter().map(|share| share / sum).collect())
}

/// What a model adds to the base.
fn vector(folder: &Path, base: &Params) -> Result<Params> {
    let mut params = Encoder::load(folder)?.params;
    let names = |params: &Params| {
        let tensors = params.blocks.iter().flat_map(|block| &block.tensors);
        tensors.map(|tensor| (tensor.name.clone(), tensor.shape.clone())).collect::<Vec<_>>()
    };
    if names(&params) != names(base) {
        let what = format!("{} has other tensors than the base", folder.display());
        return Err(Problem::new(what).try_this("`polytask merge inspect` names them").into());
    }
    for (block, base) in params.blocks.iter_mut().zip(&base.blocks) {
        block.values.par_iter_mut().zip(&base.values).for_each(|(v, b)| *v -= b);
    }
    Ok(params)
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn gram(vectors: &[Params]) -> Vec<Vec<f64>> {
    let product =
        |a: &Params, b: &Params| a.blocks.iter().zip(&b.blocks).map(|(a, b)| dot(&a.values, &b.values)).sum();
    vectors.iter().map(|a| vectors.iter().map(|b| product(a, b)).collect()).collect()
}

/// Which tensors share a factor.
struct Groups {
    names: Vec<String>,
    /// The group of each tensor of each block.
    of: Vec<Vec<usize>>,
}

impl Groups {
    fn of(params: &Params, grouping: FactorGroup) -> Self {
        let mut groups = Self { names: Vec::new(), of: Vec::new() };
        for block in &params.blocks {
            let of = block.tensors.iter().map(|tensor| {
                let name = match grouping {
                    FactorGroup::Model => String::new(),
                    FactorGroup::Layer => polytask_merge::layer_of(&tensor.name).to_owned(),
                    FactorGroup::Tensor => tensor.name.clone(),
                };
                groups.names.iter().position(|known| *known == name).unwrap_or_else(|| {
                    groups.names.push(name);
                    groups.names.len() - 1
                })
            });
            let of = of.collect();
            groups.of.push(of);
        }
        groups
    }

    /// The factor of each tensor.
    fn by_tensor(&self, params: &Params, factors: &[f64]) -> Vec<(String, f64)> {
        if let [factor] = factors {
            return vec![(String::new(), *factor)];
        }
        let blocks = params.blocks.iter().zip(&self.of);
        let named = blocks.flat_map(|(block, of)| block.tensors.iter().zip(of));
        named.map(|(tensor, &group)| (tensor.name.clone(), factors[group])).collect()
    }
}

/// The merged model and the rows it is asked about.
struct Probe<'a> {
    subject: &'a Subject,
    engine: Engine<'a>,
    base: &'a Params,
    vectors: &'a [Params],
    groups: &'a Groups,
    /// The merged weights, made anew in each step.
    theta: Params,
    draws: &'a [Draws],
    split: Split,
    /// Share of each task, in suite order.
    weights: Vec<f64>,
}

impl Probe<'_> {
    fn compose(&mut self, factors: &Factors) {
        for (b, block) in self.theta.blocks.iter_mut().enumerate() {
            block.values.copy_from_slice(&self.base.blocks[b].values);
            for (t, group) in self.groups.of[b].iter().enumerate() {
                let range = block.tensors[t].range();
                for (vector, factors) in self.vectors.iter().zip(factors) {
                    let (factor, tau) = (factors[*group] as f32, &vector.blocks[b].values[range.clone()]);
                    block.values[range.clone()].par_iter_mut().zip(tau).for_each(|(v, t)| *v += factor * t);
                }
            }
        }
    }

    fn run(&mut self, factors: &Factors, step: usize) -> Result<(f64, Factors)> {
        self.compose(factors);
        let batch = self.subject.batch(&self.draws[step % self.draws.len()], self.split);
        let mode = Mode { train: false, ..self.engine.train_mode(step as u64) };
        let here = Weights { trunk: &self.theta, heads: &self.subject.blocks };
        let evaluation = self.engine.evaluate_in(mode, here, &batch)?;
        if let Some((task, what)) = evaluation.broken.first() {
            let what = format!("task `{}` of the merged model: {what}", self.subject.names()[*task]);
            return Err(Problem::new(what).try_this("a smaller learning rate (`--lr`)").into());
        }
        let tasks: Vec<usize> = evaluation.parts.iter().map(|part| part.task).collect();
        let weights: Vec<f64> = tasks.iter().map(|&task| self.weights[task]).collect();
        let loss = evaluation.parts.iter().zip(&weights).map(|(part, weight)| weight * part.loss).sum();
        let slopes = vec![vec![0.0; self.groups.names.len()]; self.vectors.len()];
        let mut sink = Slopes { vectors: self.vectors, groups: self.groups, sums: slopes };
        self.engine.weighted_sum(&self.theta, &batch, &evaluation, (&tasks, &weights), &mut sink)?;
        Ok((loss, sink.sums))
    }
}

impl ProbeLoss for Probe<'_> {
    fn at(&mut self, factors: &Factors, step: usize) -> polytask_merge::Result<(f64, Factors)> {
        self.run(factors, step).map_err(|error| match error {
            Error::Core(error) => error.into(),
            Error::Nn(error) => error,
            other => polytask_core::Error::from(Problem::new(other.to_string())).into(),
        })
    }
}

/// Inner products of a gradient and the task vectors, group by group.
struct Slopes<'a> {
    vectors: &'a [Params],
    groups: &'a Groups,
    sums: Factors,
}

impl Slopes<'_> {
    /// Takes gradients of consecutive parameters of a block.
    fn add(&mut self, block: usize, first: usize, values: &[f32]) {
        let end = first + values.len();
        for (slopes, vector) in self.sums.iter_mut().zip(self.vectors) {
            let vector = &vector.blocks[block];
            for (tensor, group) in vector.tensors.iter().zip(&self.groups.of[block]) {
                let range = tensor.range();
                let (from, to) = (range.start.max(first), range.end.min(end));
                if from < to {
                    slopes[*group] += dot(&values[from - first..to - first], &vector.values[from..to]);
                }
            }
        }
    }
}

impl GradSink for Slopes<'_> {
    fn block(&mut self, block: usize, grads: &[TaskGrad<'_>]) -> polytask_nn::Result<()> {
        for TaskGrad { grad, .. } in grads {
            match *grad {
                BlockGrad::Dense(values) => self.add(block, 0, values),
                BlockGrad::Part { first, values } => self.add(block, first, values),
                BlockGrad::Sparse { rows, width, values } => {
                    for (&row, values) in rows.iter().zip(values.chunks_exact(width.max(1))) {
                        self.add(block, row as usize * width, values);
                    }
                }
            }
        }
        Ok(())
    }
}
