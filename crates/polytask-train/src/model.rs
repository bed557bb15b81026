//! The trained model as a folder: what training writes is what is used.
//!
//! The folder is a sentence-transformers folder; what polytask adds lies in files others ignore: `polytask.json`
//! (tasks, labels, scales) and `heads/<task>/model.safetensors`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use polytask_core::kind::KindInfo;
use polytask_core::{HeadForm, PackedBatch, Place, Problem, TargetType, atomic};
use polytask_data::{Symbols, Tokenizer};
use polytask_nn::encoder::Encoder;
use polytask_nn::heads::{self, Head};
use polytask_nn::trunk::LaidOut;
use polytask_nn::weights;
use polytask_nn::{Block, Mode, Params, States, objective, topk};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Result;
use crate::evaluate::{by_length, largest};
use crate::heads::{TaskHead, n_outputs};
use crate::run::Prepared;
use crate::symbols::symbols_of;

mod task;

/// Version of `polytask.json`.
const VERSION: u32 = 1;

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
    /// Outputs of its head.
    pub n_outputs: usize,
    /// Width of its head's hidden layer, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<usize>,
    /// Role → column of its inputs, where the suite named one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ModelFile {
    version: u32,
    tasks: Vec<TaskInfo>,
}

impl Model {
    /// The model of a run with trained heads; the trunk's weights are given when it is saved.
    pub fn of_run(
        prepared: &Prepared,
        encoder: &Encoder,
        task_heads: &[TaskHead],
        blocks: Vec<Block>,
    ) -> Self {
        let data = prepared.dataset.tasks.iter();
        let tasks = task_heads.iter().zip(data).zip(blocks).map(|((head, data), block)| ModelTask {
            info: TaskInfo {
                name: head.name.clone(),
                kind: head.kind.name.into(),
                metric: head.metric.clone(),
                labels: data.labels.clone(),
                scale: data.scale.clone(),
                n_outputs: n_outputs(head.kind, data),
                hidden: head.hidden,
                columns: task::input_columns(&prepared.suite, &head.name),
            },
            kind: head.kind,
            head: heads::build_with(
                head.kind.head,
                head.head.d_in(),
                n_outputs(head.kind, data),
                head.hidden,
            ),
            block,
        });
        Self {
            encoder: encoder.clone(),
            symbols: prepared.symbols.clone(),
            tasks: tasks.collect(),
            laid_out: OnceLock::new(),
        }
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
        }
        let tasks = self.tasks.iter().map(|task| task.info.clone()).collect();
        Ok(atomic::write_json(&folder.join("polytask.json"), &ModelFile { version: VERSION, tasks })?)
    }

    /// Reads a folder of ours, or any sentence-transformers folder (which has no tasks).
    pub fn load(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            let what = format!("model {} is {}, expected a folder", folder.display(), what_is(folder));
            return Err(Problem::new(what).try_this("the folder `model` of a run").into());
        }
        let encoder = Encoder::load(folder)?;
        let symbols = symbols_of(folder, &encoder, None)?;
        let d_hidden = encoder.trunk.d_hidden();
        let d_in = encoder.pooling.width(&*encoder.trunk);
        let load = |info| ModelTask::load(folder, info, d_in, d_hidden);
        let tasks = read_tasks(folder)?.into_iter().map(load).collect::<Result<_>>()?;
        Ok(Self { encoder, symbols, tasks, laid_out: OnceLock::new() })
    }

    /// The folder's tokenizer with the prompt of this name before every text; without a name, with the default one.
    ///
    /// # Errors
    /// When the model reads images, or has no such prompt.
    pub fn tokenizer_with(&self, prompt: Option<&str>) -> Result<Tokenizer> {
        let Some(name) = prompt else { return Ok(self.symbols.text()?.clone()) };
        let tokenizer = self.symbols.text()?.clone().with_prompt(name)?;
        if tokenizer.prompt().is_empty() || self.encoder.includes_prompt() {
            return Ok(tokenizer);
        }
        let what = format!(
            "the model leaves prompts out of pooling (`include_prompt` is false), found prompt `{name}`"
        );
        Err(Problem::new(what).try_this("embed without a prompt").into())
    }

    /// Whether its inputs are files of images.
    pub fn reads_images(&self) -> bool {
        self.encoder.network.image().is_some()
    }

    /// The task of this name; the error names those there are.
    pub fn task(&self, name: &str) -> Result<&ModelTask> {
        self.tasks.iter().find(|task| task.info.name == name).ok_or_else(|| {
            let known: Vec<&str> = self.tasks.iter().map(|task| task.info.name.as_str()).collect();
            let what = format!("model has no task `{name}`, expected one of: {}", known.join(", "));
            let remedy = format!(
                "{}; `polytask predict --list` shows them",
                polytask_core::near::advice(name, &known)
            );
            Problem::new(what).try_this(remedy).into()
        })
    }

    /// Sentence vectors of some texts as the folder defines them (its default prompt before each, pooled,
    /// normalised), in order; as `task` sees them where each task has vectors of its own.
    ///
    /// # Shapes
    /// `[texts]` → `[texts, d_embedding]`.
    pub fn embed<S: AsRef<str> + Sync>(&self, texts: &[S], task: Option<&str>) -> Result<States> {
        let (view, width) = (self.view(task)?, self.encoder.d_embedding());
        self.vectors(&self.tokens(texts)?, view, width, |pooled| self.encoder.finish(pooled))
    }

    /// The symbols of some inputs: texts, or files of images.
    fn tokens<S: AsRef<str> + Sync>(&self, inputs: &[S]) -> Result<Vec<Vec<u32>>> {
        match &self.symbols {
            Symbols::Text(tokenizer) => Ok(tokenizer.encode_batch(inputs)?),
            Symbols::Images(spec) => Ok(spec.read_all(inputs)?),
        }
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

    /// Pooled vectors before any normalisation: what a task's head reads.
    fn pooled<S: AsRef<str> + Sync>(&self, inputs: &[S], task: &ModelTask) -> Result<States> {
        let (view, width) =
            (self.view(Some(&task.info.name))?, self.encoder.pooling.width(&*self.encoder.trunk));
        self.vectors(&self.tokens(inputs)?, view, width, |pooled| pooled)
    }

    /// Pooled vectors of some inputs, finished, in order.
    fn vectors(
        &self,
        tokens: &[Vec<u32>],
        view: usize,
        width: usize,
        finish: impl Fn(States) -> States,
    ) -> Result<States> {
        let mut out = States { values: vec![0.0; tokens.len() * width], width };
        for places in by_length(tokens.len(), self.encoder.trunk.symbols_per_pass(), |i| tokens[i].len()) {
            let packed = PackedBatch::pack(places.iter().map(|&i| &tokens[i]));
            let vectors = finish(
                self.encoder
                    .pooling
                    .forward(&self.states(&packed, view)?, &self.encoder.trunk.layout(&packed)),
            );
            for (i, &place) in places.iter().enumerate() {
                let row = vectors.row(view * places.len() + i);
                out.values[place * width..(place + 1) * width].copy_from_slice(row);
            }
        }
        Ok(out)
    }

    /// The trunk's states, of one view at least.
    fn states(&self, batch: &PackedBatch, view: usize) -> Result<States> {
        let (trunk, params) = (&self.encoder.trunk, &self.encoder.params);
        if trunk.n_views() > 1 {
            let mut wanted = vec![Vec::new(); trunk.n_views()];
            wanted[view] = (0..batch.n_sequences() as u32).collect();
            return Ok(trunk.forward_for(params, batch, None, Mode::EVAL, &wanted)?.0);
        }
        let laid_out = if let Some(laid_out) = self.laid_out.get() {
            laid_out
        } else {
            let new = trunk.lay_out(params)?;
            self.laid_out.get_or_init(|| new)
        };
        Ok(trunk.infer(params, laid_out, batch)?)
    }

    /// A task's predictions; each row holds its kind's inputs in order.
    pub fn predict(&self, task: &ModelTask, rows: &[Vec<String>]) -> Result<Vec<Value>> {
        match task.kind.head {
            HeadForm::TokenLinear => rows.iter().map(|row| self.predict_tags(task, &row[0])).collect(),
            HeadForm::Cosine if task.kind.target_type == TargetType::Passages => {
                let remedy = "use `polytask search` for a retrieval task";
                let what =
                    format!("task `{}` ranks a corpus and has no prediction of its own", task.info.name);
                Err(Problem::new(what).try_this(remedy).into())
            }
            _ => self.predict_sentences(task, rows),
        }
    }

    fn predict_sentences(&self, task: &ModelTask, rows: &[Vec<String>]) -> Result<Vec<Value>> {
        let n_inputs = task.kind.inputs.len();
        let texts: Vec<&str> =
            (0..n_inputs).flat_map(|i| rows.iter().map(move |row| row[i].as_str())).collect();
        let z = self.pooled(&texts, task)?;
        let n = rows.len() as u32;
        let inputs: Vec<Vec<u32>> = (0..n_inputs as u32).map(|i| (i * n..(i + 1) * n).collect()).collect();
        let output = objective::output(&*task.head, &task.block, &z.values, z.width, &inputs)?;
        let width = task.info.n_outputs;
        Ok(output.chunks(width.max(1)).map(|scores| task.read(scores)).collect())
    }

    /// A tag per word; words beyond the length limit get none.
    fn predict_tags(&self, task: &ModelTask, text: &str) -> Result<Value> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (tokens, starts) = self.symbols.text()?.encode_words(&words)?;
        let packed = PackedBatch::pack([&tokens]);
        let view = self.view(Some(&task.info.name))?;
        let (states, first) = (self.states(&packed, view)?, (view * packed.n_rows()) as u32);
        let seen: Vec<u32> = starts.iter().copied().filter(|start| *start != u32::MAX).collect();
        let z: Vec<f32> =
            seen.iter().flat_map(|&row| states.row((first + row) as usize).iter().copied()).collect();
        let inputs = [(0..seen.len() as u32).collect()];
        let output = objective::output(&*task.head, &task.block, &z, states.width, &inputs)?;
        let mut scores = output.chunks(task.info.labels.len().max(1));
        let mut tag = |start: &u32| match *start {
            u32::MAX => Value::Null,
            _ => scores.next().map_or(Value::Null, |s| json!(task.info.labels[largest(s) as usize])),
        };
        let tags: Vec<Value> = starts.iter().map(&mut tag).collect();
        Ok(json!({ "words": words, "tags": tags }))
    }
}

/// Exact search: the best `k` of `corpus` for each of `queries`, by cosine.
pub fn search(queries: States, corpus: States, k: usize) -> Result<Vec<Vec<(u32, f32)>>> {
    let width = corpus.width;
    let (queries, corpus) = (topk::normalised(queries.values, width), topk::normalised(corpus.values, width));
    Ok(topk::top_k(&queries, &corpus, width, k)?)
}

fn what_is(path: &Path) -> &'static str {
    if path.exists() { "a file" } else { "not there" }
}

fn read_tasks(folder: &Path) -> Result<Vec<TaskInfo>> {
    let path = folder.join("polytask.json");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let bytes = polytask_core::files::read(&path, polytask_core::files::LARGE)
        .map_err(polytask_core::Error::io("read", &path))?;
    let wrong = |what: String| {
        Problem::new(format!("{}: {what}", path.display())).try_this("restore the file the run wrote")
    };
    let file: ModelFile = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
    if file.version != VERSION {
        return Err(wrong(format!("version is {}, expected {VERSION}", file.version)).into());
    }
    Ok(file.tasks)
}

/// Refuses a task whose name is no file name or whose labels are not its head's outputs.
fn check_task(folder: &Path, info: &TaskInfo, kind: &KindInfo) -> Result<()> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_named = !info.name.is_empty() && info.name.chars().all(legal);
    let (n_labels, n_numbers) = (info.labels.len(), info.scale.len().max(1));
    let n_expected = match kind.target_type {
        TargetType::Label | TargetType::Labels | TargetType::Tags => n_labels,
        TargetType::Numbers if kind.head != HeadForm::Cosine => n_numbers,
        _ => 1,
    };
    let what = match is_named {
        false => format!("task name `{}`, expected letters, digits, - and _", info.name),
        true if info.n_outputs != n_expected || n_expected == 0 => {
            format!("task `{}` has {} outputs, expected {}", info.name, info.n_outputs, n_expected.max(1))
        }
        true => return Ok(()),
    };
    let file = folder.join("polytask.json");
    Err(Problem::at(Place::file(&file), what).try_this("restore the file the run wrote").into())
}
