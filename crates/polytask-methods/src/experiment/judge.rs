//! From measured trainings to findings: scores of arms, paired differences, verdicts.

use std::collections::{BTreeMap, BTreeSet};

use polytask_eval::delta::relative_of;

use super::Options;
use super::measure::Measured;
use super::statistics::{interval, mean};
use super::trained::Trained;
use crate::findings::{Arm, ArmComparison, Findings, Mechanism, Role, Verdict};
use crate::paper::Paper;
use crate::recipe::{ArmScore, CompareSpec, Recipe, Setting};

/// A setting with its trained arms.
type Part<'a> = (&'a Setting, Vec<Trained<'a>>);

/// The findings of an experiment whose arms are all trained.
pub(super) fn judge(paper: &Paper, recipe: &Recipe, options: &Options, parts: &[Part]) -> Findings {
    let arms = parts.iter().flat_map(|(setting, trained)| {
        let alone = alone(trained);
        trained.iter().map(move |arm| report(setting, arm, alone))
    });
    let compared: Vec<ArmComparison> =
        recipe.spec.compare.iter().filter_map(|spec| compare(spec, parts, options.quick)).collect();
    let seconds = parts.iter().flat_map(|(_, arms)| arms).flat_map(|arm| &arm.runs).map(|run| run.seconds);
    Findings {
        id: paper.id.into(),
        title: paper.title.into(),
        claim: paper.claim.into(),
        quick: options.quick,
        arms: arms.collect(),
        verdict: claim(recipe, &compared),
        mechanism: mechanism(&compared),
        comparisons: compared,
        minutes: (seconds.sum::<f64>() / 6.0).round() / 10.0,
        command: options.command.clone(),
        commit: options.commit.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        semantics: polytask_train::run::SEMANTICS,
    }
}

/// The arm in which each task is trained alone.
pub(super) fn alone<'t, 'a>(arms: &'t [Trained<'a>]) -> Option<&'t Trained<'a>> {
    arms.iter().find(|arm| arm.spec.alone)
}

/// A score of one training from its tasks' metrics; `None` where one is missing.
pub(super) fn score(
    kind: ArmScore,
    measured: &Measured,
    metrics: &BTreeMap<String, f64>,
    single: Option<&BTreeMap<String, f64>>,
) -> Option<f64> {
    // The tasks that are left would flatter it.
    if measured.diverged.is_some() {
        return None;
    }
    let higher = |task: &str| measured.metrics.get(task).is_none_or(|m| polytask_eval::higher_is_better(m));
    let of_task = |task: &String| {
        let value = *metrics.get(task)?;
        match kind {
            ArmScore::Mean => Some(100.0 * if higher(task) { value } else { -value }),
            ArmScore::DeltaM => relative_of(measured.metrics.get(task)?, *single?.get(task)?, value),
        }
    };
    let values: Option<Vec<f64>> = measured.metrics.keys().map(of_task).collect();
    mean(&values?)
}

/// The test score of each seed.
fn scores(setting: &Setting, arm: &Trained, alone: Option<&Trained>) -> Vec<Option<f64>> {
    let single = |seed: usize| alone.and_then(|alone| Some(&alone.runs.get(seed)?.test));
    let runs = arm.runs.iter().enumerate();
    runs.map(|(seed, run)| score(setting.score, run, &run.test, single(seed))).collect()
}

fn report(setting: &Setting, arm: &Trained, alone: Option<&Trained>) -> Arm {
    let values = scores(setting, arm, alone);
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    let step: Vec<f64> = arm.runs.iter().map(|run| run.step_ms).collect();
    Arm {
        setting: setting.name.clone(),
        name: arm.spec.name.clone(),
        metric: metric(setting, arm),
        mean: mean(&known),
        interval: interval(&known),
        seeds: arm.runs.len(),
        values,
        chosen: arm.chosen.clone(),
        tasks: means(arm, |run| &run.test),
        step_ms: mean(&step).unwrap_or(0.0),
        measured: means(arm, |run| &run.values),
        suite: arm.suite.clone(),
    }
}

/// What the mean of an arm is of.
fn metric(setting: &Setting, arm: &Trained) -> String {
    let metrics: BTreeSet<&String> = arm.runs.iter().flat_map(|run| run.metrics.values()).collect();
    match (setting.score, metrics.first()) {
        (ArmScore::DeltaM, _) => "delta_m".into(),
        (ArmScore::Mean, Some(metric)) if metrics.len() == 1 => (*metric).clone(),
        (ArmScore::Mean, _) => "mean".into(),
    }
}

/// Means over the seeds that have a value.
fn means(arm: &Trained, of: impl Fn(&Measured) -> &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let mut all: BTreeMap<&String, Vec<f64>> = BTreeMap::new();
    for (name, value) in arm.runs.iter().flat_map(&of) {
        all.entry(name).or_default().push(*value);
    }
    all.into_iter().filter_map(|(name, values)| Some((name.clone(), mean(&values)?))).collect()
}

/// A difference paired by seed; `None` when the experiment has not both arms. The short form refutes nothing: it trains
/// less than the claim is about.
fn compare(spec: &CompareSpec, parts: &[Part], quick: bool) -> Option<ArmComparison> {
    let (setting, arms) = parts.iter().find(|(setting, _)| setting.name == spec.setting)?;
    let find = |name: &str| arms.iter().find(|arm| arm.spec.name == name);
    let values = |arm: &Trained| match spec.value.as_str() {
        "score" => scores(setting, arm, alone(arms)),
        name => arm.runs.iter().map(|run| value(run, name)).collect(),
    };
    let (a, b) = (values(find(&spec.better)?), values(find(&spec.than)?));
    let sign = if spec.lower { -1.0 } else { 1.0 };
    let pairs = a.into_iter().zip(b).filter_map(|(a, b)| Some(sign * (a? - b?)));
    let differences: Vec<f64> = pairs.collect();
    let interval = interval(&differences);
    Some(ArmComparison {
        setting: spec.setting.clone(),
        value: spec.value.clone(),
        better: spec.better.clone(),
        than: spec.than.clone(),
        lower: spec.lower,
        role: spec.role,
        mean: mean(&differences),
        interval,
        bar: spec.bar,
        verdict: match verdict(interval, spec.bar, spec.claimed.unwrap_or(spec.bar)) {
            Verdict::DoesNotHold if quick => Verdict::CannotBeShown,
            verdict => verdict,
        },
    })
}

/// A measured value, or the score of a task in points of 100.
fn value(run: &Measured, name: &str) -> Option<f64> {
    let of_task = || run.test.get(name).map(|score| 100.0 * score);
    run.values.get(name).copied().or_else(of_task)
}

/// Holds when the whole interval exceeds the bar; does not when it stays below what was claimed.
fn verdict(interval: Option<[f64; 2]>, bar: f64, claimed: f64) -> Verdict {
    match interval {
        Some([low, _]) if low > bar => Verdict::Holds,
        Some([_, high]) if high < claimed => Verdict::DoesNotHold,
        _ => Verdict::CannotBeShown,
    }
}

/// All pieces of evidence of a role together: as good as the worst.
fn overall(compared: &[ArmComparison], role: Role) -> Option<Verdict> {
    compared.iter().filter(|c| c.role == role).map(|c| c.verdict).max()
}

/// The claim's verdict: where a piece of its evidence was left out, what is there cannot show it.
fn claim(recipe: &Recipe, compared: &[ArmComparison]) -> Verdict {
    let asked = recipe.spec.compare.iter().filter(|spec| spec.role == Role::Claim).count();
    let seen = compared.iter().filter(|c| c.role == Role::Claim).count();
    match overall(compared, Role::Claim) {
        Some(Verdict::Holds) if seen < asked => Verdict::CannotBeShown,
        Some(verdict) => verdict,
        None => Verdict::CannotBeShown,
    }
}

fn mechanism(compared: &[ArmComparison]) -> Mechanism {
    let evidence = compared.iter().filter(|c| c.role == Role::Mechanism).map(sentence);
    Mechanism { verdict: overall(compared, Role::Mechanism), evidence: evidence.collect() }
}

/// A comparison in words.
pub(crate) fn sentence(c: &ArmComparison) -> String {
    let more = match (c.lower, c.bar < 0.0) {
        (true, false) => "lower than",
        (true, true) => "not above",
        (false, true) => "not below",
        (false, false) => "higher than",
    };
    let measured = match (c.mean, c.interval) {
        (Some(mean), Some([low, high])) => format!("{mean:+.3} [{low:+.3}, {high:+.3}]"),
        (Some(mean), None) => format!("{mean:+.3}, one seed"),
        _ => "not measured".into(),
    };
    let bar = if c.bar == 0.0 { String::new() } else { format!(" by {:+}", c.bar) };
    format!(
        "{} of {} {more} that of {}{bar} ({}): {measured}: {}",
        c.value,
        c.better,
        c.than,
        c.setting,
        c.verdict.words()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(tasks: &[(&str, &str, f64)]) -> Measured {
        Measured {
            metrics: tasks.iter().map(|(task, metric, _)| ((*task).into(), (*metric).into())).collect(),
            test: tasks.iter().map(|(task, _, value)| ((*task).into(), *value)).collect(),
            ..Measured::default()
        }
    }

    #[test]
    fn a_verdict_needs_the_whole_interval_on_one_side() {
        assert_eq!(verdict(Some([0.1, 1.0]), 0.0, 0.5), Verdict::Holds);
        assert_eq!(verdict(Some([-0.4, 0.3]), 0.0, 0.5), Verdict::DoesNotHold);
        assert_eq!(verdict(Some([-0.4, 0.6]), 0.0, 0.5), Verdict::CannotBeShown);
        assert_eq!(verdict(Some([-0.4, 0.6]), -1.0, -1.0), Verdict::Holds);
        assert_eq!(verdict(Some([-3.0, -1.2]), -1.0, -1.0), Verdict::DoesNotHold);
        assert_eq!(verdict(None, 0.0, 0.5), Verdict::CannotBeShown);
    }

    #[test]
    fn delta_m_is_signed_by_the_metrics_and_a_missing_task_leaves_no_score() {
        let joint = measured(&[("a", "accuracy", 0.9), ("b", "rmse", 0.9)]);
        let single = measured(&[("a", "accuracy", 0.8), ("b", "rmse", 1.0)]);
        let delta = score(ArmScore::DeltaM, &joint, &joint.test, Some(&single.test)).unwrap();
        assert!((delta - f64::midpoint(12.5, 10.0)).abs() < 1e-9, "{delta}");
        assert_eq!(score(ArmScore::DeltaM, &joint, &joint.test, None), None);
        let mut broken = joint.clone();
        broken.test.remove("b");
        assert_eq!(score(ArmScore::Mean, &broken, &broken.test, None), None);
    }
}
