//! How the vectors of a task's texts lie: spread over the sphere or in a narrow cone, and close where texts belong together.
//!
//! Mean cosine and the spectrum are what Zhang et al. 2025 (<https://arxiv.org/abs/2508.11442>) look at, with definitions of
//! our own; uniformity and alignment are those of Wang & Isola 2020 (<https://arxiv.org/abs/2005.10242>).

use nalgebra::DMatrix;
use polytask_core::report::{Geometry, TaskGeometry};
use polytask_core::{Split, Suite};
use polytask_data::{Targets, TextId};
use polytask_model::Model;

use crate::Result;
use crate::engine::Engine;
use crate::evaluate::{known, texts_of};
use crate::judge::{Asked, Side, with_engine};
use crate::observe::{Event, Observer};
use crate::pooled::Pooled;

/// Most texts, and pairs of texts that belong together, that are looked at.
const MOST: usize = 2000;

/// Singular values below this share of the largest count as 0.
const SMALLEST: f64 = 1e-6;

/// The share of the way from the lowest to the highest score above which a pair belongs together.
const CLOSE: f64 = 0.8;

/// How each model's vectors of each task's texts lie, on the split the task is reported on where none is named.
///
/// # Errors
/// As for [`crate::judge::judge`].
pub fn geometry(
    suite: &Suite,
    sides: &[Side],
    split: Option<Split>,
    observer: &mut dyn Observer,
) -> Result<Vec<TaskGeometry>> {
    let mut all: Vec<TaskGeometry> = Vec::new();
    for side in sides {
        observer.event(Event::Note(&format!("vectors of {}", side.name)));
        let Asked { suite, dataset, model } = Asked::read(suite.clone(), side.folder)?;
        let found = with_engine(&suite, &dataset, &model, |engine, _| {
            let of_task = |task: usize| {
                let split = split.unwrap_or_else(|| dataset.report_split(task));
                of_task(engine, &model, task, split)
            };
            (0..engine.heads.len()).map(of_task).collect::<Result<Vec<_>>>()
        })?;
        for (task, geometry) in suite.tasks.iter().zip(found) {
            let Some(geometry) = geometry else { continue };
            match all.iter_mut().find(|known| known.task == task.name) {
                Some(known) => known.sides.push(geometry),
                None => all.push(TaskGeometry { task: task.name.clone(), sides: vec![geometry] }),
            }
        }
    }
    Ok(all)
}

/// The geometry of a task's texts on a split; none where its vectors are not of texts.
fn of_task(engine: &Engine, model: &Model, task: usize, split: Split) -> Result<Option<Geometry>> {
    let texts = spread(texts_of(engine, task, split));
    if texts.len() < 2 {
        return Ok(None);
    }
    let together = together(engine, task, split);
    let all = texts.iter().copied().chain(together.iter().flat_map(|pair| [pair.0, pair.1]));
    let pooled = Pooled::encode(engine, &model.encoder.params, engine.view_of(task), all)?;
    let rows = |texts: &[TextId]| -> Vec<f64> { pooled.gather(texts).into_iter().map(f64::from).collect() };
    let first: Vec<TextId> = together.iter().map(|pair| pair.0).collect();
    let second: Vec<TextId> = together.iter().map(|pair| pair.1).collect();
    let width = pooled.width();
    let alignment = alignment(&unit(rows(&first), width), &unit(rows(&second), width), width);
    Ok(Some(Geometry { alignment, ..of_vectors(rows(&texts), width) }))
}

/// Distinct texts, some of them evenly over all where there are many.
fn spread(mut texts: Vec<TextId>) -> Vec<TextId> {
    texts.sort_unstable();
    texts.dedup();
    let step = texts.len().div_ceil(MOST).max(1);
    texts.into_iter().step_by(step).collect()
}

/// Pairs of texts that belong together: queries with their answers, pairs with a high score.
fn together(engine: &Engine, task: usize, split: Split) -> Vec<(TextId, TextId)> {
    let data = &engine.dataset.tasks[task];
    let Some((rows, targets)) = known(engine, data, split) else { return Vec::new() };
    let mut pairs = Vec::new();
    match targets {
        Targets::Passages(relevance) => {
            for (i, relevance) in relevance.iter().enumerate() {
                let answers = relevance.positives.iter().map(|(p, _)| data.corpus[*p as usize]);
                pairs.extend(answers.map(|answer| (rows.inputs(i)[0], answer)));
            }
        }
        Targets::Numbers { width: 1, values } if rows.n_inputs == 2 => {
            let seen = || values.iter().copied().filter(|value| !value.is_nan());
            let (low, high) =
                (seen().fold(f64::INFINITY, f64::min), seen().fold(f64::NEG_INFINITY, f64::max));
            let is_close = |value: f64| value >= low + CLOSE * (high - low);
            let close = values.iter().enumerate().filter(|(_, value)| is_close(**value));
            pairs.extend(close.map(|(i, _)| (rows.inputs(i)[0], rows.inputs(i)[1])));
        }
        _ => {}
    }
    let step = pairs.len().div_ceil(MOST).max(1);
    pairs.into_iter().step_by(step).collect()
}

/// All but the alignment: `[texts, width]`.
fn of_vectors(vectors: Vec<f64>, width: usize) -> Geometry {
    let n = vectors.len() / width;
    let singular = singular_values(&vectors, width);
    let cosines = {
        let unit = DMatrix::from_row_iterator(n, width, unit(vectors, width));
        &unit * unit.transpose()
    };
    let above = || (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).map(|(i, j)| cosines[(i, j)]);
    let pairs = (n * (n - 1) / 2) as f64;
    // |u − v|² of unit vectors is 2 − 2 cos.
    let spread = above().map(|c| (-2.0 * (2.0 - 2.0 * c)).exp()).sum::<f64>() / pairs;
    let sum: f64 = singular.iter().sum();
    let shares = singular.iter().map(|value| value / sum).filter(|share| *share > 0.0);
    let entropy: f64 = -shares.map(|share| share * share.ln()).sum::<f64>();
    let (largest, smallest) = (singular.first().copied(), singular.last().copied());
    Geometry {
        texts: n,
        mean_cosine: above().sum::<f64>() / pairs,
        uniformity: spread.ln(),
        alignment: None,
        rank: singular.iter().filter(|value| Some(**value) > largest.map(|most| SMALLEST * most)).count(),
        entropy,
        effective_rank: entropy.exp(),
        condition: largest.zip(smallest).map(|(most, least)| most / least).filter(|c| c.is_finite()),
    }
}

/// Mean squared distance of pairs of unit vectors; none without a pair.
fn alignment(first: &[f64], second: &[f64], width: usize) -> Option<f64> {
    let distance = |(a, b): (&[f64], &[f64])| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    let n = first.len() / width;
    let sum: f64 = first.chunks(width).zip(second.chunks(width)).map(distance).sum();
    (n > 0).then(|| sum / n as f64)
}

/// Singular values, largest first.
fn singular_values(vectors: &[f64], width: usize) -> Vec<f64> {
    let rows = DMatrix::from_row_iterator(vectors.len() / width, width, vectors.iter().copied());
    let gram = if rows.nrows() < width { &rows * rows.transpose() } else { rows.transpose() * &rows };
    let mut values: Vec<f64> =
        gram.symmetric_eigenvalues().iter().map(|value| value.max(0.0).sqrt()).collect();
    values.sort_by(|a, b| b.total_cmp(a));
    values
}

/// Rows of length 1; rows of zeros stay.
fn unit(mut vectors: Vec<f64>, width: usize) -> Vec<f64> {
    for row in vectors.chunks_mut(width) {
        let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        if length > 0.0 {
            row.iter_mut().for_each(|v| *v /= length);
        }
    }
    vectors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn values_are_those_of_an_independent_implementation() {
        // Made with numpy's singular values.
        let vectors = vec![
            2.054, 0.106, 1.126, 2.752, -0.829, 0.901, 3.626, 0.306, -1.506, 1.355, -0.18, -1.623, 1.862,
            -1.273, 0.793,
        ];
        let found = of_vectors(vectors, 3);
        assert!(near(found.mean_cosine, 0.631_583) && near(found.entropy, 0.934_185), "{found:?}");
        assert!(near(found.effective_rank, 2.545_139) && near(found.condition.unwrap(), 4.736_993));
        assert_eq!((found.rank, found.texts), (3, 5));
    }

    #[test]
    fn opposite_vectors_are_uniform_and_equal_ones_aligned() {
        let opposite = of_vectors(vec![1.0, 0.0, -1.0, 0.0], 2);
        assert!(near(opposite.mean_cosine, -1.0) && near(opposite.uniformity, -8.0), "{opposite:?}");
        assert_eq!((opposite.rank, opposite.condition), (1, None));
        assert_eq!(alignment(&[1.0, 0.0], &[0.0, 1.0], 2), Some(2.0));
        assert_eq!(alignment(&[], &[], 2), None);
    }

    #[test]
    fn many_texts_are_thinned_out_evenly() {
        assert_eq!(spread(vec![3, 1, 3, 2]), [1, 2, 3]);
        let many = spread((0..5000).collect());
        assert_eq!((many.len(), many[1], *many.last().unwrap()), (1667, 3, 4998));
    }
}
