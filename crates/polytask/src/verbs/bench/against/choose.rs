//! The peer's settings: each axis's values are tried in short runs, and the fastest are kept.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::Fields;

/// A field of the job and the values to try; the first is where the search starts.
pub(crate) struct Axis {
    pub(crate) field: &'static str,
    pub(crate) values: Vec<Value>,
}

/// What a trial may take beyond its share: starting a process is slow the first time.
const MOMENT: Duration = Duration::from_secs(10);

impl Axis {
    /// An axis of names.
    pub(crate) fn names(field: &'static str, values: &[&str]) -> Self {
        Self { field, values: values.iter().map(|value| json!(value)).collect() }
    }

    /// An axis of counts.
    pub(crate) fn counts(field: &'static str, values: &[usize]) -> Self {
        Self { field, values: values.iter().map(|value| json!(value)).collect() }
    }
}

/// Numbers of threads to try: all, half (one per core where two share one), one. `limit` of 0 means all cores.
pub(crate) fn threads(limit: usize) -> Axis {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let all = if limit == 0 { cores } else { limit };
    let mut counts = vec![all, all / 2, 1];
    counts.retain(|&n| n > 0);
    counts.dedup();
    Axis::counts("threads", &counts)
}

/// The first value of every axis.
pub(super) fn first(axes: &[Axis]) -> Fields {
    axes.iter().map(|axis| (axis.field.to_owned(), axis.values[0].clone())).collect()
}

/// A setting and its milliseconds; `None` when it was ended because it took far longer than the best.
pub(super) type Trial = (Fields, Option<f64>);

/// The fastest setting, axis by axis with the best of the axes before, and all trials.
///
/// A trial whose process takes twice as long as that of the first setting (and a moment) is ended: it has lost.
pub(super) fn fastest(
    axes: &[Axis],
    trial: impl Fn(&Fields, Option<Duration>) -> Result<Option<f64>>,
) -> Result<(Fields, Vec<Trial>)> {
    let mut best = first(axes);
    let start = Instant::now();
    let mut least = trial(&best, None)?;
    let limit = 2 * start.elapsed() + MOMENT;
    let mut trials = vec![(best.clone(), least)];
    for axis in axes {
        for value in &axis.values[1..] {
            let mut setting = best.clone();
            setting.insert(axis.field.to_owned(), value.clone());
            let ms = trial(&setting, Some(limit))?;
            if ms.is_some_and(|ms| least.is_none_or(|least| ms < least)) {
                (best, least) = (setting.clone(), ms);
            }
            trials.push((setting, ms));
        }
    }
    Ok((best, trials))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_value_of_every_axis_is_kept() {
        let axes = [Axis::counts("threads", &[2, 1]), Axis::names("layout", &["joint", "per-task"])];
        let cost = |setting: &Fields, _: Option<Duration>| {
            let threads = if setting["threads"] == 1 { 5.0 } else { 9.0 };
            Ok(Some(threads + if setting["layout"] == "joint" { 0.0 } else { 1.0 }))
        };
        let (best, trials) = fastest(&axes, cost).unwrap();
        assert_eq!(Value::from(best), json!({ "threads": 1, "layout": "joint" }));
        assert_eq!(trials.iter().map(|(_, ms)| *ms).collect::<Vec<_>>(), [9.0, 5.0, 6.0].map(Some));
    }

    #[test]
    fn a_trial_that_was_ended_has_lost() {
        let axes = [Axis::names("layout", &["per-task", "joint"])];
        let cost = |_: &Fields, limit: Option<Duration>| Ok(limit.is_none().then_some(9.0));
        let (best, trials) = fastest(&axes, cost).unwrap();
        assert_eq!((&best["layout"], trials[1].1), (&json!("per-task"), None));
    }

    #[test]
    fn one_thread_and_all_are_always_tried() {
        assert_eq!(threads(8).values, [8, 4, 1]);
        assert_eq!(threads(2).values, [2, 1]);
        assert_eq!(threads(1).values, [1]);
    }
}
