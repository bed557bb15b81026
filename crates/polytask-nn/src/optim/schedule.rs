//! Learning rate over a run, and the norm that clipping looks at.

use std::f64::consts::PI;

use polytask_core::suite::Schedule;
use rayon::prelude::*;

/// Values per partial sum of a norm.
const CHUNK: usize = 1 << 14;

/// The learning rate of `step` (from 1 to `total`).
///
/// It rises linearly and reaches `peak` at step ⌈`warmup_share` · `total`⌉; then it falls, linearly or along half
/// a cosine, so that it would be 0 one step after the last, or stays. No step inside the run has rate 0.
pub fn rate(schedule: Schedule, peak: f64, warmup_share: f64, total: u64, step: u64) -> f64 {
    let warmup = (warmup_share.clamp(0.0, 1.0) * total as f64).ceil() as u64;
    if step < warmup {
        return peak * step as f64 / warmup as f64;
    }
    let first = warmup.max(1);
    let progress = step.saturating_sub(first) as f64 / (total.saturating_sub(first) + 1) as f64;
    let progress = progress.min(1.0);
    match schedule {
        Schedule::Linear => peak * (1.0 - progress),
        Schedule::Cosine => peak * 0.5 * (1.0 + (PI * progress).cos()),
        Schedule::Constant => peak,
    }
}

/// Euclidean norm of several slices taken as one vector, in f64.
///
/// Partial sums of fixed chunks are added in their order, so any number of threads gives the same bytes.
pub fn norm(slices: &[&[f32]]) -> f64 {
    let square = |chunk: &[f32]| chunk.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
    let sum_of = |slice: &&[f32]| slice.par_chunks(CHUNK).map(square).collect::<Vec<_>>().iter().sum::<f64>();
    slices.iter().map(sum_of).sum::<f64>().sqrt()
}

/// The factor that brings a gradient of this norm down to `max`; 1 where it is not longer or `max` is 0.
pub fn clip_factor(norm: f64, max: f64) -> f64 {
    if max > 0.0 && norm > max { max / norm } else { 1.0 }
}
