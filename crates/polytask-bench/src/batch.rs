//! Batches of the training benches: token sequences, the tasks that read them, and each task's fixed target.
//!
//! A task's loss is the mean of states times its target over its own rows. Its gradient is as dense as that of any
//! real loss and the same number in every framework, so the sides can be held against each other.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use polytask_core::{PackedBatch, Purpose, Rng, Split, atomic};
use polytask_nn::Cotangent;
use polytask_train::assemble::{Draw, assemble};
use polytask_train::heads::TaskHead;
use polytask_train::prepare::prepare;
use polytask_train::run::Prepared;
use serde::{Deserialize, Serialize};

use polytask_terminal::progress::TerminalProgress;
use polytask_terminal::suites;

/// Examples of each task in a mixed batch.
const EXAMPLES: usize = 32;

/// The seed of targets and draws.
const SEED: u64 = 3;

/// Sequences of token ids and the tasks that read them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Batch {
    pub(super) sequences: Vec<Vec<u32>>,
    pub(super) tasks: Vec<Task>,
}

/// A task and the sequences it reads, ascending, each once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) name: String,
    pub(super) sequences: Vec<u32>,
}

impl Batch {
    /// Random sequences of one length, all read by one task.
    pub(super) fn equal(batch: usize, length: usize, vocab_size: usize) -> Self {
        let mut rng = Rng::new(1, Purpose::Bench, &[]);
        let mut sequence = || (0..length).map(|_| rng.below(vocab_size) as u32).collect();
        let sequences = (0..batch).map(|_| sequence()).collect();
        let all = Task { name: "all".into(), sequences: (0..batch as u32).collect() };
        Self { sequences, tasks: vec![all] }
    }

    /// What training the model of a folder would make of 32 train rows of each task of a suite.
    pub(super) fn of_suite(data: &Path, model: &Path) -> Result<Self> {
        let encoder = serde_json::to_string(&super::argument(&std::path::absolute(model)?))?;
        let suite = suites::load(&data.join("suite.toml"), &[format!("model.encoder={encoder}")])?;
        let prepared = prepare(suite, &mut TerminalProgress::new(true))?;
        let Prepared { suite, dataset, encoder, .. } = &prepared;
        let heads = TaskHead::all(suite, dataset, encoder)?;
        let draws: Vec<_> = (0..heads.len()).map(|task| draw(&prepared, task)).collect();
        let views: Vec<_> = heads.iter().enumerate().map(|(i, head)| head.view(i, dataset)).collect();
        let draw = Draw { seed: SEED, step: 0 };
        let step = assemble(dataset, &views, Split::Train, &draws, draw, &*encoder.trunk);
        let packed = &step.packed;
        let sequence = |s| packed.ids[packed.rows(s)].to_vec();
        let tasks = step
            .parts
            .iter()
            .map(|part| Task { name: heads[part.task].name.clone(), sequences: part.sequences.clone() });
        Ok(Self { sequences: (0..packed.n_sequences()).map(sequence).collect(), tasks: tasks.collect() })
    }

    /// Reads a file that [`Batch::write`] wrote.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} holds no batch", path.display()))
    }

    /// Writes sequences and targets where a peer reads them: the two files.
    pub(super) fn write(&self, folder: &Path, width: usize) -> Result<(PathBuf, PathBuf)> {
        let (sequences, targets) = (folder.join("batch.json"), folder.join("targets.f32"));
        atomic::write_json(&sequences, self)?;
        let values = self.targets(width).into_iter().flatten();
        atomic::write(&targets, &values.flat_map(f32::to_le_bytes).collect::<Vec<u8>>())?;
        Ok((sequences, targets))
    }

    pub(super) fn packed(&self) -> PackedBatch {
        PackedBatch::pack(&self.sequences)
    }

    pub(super) fn n_tokens(&self) -> usize {
        self.sequences.iter().map(Vec::len).sum()
    }

    /// Tokens a task reads.
    fn rows_of(&self, task: &Task) -> usize {
        task.sequences.iter().map(|&s| self.sequences[s as usize].len()).sum()
    }

    /// Each task's target for its rows laid end to end, uniform in ±1, `[tasks][rows × width]`.
    pub(super) fn targets(&self, width: usize) -> Vec<Vec<f32>> {
        let target = |(i, task)| {
            let mut rng = Rng::new(SEED, Purpose::Bench, &[i as u64]);
            (0..self.rows_of(task) * width).map(|_| (2.0 * rng.uniform() - 1.0) as f32).collect()
        };
        self.tasks.iter().enumerate().map(target).collect()
    }

    /// The gradient of each task's loss at the states.
    pub(super) fn cotangents(&self, width: usize) -> Vec<Cotangent> {
        let cotangent = |(task, (of, mut values)): (usize, (&Task, Vec<f32>))| {
            let n = values.len() as f32;
            values.iter_mut().for_each(|v| *v /= n);
            Cotangent { task, sequences: of.sequences.clone(), values: values.into(), lowest: 0 }
        };
        self.tasks.iter().zip(self.targets(width)).enumerate().map(cotangent).collect()
    }

    /// The gradient of the sum of all losses at all states: one cotangent, as training merges them.
    pub(super) fn merged(&self, width: usize) -> Cotangent {
        let packed = self.packed();
        let mut values = vec![0.0; packed.n_rows() * width];
        for part in self.cotangents(width) {
            let mut from = part.values.iter();
            for &s in &part.sequences {
                let rows = packed.rows(s as usize);
                let to = &mut values[rows.start * width..rows.end * width];
                to.iter_mut().zip(from.by_ref()).for_each(|(v, g)| *v += g);
            }
        }
        Cotangent {
            task: 0,
            sequences: (0..self.sequences.len() as u32).collect(),
            values: values.into(),
            lowest: 0,
        }
    }
}

/// The first rows with a known target in a random order, and their source.
fn draw(prepared: &Prepared, task: usize) -> (usize, Vec<u32>) {
    let data = &prepared.dataset.tasks[task];
    let targets = data.targets.get(&Split::Train);
    let known = targets.map_or(Vec::new(), |targets| {
        (0..targets.len()).filter(|&row| targets.is_known(row)).map(|row| row as u32).collect()
    });
    let mut rows: Vec<u32> = known;
    Rng::new(SEED, Purpose::Bench, &[u64::MAX, task as u64]).shuffle(&mut rows);
    rows.truncate(EXAMPLES);
    (data.source, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_tasks() -> Batch {
        let task = |name: &str, sequences| Task { name: name.into(), sequences };
        Batch {
            sequences: vec![vec![1, 2], vec![3], vec![4, 5, 6]],
            tasks: vec![task("a", vec![0, 1]), task("b", vec![1, 2])],
        }
    }

    #[test]
    fn a_sequence_of_two_tasks_gets_the_sum_of_their_cotangents() {
        let batch = two_tasks();
        let (parts, merged) = (batch.cotangents(2), batch.merged(2));
        assert_eq!(merged.values.len(), 6 * 2);
        assert_eq!(merged.values[..4], parts[0].values[..4]);
        assert_eq!(merged.values[4], parts[0].values[4] + parts[1].values[0]);
        assert_eq!(merged.values[6..], parts[1].values[2..]);
    }

    #[test]
    fn a_written_batch_is_read_as_it_was_with_a_target_per_state_of_each_task() {
        let folder = tempfile::tempdir().unwrap();
        let (sequences, targets) = two_tasks().write(folder.path(), 2).unwrap();
        assert_eq!(Batch::read(&sequences).unwrap(), two_tasks());
        assert_eq!(std::fs::metadata(targets).unwrap().len(), (3 + 4) * 2 * 4);
    }
}
