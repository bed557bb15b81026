//! A fit of boosted trees, measured: scores on valid and test, the error, and what the gates say of groups whose truth
//! is known.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use polytask_boost::robust::gate_rows;
use polytask_boost::suite::{self as boost, BoostModel, Fitting, JudgedTask, TreesOf, judged};
use polytask_core::{Problem, Split, Suite, files};
use polytask_data::{Dataset, NoTexts};
use polytask_eval::Predictions;
use polytask_train::Result;
use polytask_train::observe::{Event, Observer};

use super::measure::Measured;
use crate::apart::auc;
use crate::data::groups::UNLIKE;

/// Rounds between two steps that are told.
const EVERY: usize = 10;

/// Fits a suite's tasks by its trees, together or each alone, and measures.
pub(super) fn measure(
    suite: &Suite,
    is_alone: bool,
    (name, data): (&str, &Path),
    observer: &mut dyn Observer,
) -> Result<Measured> {
    boost::check(suite)?;
    let dataset = polytask_data::build(suite, &NoTexts(suite.input()))?;
    boost::check_data(suite, &dataset)?;
    let all: Vec<usize> = (0..suite.tasks.len()).collect();
    let groups: Vec<&[usize]> = if is_alone { all.chunks(1).collect() } else { vec![&all[..]] };
    let unlike = unlike(data);
    let mut measured = Measured::default();
    for tasks in groups {
        let start = Instant::now();
        let (model, rounds) = fit(suite, &dataset, tasks, (name, observer))?;
        measured.seconds += start.elapsed().as_secs_f64();
        measured.steps += rounds;
        look(&model, (suite, &dataset), tasks, &unlike, &mut measured)?;
    }
    measured.step_ms = 1e3 * measured.seconds / measured.steps.max(1) as f64;
    Ok(measured)
}

/// The fitted trees and the rounds they took.
fn fit(
    suite: &Suite,
    dataset: &Dataset,
    tasks: &[usize],
    (name, observer): (&str, &mut dyn Observer),
) -> Result<(BoostModel, u64)> {
    let Some(choice) = &suite.model.trees else {
        return Err(Problem::new("the suite names no trees").try_this("trees = \"boost\" in [model]").into());
    };
    let mut last = 0;
    let (model, _) =
        boost::fit_suite(Fitting { suite, dataset, choice, tasks }, &mut |round, rounds, loss| {
            if round == 1 {
                observer.event(Event::Phase { name, total: rounds as u64, done: 0 });
            }
            last = round as u64;
            if round % EVERY == 0 || round == rounds {
                let losses = [("loss", loss)];
                observer.event(Event::Step {
                    done: last,
                    losses: &losses,
                    lr: 0.0,
                    tokens: 0,
                    observed: &[],
                });
            }
        })?;
    observer.event(Event::Done);
    Ok((model, last))
}

/// Names of the groups that the data were made unlike the others; none where nothing is known of that.
fn unlike(data: &Path) -> Vec<String> {
    let text = files::read(&data.join(UNLIKE), files::LARGE).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
}

/// Adds scores on both splits and what else can be seen.
fn look(
    model: &BoostModel,
    (suite, dataset): (&Suite, &Dataset),
    tasks: &[usize],
    unlike: &[String],
    measured: &mut Measured,
) -> Result<()> {
    let valid = judged(dataset, model, tasks, Split::Valid)?;
    let test = judged(dataset, model, tasks, Split::Test)?;
    for (place, &task) in tasks.iter().enumerate() {
        let spec = &suite.tasks[task];
        measured.metrics.insert(spec.name.clone(), spec.metric.clone());
        for (judged, scores) in [(&valid[place], &mut measured.valid), (&test[place], &mut measured.test)] {
            if let Some(judged) = judged {
                scores.insert(spec.name.clone(), polytask_eval::score(&spec.metric, &judged.predictions)?);
            }
        }
        if let Some(judged) = &test[place] {
            let is_unlike = unlike_rows(model, judged, unlike);
            measured.values.extend(errors(&judged.predictions, &is_unlike));
        }
    }
    if let (TreesOf::Groups(all), false) = (&model.trees, unlike.is_empty()) {
        // Without rounds of them gates stay where they were drawn, and say nothing.
        let gated = all.first().filter(|one| !one.normal.is_empty());
        let rows = gated.map(gate_rows).unwrap_or_default();
        let (distances, marked): (Vec<f64>, Vec<bool>) =
            rows.iter().map(|row| (row.distance, unlike.contains(&row.group))).unzip();
        measured.values.insert("gate auc".into(), auc(&distances, &marked));
    }
    Ok(())
}

/// Whether each row belongs to a group that is unlike the others; nothing where no group is known to be.
fn unlike_rows(model: &BoostModel, judged: &JudgedTask, unlike: &[String]) -> Vec<bool> {
    let names = model.groups();
    let is_unlike = |group: &Option<usize>| group.is_some_and(|g| unlike.iter().any(|name| name == names[g]));
    if unlike.is_empty() || names.is_empty() {
        return Vec::new();
    }
    judged.groups.iter().map(is_unlike).collect()
}

/// The error of numbers, of all rows and of both kinds of groups; of labels the area under the ROC curve.
fn errors(predictions: &Predictions, is_unlike: &[bool]) -> BTreeMap<String, f64> {
    let mut errors = BTreeMap::new();
    match predictions {
        Predictions::Numbers { width: 1, truth, predicted } => {
            let squares: Vec<f64> = truth.iter().zip(predicted).map(|(t, p)| (t - p).powi(2)).collect();
            let root = |squares: Vec<f64>| (squares.iter().sum::<f64>() / squares.len() as f64).sqrt();
            let of = |kind: bool| {
                let rows = squares.iter().zip(is_unlike).filter(|(_, is)| **is == kind);
                root(rows.map(|(square, _)| *square).collect())
            };
            if !is_unlike.is_empty() {
                errors.insert("rmse of the others".into(), of(false));
                errors.insert("rmse of those unlike".into(), of(true));
            }
            errors.insert("rmse".into(), root(squares));
        }
        Predictions::LabelSets { n_labels: 1, truth, scores } => {
            let scores: Vec<f64> = scores.iter().map(|score| f64::from(*score)).collect();
            errors.insert("auc".into(), auc(&scores, truth));
        }
        _ => {}
    }
    errors.retain(|_, value| value.is_finite());
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart_where_groups_are_known_to_differ() {
        let numbers =
            Predictions::Numbers { width: 1, truth: vec![0.0, 1.0, 2.0], predicted: vec![1.0, 1.0, 5.0] };
        let found = errors(&numbers, &[false, false, true]);
        assert!((found["rmse"] - (10.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!((found["rmse of the others"] - 0.5_f64.sqrt()).abs() < 1e-12);
        assert_eq!(found["rmse of those unlike"], 3.0);
        assert_eq!(errors(&numbers, &[]).len(), 1);
        let sets = Predictions::LabelSets { n_labels: 1, truth: vec![true, false], scores: vec![0.9, 0.1] };
        assert_eq!(errors(&sets, &[])["auc"], 1.0);
    }
}
