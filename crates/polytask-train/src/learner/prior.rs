//! `prior`: what somebody knows who reads no input, and so the least a model must beat.
//!
//! A label is the most frequent one, a set of labels holds each with its share of the rows, a number is the mean, every
//! word has the most frequent tag, and passages are ranked by how many queries of train they answer.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

use polytask_core::{Error, Family, MethodInfo, Problem, Split, atomic, files};
use polytask_data::{Relevance, Rows, Targets, TaskData};
use polytask_eval::{Predictions, Ranking};
use serde::{Deserialize, Serialize};

use super::{Fitted, Learner};
use crate::Result;
use crate::context::Run;
use crate::evaluate::known;
use crate::observe::Observer;
use crate::ranking::{DEPTH, queries};
use crate::units::membership;

const INFO: MethodInfo = MethodInfo {
    id: "prior",
    title: "Prior",
    paper: "",
    family: Family::Learner,
    about: "the most frequent label or tag, the mean, the passages that answer most queries: what needs no input",
    cost: "nothing",
    kinds: &[],
    params: &[],
};

/// File of the constants.
const FILE: &str = "prior.json";
/// Most bytes of that file.
const LARGEST: u64 = 1 << 30;

/// The learner of constants.
pub(super) struct Prior;

/// What is said of every row of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Constant {
    /// This label, or this tag of every word.
    Label(u32),
    /// Each label with this probability, `[labels]`.
    Shares(Vec<f32>),
    /// These numbers, `[width]`.
    Means(Vec<f64>),
    /// Passages with the number of train queries they answer, best first.
    Passages(Vec<(u32, f32)>),
}

/// The constants of a run's tasks, by suite index.
struct Constants<'r> {
    run: &'r Run<'r>,
    constants: BTreeMap<usize, Constant>,
}

impl Learner for Prior {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn fit<'r>(&self, run: &'r Run, tasks: &[usize], _: &mut dyn Observer) -> Result<Box<dyn Fitted + 'r>> {
        let data = &run.prepared().dataset.tasks;
        let constant = |&task: &usize| Some((task, constant(&data[task])?));
        Ok(Box::new(Constants { run, constants: tasks.iter().filter_map(constant).collect() }))
    }

    fn read<'r>(&self, run: &'r Run, folder: &Path) -> Result<Box<dyn Fitted + 'r>> {
        let path = folder.join(FILE);
        let wrong = |error: serde_json::Error| Problem::new(format!("{}: {error}", path.display()));
        let constants =
            serde_json::from_slice(&files::read(&path, LARGEST).map_err(Error::io("read", &path))?)
                .map_err(wrong)?;
        Ok(Box::new(Constants { run, constants }))
    }
}

impl Fitted for Constants<'_> {
    fn predict(&self, split: Split) -> Result<BTreeMap<usize, Predictions>> {
        let engine = &self.run.single().engine;
        let said = |(&task, constant): (&usize, &Constant)| {
            let data = engine.dataset.tasks.get(task)?;
            let (rows, targets) = known(engine, data, split)?;
            let told_apart = engine.heads[task].told_apart.contains(&split);
            Some((task, predictions(data, rows, targets, told_apart, constant)?))
        };
        Ok(self.constants.iter().filter_map(said).collect())
    }

    fn write(&self, folder: &Path) -> Result<()> {
        atomic::create_dir(folder)?;
        Ok(atomic::write_json(&folder.join(FILE), &self.constants)?)
    }
}

/// The constant of a task; none where train has no known target.
fn constant(data: &TaskData) -> Option<Constant> {
    let n_labels = data.labels.len();
    match data.targets.get(&Split::Train)? {
        Targets::Label(labels) => {
            most_frequent(labels.iter().flatten().copied(), n_labels).map(Constant::Label)
        }
        Targets::Tags(rows) => {
            let tags = rows.iter().flatten().flatten().copied();
            most_frequent(tags, n_labels).map(Constant::Label)
        }
        Targets::Labels(rows) => shares(rows, n_labels).map(Constant::Shares),
        Targets::Numbers { width, values } => means(*width, values).map(Constant::Means),
        Targets::Passages(rows) => popular(rows).map(Constant::Passages),
    }
}

/// The most frequent label, of equally frequent ones the first; none of nothing.
fn most_frequent(labels: impl Iterator<Item = u32>, n_labels: usize) -> Option<u32> {
    let mut counts = vec![0_usize; n_labels];
    labels.for_each(|label| counts[label as usize] += 1);
    let (best, &count) = counts.iter().enumerate().max_by_key(|&(label, &count)| (count, Reverse(label)))?;
    (count > 0).then_some(best as u32)
}

/// The share of rows that have each label.
fn shares(rows: &[Option<Vec<u32>>], n_labels: usize) -> Option<Vec<f32>> {
    let mut counts = vec![0_usize; n_labels];
    rows.iter().flatten().flatten().for_each(|&label| counts[label as usize] += 1);
    let n = rows.iter().flatten().count();
    (n > 0).then(|| counts.iter().map(|&count| count as f32 / n as f32).collect())
}

/// The mean of each number over the rows where it is known; none where one is known nowhere.
fn means(width: usize, values: &[f64]) -> Option<Vec<f64>> {
    let mean = |column: usize| {
        let known = values.iter().skip(column).step_by(width.max(1)).filter(|value| !value.is_nan());
        let (n, sum) = known.fold((0.0, 0.0), |(n, sum), value| (n + 1.0, sum + value));
        (n > 0.0).then_some(sum / n)
    };
    (0..width).map(mean).collect()
}

/// Passages by how many queries they answer, best first; equal ones by place.
fn popular(rows: &[Relevance]) -> Option<Vec<(u32, f32)>> {
    let mut counts = BTreeMap::<u32, f32>::new();
    rows.iter()
        .flat_map(|row| &row.positives)
        .for_each(|&(passage, _)| *counts.entry(passage).or_default() += 1.0);
    let mut ranked: Vec<(u32, f32)> = counts.into_iter().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    // One more than is kept, for the query itself may be among them.
    ranked.truncate(DEPTH + 1);
    (!ranked.is_empty()).then_some(ranked)
}

/// A constant beside the truth of the rows that are known; none where it is of other targets.
fn predictions(
    data: &TaskData,
    rows: &Rows,
    targets: &Targets,
    told_apart: bool,
    constant: &Constant,
) -> Option<Predictions> {
    let shown: Vec<usize> = (0..targets.len()).filter(|&row| targets.is_known(row)).collect();
    Some(match (targets, constant) {
        (Targets::Label(labels), Constant::Label(label)) => {
            let truth: Vec<u32> = shown.iter().filter_map(|&row| labels[row]).collect();
            Predictions::Labels { predicted: vec![*label; truth.len()], truth, n_labels: data.labels.len() }
        }
        (Targets::Tags(tags), Constant::Label(tag)) => {
            let truth: Vec<Vec<u32>> =
                shown.iter().map(|&row| tags[row].clone().unwrap_or_default()).collect();
            let predicted = truth.iter().map(|words| vec![*tag; words.len()]).collect();
            Predictions::Tags { labels: data.labels.clone(), truth, predicted }
        }
        (Targets::Labels(sets), Constant::Shares(shares)) => Predictions::LabelSets {
            n_labels: shares.len(),
            truth: shown.iter().flat_map(|&row| membership(sets[row].as_deref(), shares.len())).collect(),
            scores: shares.repeat(shown.len()),
        },
        (Targets::Numbers { width, values }, Constant::Means(means)) => Predictions::Numbers {
            width: *width,
            truth: shown.iter().flat_map(|&row| &values[row * width..(row + 1) * width]).copied().collect(),
            predicted: means.repeat(shown.len()),
        },
        (Targets::Passages(relevance), Constant::Passages(ranked)) => {
            let ranking = |query: crate::ranking::Query| {
                let hits = ranked.iter().filter(|(passage, _)| query.allows(*passage, data));
                Ranking { retrieved: hits.take(DEPTH).copied().collect(), relevant: query.relevant.clone() }
            };
            let rankings = queries(rows, relevance, &shown, told_apart).into_iter().map(ranking).collect();
            Predictions::Rankings { rankings, ids: data.corpus_ids.clone() }
        }
        // A constant of another suite's task.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_what_is_most_frequent_or_the_mean() {
        assert_eq!(most_frequent([2, 0, 2, 1, 1].into_iter(), 4), Some(1), "of equals the first");
        assert_eq!(most_frequent(std::iter::empty(), 4), None);
        assert_eq!(shares(&[Some(vec![0, 2]), None, Some(vec![2])], 3), Some(vec![0.5, 0.0, 1.0]));
        assert_eq!(shares(&[None], 3), None);
        assert_eq!(means(2, &[1.0, f64::NAN, 3.0, 8.0]), Some(vec![2.0, 8.0]));
        assert_eq!(means(1, &[f64::NAN]), None);
        let answers = |passages: &[u32]| Relevance {
            positives: passages.iter().map(|&passage| (passage, 1.0)).collect(),
            ..Relevance::default()
        };
        let ranked = popular(&[answers(&[4]), answers(&[2, 7]), answers(&[7])]);
        assert_eq!(ranked, Some(vec![(7, 2.0), (2, 1.0), (4, 1.0)]));
        assert_eq!(popular(&[answers(&[])]), None);
    }
}
