//! Sums over the batches of a split, and the report they become.

use std::collections::BTreeMap;

use polytask_core::method::Choice;
use polytask_core::saliency::{PositionCell, PositionMap, SaliencyReport, TaskSaliency};

use crate::assemble::StepBatch;
use crate::engine::{Engine, Evaluation};
use crate::regularizer::{Saliencies, entropies, log_losses, rep_mtl_reading, similarities};

/// A mean in the making.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    n: usize,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.n += 1;
    }

    fn value(self) -> Option<f64> {
        (self.n > 0).then(|| self.sum / self.n as f64)
    }
}

/// What was seen so far.
pub(super) struct Gathered {
    log_losses: bool,
    absolute: bool,
    /// Mean |S| of each task, and the samples it touches.
    sizes: Vec<(Mean, usize)>,
    samples: usize,
    shared: usize,
    entropy: Mean,
    evenness: Mean,
    by_position: Vec<Mean>,
    /// Numbers of states samples have, among those of several tasks.
    lengths: BTreeMap<usize, usize>,
    similarity: Vec<Mean>,
    broken: BTreeMap<usize, String>,
}

impl Gathered {
    /// Entropies are read as the suite's regularizer reads them; by its defaults where it has none.
    pub(super) fn new(regularizer: &Choice, n_tasks: usize) -> Self {
        let (log_losses, absolute) = rep_mtl_reading(regularizer);
        Self {
            log_losses,
            absolute,
            sizes: vec![(Mean::default(), 0); n_tasks],
            samples: 0,
            shared: 0,
            entropy: Mean::default(),
            evenness: Mean::default(),
            by_position: Vec::new(),
            lengths: BTreeMap::new(),
            similarity: vec![Mean::default(); n_tasks * n_tasks],
            broken: BTreeMap::new(),
        }
    }

    /// Adds a batch.
    pub(super) fn add(&mut self, engine: &Engine, batch: &StepBatch, mut evaluation: Evaluation) {
        let width = engine.trunk.d_hidden();
        self.broken.extend(evaluation.broken.drain(..));
        for part in &evaluation.parts {
            let (size, samples) = &mut self.sizes[part.task];
            let n = part.cotangent.sequences.len();
            part.cotangent.values.iter().for_each(|v| size.add(f64::from(v.abs()) * n as f64));
            *samples += n;
        }
        if self.log_losses {
            log_losses(&mut evaluation.parts, engine);
        }
        let saliencies = Saliencies::gather(batch, &evaluation.parts, width);
        self.samples += saliencies.samples.len();
        self.add_entropies(&saliencies);
        self.add_similarities(&saliencies);
    }

    fn add_entropies(&mut self, saliencies: &Saliencies) {
        let shared = saliencies.shared().map(|(_, sample)| sample);
        for (sample, entropies) in shared.zip(entropies(saliencies, self.absolute)) {
            self.shared += 1;
            *self.lengths.entry(entropies.len()).or_default() += 1;
            let longest = self.by_position.len().max(entropies.len());
            self.by_position.resize(longest, Mean::default());
            for (entropy, position) in entropies.iter().zip(&mut self.by_position) {
                let evenness = entropy / (sample.tasks.len() as f64).ln();
                self.entropy.add(*entropy);
                self.evenness.add(evenness);
                position.add(evenness);
            }
        }
    }

    fn add_similarities(&mut self, saliencies: &Saliencies) {
        let n_tasks = self.sizes.len();
        for (_, sample) in saliencies.shared() {
            let found = similarities(sample, saliencies.width);
            for (at, similarity) in found.into_iter().enumerate() {
                let (i, j) = (sample.tasks[at / sample.tasks.len()], sample.tasks[at % sample.tasks.len()]);
                self.similarity[i * n_tasks + j].add(similarity);
            }
        }
    }

    /// The report's part on saliencies.
    pub(super) fn report(&self, names: &[&str]) -> SaliencyReport {
        let task = |(name, (size, samples)): (&&str, &(Mean, usize))| TaskSaliency {
            task: (*name).into(),
            size: size.value(),
            samples: *samples,
        };
        let row = |means: &[Mean]| means.iter().map(|mean| mean.value()).collect();
        SaliencyReport {
            samples: self.samples,
            shared: self.shared,
            log_losses: self.log_losses,
            channel_mean: if self.absolute { "absolute" } else { "signed" }.into(),
            tasks: names.iter().zip(&self.sizes).map(task).collect(),
            entropy: self.entropy.value(),
            evenness: self.evenness.value(),
            positions: self.positions(),
            similarity: self.similarity.chunks(names.len().max(1)).map(row).collect(),
            notes: self.notes(names),
            ..SaliencyReport::default()
        }
    }

    fn positions(&self) -> PositionMap {
        let is_fixed = self.lengths.len() == 1;
        let stretches = if is_fixed {
            (0..self.by_position.len()).map(|i| (i, i)).collect()
        } else {
            doubling(self.by_position.len())
        };
        let cell = |(first, last): (usize, usize)| {
            let means = &self.by_position[first..=last];
            let (sum, n) = means.iter().fold((0.0, 0), |(sum, n), mean| (sum + mean.sum, n + mean.n));
            PositionCell { first, last, n, evenness: sum / n.max(1) as f64 }
        };
        PositionMap { is_fixed, cells: stretches.into_iter().map(cell).collect() }
    }

    fn notes(&self, names: &[&str]) -> Vec<String> {
        let broken = self.broken.iter().map(|(&task, what)| format!("task `{}`: {what}", names[task]));
        let mut notes: Vec<String> = broken.collect();
        if self.shared == 0 {
            notes.push(
                "no sample has two tasks: entropy and similarity need tasks that read the same rows".into(),
            );
        }
        notes
    }
}

/// 0, 1, 2–3, 4–7, … up to `n` positions.
fn doubling(n: usize) -> Vec<(usize, usize)> {
    let firsts = [0].into_iter().chain((0..usize::BITS).map(|i| 1 << i)).take_while(|&first| first < n);
    firsts.map(|first| (first, (2 * first).max(1).min(n) - 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_double_and_end_with_the_last_position() {
        assert_eq!(doubling(7), [(0, 0), (1, 1), (2, 3), (4, 6)]);
        assert_eq!(doubling(1), [(0, 0)]);
        assert_eq!(doubling(0), []);
    }

    #[test]
    fn positions_have_cells_of_their_own_where_all_samples_are_as_long() {
        let mut gathered = Gathered::new(&Choice::named("none"), 2);
        let mean = |value: f64| Mean { sum: value, n: 1 };
        gathered.by_position = [0.1, 0.2, 0.3, 0.5].map(mean).to_vec();
        gathered.lengths = BTreeMap::from([(4, 1)]);
        assert_eq!(gathered.positions().cells.len(), 4);
        gathered.lengths.insert(2, 1);
        let map = gathered.positions();
        assert!(!map.is_fixed && map.cells.len() == 3);
        assert_eq!((map.cells[2].first, map.cells[2].last, map.cells[2].n), (2, 3, 2));
        assert!((map.cells[2].evenness - 0.4).abs() < 1e-12);
    }
}
