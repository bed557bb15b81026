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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_stand_at_their_points() {
        let at = |schedule, step| rate(schedule, 2.0, 0.1, 100, step);
        for schedule in [Schedule::Linear, Schedule::Cosine, Schedule::Constant] {
            assert_eq!(at(schedule, 1), 0.2);
            assert_eq!(at(schedule, 5), 1.0);
            assert_eq!(at(schedule, 10), 2.0);
        }
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        close(at(Schedule::Linear, 55), 2.0 * (1.0 - 45.0 / 91.0));
        close(at(Schedule::Linear, 100), 2.0 / 91.0);
        close(at(Schedule::Linear, 101), 0.0);
        close(at(Schedule::Cosine, 101), 0.0);
        close(at(Schedule::Cosine, 30), 1.0 + (PI * 20.0 / 91.0).cos());
        assert_eq!(at(Schedule::Constant, 100), 2.0);
    }

    #[test]
    fn every_step_of_any_run_has_a_rate_above_zero_and_at_most_the_peak() {
        for total in 1..30 {
            for warmup in [0.0, 0.01, 0.5, 1.0] {
                for schedule in [Schedule::Linear, Schedule::Cosine, Schedule::Constant] {
                    for step in 1..=total {
                        let rate = rate(schedule, 1.0, warmup, total, step);
                        assert!(rate > 0.0 && rate <= 1.0, "{schedule:?} {warmup} {step}/{total}: {rate}");
                    }
                }
            }
        }
        assert_eq!(rate(Schedule::Linear, 1.0, 0.0, 10, 1), 1.0);
    }

    #[test]
    fn clipping_brings_a_long_gradient_to_the_limit() {
        let norm = norm(&[&[3.0], &[], &[0.0, 4.0]]);
        assert_eq!(norm, 5.0);
        assert_eq!(norm * clip_factor(norm, 1.0), 1.0);
        assert_eq!((clip_factor(norm, 6.0), clip_factor(norm, 0.0)), (1.0, 1.0));
    }
}
