//! The folder of a run: the encoder as it was, and beside it `labels.json` with the tasks, their labels and what these
//! mean, and `heads/<task>/model.safetensors`.

use std::collections::BTreeMap;
use std::path::Path;

use polytask_core::suite::DescribedLabel;
use polytask_core::target::OutputMeaning;
use polytask_core::{Error, KindInfo, Place, Problem, atomic, files, kind, near};
use polytask_model::Model;
use polytask_nn::weights;
use polytask_nn::{Block, Params, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::calibration::Calibration;
use crate::encoder::{RemoteEncoder, TextEncoder, WrittenEndpoint};
use crate::head_spec::{HeadSpec, meanings, read};
use crate::heads::FittedHead;
use crate::labels::{LabelTexts, WrittenLabel};

/// The file of tasks, and its version.
const FILE: &str = "labels.json";
const VERSION: u32 = 2;

/// A task as the folder keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct WrittenTask {
    name: String,
    kind: String,
    metric: String,
    #[serde(flatten)]
    head: HeadSpec,
    labels: Vec<WrittenLabel>,
    /// What rows of no label hold in the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    none: Option<String>,
    /// Labels the head was fitted with; those behind them were added.
    n_fitted: usize,
    offset: f32,
    calibration: Calibration,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    columns: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct LabelsFile {
    version: u32,
    /// What gives vectors of texts, where no encoder lies in the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    endpoint: Option<WrittenEndpoint>,
    tasks: Vec<WrittenTask>,
}

/// A task whose labels are matched by their descriptions.
#[derive(Debug, Clone)]
pub struct MatchedTask {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static KindInfo,
    /// Metric that decides.
    pub metric: String,
    /// The labels and what they mean.
    pub described: Vec<DescribedLabel>,
    /// What rows of no label hold in the data.
    pub none: Option<String>,
    /// Labels the head was fitted with; those behind them were added.
    pub n_fitted: usize,
    /// Role → column of its text, where the suite named one.
    pub columns: BTreeMap<String, String>,
    /// Words before every text, where the suite named some.
    pub prompt: Option<String>,
    /// What makes probabilities of its scores.
    pub calibration: Calibration,
    pub(crate) labels: LabelTexts,
    pub(crate) head: FittedHead,
}

/// An encoder with tasks whose labels are matched by their descriptions.
pub struct LabelModel {
    /// The encoder.
    pub encoder: TextEncoder,
    /// The tasks.
    pub tasks: Vec<MatchedTask>,
}

impl LabelModel {
    /// Whether a folder holds one.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(FILE).is_file()
    }

    /// Reads a folder.
    ///
    /// # Errors
    /// When a file is damaged, missing, or of another version.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let bytes = files::read(&path, files::LARGE).map_err(Error::io("read", &path))?;
        let wrong = |what: String| {
            Error::from(Problem::at(Place::file(&path), what).try_this("restore the file the run wrote"))
        };
        let file: LabelsFile = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if file.version != VERSION {
            return Err(wrong(format!("version is {}, expected {VERSION}", file.version)).into());
        }
        let encoder = match file.endpoint {
            Some(written) => RemoteEncoder::of_folder(written)?.into(),
            None => TextEncoder::from(Model::load(folder)?),
        };
        let tasks = file.tasks.into_iter().map(|task| {
            let checked = task.check().map_err(|what| wrong(format!("task `{}`: {what}", task.name)))?;
            MatchedTask::load(&encoder, folder, task, checked)
        });
        let tasks = tasks.collect::<Result<_>>()?;
        Ok(Self { encoder, tasks })
    }

    /// A task by its name.
    ///
    /// # Errors
    /// When there is none.
    pub fn task(&self, name: &str) -> Result<&MatchedTask> {
        self.tasks.iter().find(|task| task.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.tasks.iter().map(|task| task.name.as_str()).collect();
            let what = format!("the model has no task `{name}`, found {}", names.join(", "));
            Problem::new(what).try_this(near::advice(name, &names)).into()
        })
    }

    /// What a task says of some texts.
    ///
    /// # Errors
    /// When the encoder cannot read them.
    pub fn answers<S: AsRef<str>>(&self, task: &MatchedTask, texts: &[S]) -> Result<Vec<Value>> {
        let sequences = self.encoder.sequences(texts, task.prompt.as_deref())?;
        let features = self.encoder.encode(&sequences, task.head.reads_states())?;
        let scores = task.head.scores(&task.labels, &features)?;
        Ok(scores.chunks(task.labels.len()).map(|row| task.answer(row)).collect())
    }

    /// Adds labels to a task by what they mean.
    ///
    /// # Errors
    /// When a label is there already, or means the same as another.
    pub fn add_labels(&mut self, task: &str, more: &[DescribedLabel]) -> Result<()> {
        let place = self.task(task).map(|found| self.tasks.iter().position(|one| one.name == found.name))?;
        let Some(task) = place.and_then(|place| self.tasks.get_mut(place)) else { return Ok(()) };
        if matches!(task.head, FittedHead::Logistic(..)) {
            let what = format!(
                "the head of task `{}` does not read descriptions, so that it takes no further labels",
                task.name
            );
            return Err(Problem::new(what)
                .try_this("a run with head = \"bilinear\" or \"label-cross\"")
                .into());
        }
        let folded = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        for label in more {
            let other = task
                .described
                .iter()
                .find(|old| old.name == label.name || folded(&old.description) == folded(&label.description));
            if let Some(other) = other {
                let what = if other.name == label.name {
                    format!("task `{}` has the label `{}` already", task.name, label.name)
                } else {
                    format!(
                        "label `{}` has the description of label `{}` of task `{}`",
                        label.name, other.name, task.name
                    )
                };
                return Err(Problem::new(what)
                    .try_this("labels that are new, each with words of its own")
                    .into());
            }
            task.described.push(label.clone());
        }
        let offset = task.labels.offset;
        task.labels = LabelTexts { offset, ..LabelTexts::new(&self.encoder, &task.described)? };
        Ok(())
    }

    /// Writes the folder.
    pub(crate) fn save(encoder: &TextEncoder, tasks: &[MatchedTask], folder: &Path) -> Result<()> {
        atomic::create_dir(folder)?;
        if let Some(model) = encoder.model() {
            model.save(&model.encoder.params, folder)?;
        }
        for task in tasks {
            let blocks = task.blocks(encoder.remote().is_some());
            if blocks.is_empty() {
                continue;
            }
            let place = folder.join("heads").join(&task.name);
            atomic::create_dir(&place)?;
            weights::write(&place.join("model.safetensors"), &weights::tensors_of(&Params { blocks }), &[])?;
        }
        // Last: what it names is there.
        let endpoint = encoder.remote().map(RemoteEncoder::written);
        let tasks = tasks.iter().map(WrittenTask::from).collect();
        let file = LabelsFile { version: VERSION, endpoint, tasks };
        Ok(atomic::write_json(&folder.join(FILE), &file)?)
    }
}

impl MatchedTask {
    fn load(
        encoder: &TextEncoder,
        folder: &Path,
        task: WrittenTask,
        kind: &'static KindInfo,
    ) -> Result<Self> {
        let described: Vec<DescribedLabel> = task.labels.iter().map(DescribedLabel::from).collect();
        let place = folder.join("heads").join(&task.name).join("model.safetensors");
        let labels = match encoder.remote().map(RemoteEncoder::written) {
            Some(written) => LabelTexts::kept(&described, read(&place, meanings(&described, written.width))?),
            None => LabelTexts::new(encoder, &described)?,
        };
        let labels = LabelTexts { offset: task.offset, ..labels };
        let head = task.head.load(&place, task.n_fitted, labels.d_vector)?;
        let WrittenTask { name, metric, none, n_fitted, columns, prompt, calibration, .. } = task;
        Ok(Self { name, kind, metric, described, none, n_fitted, columns, prompt, calibration, labels, head })
    }

    /// What lies in the folder of the task: the head, and vectors of descriptions where asking for them would cost.
    fn blocks(&self, with_labels: bool) -> Vec<Block> {
        let mut blocks = self.head.blocks(&self.labels);
        if with_labels {
            let mut block = meanings(&self.described, self.labels.d_vector);
            block.values.copy_from_slice(&self.labels.vectors);
            blocks.push(block);
        }
        blocks
    }

    /// Whether a row may have several labels.
    fn is_set(&self) -> bool {
        self.kind.target_type() == polytask_core::TargetType::Labels
    }

    /// Labels that were added by their descriptions.
    pub fn added(&self) -> Vec<&str> {
        self.described[self.n_fitted..].iter().map(|label| label.name.as_str()).collect()
    }

    /// What a row's scores say. Probabilities are called calibrated where valid made them so, and no label was added since.
    fn answer(&self, scores: &[f32]) -> Value {
        let shares = self.calibration.shares(scores, self.is_set());
        let labels: Vec<String> = self.labels.names.clone();
        // The kind's own form of an answer, of outputs that give these probabilities.
        let outputs: Vec<f32> = if self.is_set() {
            shares.iter().map(|share| (share / (1.0 - share)).ln()).collect()
        } else {
            shares.iter().map(|share| share.ln()).collect()
        };
        let meaning = OutputMeaning { labels: &labels, scale: &[], bounds: &[] };
        let mut answer = self.kind.form.answer(&outputs, meaning);
        if self.calibration.is_none(scores) && !self.is_set() {
            answer["label"] = Value::Null;
        }
        if self.calibration.threshold.is_some() && !self.is_set() {
            answer["none"] = json!(self.calibration.is_none(scores));
        }
        answer["calibrated"] = json!(self.calibration.is_fitted && self.added().is_empty());
        answer
    }
}

impl WrittenTask {
    /// The task's kind, or what is wrong.
    fn check(&self) -> std::result::Result<&'static KindInfo, String> {
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.name.is_empty() || !self.name.chars().all(legal) {
            return Err("expected a name of letters, digits, - and _".into());
        }
        let n = self.labels.len();
        if n == 0 || self.n_fitted > n {
            return Err(format!("the head was fitted with {} labels, found {n}", self.n_fitted));
        }
        let Calibration { temperature, shift, .. } = self.calibration;
        if !(temperature.is_finite() && temperature > 0.0 && shift.is_finite() && self.offset.is_finite()) {
            return Err(format!("the temperature is {temperature}, expected a number above 0"));
        }
        kind::find(&self.kind).ok_or_else(|| format!("the kind `{}` is unknown", self.kind))
    }
}

impl From<&MatchedTask> for WrittenTask {
    fn from(task: &MatchedTask) -> Self {
        Self {
            name: task.name.clone(),
            kind: task.kind.name.into(),
            metric: task.metric.clone(),
            head: HeadSpec::of(&task.head),
            labels: task.described.iter().map(WrittenLabel::from).collect(),
            none: task.none.clone(),
            n_fitted: task.n_fitted,
            offset: task.labels.offset,
            calibration: task.calibration,
            columns: task.columns.clone(),
            prompt: task.prompt.clone(),
        }
    }
}
