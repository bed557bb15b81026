//! A task of a model: its head read from the folder, its outputs in words and in the units of the targets.

use std::collections::BTreeMap;
use std::path::Path;

use polytask_core::kind;
use polytask_core::{HeadForm, Problem, Suite, TargetType};
use polytask_nn::weights::Weights;
use polytask_nn::{Params, heads};
use serde_json::{Map, Value, json};

use super::{ModelTask, TaskInfo, check_task};
use crate::Result;
use crate::evaluate::{largest, sigmoid};

impl ModelTask {
    pub(super) fn load(folder: &Path, info: TaskInfo, d_in: usize, d_hidden: usize) -> Result<Self> {
        let kind = kind::find(&info.kind).ok_or_else(|| {
            let what = format!("polytask.json: task `{}` has the unknown kind `{}`", info.name, info.kind);
            Problem::new(what).try_this("use the version of polytask that wrote the folder, or a newer one")
        })?;
        check_task(folder, &info, kind)?;
        let d_in = if kind.head == HeadForm::TokenLinear { d_hidden } else { d_in };
        let head = heads::build_with(kind.head, d_in, info.n_outputs, info.hidden);
        let mut params = Params { blocks: vec![head.block(&format!("head.{}", info.name), 0)] };
        let path = folder.join("heads").join(&info.name).join("model.safetensors");
        let report = Weights::open(&path)?.load_into(&mut params, ToString::to_string)?;
        report.require_all(&path)?;
        let block = params.blocks.remove(0);
        Ok(Self { info, kind, head, block })
    }

    /// A row of outputs in words and in the units of the targets.
    pub(super) fn read(&self, scores: &[f32]) -> Value {
        let labels = &self.info.labels;
        match self.kind.target_type {
            TargetType::Label => {
                let shares = softmax(scores);
                let best = largest(scores) as usize;
                json!({ "label": labels[best], "score": shares[best], "scores": by_label(labels, &shares) })
            }
            TargetType::Labels => {
                let shares: Vec<f32> = scores.iter().map(|&s| sigmoid(s)).collect();
                let chosen: Vec<&String> =
                    labels.iter().zip(&shares).filter(|(_, share)| **share >= 0.5).map(|(l, _)| l).collect();
                json!({ "labels": chosen, "scores": by_label(labels, &shares) })
            }
            TargetType::Numbers if self.kind.head == HeadForm::Cosine => {
                let values = self.scaled(scores);
                json!({ "cosine": scores[0], "score": values[0] })
            }
            _ => {
                let values = self.scaled(scores);
                if values.len() == 1 { json!({ "value": values[0] }) } else { json!({ "values": values }) }
            }
        }
    }

    fn scaled(&self, scores: &[f32]) -> Vec<f64> {
        let scale = self.info.scale.iter().copied().chain(std::iter::repeat((0.0, 1.0)));
        scores.iter().zip(scale).map(|(&s, (shift, span))| f64::from(s) * span + shift).collect()
    }
}

fn softmax(scores: &[f32]) -> Vec<f32> {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = scores.iter().map(|s| (s - top).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.iter().map(|p| p / sum).collect()
}

/// Label → score.
fn by_label(labels: &[String], shares: &[f32]) -> Value {
    labels
        .iter()
        .zip(shares)
        .map(|(label, share)| (label.clone(), json!(share)))
        .collect::<Map<_, _>>()
        .into()
}

/// Role → column of a task's inputs, where its suite names one under the role's name or a synonym of it.
pub(super) fn input_columns(suite: &Suite, name: &str) -> BTreeMap<String, String> {
    let Some(task) = suite.tasks.iter().find(|task| task.name == name) else { return BTreeMap::new() };
    let source = suite.sources.iter().find(|source| source.name == task.from);
    let named = |role: &str| {
        let mut names = std::iter::once(role).chain(task.kind.synonyms_of(role).iter().copied());
        names.find_map(|name| task.columns.get(name).or_else(|| source?.columns.get(name)).cloned())
    };
    // Where the rows are words, these are the text.
    let column = |role: &str| {
        named(role).or_else(|| source?.columns.get("tokens").filter(|_| role == "text").cloned())
    };
    task.kind.inputs.iter().filter_map(|role| Some(((*role).to_owned(), column(role)?))).collect()
}
