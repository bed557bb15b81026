//! A task of a model: its head read from the folder, its outputs in words and in the units of the targets.

use std::path::Path;

use polytask_core::Problem;
use polytask_core::kind::{self, KindInfo};
use polytask_core::target::OutputMeaning;
use polytask_nn::encoder::Encoder;
use polytask_nn::heads::{Head, HeadOptions};
use polytask_nn::weights::WeightFiles;
use polytask_nn::{Block, Params};
use serde_json::Value;

use crate::Result;
use crate::folder::check_task;
use crate::info::TaskInfo;

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

impl ModelTask {
    pub(crate) fn load(folder: &Path, info: TaskInfo, encoder: &Encoder) -> Result<Self> {
        let kind = kind::find(&info.kind).ok_or_else(|| {
            let what = format!("polytask.json: task `{}` has the unknown kind `{}`", info.name, info.kind);
            Problem::new(what).try_this("use the version of polytask that wrote the folder, or a newer one")
        })?;
        check_task(folder, &info, kind)?;
        let options =
            HeadOptions { hidden: info.hidden, is_pooler: info.is_pooler, scoring: encoder.scoring()? };
        let head = encoder.head(kind.head, info.n_outputs, options);
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

    /// Words that stood before every text of a role in training.
    pub(crate) fn prompt(&self, role: &str) -> Option<&str> {
        self.info.prompts.get(role).map(String::as_str)
    }

    /// A row of outputs, or those of a word, in words and in the units of the targets.
    pub(crate) fn read(&self, outputs: &[f32]) -> Value {
        let TaskInfo { labels, scale, bounds, .. } = &self.info;
        self.kind.form.answer(outputs, OutputMeaning { labels, scale, bounds })
    }
}
