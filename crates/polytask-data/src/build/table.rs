//! One split of one source while it is read.

use crate::{Relevance, Rows, Targets, TextId};
use polytask_core::TargetType;

/// A target of a row, complete.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Target {
    Unknown,
    Label(u32),
    Labels(Vec<u32>),
    Tags(Vec<u32>),
    Numbers(Vec<f64>),
    Passages(Relevance),
}

/// Rows with the targets of all tasks of the source.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    /// `[rows][inputs]`.
    pub(super) texts: Vec<TextId>,
    pub(super) n_inputs: usize,
    pub(super) weights: Vec<f32>,
    /// Hash of each row's texts.
    pub(super) hashes: Vec<u64>,
    /// `[tasks][rows]`.
    pub(super) targets: Vec<Vec<Target>>,
    /// `[tasks][rows]`, empty for a task without weights of its own.
    pub(super) task_weights: Vec<Vec<f32>>,
}

impl Table {
    pub(super) fn new(n_inputs: usize, n_tasks: usize) -> Self {
        Self {
            n_inputs,
            targets: vec![vec![]; n_tasks],
            task_weights: vec![vec![]; n_tasks],
            ..Self::default()
        }
    }

    pub(super) fn len(&self) -> usize {
        self.weights.len()
    }

    /// The rows for which `keep` holds, and the others, both in their order.
    pub(super) fn partition(&self, keep: &[bool]) -> (Self, Self) {
        (self.select(|i| keep[i]), self.select(|i| !keep[i]))
    }

    fn select(&self, keep: impl Fn(usize) -> bool) -> Self {
        let rows: Vec<usize> = (0..self.len()).filter(|&i| keep(i)).collect();
        let pick = |values: &[f32]| match values {
            [] => vec![],
            _ => rows.iter().map(|&i| values[i]).collect(),
        };
        let inputs = |&i: &usize| self.texts[i * self.n_inputs..(i + 1) * self.n_inputs].iter().copied();
        Self {
            texts: rows.iter().flat_map(inputs).collect(),
            n_inputs: self.n_inputs,
            weights: pick(&self.weights),
            hashes: rows.iter().map(|&i| self.hashes[i]).collect(),
            targets: self.targets.iter().map(|t| rows.iter().map(|&i| t[i].clone()).collect()).collect(),
            task_weights: self.task_weights.iter().map(|w| pick(w)).collect(),
        }
    }

    /// Renumbers the labels of a task.
    pub(super) fn renumber(&mut self, task: usize, new_of: &[u32]) {
        let renumber = |label: &mut u32| *label = new_of[*label as usize];
        for target in &mut self.targets[task] {
            match target {
                Target::Label(label) => renumber(label),
                Target::Labels(labels) | Target::Tags(labels) => labels.iter_mut().for_each(renumber),
                Target::Unknown | Target::Numbers(_) | Target::Passages(_) => {}
            }
        }
    }

    pub(super) fn rows(&self) -> Rows {
        Rows { texts: self.texts.clone(), n_inputs: self.n_inputs, weights: self.weights.clone() }
    }
}

/// Targets of rows as one column; `width` is the number of numbers per row.
pub(super) fn column(target: TargetType, width: usize, rows: Vec<Target>) -> Targets {
    let label = |row| if let Target::Label(label) = row { Some(label) } else { None };
    let set = |row| if let Target::Labels(labels) = row { Some(ascending(labels)) } else { None };
    let tags = |row| if let Target::Tags(tags) = row { Some(tags) } else { None };
    let numbers = |row| if let Target::Numbers(values) = row { values } else { vec![f64::NAN; width] };
    let passages = |row| if let Target::Passages(relevance) = row { relevance } else { Relevance::default() };
    match target {
        TargetType::Label => Targets::Label(rows.into_iter().map(label).collect()),
        TargetType::Labels => Targets::Labels(rows.into_iter().map(set).collect()),
        TargetType::Tags => Targets::Tags(rows.into_iter().map(tags).collect()),
        TargetType::Numbers => {
            Targets::Numbers { width, values: rows.into_iter().flat_map(numbers).collect() }
        }
        TargetType::Passages => Targets::Passages(rows.into_iter().map(passages).collect()),
    }
}

/// The labels of a set in their order, each once.
fn ascending(mut labels: Vec<u32>) -> Vec<u32> {
    labels.sort_unstable();
    labels.dedup();
    labels
}
