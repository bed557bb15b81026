//! Ranking candidates by a task that labels pairs: each text is encoded once, the head reads every pair of vectors.

use std::time::{Duration, Instant};

use polytask_core::{Problem, near};
use polytask_nn::candidates::PairCandidates;

use crate::input::{Content, Distinct, Input, Read};
use crate::pass::for_passes;
use crate::{Model, ModelTask, Result};

/// What a ranking by a label of pairs found, and what it took.
#[derive(Debug, Clone, Default)]
pub struct PairSearch {
    /// Of each query the best candidates: (place, probability of the label).
    pub hits: Vec<Vec<(u32, f32)>>,
    /// Pairs that were scored.
    pub n_pairs: u64,
    /// Time for the vectors of all texts.
    pub encoding: Duration,
    /// Time for the head.
    pub scoring: Duration,
}

impl Model {
    /// Ranks candidates for each query by the probability that a task gives a label of the pair (query, candidate).
    ///
    /// # Errors
    /// When the model has no such task, or the task no such label.
    pub fn search_pairs<Q: AsRef<str>, C: AsRef<str>>(
        &self,
        queries: &[Q],
        candidates: &[C],
        (task, label): (Option<&str>, &str),
        k: usize,
    ) -> Result<PairSearch> {
        let task = self.pair_task(task)?;
        let label = place_of(task, label)?;
        let start = Instant::now();
        let (vectors, width) = self.vectors_of(task, 1, candidates)?;
        let candidates = PairCandidates::new(&*task.head, &task.block, &vectors)?;
        let (asked, _) = self.vectors_of(task, 0, queries)?;
        let encoding = start.elapsed();
        let start = Instant::now();
        let one = |query: &[f32]| -> Result<Vec<(u32, f32)>> {
            let outputs = candidates.outputs(query)?;
            if let Some(at) = outputs.iter().position(|output| !output.is_finite()) {
                let at = at / task.info.n_outputs + 1;
                let what =
                    format!("the head of task `{}` has no finite answer for candidate {at}", task.info.name);
                return Err(Problem::new(what)
                    .try_this("train the model again, or leave that text out")
                    .into());
            }
            let shares = outputs.chunks(task.info.n_outputs).map(|outputs| share(outputs, label));
            let mut ranked: Vec<(u32, f32)> = (0..).zip(shares).collect();
            ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            ranked.truncate(k);
            Ok(ranked)
        };
        let hits = asked.chunks(width).map(one).collect::<Result<Vec<_>>>()?;
        let n_pairs = (hits.len() * vectors.len() / width) as u64;
        Ok(PairSearch { hits, n_pairs, encoding, scoring: start.elapsed() })
    }

    /// The task that labels pairs of vectors; of the name given, where one is.
    fn pair_task(&self, name: Option<&str>) -> Result<&ModelTask> {
        let labels_pairs =
            |task: &&ModelTask| task.head.reads_pair_features() && !task.info.labels.is_empty();
        let fitting: Vec<&ModelTask> = self.tasks.iter().filter(labels_pairs).collect();
        let named = fitting.iter().find(|task| name.is_none_or(|name| task.info.name == name));
        let names: Vec<&str> = fitting.iter().map(|task| task.info.name.as_str()).collect();
        match (named, name, names.len()) {
            (Some(task), Some(_), _) | (Some(task), None, 1) => Ok(task),
            (_, _, 0) => Err(Problem::new("the model has no task that labels pairs of texts")
                .try_this("a run with a task of kind pair-class")
                .into()),
            (_, Some(name), _) => {
                let what = format!("task `{name}` does not label pairs of texts");
                Err(Problem::new(what).try_this(near::advice(name, &names)).into())
            }
            _ => {
                let what = format!("tasks {} label pairs of texts, expected one", near::list(&names));
                Err(Problem::new(what).try_this(format!("`--task {}`", names[0])).into())
            }
        }
    }

    /// Pooled vectors of texts in a role of a task, `[texts, width]`, each distinct one encoded once.
    fn vectors_of<S: AsRef<str>>(
        &self,
        task: &ModelTask,
        role: usize,
        texts: &[S],
    ) -> Result<(Vec<f32>, usize)> {
        let view = self.view(Some(&task.info.name))?;
        let prompt = task.prompt(task.kind.inputs[role]);
        let inputs: Vec<Input> = texts.iter().map(|text| Input::from(text.as_ref())).collect();
        let mut contents = Distinct::new();
        let content = |input| Content::of(input, task.reads_words()).after(prompt);
        let numbers: Vec<usize> = inputs.iter().map(|input| contents.number(content(input))).collect();
        let read = Read::new(&self.symbols, contents.into_items(), self.prompt(None)?)?;
        let width = self.encoder.pooling.width(&*self.encoder.trunk);
        let mut vectors = vec![0.0; read.sequences.len() * width];
        for_passes(self, &read.sequences, &[view], |pass| {
            let pooled = self.encoder.pooling.forward(&pass.states, &pass.layout);
            for (i, &sequence) in pass.sequences.iter().enumerate() {
                vectors[sequence * width..][..width].copy_from_slice(pooled.row(pass.place(view, i)));
            }
            Ok(())
        })?;
        let rows = numbers.into_iter().map(|content| read.sequence_of[content]);
        let values = rows.flat_map(|sequence| vectors[sequence * width..][..width].iter().copied());
        Ok((values.collect(), width))
    }
}

/// Which label is meant.
fn place_of(task: &ModelTask, label: &str) -> Result<usize> {
    let known: Vec<&str> = task.info.labels.iter().map(String::as_str).collect();
    known.iter().position(|known| *known == label).ok_or_else(|| {
        let what = format!("task `{}` has no label `{label}`, it has {}", task.info.name, near::list(&known));
        Problem::new(what).try_this(near::advice(label, &known)).into()
    })
}

/// The probability of a label among a pair's outputs.
fn share(outputs: &[f32], label: usize) -> f32 {
    let largest = outputs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = outputs.iter().map(|output| (output - largest).exp()).sum();
    (outputs[label] - largest).exp() / sum
}
