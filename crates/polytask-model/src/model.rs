//! The trained model as a folder: what training writes is what is used.
//!
//! The folder is a sentence-transformers folder; what polytask adds lies in files others ignore: `polytask.json`
//! (tasks, labels, scales) and `heads/<task>/model.safetensors`.

use std::path::Path;
use std::sync::OnceLock;

use polytask_core::{InputInfo, Problem, atomic, near};
use polytask_data::Symbols;
use polytask_nn::encoder::Encoder;
use polytask_nn::folder::{is_publishable, read_classifier, write_classifier};
use polytask_nn::trunk::LaidOut;
use polytask_nn::{Params, weights};

use crate::Result;
use crate::classifier;
use crate::folder::{read_tasks, what_is, write_tasks};
use crate::prompts;
use crate::symbols::symbols_of;
use crate::task::ModelTask;

/// An encoder with what it reads and the heads of its tasks.
pub struct Model {
    /// The encoder.
    pub encoder: Encoder,
    /// What turns its inputs into symbols.
    pub symbols: Symbols,
    /// The tasks, in suite order; none for a plain encoder.
    pub tasks: Vec<ModelTask>,
    /// The encoder's weights arranged for inference, from the first text on.
    laid_out: OnceLock<LaidOut>,
}

impl Model {
    /// A model of its parts; its encoder has the prompts its tasks were trained with by name.
    pub fn new(mut encoder: Encoder, symbols: Symbols, tasks: Vec<ModelTask>) -> Self {
        encoder.name_prompts(prompts::named(&tasks));
        Self { encoder, symbols, tasks, laid_out: OnceLock::new() }
    }

    /// Writes the folder with the given trunk weights.
    pub fn save(&self, trunk: &Params, folder: &Path) -> Result<()> {
        self.encoder.save(trunk, folder, self.symbols.files())?;
        for task in &self.tasks {
            let place = folder.join("heads").join(&task.info.name);
            atomic::create_dir(&place)?;
            let params = Params { blocks: vec![task.block.clone()] };
            weights::write(&place.join("model.safetensors"), &weights::tensors_of(&params), &[])?;
            atomic::write_json(&place.join("config.json"), &task.info)?;
            if task.info.is_pooler && task.kind.joins_texts() && is_publishable(&self.encoder) {
                let place = folder.join("cross-encoder").join(&task.info.name);
                let head = (&task.block, &task.info.labels[..]);
                write_classifier((&self.encoder, trunk), head, &place, self.symbols.files())?;
            }
        }
        let tasks = self.tasks.iter().map(|task| task.info.clone()).collect();
        write_tasks(folder, tasks, self.score())
    }

    /// Reads a folder of ours, or any sentence-transformers folder (which has no tasks).
    pub fn load(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            let what = format!("model {} is {}, expected a folder", folder.display(), what_is(folder));
            return Err(Problem::new(what).try_this("the folder `model` of a run").into());
        }
        let published = read_classifier(folder)?;
        let encoder = Encoder::load(folder)?;
        let symbols = symbols_of(folder, &encoder, None)?;
        let load = |info| ModelTask::load(folder, info, &encoder);
        let score = encoder.score.as_ref().map(|by| by.choice.name.clone());
        if let Some(head) = published {
            let (encoder, task) = classifier::task(encoder, head);
            return Ok(Self::new(encoder, symbols, vec![task]));
        }
        let tasks = read_tasks(folder, score.as_deref())?.into_iter().map(load).collect::<Result<_>>()?;
        Ok(Self::new(encoder, symbols, tasks))
    }

    /// Name of the score of its token states, where vectors are not compared.
    fn score(&self) -> Option<&str> {
        self.encoder.score.as_ref().map(|by| by.choice.name.as_str())
    }

    /// What stands before every text: the folder's prompt of this name; without a name, its default one.
    ///
    /// # Errors
    /// When the model has no such prompt or leaves prompts out of pooling, or when images are read and one is named.
    pub fn prompt(&self, name: Option<&str>) -> Result<&str> {
        let Some(name) = name else {
            return Ok(self.symbols.text().map_or("", |tokenizer| tokenizer.prompt()));
        };
        let prompt = self.symbols.text()?.prompt_named(name)?;
        if prompt.is_empty() || self.encoder.includes_prompt() {
            return Ok(prompt);
        }
        let what = format!(
            "the model leaves prompts out of pooling (`include_prompt` is false), found prompt `{name}`"
        );
        Err(Problem::new(what).try_this("embed without a prompt").into())
    }

    /// What it reads.
    pub fn input(&self) -> &'static InputInfo {
        self.symbols.input()
    }

    /// The task of this name; the error names those there are.
    pub fn task(&self, name: &str) -> Result<&ModelTask> {
        self.tasks.iter().find(|task| task.info.name == name).ok_or_else(|| {
            let known: Vec<&str> = self.tasks.iter().map(|task| task.info.name.as_str()).collect();
            if known.is_empty() {
                let what = format!("an encoder has no task `{name}`, expected a trained model");
                let remedy = "a run's folder; an encoder alone answers similarity, retrieval and ranking";
                return Problem::new(what).try_this(remedy).into();
            }
            let what = format!("model has no task `{name}`, expected one of: {}", known.join(", "));
            let remedy =
                format!("{}; `polytask predict --model MODEL --list` shows them", near::advice(name, &known));
            Problem::new(what).try_this(remedy).into()
        })
    }

    /// The view of a task; any task has the only one of a plain encoder.
    pub fn view(&self, task: Option<&str>) -> Result<usize> {
        let Some(by) = &self.encoder.sharing else {
            return task.map_or(Ok(0), |name| self.task(name).map(|_| 0));
        };
        if let Some(name) = task {
            return Ok(self.encoder.view_of(&self.task(name)?.info.name).unwrap_or(0));
        }
        let (tasks, sharing) = (by.tasks.join(", "), &by.choice.name);
        let what = format!(
            "the model shares its encoder by `{sharing}`: a text has a vector per task ({tasks}), found no task"
        );
        Err(Problem::new(what).try_this("`--task NAME`").into())
    }

    /// The encoder's weights arranged for inference.
    pub(crate) fn laid_out(&self) -> Result<&LaidOut> {
        if let Some(laid_out) = self.laid_out.get() {
            return Ok(laid_out);
        }
        let new = self.encoder.trunk.lay_out(&self.encoder.params)?;
        Ok(self.laid_out.get_or_init(|| new))
    }
}
