//! Saliencies of a step: each task's loss gradient at the trunk's output, sample by sample.

use std::ops::Range;

use crate::assemble::StepBatch;
use crate::part::PartGradient;

/// Derivative of a term by the saliencies, as they lie: `[samples][present tasks][positions × width]`.
pub type Slopes = Vec<Vec<Vec<f64>>>;

/// The saliencies of a step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Saliencies {
    /// Channels: values per state.
    pub width: usize,
    /// The samples that some task touches, in the order of the batch.
    pub samples: Vec<Sample>,
}

/// The saliencies of one sample, of the tasks that have a target there.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its positions: rows of the batch's states.
    pub rows: Range<usize>,
    /// Suite indices of the tasks that touch it, ascending.
    pub tasks: Vec<usize>,
    /// The saliency of each of them, `[tasks][positions × width]`.
    pub values: Vec<Vec<f64>>,
}

impl Saliencies {
    /// The cotangents of a step, sorted by sample and multiplied by the number of samples: what a sample's own loss
    /// would give, so that no bound below depends on the size of the batch.
    pub fn gather(batch: &StepBatch, parts: &[PartGradient], width: usize) -> Self {
        let places: Vec<Vec<Option<usize>>> = parts.iter().map(|part| places(batch, part, width)).collect();
        let mut samples: Vec<Sample> =
            (0..batch.layout.n_sequences()).filter_map(|s| sample(batch, parts, &places, s, width)).collect();
        let n = samples.len() as f64;
        samples.iter_mut().flat_map(|s| &mut s.values).flatten().for_each(|v| *v *= n);
        Self { width, samples }
    }

    /// Positions of all samples.
    pub fn n_positions(&self) -> usize {
        self.samples.iter().map(|sample| sample.rows.len()).sum()
    }

    /// Samples that several tasks touch, with their place in [`Saliencies::samples`].
    pub fn shared(&self) -> impl Iterator<Item = (usize, &Sample)> {
        self.samples.iter().enumerate().filter(|(_, sample)| sample.tasks.len() > 1)
    }

    /// Mean of |S| over all values; 0 without any.
    pub fn mean_size(&self) -> f64 {
        let values = || self.samples.iter().flat_map(|sample| &sample.values).flatten();
        values().map(|v| v.abs()).sum::<f64>() / values().count().max(1) as f64
    }

    /// Slopes of 0.
    pub fn zeros(&self) -> Slopes {
        let of_sample =
            |sample: &Sample| sample.values.iter().map(|v| vec![0.0; v.len()]).collect::<Vec<_>>();
        self.samples.iter().map(of_sample).collect()
    }
}

/// For each sequence of the batch, where its values begin in a part's cotangent.
fn places(batch: &StepBatch, part: &PartGradient, width: usize) -> Vec<Option<usize>> {
    let (mut places, mut next) = (vec![None; batch.layout.n_sequences()], 0);
    for &s in &part.cotangent.sequences {
        places[s as usize] = Some(next);
        next += batch.layout.length(s as usize) * width;
    }
    places
}

/// The saliencies at sequence `s`; `None` where it has no state or no task.
fn sample(
    batch: &StepBatch,
    parts: &[PartGradient],
    places: &[Vec<Option<usize>>],
    s: usize,
    width: usize,
) -> Option<Sample> {
    let rows = batch.layout.rows(s);
    let of_part = |(part, places): (&PartGradient, &Vec<Option<usize>>)| {
        let start = places[s]?;
        let values = &part.cotangent.values[start..start + rows.len() * width];
        Some((part.task, values.iter().map(|&v| f64::from(v)).collect()))
    };
    let (tasks, values): (Vec<usize>, Vec<Vec<f64>>) = parts.iter().zip(places).filter_map(of_part).unzip();
    (!rows.is_empty() && !tasks.is_empty()).then_some(Sample { rows, tasks, values })
}
