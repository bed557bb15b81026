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

/// The targets of a task, row by row.
#[derive(Debug, Clone)]
pub(super) struct TargetColumn {
    targets: Targets,
    /// Rows before the first known one, where a row's number of numbers is not known yet.
    n_before: usize,
}

impl TargetColumn {
    pub(super) fn new(target_type: TargetType) -> Self {
        let targets = match target_type {
            TargetType::Label => Targets::Label(Vec::new()),
            TargetType::Labels => Targets::Labels(Vec::new()),
            TargetType::Tags => Targets::Tags(Vec::new()),
            TargetType::Numbers => Targets::Numbers { width: 0, values: Vec::new() },
            TargetType::Passages => Targets::Passages(Vec::new()),
        };
        Self { targets, n_before: 0 }
    }

    /// Appends a row's target; one of another type is unknown.
    pub(super) fn push(&mut self, target: Target) {
        match (&mut self.targets, target) {
            (Targets::Label(rows), Target::Label(label)) => rows.push(Some(label)),
            (Targets::Label(rows), _) => rows.push(None),
            (Targets::Labels(rows), Target::Labels(labels)) => rows.push(Some(ascending(labels))),
            (Targets::Tags(rows), Target::Tags(tags)) => rows.push(Some(tags)),
            (Targets::Labels(rows) | Targets::Tags(rows), _) => rows.push(None),
            (Targets::Passages(rows), Target::Passages(relevance)) => rows.push(relevance),
            (Targets::Passages(rows), _) => rows.push(Relevance::default()),
            (Targets::Numbers { width, values }, Target::Numbers(row)) => {
                if *width == 0 {
                    *width = row.len();
                    values.resize(self.n_before * row.len(), f64::NAN);
                }
                values.extend(row);
            }
            (Targets::Numbers { width: 0, .. }, _) => self.n_before += 1,
            (Targets::Numbers { width, values }, _) => values.extend(std::iter::repeat_n(f64::NAN, *width)),
        }
    }

    /// All targets; `width` is the number of numbers of a row, where no row of the split says it.
    pub(super) fn finish(self, width: usize) -> Targets {
        match self.targets {
            Targets::Numbers { width: 0, .. } => {
                Targets::Numbers { width, values: vec![f64::NAN; self.n_before * width] }
            }
            targets => targets,
        }
    }

    /// Those of some rows.
    fn select(&self, rows: &[usize]) -> Self {
        let targets = match &self.targets {
            Targets::Label(all) => Targets::Label(pick(all, rows)),
            Targets::Labels(all) => Targets::Labels(pick(all, rows)),
            Targets::Tags(all) => Targets::Tags(pick(all, rows)),
            Targets::Passages(all) => Targets::Passages(pick(all, rows)),
            Targets::Numbers { width, values } => {
                let row = |&i: &usize| values[i * width..(i + 1) * width].iter().copied();
                Targets::Numbers { width: *width, values: rows.iter().flat_map(row).collect() }
            }
        };
        let is_open = matches!(targets, Targets::Numbers { width: 0, .. });
        Self { targets, n_before: if is_open { rows.len() } else { 0 } }
    }

    /// Renumbers labels.
    fn renumber(&mut self, new_of: &[u32]) {
        let renumber = |label: &mut u32| *label = new_of[*label as usize];
        match &mut self.targets {
            Targets::Label(rows) => rows.iter_mut().flatten().for_each(renumber),
            Targets::Tags(rows) => rows.iter_mut().flatten().flatten().for_each(renumber),
            Targets::Labels(rows) => {
                for row in rows.iter_mut().flatten() {
                    row.iter_mut().for_each(renumber);
                    *row = ascending(std::mem::take(row));
                }
            }
            Targets::Numbers { .. } | Targets::Passages(_) => {}
        }
    }
}

/// The labels of a set in their order, each once.
fn ascending(mut labels: Vec<u32>) -> Vec<u32> {
    labels.sort_unstable();
    labels.dedup();
    labels
}

fn pick<T: Clone>(all: &[T], rows: &[usize]) -> Vec<T> {
    rows.iter().map(|&i| all[i].clone()).collect()
}

/// Rows with the targets of all tasks of the source.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    /// `[rows][inputs]`.
    pub(super) texts: Vec<TextId>,
    pub(super) n_inputs: usize,
    pub(super) weights: Vec<f32>,
    /// What decides where each row goes.
    pub(super) hashes: Vec<u64>,
    /// What tells rows apart, where that is more than their texts; else empty.
    pub(super) keys: Vec<u64>,
    /// The texts as they are in the file, where a teacher will read them; else empty.
    pub(super) raw: Vec<String>,
    /// By task.
    pub(super) targets: Vec<TargetColumn>,
    /// `[tasks][rows]`, empty for a task without weights of its own.
    pub(super) task_weights: Vec<Vec<f32>>,
}

impl Table {
    /// A table without rows, with a column for each of these targets.
    pub(super) fn new(n_inputs: usize, targets: impl Iterator<Item = TargetType>) -> Self {
        let targets: Vec<TargetColumn> = targets.map(TargetColumn::new).collect();
        Self { n_inputs, task_weights: vec![vec![]; targets.len()], targets, ..Self::default() }
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
        let weights = |values: &Vec<f32>| if values.is_empty() { vec![] } else { pick(values, &rows) };
        let inputs = |&i: &usize| self.texts[i * self.n_inputs..(i + 1) * self.n_inputs].iter().copied();
        Self {
            texts: rows.iter().flat_map(inputs).collect(),
            n_inputs: self.n_inputs,
            weights: weights(&self.weights),
            hashes: pick(&self.hashes, &rows),
            raw: self.raw_of(&rows),
            keys: if self.keys.is_empty() { vec![] } else { pick(&self.keys, &rows) },
            targets: self.targets.iter().map(|column| column.select(&rows)).collect(),
            task_weights: self.task_weights.iter().map(weights).collect(),
        }
    }

    /// The kept texts of some rows.
    fn raw_of(&self, rows: &[usize]) -> Vec<String> {
        let n = self.raw.len() / self.len().max(1);
        rows.iter().flat_map(|&i| &self.raw[i * n..(i + 1) * n]).cloned().collect()
    }

    /// Renumbers the labels of a task.
    pub(super) fn renumber(&mut self, task: usize, new_of: &[u32]) {
        self.targets[task].renumber(new_of);
    }

    pub(super) fn rows(self) -> Rows {
        Rows {
            texts: self.texts,
            n_inputs: self.n_inputs,
            weights: self.weights,
            keys: self.keys,
            raw: self.raw,
        }
    }
}
