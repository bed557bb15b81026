//! A task of a model: its head read from the folder, its outputs in words and in the units of the targets.

use std::collections::BTreeMap;
use std::path::Path;

use polytask_core::kind::{self, KindInfo};
use polytask_core::{HeadForm, Problem, TargetType};
use polytask_data::{Bounds, in_units};
use polytask_nn::heads::{self, Head};
use polytask_nn::weights::WeightFiles;
use polytask_nn::{Block, Params};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Result;
use crate::folder::check_task;
use crate::outputs::{largest, sigmoid, softmax};

/// A task of a model.
pub struct ModelTask {
    /// What is written about it.
    pub info: TaskInfo,
    /// Its kind.
    pub kind: &'static KindInfo,
    /// The head's function.
    pub head: Box<dyn Head>,
    /// The head's parameters.
    pub block: Block,
}

/// What `polytask.json` says about a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskInfo {
    /// Name of the task.
    pub name: String,
    /// Name of its kind.
    pub kind: String,
    /// Metric that decides.
    pub metric: String,
    /// Labels or tags in the order of outputs.
    pub labels: Vec<String>,
    /// (shift, span) of each number.
    pub scale: Vec<(f64, f64)>,
    /// Smallest and largest value of each number that is a grade.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bounds: Vec<Bounds>,
    /// Outputs of its head.
    pub n_outputs: usize,
    /// Width of its head's hidden layer, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<usize>,
    /// Role → column of its inputs, where the suite named one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
    /// Whether its text was read as words in training, beside a task that tags them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reads_words: bool,
}

impl ModelTask {
    pub(crate) fn load(folder: &Path, info: TaskInfo, d_in: usize, d_hidden: usize) -> Result<Self> {
        let kind = kind::find(&info.kind).ok_or_else(|| {
            let what = format!("polytask.json: task `{}` has the unknown kind `{}`", info.name, info.kind);
            Problem::new(what).try_this("use the version of polytask that wrote the folder, or a newer one")
        })?;
        check_task(folder, &info, kind)?;
        let d_in = if kind.head == HeadForm::TokenLinear { d_hidden } else { d_in };
        let head = heads::build_with(kind.head, d_in, info.n_outputs, info.hidden);
        let mut params = Params { blocks: vec![head.block(&format!("head.{}", info.name), 0)] };
        let path = folder.join("heads").join(&info.name).join("model.safetensors");
        let report = WeightFiles::open(&path)?.load_into(&mut params, ToString::to_string)?;
        report.require_all(&path)?;
        let block = params.blocks.remove(0);
        Ok(Self { info, kind, head, block })
    }

    /// Whether it reads a text as words: to tag them, or because it learnt so.
    pub fn reads_words(&self) -> bool {
        self.info.reads_words || self.kind.head == HeadForm::TokenLinear
    }

    /// A row of outputs in words and in the units of the targets.
    pub(crate) fn read(&self, scores: &[f32]) -> Value {
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
        let bounds = self.info.bounds.iter().copied().chain(std::iter::repeat(None));
        scores
            .iter()
            .zip(scale)
            .zip(bounds)
            .map(|((&score, scale), bounds)| in_units(score, scale, bounds))
            .collect()
    }
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
