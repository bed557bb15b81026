//! A task of a model: its head read from the folder, its outputs in words and in the units of the targets.

use std::collections::BTreeMap;
use std::path::Path;

use polytask_core::Problem;
use polytask_core::kind::{self, KindInfo};
use polytask_core::target::{Bounds, OutputMeaning};
use polytask_nn::heads::{self, Head};
use polytask_nn::weights::WeightFiles;
use polytask_nn::{Block, Params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Result;
use crate::folder::check_task;

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
        let d_in = if kind.tags_words() { d_hidden } else { d_in };
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
        self.info.reads_words || self.kind.tags_words()
    }

    /// A row of outputs, or those of a word, in words and in the units of the targets.
    pub(crate) fn read(&self, outputs: &[f32]) -> Value {
        let TaskInfo { labels, scale, bounds, .. } = &self.info;
        self.kind.form.answer(outputs, OutputMeaning { labels, scale, bounds })
    }
}
