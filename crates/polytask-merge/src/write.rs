//! The result's folder: put together under another name beside its place, then renamed.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use polytask_core::length::read_json;
use polytask_core::{Error as CoreError, Problem, atomic, files};
use polytask_model::write_tasks;
use serde_json::{Value, json};

use crate::Result;
use crate::model::{Head, ModelInput};
use crate::report::MergeReport;

/// Files of a model's folder that are copied; others are not known to hold for a merged model.
const COPIED: [&str; 22] = [
    "added_tokens.json",
    "config_sentence_transformers.json",
    "merges.txt",
    "modules.json",
    "preprocessor_config.json",
    "score.json",
    "sentence_albert_config.json",
    "sentence_bert_config.json",
    "sentence_camembert_config.json",
    "sentence_distilbert_config.json",
    "sentence_roberta_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "table.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
    "config.json",
];

/// A folder that is being put together; it goes away unless it is finished.
#[derive(Debug)]
pub(crate) struct Staged {
    folder: PathBuf,
    out: PathBuf,
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After the rename there is nothing under this name; before it, what failed is told elsewhere.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Staged {
    /// Makes the folder.
    ///
    /// # Errors
    /// A place that is taken or cannot be written.
    pub(crate) fn begin(out: &Path) -> Result<Self> {
        check_free(out)?;
        let name = out.file_name().map(|name| name.to_string_lossy().into_owned()).ok_or_else(|| {
            let what = format!("`{}` has no name of its own", out.display());
            CoreError::from(Problem::new(what).try_this("`--out merged`"))
        })?;
        let folder = out.with_file_name(format!(".{name}.{}.partial", std::process::id()));
        // A process of the same number may have been killed here.
        if folder.is_dir() {
            fs::remove_dir_all(&folder).map_err(CoreError::io("remove", &folder))?;
        }
        let staged = Self { folder, out: out.to_path_buf() };
        atomic::create_dir(&staged.folder)?;
        Ok(staged)
    }

    /// Where the network's files go.
    pub(crate) fn transformer(&self, like: &ModelInput) -> Result<PathBuf> {
        let folder = self.folder.join(inner(like));
        atomic::create_dir(&folder)?;
        Ok(folder)
    }

    /// Adds everything beside the weights, and gives the folder its name.
    pub(crate) fn finish(
        self,
        like: &ModelInput,
        heads: &[Head],
        report: &MergeReport,
        stacked: bool,
    ) -> Result<()> {
        self.copy_files(like, stacked)?;
        for head in heads {
            copy_folder(&head.folder, &self.folder.join("heads").join(&head.info.name))?;
        }
        if !heads.is_empty() {
            let score = like.facts.score.as_ref().and_then(|score| score["choice"]["name"].as_str());
            write_tasks(&self.folder, heads.iter().map(|head| head.info.clone()).collect(), score)?;
        }
        atomic::write_json(&self.folder.join("merge.json"), report)?;
        atomic::write(&self.folder.join("CARD.md"), card(report).as_bytes())?;
        check_free(&self.out)?;
        fs::rename(&self.folder, &self.out).map_err(CoreError::io("write", &self.out))?;
        Ok(())
    }

    fn copy_files(&self, like: &ModelInput, stacked: bool) -> Result<()> {
        let (from, inner) = (&like.facts.folder, inner(like));
        let mut folders = vec![PathBuf::new()];
        if inner != Path::new("") {
            folders.push(inner.clone());
        }
        for folder in &folders {
            let (from, to) = (from.join(folder), self.folder.join(folder));
            for name in COPIED.iter().filter(|name| from.join(name).is_file()) {
                copy(&from.join(name), &to.join(name))?;
            }
        }
        for path in module_folders(from)?.iter().filter(|path| **path != inner) {
            copy_folder(&from.join(path), &self.folder.join(path))?;
        }
        self.rewrite_config(like, &inner, stacked)
    }

    /// `config.json` of what was written: its type, its layers, and the network without the heads of others.
    fn rewrite_config(&self, like: &ModelInput, inner: &Path, stacked: bool) -> Result<()> {
        let folder = self.folder.join(inner);
        let Some(class) = like.facts.class_name() else { return Ok(()) };
        let Some(mut config) = read_json(&folder, "config.json")? else { return Ok(()) };
        config["architectures"] = json!([class]);
        let weights = polytask_nn::weights::WeightFiles::open_folder(&folder)?;
        let reals = weights.entries().filter(|entry| crate::model::is_real(entry));
        let dtype = reals.map(|entry| format!("{:?}", entry.dtype)).max();
        let name = match dtype.as_deref() {
            Some("BF16") => "bfloat16",
            Some("F16") => "float16",
            Some("F64") => "float64",
            _ => "float32",
        };
        for key in ["torch_dtype", "dtype"] {
            if config.get(key).is_some() {
                config[key] = name.into();
            }
        }
        let layers =
            weights.entries().filter_map(|entry| crate::layers::split(&entry.name)).map(|(_, n, _)| n + 1);
        if let (true, Some(n)) = (stacked, layers.max()) {
            let keys = ["num_hidden_layers", "n_layers", "num_layers", "n_layer"];
            for key in keys.iter().filter(|key| like.facts.config.get(**key).is_some()) {
                config[*key] = n.into();
            }
        }
        Ok(atomic::write_json(&folder.join("config.json"), &config)?)
    }
}

/// The network's folder within its model's.
fn inner(model: &ModelInput) -> PathBuf {
    model.facts.transformer.strip_prefix(&model.facts.folder).map(Path::to_path_buf).unwrap_or_default()
}

/// Folders that `modules.json` names.
fn module_folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let modules = read_json(folder, "modules.json")?.unwrap_or(Value::Null);
    let paths = modules.as_array().into_iter().flatten().filter_map(|module| module.get("path")?.as_str());
    let named = paths.filter(|path| !path.is_empty()).map(|path| {
        polytask_core::length::inner_path(folder, path)?;
        Ok(PathBuf::from(path))
    });
    named.collect()
}

/// Refuses a place for a merge that is taken.
///
/// # Errors
/// When something is there that is no empty folder.
pub fn check_free(out: &Path) -> Result<()> {
    let is_empty = out.is_dir() && files::names_in(out).is_empty();
    if !out.exists() || is_empty {
        return Ok(());
    }
    let what = format!("{} is there already, and is not overwritten", out.display());
    Err(CoreError::from(Problem::new(what).try_this("another `--out`, or remove it")).into())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let bytes = files::read(from, files::LARGE).map_err(CoreError::io("read", from))?;
    Ok(atomic::write(to, &bytes)?)
}

/// Copies the regular files of a folder.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    atomic::create_dir(to)?;
    for name in files::names_in(from).iter().filter(|name| from.join(name).is_file()) {
        copy(&from.join(name), &to.join(name))?;
    }
    Ok(())
}

/// The model card.
fn card(report: &MergeReport) -> String {
    let mut text = String::from(
        "---\nlibrary_name: sentence-transformers\ntags:\n- polytask\n- merge\n---\n\n# Merged model\n\n",
    );
    let mut line = |what: std::fmt::Arguments<'_>| {
        text.write_fmt(what).and_then(|()| text.write_char('\n')).expect("a String takes every text");
    };
    let paper = if report.paper.is_empty() { String::new() } else { format!(" ({})", report.paper) };
    line(format_args!(
        "{} tensors with {} values merged by `{}`: {}{paper}.",
        report.n_merged, report.n_values, report.method, report.title
    ));
    line(format_args!("\n| setting | value |\n| --- | --- |"));
    for (name, value) in &report.parameters {
        line(format_args!("| `{name}` | `{value}` |"));
    }
    line(format_args!(
        "| seed | {} |\n| mergekit's form where ours differs | {} |",
        report.seed, report.compat
    ));
    line(format_args!(
        "\n| model | is | length of what it adds | heads | SHA-256 of its weights |\n| --- | --- | --- | --- | --- |"
    ));
    for model in &report.models {
        let is = if model.is_base { "base" } else { "merged" };
        let length = model.length.map_or_else(|| "–".to_owned(), |length| format!("{length:.4}"));
        let heads = if model.tasks.is_empty() { "–".to_owned() } else { model.tasks.join(", ") };
        line(format_args!("| `{}` | {is} | {length} | {heads} | {} |", model.name, model.sha256.join(" ")));
    }
    line(format_args!(
        "\nThe trunk is merged; each task keeps the head it was trained with. How well a head reads the merged trunk is\nnot known before it is asked: `polytask eval SUITE --model FOLDER`. Made by polytask {}; `merge.json` says the same.",
        report.version
    ));
    text
}
