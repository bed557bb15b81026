//! The peer's settings: each axis's values are tried in short runs, and the fastest that answers as we do is kept.
//!
//! A setting that fails, or answers something else, has lost; the comparison ends only when none is left.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
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

/// A setting, and the milliseconds of its trial or why it has lost.
pub(super) type Trial = (Fields, Result<f64, String>);

/// The setting that is timed, its proof, and all that were tried.
#[derive(Debug)]
pub(super) struct Chosen<P> {
    pub(super) setting: Fields,
    pub(super) proof: P,
    pub(super) trials: Vec<Trial>,
}

/// Proves a setting to start from, looks for the fastest, and proves that.
///
/// `time` gives `None` when the process took longer than its limit.
pub(super) fn choose<P>(
    axes: &[Axis],
    prove: impl Fn(&Fields) -> Result<P>,
    time: impl Fn(&Fields, Option<Duration>) -> Result<Option<f64>>,
) -> Result<Chosen<P>> {
    let mut trials = Vec::new();
    let (start, proof) = first_proven(&starts(axes)?, &prove, &mut trials)?;
    search(axes, &start, time, &mut trials);
    while let Some(at) = fastest(&trials) {
        let setting = trials[at].0.clone();
        if setting == start {
            return Ok(Chosen { setting, proof, trials });
        }
        match prove(&setting) {
            Ok(proof) => return Ok(Chosen { setting, proof, trials }),
            Err(error) => trials[at].1 = Err(format!("{error:#}")),
        }
    }
    let why = trials.into_iter().find_map(|(_, ended)| ended.err()).unwrap_or_default();
    Err(anyhow!(why).context("the peer worked with none of its settings; the first one"))
}

/// The first value of every axis, then every setting that differs from it in one value.
fn starts(axes: &[Axis]) -> Result<Vec<Fields>> {
    let value = |axis: &Axis| {
        let value =
            axis.values.first().with_context(|| format!("the peer has no `{}` to choose from", axis.field));
        Ok((axis.field.to_owned(), value?.clone()))
    };
    let first: Fields = axes.iter().map(value).collect::<Result<_>>()?;
    let others = axes.iter().flat_map(|axis| axis.values[1..].iter().map(|value| with(&first, axis, value)));
    Ok(std::iter::once(first.clone()).chain(others).collect())
}

fn with(setting: &Fields, axis: &Axis, value: &Value) -> Fields {
    let mut setting = setting.clone();
    setting.insert(axis.field.to_owned(), value.clone());
    setting
}

/// The first setting that answers as we do; those before it have lost.
fn first_proven<P>(
    starts: &[Fields],
    prove: impl Fn(&Fields) -> Result<P>,
    trials: &mut Vec<Trial>,
) -> Result<(Fields, P)> {
    let mut first_error = None;
    for setting in starts {
        match prove(setting) {
            Ok(proof) => return Ok((setting.clone(), proof)),
            Err(error) => {
                trials.push((setting.clone(), Err(format!("{error:#}"))));
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error.unwrap_or_else(|| anyhow!("the peer has no settings")))
}

/// Tries settings axis by axis, each with the best of the axes before.
///
/// A trial whose process takes twice as long as that of the first one that worked (and a moment) is ended.
fn search(
    axes: &[Axis],
    start: &Fields,
    time: impl Fn(&Fields, Option<Duration>) -> Result<Option<f64>>,
    trials: &mut Vec<Trial>,
) {
    let mut limit = None;
    let mut attempt = |setting: Fields, trials: &mut Vec<Trial>| {
        if trials.iter().any(|(known, _)| *known == setting) {
            return;
        }
        let began = Instant::now();
        let ended = match time(&setting, limit) {
            Ok(ms) => ms.ok_or_else(|| "ended, far slower".to_owned()),
            Err(error) => Err(format!("{error:#}")),
        };
        if ended.is_ok() {
            limit.get_or_insert(2 * began.elapsed() + MOMENT);
        }
        trials.push((setting, ended));
    };
    attempt(start.clone(), trials);
    for axis in axes {
        let best = fastest(trials).map_or(start, |at| &trials[at].0).clone();
        axis.values.iter().for_each(|value| attempt(with(&best, axis, value), trials));
    }
}

/// Where the fastest of the settings that have not lost stands.
fn fastest(trials: &[Trial]) -> Option<usize> {
    let ms = |at: usize| Some((at, *trials[at].1.as_ref().ok()?));
    (0..trials.len()).filter_map(ms).min_by(|a, b| a.1.total_cmp(&b.1)).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    fn two_axes() -> [Axis; 2] {
        [Axis::counts("threads", &[2, 1]), Axis::names("layout", &["joint", "per-task"])]
    }

    fn cost(setting: &Fields) -> f64 {
        let threads = if setting["threads"] == 1 { 5.0 } else { 9.0 };
        threads + if setting["layout"] == "joint" { 0.0 } else { 1.0 }
    }

    fn words(setting: &Fields) -> String {
        format!("{} {}", setting["threads"], setting["layout"].as_str().unwrap())
    }

    #[test]
    fn the_fastest_value_of_every_axis_is_kept() {
        let chosen = choose(&two_axes(), |_| Ok(()), |setting, _| Ok(Some(cost(setting)))).unwrap();
        assert_eq!(words(&chosen.setting), "1 joint");
        assert_eq!(
            chosen.trials.iter().map(|(_, ms)| ms.clone()).collect::<Vec<_>>(),
            [9.0, 5.0, 6.0].map(Ok)
        );
    }

    #[test]
    fn a_trial_that_was_ended_has_lost() {
        let axes = [Axis::names("layout", &["per-task", "joint"])];
        let time = |_: &Fields, limit: Option<Duration>| Ok(limit.is_none().then_some(9.0));
        let chosen = choose(&axes, |_| Ok(()), time).unwrap();
        assert_eq!(chosen.setting["layout"], "per-task");
        assert!(chosen.trials[1].1.as_ref().unwrap_err().contains("slower"));
    }

    #[test]
    fn a_setting_that_fails_has_lost_with_its_reason() {
        let time = |setting: &Fields, _: Option<Duration>| match words(setting).as_str() {
            "1 joint" => bail!("out of memory"),
            _ => Ok(Some(cost(setting))),
        };
        let chosen = choose(&two_axes(), |_| Ok(()), time).unwrap();
        assert_eq!(words(&chosen.setting), "2 joint");
        assert_eq!(chosen.trials[1].1, Err("out of memory".to_owned()));
    }

    #[test]
    fn a_first_setting_that_fails_its_proof_gives_way_to_the_next_and_is_not_timed() {
        let prove = |setting: &Fields| match words(setting).as_str() {
            "2 joint" => bail!("another answer"),
            words => Ok(words.to_owned()),
        };
        let time = |setting: &Fields, _: Option<Duration>| {
            assert_ne!(words(setting), "2 joint");
            Ok(Some(cost(setting)))
        };
        let chosen = choose(&two_axes(), prove, time).unwrap();
        assert_eq!((words(&chosen.setting), chosen.proof.as_str()), ("1 joint".to_owned(), "1 joint"));
        assert_eq!(chosen.trials[0].1, Err("another answer".to_owned()));
    }

    #[test]
    fn a_fastest_setting_that_fails_its_proof_gives_way_to_the_next_fastest() {
        let prove = |setting: &Fields| match words(setting).as_str() {
            "1 joint" => bail!("another answer"),
            words => Ok(words.to_owned()),
        };
        let chosen = choose(&two_axes(), prove, |setting, _| Ok(Some(cost(setting)))).unwrap();
        assert_eq!((words(&chosen.setting), chosen.proof.as_str()), ("1 per-task".to_owned(), "1 per-task"));
    }

    #[test]
    fn when_nothing_works_the_first_reason_is_told() {
        let unproven = choose::<()>(&two_axes(), |s| bail!("no {}", words(s)), |_, _| Ok(Some(1.0)));
        assert_eq!(unproven.unwrap_err().to_string(), "no 2 joint");
        let untimed = choose(&two_axes(), |_| Ok(()), |s, _| bail!("slow {}", words(s)));
        assert!(format!("{:#}", untimed.unwrap_err()).contains("slow 2 joint"));
    }

    #[test]
    fn an_axis_without_values_is_an_error() {
        let axes = [Axis { field: "graph", values: Vec::new() }];
        let error = choose(&axes, |_| Ok(()), |_, _| Ok(Some(1.0))).unwrap_err().to_string();
        assert!(error.contains("`graph`"), "{error}");
    }

    #[test]
    fn one_thread_and_all_are_always_tried() {
        assert_eq!(threads(8).values, [8, 4, 1]);
        assert_eq!(threads(2).values, [2, 1]);
        assert_eq!(threads(1).values, [1]);
    }
}
