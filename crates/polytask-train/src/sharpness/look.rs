//! The sharpness of a trained model on a split, batch by batch, in evaluation mode.

use std::collections::BTreeMap;
use std::path::Path;

use polytask_core::sharpness::{SHARPNESS_VERSION, SharpnessReport, TaskSharpness};
use polytask_core::{Problem, Split, Suite};
use polytask_eval::interval::of_mean;
use polytask_nn::Mode;

use super::{Reach, Row, Spot};
use crate::Result;
use crate::engine::Engine;
use crate::observe::{Event, Observer};
use crate::subject::{Subject, draws};

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct SharpnessOptions {
    /// The split.
    pub split: Split,
    /// Most batches.
    pub batches: usize,
    /// Most rows of each source in a batch.
    pub rows: usize,
    /// The ball.
    pub reach: Reach,
}

/// What was seen so far.
#[derive(Default)]
struct Seen {
    rows: Vec<Row>,
    /// The last thing that was not finite, by task.
    broken: BTreeMap<usize, String>,
}

/// The sharpness of a trained model on the suite's data: no dropout, batch norms by their running statistics. The ball is
/// around the parameters that the suite trains and tasks share.
pub fn of_model(
    suite: Suite,
    model: &Path,
    wanted: SharpnessOptions,
    observer: &mut dyn Observer,
) -> Result<SharpnessReport> {
    let subject = Subject::of_model(suite, model, observer)?;
    let frozen = subject.encoder.frozen(&subject.suite.model.freeze)?;
    let trainable: Vec<bool> = frozen.iter().map(|frozen| !frozen).collect();
    let engine = subject.engine(&trainable);
    let parameters = n_parameters(&subject, &engine)?;
    let seen = look(&subject, &engine, wanted, observer)?;
    let names = subject.names();
    Ok(SharpnessReport {
        version: SHARPNESS_VERSION,
        name: subject.suite.name.clone(),
        split: wanted.split.name().into(),
        rho: wanted.reach.rho,
        adaptive: wanted.reach.adaptive,
        rows: wanted.rows,
        parameters,
        tasks: names.iter().enumerate().map(|(task, name)| of_task(&seen, task, name)).collect(),
        notes: names.iter().enumerate().filter_map(|(task, name)| note(&seen, task, name)).collect(),
    })
}

/// The parameters the ball is around; none is an error.
fn n_parameters(subject: &Subject, engine: &Engine) -> Result<usize> {
    let blocks = subject.encoder.params.blocks.iter().zip(engine.shared());
    let n = blocks.filter(|(_, shared)| *shared).map(|(block, _)| block.values.len()).sum();
    if n > 0 {
        return Ok(n);
    }
    let what = "every block of the encoder is frozen in the suite, expected trained weights to move";
    Err(Problem::new(what).try_this("`--set 'model.freeze=[]'`").into())
}

fn look(
    subject: &Subject,
    engine: &Engine,
    wanted: SharpnessOptions,
    observer: &mut dyn Observer,
) -> Result<Seen> {
    let rows = subject.rows(wanted.split, usize::MAX)?;
    let draws = draws(rows, (wanted.batches, wanted.rows), subject.suite.seed);
    let (mode, mut seen) = (Mode { train: false, ..engine.train_mode(0) }, Seen::default());
    observer.event(Event::Phase { name: "sharpness", total: draws.len() as u64, done: 0 });
    for (i, draw) in draws.iter().enumerate() {
        let batch = subject.batch(draw, wanted.split);
        let spot = Spot { engine, weights: subject.weights(), batch: &batch, mode };
        let (rows, broken) = spot.rows(wanted.reach)?;
        let named = |row: &Row| (engine.heads[row.task].name.as_str(), row.loss);
        let losses: Vec<(&str, f64)> = rows.iter().map(named).collect();
        let tokens = batch.packed.n_rows();
        observer.event(Event::Step { done: i as u64 + 1, losses: &losses, lr: 0.0, tokens, observed: &[] });
        seen.rows.extend(rows);
        seen.broken.extend(broken);
    }
    observer.event(Event::Done);
    Ok(seen)
}

/// A task's means over the batches.
fn of_task(seen: &Seen, task: usize, name: &str) -> TaskSharpness {
    let rows: Vec<&Row> = seen.rows.iter().filter(|row| row.task == task).collect();
    let mean = |of: &dyn Fn(&Row) -> Option<f64>| of_mean(rows.iter().filter_map(|row| of(row)));
    let value = |of: &dyn Fn(&Row) -> Option<f64>| mean(of).map(|mean| mean.value);
    TaskSharpness {
        task: name.into(),
        batches: rows.len(),
        loss: value(&|row| Some(row.loss)),
        worst: value(&|row| Some(row.worst)),
        sharpness: mean(&|row| Some(row.sharpness())),
        gradient: value(&|row| Some(row.gradient)),
        flat: value(&|row| Some(row.flat)),
        cosine: value(&|row| row.cosine),
    }
}

/// Why a task has no sharpness anywhere, or not everywhere.
fn note(seen: &Seen, task: usize, name: &str) -> Option<String> {
    if let Some(what) = seen.broken.get(&task) {
        return Some(format!("task `{name}`: {what}"));
    }
    let is_seen = seen.rows.iter().any(|row| row.task == task);
    (!is_seen).then(|| {
        format!("task `{name}` has no sharpness: no known target in these batches, or a gradient of zero")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_rows_of_every_source_once_and_in_no_order() {
        let rows = || vec![(0..10).collect(), vec![7, 8], Vec::new()];
        let drawn = draws(rows(), (9, 4), 3);
        let sizes: Vec<Vec<(usize, usize)>> = drawn
            .iter()
            .map(|draw| draw.iter().map(|(source, rows)| (*source, rows.len())).collect())
            .collect();
        assert_eq!(sizes, [vec![(0, 4), (1, 2)], vec![(0, 4)], vec![(0, 2)]]);
        let mut first: Vec<u32> = drawn.iter().flat_map(|draw| draw[0].1.clone()).collect();
        assert_ne!(first, (0..10).collect::<Vec<_>>());
        first.sort_unstable();
        assert_eq!(first, (0..10).collect::<Vec<_>>());
        assert_eq!(draws(rows(), (2, 4), 3), drawn[..2]);
        assert!(draws(vec![Vec::new()], (2, 4), 3).is_empty());
    }
}
