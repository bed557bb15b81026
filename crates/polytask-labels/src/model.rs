//! The folder of a run: the encoder as it was, and beside it `labels.json` with the tasks, their labels and what these
//! mean, and `heads/<task>/model.safetensors`.

use std::collections::BTreeMap;
use std::path::Path;

use polytask_core::suite::DescribedLabel;
use polytask_core::target::OutputMeaning;
use polytask_core::{Error, KindInfo, Place, Problem, atomic, files, kind, near};
use polytask_model::Model;
use polytask_nn::label_cross::LabelCross;
use polytask_nn::weights::{self, WeightFiles};
use polytask_nn::{Block, Params, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::calibration::Calibration;
use crate::features::encode;
use crate::heads::FittedHead;
use crate::labels::{LabelTexts, WrittenLabel};

/// The file of tasks, and its version.
const FILE: &str = "labels.json";
const VERSION: u32 = 1;

/// Which head a task has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "head")]
enum HeadSpec {
    ZeroShot,
    NearestMean,
    Bilinear { scale: f64 },
    LabelCross { d_in: usize, width: usize, heads: usize, has_prior: bool },
}

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
    pub model: Model,
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
        let model = Model::load(folder)?;
        let tasks = file.tasks.into_iter().map(|task| {
            let checked = task.check().map_err(|what| wrong(format!("task `{}`: {what}", task.name)))?;
            MatchedTask::load(&model, folder, task, checked)
        });
        let tasks = tasks.collect::<Result<_>>()?;
        Ok(Self { model, tasks })
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
        let sequences = self.model.sequences(texts, task.prompt.as_deref())?;
        let features = encode(&self.model, &sequences, task.head.reads_states())?;
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
        task.labels = LabelTexts { offset, ..LabelTexts::new(&self.model, &task.described)? };
        Ok(())
    }

    /// Writes the folder.
    pub(crate) fn save(model: &Model, tasks: &[MatchedTask], folder: &Path) -> Result<()> {
        atomic::create_dir(folder)?;
        model.save(&model.encoder.params, folder)?;
        for task in tasks {
            let Some(block) = task.head.block(&task.labels) else { continue };
            let place = folder.join("heads").join(&task.name);
            atomic::create_dir(&place)?;
            let params = Params { blocks: vec![block] };
            weights::write(&place.join("model.safetensors"), &weights::tensors_of(&params), &[])?;
        }
        // Last: what it names is there.
        let file = LabelsFile { version: VERSION, tasks: tasks.iter().map(WrittenTask::from).collect() };
        Ok(atomic::write_json(&folder.join(FILE), &file)?)
    }
}

impl MatchedTask {
    fn load(model: &Model, folder: &Path, task: WrittenTask, kind: &'static KindInfo) -> Result<Self> {
        let described: Vec<DescribedLabel> = task.labels.iter().map(DescribedLabel::from).collect();
        let labels = LabelTexts { offset: task.offset, ..LabelTexts::new(model, &described)? };
        let place = folder.join("heads").join(&task.name).join("model.safetensors");
        let head = task.head.load(&place, task.n_fitted, labels.d_vector)?;
        let WrittenTask { name, metric, none, n_fitted, columns, prompt, calibration, .. } = task;
        Ok(Self { name, kind, metric, described, none, n_fitted, columns, prompt, calibration, labels, head })
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

impl HeadSpec {
    fn of(head: &FittedHead) -> Self {
        match head {
            FittedHead::NearestMean(_) => Self::NearestMean,
            FittedHead::Bilinear(_, scale) => Self::Bilinear { scale: *scale },
            FittedHead::Cross(LabelCross { d_in, width, heads }, _, has_prior) => {
                Self::LabelCross { d_in: *d_in, width: *width, heads: *heads, has_prior: *has_prior }
            }
            // Learners that a run is only compared with are written nowhere.
            FittedHead::ZeroShot | FittedHead::Logistic(..) | FittedHead::RandomLabels(..) => Self::ZeroShot,
        }
    }

    fn load(self, file: &Path, n_labels: usize, d_vector: usize) -> Result<FittedHead> {
        let tensor = |rows: usize, columns: usize| -> Result<Vec<f32>> {
            Ok(read(file, Block::zeros("head", &[("weight", &[rows, columns], true)]))?.values)
        };
        Ok(match self {
            Self::ZeroShot => FittedHead::ZeroShot,
            Self::NearestMean => FittedHead::NearestMean(tensor(n_labels, d_vector)?),
            Self::Bilinear { scale } => FittedHead::Bilinear(tensor(d_vector + 1, d_vector + 1)?, scale),
            Self::LabelCross { d_in, width, heads, has_prior } => {
                let head = LabelCross::new(d_in, width, heads);
                FittedHead::Cross(head, read(file, head.block("head", 0))?, has_prior)
            }
        })
    }
}

/// A block with the values of a file.
fn read(file: &Path, block: Block) -> Result<Block> {
    let mut params = Params { blocks: vec![block] };
    WeightFiles::open(file)?.load_into(&mut params, ToString::to_string)?.require_all(file)?;
    Ok(params.blocks.remove(0))
}

impl FittedHead {
    /// Whether it reads the states of all tokens.
    pub(crate) fn reads_states(&self) -> bool {
        matches!(self, Self::Cross(..))
    }

    /// Its parameters; none of a head that has none.
    fn block(&self, labels: &LabelTexts) -> Option<Block> {
        let tensor = |values: &[f32], columns: usize| {
            let mut block = Block::zeros("head", &[("weight", &[values.len() / columns, columns], true)]);
            block.values.copy_from_slice(values);
            block
        };
        match self {
            Self::NearestMean(means) => Some(tensor(means, labels.d_vector)),
            Self::Bilinear(matrix, _) => Some(tensor(matrix, labels.d_vector + 1)),
            Self::Cross(_, block, _) => Some(block.clone()),
            Self::ZeroShot | Self::Logistic(..) | Self::RandomLabels(..) => None,
        }
    }
}
