//! The whole schedule of a run as a pure function of suite and data: which rows each step sees.
//!
//! Each source is an endless stream of rows: pass after pass over its rows with a target, each pass in an
//! order of its own. A step takes the next rows of one source (`alternate`) or of every source (`joint`).
//! Only where each step ends in each stream is stored; the rows follow from (seed, source, pass, position),
//! so a resumed run needs nothing but its step number.

mod order;
mod sizes;

use std::sync::Arc;

use polytask_core::suite::{Mixing, Sampling};
use polytask_core::{Purpose, Split, Suite, rng};

use crate::Dataset;
use order::Stream;
use sizes::{Budget, Sizes};

/// The schedule of a run, or of one task in it.
#[derive(Debug, Clone)]
pub struct Plan {
    streams: Arc<Vec<Stream>>,
    /// Rows drawn of each source up to and with each step, `[sources][steps]`.
    ends: Arc<Vec<Vec<u64>>>,
    /// Per task: its source, and for each row of train whether its target is known.
    known: Arc<Vec<(usize, Vec<bool>)>>,
    n_steps: u64,
    pace: Pace,
    view: Option<View>,
}

/// Rows of train that no step of a plan draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeverDrawn {
    /// The source.
    pub source: usize,
    /// How many they are.
    pub rows: usize,
    /// How many rows with a target the source has.
    pub of: usize,
}

/// What an epoch is.
#[derive(Debug, Clone, Copy)]
enum Pace {
    /// One pass over this source.
    Source(usize),
    /// As many steps.
    Steps(f64),
}

/// A plan restricted to some tasks: the steps of the whole plan in which one of them occurs.
#[derive(Debug, Clone)]
struct View {
    tasks: Vec<usize>,
    steps: Arc<Vec<u64>>,
}

impl Plan {
    /// The schedule of training all tasks of a suite together.
    pub fn new(suite: &Suite, dataset: &Dataset) -> Self {
        let known: Vec<(usize, Vec<bool>)> = dataset.tasks.iter().map(known_rows).collect();
        let streams: Vec<Stream> = (0..dataset.sources.len())
            .map(|source| Stream::new(suite.seed, source, rows_with_a_target(source, &known)))
            .collect();
        let costs: Vec<Vec<u32>> =
            (0..streams.len()).map(|source| sizes::row_costs(dataset, source)).collect();
        let sizes = Sizes::new(suite, streams.iter().map(|stream| stream.rows.len()).collect());
        let mut drawer =
            Drawer { suite, streams: &streams, costs: &costs, sizes, ends: vec![vec![]; streams.len()] };
        let pace = match suite.train.mixing {
            Mixing::Joint => drawer.joint(),
            Mixing::Alternate => drawer.alternate(),
        };
        let ends = drawer.ends;
        let n_steps = ends.first().map_or(0, Vec::len) as u64;
        Self { streams: streams.into(), ends: ends.into(), known: known.into(), n_steps, pace, view: None }
    }

    /// Number of steps.
    pub fn n_steps(&self) -> u64 {
        self.view.as_ref().map_or(self.n_steps, |view| view.steps.len() as u64)
    }

    /// The rows of train that step `i` (from 0) sees, by source; sources without rows are left out.
    pub fn step(&self, i: u64) -> Vec<(usize, Vec<u32>)> {
        match &self.view {
            None => self.by_source(|source| self.drawn(source, i)),
            Some(view) => self.by_source(|source| self.drawn_of(&view.tasks, source, view.steps[i as usize])),
        }
    }

    /// The sources with rows of train that no step of the whole plan draws.
    pub fn never_drawn(&self) -> Vec<NeverDrawn> {
        let of_source = |(source, (stream, ends)): (usize, (&Stream, &Vec<u64>))| {
            let (of, drawn) = (stream.rows.len(), ends.last().map_or(0, |&end| end as usize));
            (drawn < of).then(|| NeverDrawn { source, rows: of - drawn, of })
        };
        self.streams.iter().zip(self.ends.iter()).enumerate().filter_map(of_source).collect()
    }

    /// Epochs done before step `i` (from 0): passes over the largest source, or over all in `alternate`.
    pub fn epochs(&self, i: u64) -> f64 {
        let joint = match &self.view {
            Some(view) if i < self.n_steps() => view.steps[i as usize],
            Some(_) => self.n_steps,
            None => i.min(self.n_steps),
        };
        match self.pace {
            Pace::Source(source) => {
                let drawn = if joint == 0 { 0 } else { self.ends[source][joint as usize - 1] };
                drawn as f64 / self.streams[source].rows.len().max(1) as f64
            }
            Pace::Steps(per_epoch) => joint as f64 / per_epoch,
        }
    }

    /// Whether an epoch ends with step `i` (from 0).
    pub fn is_epoch_end(&self, i: u64) -> bool {
        self.epochs(i + 1).floor() > self.epochs(i).floor()
    }

    /// The same draws as one task sees them: only steps and rows in which its target is known.
    ///
    /// A model trained on this plan sees the task's examples exactly as often as the joint run does.
    #[must_use]
    pub fn for_task(&self, task: usize) -> Self {
        self.for_tasks(&[task])
    }

    /// The same draws as some tasks see them: only steps and rows in which a target of one of them is known.
    #[must_use]
    pub fn for_tasks(&self, tasks: &[usize]) -> Self {
        let occurs = |i: u64| {
            let mut sources = tasks.iter().map(|&task| self.known[task].0);
            sources.any(|source| !self.drawn_of(tasks, source, i).is_empty())
        };
        let steps = (0..self.n_steps).filter(|&i| occurs(i)).collect();
        Self { view: Some(View { tasks: tasks.to_vec(), steps: Arc::new(steps) }), ..self.clone() }
    }

    /// The step of the joint plan that step `i` of this plan is (the same unless made by [`Plan::for_tasks`]).
    pub fn joint_step(&self, i: u64) -> u64 {
        self.view.as_ref().map_or(i, |view| view.steps[i as usize])
    }

    /// Rows a step draws of a source.
    fn drawn(&self, source: usize, i: u64) -> Vec<u32> {
        let ends = &self.ends[source];
        let start = if i == 0 { 0 } else { ends[i as usize - 1] };
        (start..ends[i as usize]).map(|position| self.streams[source].row(position)).collect()
    }

    /// Rows a step of the joint plan draws of a source for some tasks.
    fn drawn_of(&self, tasks: &[usize], source: usize, i: u64) -> Vec<u32> {
        let of_source = tasks.iter().map(|&task| &self.known[task]).filter(|(s, _)| *s == source);
        let known: Vec<&Vec<bool>> = of_source.map(|(_, known)| known).collect();
        if known.is_empty() {
            return Vec::new();
        }
        let mut rows = self.drawn(source, i);
        rows.retain(|&row| known.iter().any(|known| known[row as usize]));
        rows
    }

    /// The rows of each source; sources without rows are left out.
    fn by_source(&self, rows: impl Fn(usize) -> Vec<u32>) -> Vec<(usize, Vec<u32>)> {
        let all = (0..self.streams.len()).map(|source| (source, rows(source)));
        all.filter(|(_, rows)| !rows.is_empty()).collect()
    }
}

/// A task's source, and for each row of train whether the task's target is known.
fn known_rows(task: &crate::TaskData) -> (usize, Vec<bool>) {
    let known = task
        .targets
        .get(&Split::Train)
        .map(|t| (0..t.len()).map(|i| task.teaches(Split::Train, i)).collect());
    (task.source, known.unwrap_or_default())
}

/// Rows of a source's train split that at least one task has a target for.
fn rows_with_a_target(source: usize, known: &[(usize, Vec<bool>)]) -> Vec<u32> {
    let tasks: Vec<&Vec<bool>> = known.iter().filter(|(s, _)| *s == source).map(|(_, k)| k).collect();
    let n = tasks.iter().map(|known| known.len()).max().unwrap_or(0);
    (0..n).filter(|&row| tasks.iter().any(|known| known[row])).map(|row| row as u32).collect()
}

/// Walks the streams once and notes where each step ends.
struct Drawer<'a> {
    suite: &'a Suite,
    streams: &'a [Stream],
    costs: &'a [Vec<u32>],
    sizes: Sizes<'a>,
    ends: Vec<Vec<u64>>,
}

impl Drawer<'_> {
    /// Every source in every step; the largest source sets the length.
    fn joint(&mut self) -> Pace {
        let n_sources = self.streams.len();
        // The first of the largest, so that equal sources give one answer.
        let largest = (0..n_sources).rev().max_by_key(|&s| self.streams[s].rows.len()).unwrap_or(0);
        let n_largest = self.streams.get(largest).map_or(0, |stream| stream.rows.len());
        let total = ((self.suite.train.epochs * n_largest as f64).round() as u64).max(1);
        let length = self.suite.train.steps.map_or_else(|| self.joint_length(largest, total), |n| n as f64);
        let mut takers = vec![Taker::default(); n_sources];
        let mut step = 0_u64;
        while n_largest > 0 && self.suite.train.steps.map_or(takers[largest].end < total, |n| step < n) {
            let budgets = self.sizes.joint(step as f64 / length.max(1.0));
            for source in 0..n_sources {
                takers[source].take(budgets[source], &self.streams[source], &self.costs[source]);
            }
            if self.suite.train.steps.is_none() {
                takers[largest].end = takers[largest].end.min(total);
            }
            for (ends, taker) in self.ends.iter_mut().zip(&takers) {
                ends.push(taker.end);
            }
            step += 1;
        }
        Pace::Source(largest)
    }

    /// About how many joint steps the largest source needs; exact only where it does not matter.
    fn joint_length(&self, largest: usize, total: u64) -> f64 {
        if !matches!(self.suite.train.sampling, Sampling::Annealed) {
            return 1.0;
        }
        let stream = &self.streams[largest];
        let tokens: f64 = stream.rows.iter().map(|&row| f64::from(self.costs[largest][row as usize])).sum();
        let mean = tokens / stream.rows.len().max(1) as f64;
        // The mean over training of the share that anneals, by ten equal parts of it.
        let rows = |part: i32| match self.sizes.joint((f64::from(part) + 0.5) / 10.0)[largest] {
            Budget::Rows(rows) => rows.max(1.0),
            Budget::Tokens(tokens) => (tokens / mean.max(1.0)).max(1.0),
        };
        total as f64 / ((0..10).map(rows).sum::<f64>() / 10.0)
    }

    /// One source per step.
    fn alternate(&mut self) -> Pace {
        let n_sources = self.streams.len();
        let per_epoch: u64 = (0..n_sources).map(|source| self.batches_per_pass(source)).sum();
        let length = ((self.suite.train.epochs * per_epoch as f64).round() as u64).max(1);
        let length = if per_epoch == 0 { 0 } else { self.suite.train.steps.unwrap_or(length) };
        let mut takers = vec![Taker::default(); n_sources];
        let mut credit = vec![0.0; n_sources];
        let key = rng::key(self.suite.seed, Purpose::Sampling, &[]);
        for step in 0..length {
            let rates = self.sizes.rates(step as f64 / length as f64);
            let source = match self.suite.train.sampling {
                Sampling::RoundRobin => in_turn(&rates, &mut credit),
                _ => pick(&rates, (rng::at(key, step) >> 11) as f64 / (1_u64 << 53) as f64),
            };
            takers[source].take(self.sizes.alternate(source), &self.streams[source], &self.costs[source]);
            for (ends, taker) in self.ends.iter_mut().zip(&takers) {
                ends.push(taker.end);
            }
        }
        Pace::Steps(per_epoch.max(1) as f64)
    }

    /// Steps that the first pass over a source takes in `alternate`.
    fn batches_per_pass(&self, source: usize) -> u64 {
        let (mut taker, mut batches) = (Taker::default(), 0);
        while taker.end < self.streams[source].rows.len() as u64 {
            taker.take(self.sizes.alternate(source), &self.streams[source], &self.costs[source]);
            batches += 1;
        }
        batches
    }
}

/// How far a stream has been drawn.
#[derive(Debug, Clone, Default)]
struct Taker {
    end: u64,
    /// Part of a row that earlier steps left, so that shares are exact in the long run.
    left: f64,
}

impl Taker {
    /// Draws a step's rows: at least one, at most one pass.
    fn take(&mut self, budget: Budget, stream: &Stream, costs: &[u32]) {
        let n = stream.rows.len() as u64;
        if n == 0 {
            return;
        }
        let rows = match budget {
            Budget::Rows(rows) => {
                let wanted = rows.max(1.0) + self.left;
                self.left = wanted.fract();
                wanted as u64
            }
            Budget::Tokens(tokens) => {
                let cost = |i: u64| f64::from(costs[stream.row(self.end + i) as usize]);
                let (mut sum, mut rows) = (cost(0), 1);
                while rows < n && sum + cost(rows) <= tokens {
                    sum += cost(rows);
                    rows += 1;
                }
                rows
            }
        };
        self.end += rows.clamp(1, n);
    }
}

/// The source into whose part of the rates `u` in [0, 1) falls.
fn pick(rates: &[f64], u: f64) -> usize {
    let mut left = u * rates.iter().sum::<f64>();
    for (source, rate) in rates.iter().enumerate() {
        if left < *rate {
            return source;
        }
        left -= rate;
    }
    rates.iter().rposition(|rate| *rate > 0.0).unwrap_or(0)
}

/// The source whose turn it is: each gains its rate, the richest (first of equals) pays for the turn.
fn in_turn(rates: &[f64], credit: &mut [f64]) -> usize {
    let total: f64 = rates.iter().sum();
    for (credit, rate) in credit.iter_mut().zip(rates) {
        *credit += rate / total;
    }
    let mut richest = 0;
    for source in 1..credit.len() {
        // Equal turns stay equal in spite of rounding.
        if credit[source] > credit[richest] + 1e-9 {
            richest = source;
        }
    }
    credit[richest] -= 1.0;
    richest
}

#[cfg(test)]
mod tests;
