//! A task of a model: its head read from the folder, its outputs in words and in the units of the targets.

use std::path::Path;

use polytask_core::kind;
use polytask_core::{HeadForm, Problem, TargetType};
use polytask_nn::weights::Weights;
use polytask_nn::{Params, heads};
use serde_json::{Value, json};

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
                json!({ "label": labels[best], "score": shares[best], "next": next_best(labels, &shares, best) })
            }
            TargetType::Labels => {
                let shares: Vec<f32> = scores.iter().map(|&s| sigmoid(s)).collect();
                let chosen: Vec<&String> =
                    labels.iter().zip(&shares).filter(|(_, share)| **share >= 0.5).map(|(l, _)| l).collect();
                json!({ "labels": chosen, "scores": shares })
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

/// The second and third label.
fn next_best(labels: &[String], shares: &[f32], best: usize) -> Vec<Value> {
    let mut order: Vec<usize> = (0..labels.len()).filter(|&i| i != best).collect();
    order.sort_by(|&a, &b| shares[b].total_cmp(&shares[a]).then(a.cmp(&b)));
    order.iter().take(2).map(|&i| json!({ "label": labels[i], "score": shares[i] })).collect()
}
