//! Repeated timing and what is said about it.

use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

/// Times of repeated runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Times {
    pub(super) median_ms: f64,
    pub(super) min_ms: f64,
    pub(super) max_ms: f64,
    pub(super) runs: usize,
}

/// What every report says about the process that measured.
#[derive(Debug, Serialize)]
pub(super) struct Process {
    threads: usize,
    precision: &'static str,
    pub(super) peak_rss_mb: f64,
}

impl Process {
    /// This process, now.
    pub(super) fn now() -> Self {
        Self::of(libc::RUSAGE_SELF)
    }

    /// The processes this one started and waited for: the largest of them, with this one's number of threads.
    pub(super) fn children() -> Self {
        Self::of(libc::RUSAGE_CHILDREN)
    }

    fn of(who: libc::c_int) -> Self {
        Self { threads: rayon::current_num_threads(), precision: "f32", peak_rss_mb: peak_rss_mb(who) }
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} threads, peak memory {:.0} MiB", self.threads, self.peak_rss_mb)
    }
}

/// Milliseconds of each of `runs` calls after `warmup` that are not counted.
pub(super) fn measure(runs: usize, warmup: usize, mut work: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    (0..warmup).try_for_each(|_| work())?;
    let mut timed = || {
        let start = Instant::now();
        work()?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    (0..runs).map(|_| timed()).collect()
}

impl Times {
    /// Of at least one run.
    pub(super) fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let (below, above) = (times[(times.len() - 1) / 2], times[times.len() / 2]);
        let median_ms = f64::midpoint(below, above);
        Self { median_ms, min_ms: times[0], max_ms: times[times.len() - 1], runs: times.len() }
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { median_ms, min_ms, max_ms, runs } = self;
        // Short times need more digits.
        let digits = if *median_ms < 10.0 { 2 } else { 1 };
        write!(f, "{median_ms:.digits$} ms (from {min_ms:.digits$} to {max_ms:.digits$}, {runs} runs)")
    }
}

/// The smallest of at least one time that at least this share of all times does not exceed.
pub(super) fn percentile(times: &[f64], share: f64) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    let rank = (share * times.len() as f64).ceil() as usize;
    times[rank.clamp(1, times.len()) - 1]
}

/// Largest resident memory so far of this process or of its children, in MiB; 0 where the system does not say.
#[allow(unsafe_code)]
fn peak_rss_mb(who: libc::c_int) -> f64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is a writable rusage, which is all getrusage asks for; zeroed is a valid value of it.
    let usage = unsafe {
        libc::getrusage(who, usage.as_mut_ptr());
        usage.assume_init()
    };
    let unit = if cfg!(target_os = "macos") { 1.0 } else { 1024.0 };
    usage.ru_maxrss as f64 * unit / (1 << 20) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_of_times_lies_between_the_middle_two() {
        let times = Times::of(vec![4.0, 1.0, 3.0, 2.0]);
        assert_eq!(times, Times { median_ms: 2.5, min_ms: 1.0, max_ms: 4.0, runs: 4 });
    }

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let times: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!((percentile(&times, 0.5), percentile(&times, 0.95)), (100.0, 190.0));
        assert_eq!(percentile(&[7.0], 0.95), 7.0);
    }

    #[test]
    fn warm_up_calls_are_made_but_not_counted() {
        let mut calls = 0;
        let times = measure(3, 2, || {
            calls += 1;
            Ok(())
        });
        assert_eq!((times.unwrap().len(), calls), (3, 5));
    }
}
