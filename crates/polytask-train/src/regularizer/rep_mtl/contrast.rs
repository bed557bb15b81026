//! CSA: the contrast of each sample's saliencies with other samples, and its derivative.
//!
//! Matrices lie with a row per position or task and a column per channel, the transpose of the paper's: S is `[n, C]`,
//! the anchor A `[T, C]`. Every similarity is u = ‖A Sᵀ‖² / (‖A Aᵀ‖ ‖S Sᵀ‖), a ratio of small matrices, with
//!
//!   du/dS = 2 (S Aᵀ) A / (‖A Aᵀ‖ ‖S Sᵀ‖) − 2 u (S Sᵀ) S / ‖S Sᵀ‖²,
//!
//! and the same with A and S exchanged. Where S has more positions than channels, ‖S Sᵀ‖ and (S Sᵀ) S come from Sᵀ S.

use rayon::prelude::*;

use crate::regularizer::matrix::{add as add_to, dot, norm, times, times_transpose, transpose_times};
use crate::regularizer::{Saliencies, Sample, Slopes};

/// Smallest norm of an affinity matrix that is divided by.
const SMALLEST: f64 = 1e-16;

/// Mean similarity of two tasks' saliencies on the same sample; `None` without a sample of two tasks.
pub(super) fn similarity(saliencies: &Saliencies) -> Option<f64> {
    let samples: Vec<&Sample> = saliencies.shared().map(|(_, sample)| sample).collect();
    let of_sample = |sample: &&Sample| {
        let n = sample.tasks.len();
        let all = similarities(sample, saliencies.width);
        let sum: f64 = (0..n).flat_map(|t| (0..t).map(move |k| t * n + k)).map(|at| all[at]).sum();
        sum / (n * (n - 1) / 2) as f64
    };
    let sums: Vec<f64> = samples.par_iter().map(of_sample).collect();
    (!sums.is_empty()).then(|| sums.iter().sum::<f64>() / sums.len() as f64)
}

/// Similarity of each two tasks' saliencies at a sample, `[tasks, tasks]`; 0 where one is zero.
pub(crate) fn similarities(sample: &Sample, width: usize) -> Vec<f64> {
    let n = sample.tasks.len();
    let affinities: Vec<Affinity> = sample.values.iter().map(|values| Affinity::of(values, width)).collect();
    let cosine = |t: usize, k: usize| {
        let product = affinities[t].product(&sample.values[t], &affinities[k], &sample.values[k], width);
        product / (affinities[t].norm * affinities[k].norm)
    };
    (0..n * n).map(|at| cosine(at / n, at % n)).collect()
}

/// CSA, the mean over all samples; adds `factor` times its derivative to `slopes`. Needs two samples of two tasks.
pub(super) fn add(
    saliencies: &Saliencies,
    tau: f64,
    positive_in_denominator: bool,
    factor: f64,
    slopes: &mut Slopes,
) -> f64 {
    let places: Vec<usize> = saliencies.shared().map(|(b, _)| b).collect();
    let anchors = Anchors::of(saliencies, &places);
    let positives: Vec<Vec<Positive>> =
        places.par_iter().enumerate().map(|(a, &b)| anchors.positives(a, &saliencies.samples[b])).collect();
    let softmax = Softmax { tau, positive_in_denominator };
    let shares: Vec<Shares> =
        (0..places.len()).map(|a| softmax.shares(a, &anchors.similarities[a], &positives[a])).collect();
    let n = saliencies.samples.len() as f64;
    let by_anchor = anchors.slopes(&shares, &positives);
    let samples = places.iter().zip(positives.iter().zip(&shares)).zip(&by_anchor);
    for ((&b, (positives, shares)), by_anchor) in samples {
        let positions = saliencies.samples[b].rows.len() as f64;
        let tasks = positives.iter().zip(&shares.positives).zip(by_anchor.chunks_exact(saliencies.width));
        for (to, ((positive, share), by_column)) in slopes[b].iter_mut().zip(tasks) {
            add_to(to, factor / n * share, &positive.by_saliency);
            to.chunks_exact_mut(saliencies.width)
                .for_each(|row| add_to(row, factor / n / positions, by_column));
        }
    }
    shares.iter().map(|shares| shares.loss).sum::<f64>() / n
}

/// Norm of S Sᵀ and the matrix itself, on its smaller side.
struct Affinity {
    norm: f64,
    /// Whether the norm is its own, not the smallest allowed.
    is_free: bool,
    /// Sᵀ S, `[C, C]`, where there are more positions than channels; else S Sᵀ, `[n, n]`.
    inner: Vec<f64>,
    by_channel: bool,
}

impl Affinity {
    fn of(values: &[f64], width: usize) -> Self {
        let by_channel = values.len() / width > width;
        let inner = if by_channel {
            transpose_times(values, values, width, width)
        } else {
            times_transpose(values, values, width)
        };
        let own = norm(&inner);
        Self { norm: own.max(SMALLEST), is_free: own > SMALLEST, inner, by_channel }
    }

    /// (S Sᵀ) S, `[n, C]`.
    fn cube(&self, values: &[f64], width: usize) -> Vec<f64> {
        if self.by_channel { times(values, &self.inner, width) } else { times(&self.inner, values, width) }
    }

    /// Inner product of two affinity matrices.
    fn product(&self, values: &[f64], other: &Self, others: &[f64], width: usize) -> f64 {
        if self.by_channel && other.by_channel {
            return dot(&self.inner, &other.inner);
        }
        let cross = times_transpose(values, others, width);
        dot(&cross, &cross)
    }
}

/// The anchors of the samples of several tasks, and how alike they are.
struct Anchors {
    width: usize,
    /// Each sample's anchor, `[tasks, C]`.
    rows: Vec<Vec<f64>>,
    /// A_b A_kᵀ, `[samples][samples]`.
    grams: Vec<Vec<Vec<f64>>>,
    /// ‖A Aᵀ‖, and whether it is above the smallest allowed.
    norms: Vec<(f64, bool)>,
    /// u(A_b, A_k), `[samples][samples]`.
    similarities: Vec<Vec<f64>>,
}

/// A task's similarity to its sample's anchor and its derivatives.
struct Positive {
    similarity: f64,
    /// By the saliency, `[n, C]`.
    by_saliency: Vec<f64>,
    /// By the anchor without its part along A itself, `[tasks, C]`.
    by_anchor: Vec<f64>,
}

impl Anchors {
    fn of(saliencies: &Saliencies, places: &[usize]) -> Self {
        let width = saliencies.width;
        let rows: Vec<Vec<f64>> = places.iter().map(|&b| anchor(&saliencies.samples[b], width)).collect();
        let gram = |a: &Vec<f64>| rows.iter().map(|k| times_transpose(a, k, width)).collect::<Vec<_>>();
        let grams: Vec<Vec<Vec<f64>>> = rows.par_iter().map(gram).collect();
        let own = |a: usize| norm(&grams[a][a]);
        let norms: Vec<(f64, bool)> =
            (0..rows.len()).map(|a| (own(a).max(SMALLEST), own(a) > SMALLEST)).collect();
        let similarity = |a: usize, k: usize| dot(&grams[a][k], &grams[a][k]) / (norms[a].0 * norms[k].0);
        let similarities =
            (0..rows.len()).map(|a| (0..rows.len()).map(|k| similarity(a, k)).collect()).collect();
        Self { width, rows, grams, norms, similarities }
    }

    /// Each task's similarity to the anchor of its sample.
    fn positives(&self, a: usize, sample: &Sample) -> Vec<Positive> {
        let anchor = &self.rows[a];
        let of_task = |values: &Vec<f64>| {
            let (affinity, cross) =
                (Affinity::of(values, self.width), times_transpose(anchor, values, self.width));
            let scale = self.norms[a].0 * affinity.norm;
            let similarity = dot(&cross, &cross) / scale;
            let n = values.len() / self.width;
            let mut by_saliency = transpose_times(&cross, anchor, n, self.width);
            by_saliency.iter_mut().for_each(|v| *v *= 2.0 / scale);
            if affinity.is_free {
                let cube = affinity.cube(values, self.width);
                add_to(&mut by_saliency, -2.0 * similarity / affinity.norm.powi(2), &cube);
            }
            let mut by_anchor = times(&cross, values, self.width);
            by_anchor.iter_mut().for_each(|v| *v *= 2.0 / scale);
            Positive { similarity, by_saliency, by_anchor }
        };
        sample.values.iter().map(of_task).collect()
    }

    /// Derivative of the sum of losses by each anchor, `[samples][tasks, C]`.
    fn slopes(&self, shares: &[Shares], positives: &[Vec<Positive>]) -> Vec<Vec<f64>> {
        let of_anchor = |a: usize| {
            let mut slope = vec![0.0; self.rows[a].len()];
            let mut along = 0.0;
            for (positive, share) in positives[a].iter().zip(&shares[a].positives) {
                add_to(&mut slope, *share, &positive.by_anchor);
                along += share * positive.similarity;
            }
            for k in (0..self.rows.len()).filter(|&k| k != a) {
                let share = shares[a].negatives[k] + shares[k].negatives[a];
                let scale = self.norms[a].0 * self.norms[k].0;
                add_to(&mut slope, 2.0 * share / scale, &times(&self.grams[a][k], &self.rows[k], self.width));
                along += share * self.similarities[a][k];
            }
            if let (norm, true) = self.norms[a] {
                let cube = times(&self.grams[a][a], &self.rows[a], self.width);
                add_to(&mut slope, -2.0 * along / norm.powi(2), &cube);
            }
            slope
        };
        (0..self.rows.len()).into_par_iter().map(of_anchor).collect()
    }
}

/// The mean of each task's saliency over positions, `[tasks, C]`.
fn anchor(sample: &Sample, width: usize) -> Vec<f64> {
    let of_task = |values: &Vec<f64>| {
        let mut mean = vec![0.0; width];
        let factor = 1.0 / sample.rows.len() as f64;
        values.chunks_exact(width).for_each(|row| add_to(&mut mean, factor, row));
        mean
    };
    sample.values.iter().flat_map(of_task).collect()
}

/// The contrast of one anchor.
#[derive(Clone, Copy)]
struct Softmax {
    tau: f64,
    positive_in_denominator: bool,
}

/// A sample's loss, and its derivatives by the similarities.
struct Shares {
    loss: f64,
    /// By u(A_b, S_bt), `[tasks]`.
    positives: Vec<f64>,
    /// By u(A_b, A_k), `[samples]`; 0 at k = b.
    negatives: Vec<f64>,
}

impl Softmax {
    fn shares(self, own: usize, similarities: &[f64], positives: &[Positive]) -> Shares {
        let n = positives.len() as f64;
        let mut shares =
            Shares { loss: 0.0, positives: Vec::new(), negatives: vec![0.0; similarities.len()] };
        let others = || similarities.iter().enumerate().filter(|(k, _)| *k != own);
        let nearest = others().map(|(_, u)| *u).fold(f64::NEG_INFINITY, f64::max);
        for u in positives.iter().map(|positive| positive.similarity) {
            // Powers of differences to the largest term: none is too large, and their sum is at least 1.
            let top = if self.positive_in_denominator { nearest.max(u) } else { nearest };
            let power = |u: f64| ((u - top) / self.tau).exp();
            let inside = if self.positive_in_denominator { power(u) } else { 0.0 };
            let total = inside + others().map(|(_, u)| power(*u)).sum::<f64>();
            shares.loss += (total.ln() - (u - top) / self.tau) / n;
            shares.positives.push((inside / total - 1.0) / self.tau / n);
            others().for_each(|(k, u)| shares.negatives[k] += power(*u) / total / self.tau / n);
        }
        shares
    }
}
