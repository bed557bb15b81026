//! Where a model is meant: its folder, the folder of its run, or an encoder by name.

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_data::pull::{self, PullOptions};

use polytask_terminal::output;
use polytask_terminal::suites::{has_trees, is_model, no_network};

/// The folder of a trained model, of a run's folder or its `model` folder; any folder of sentence-transformers as it is.
pub(crate) fn folder(source: &Path) -> Result<PathBuf> {
    let (inside, is_encoder) = (source.join("model"), polytask_core::length::is_encoder_folder(source));
    if let Some(trees) = trees(source) {
        return no_network(&trees);
    }
    if is_model(source) || is_encoder || !source.is_dir() {
        return Ok(source.to_path_buf());
    }
    if is_model(&inside) {
        return Ok(inside);
    }
    let what =
        format!("folder {} holds no model, expected a model's files or model/ in it", source.display());
    output::refuse(what, "the folder that `polytask train --out` was given, once its run has finished")
}

/// The folder of boosted trees that a folder is, or that its run has.
pub(crate) fn trees(source: &Path) -> Option<PathBuf> {
    [source.to_path_buf(), source.join("model")].into_iter().find(|folder| has_trees(folder))
}

/// The folder of labels matched by their descriptions that a folder is, or that its run has.
pub(crate) fn labels(source: &Path) -> Option<PathBuf> {
    let is_in = |folder: &PathBuf| polytask_labels::LabelModel::is_in(folder);
    [source.to_path_buf(), source.join("model")].into_iter().find(is_in)
}

/// The same, or the encoder of this name as a suite may give it: in the cache, else pulled.
pub(crate) fn folder_or_encoder(source: &Path) -> Result<PathBuf> {
    match source.to_str() {
        Some(name) if is_name(source, name) => Ok(pull::pull(name, &PullOptions::from_environment())?.folder),
        _ => folder(source),
    }
}

/// The same, where an encoder must be on this disk already: nothing is asked of the network.
pub(crate) fn folder_or_pulled(source: &Path) -> Result<PathBuf> {
    match source.to_str() {
        Some(name) if is_name(source, name) => {
            let options = PullOptions { offline: true, ..PullOptions::from_environment() };
            let Ok(found) = pull::pull(name, &options) else {
                let what = format!("model `{name}` is neither a folder here nor an encoder that was pulled");
                return output::refuse(what, "the folder of a run or model, or `polytask pull NAME` first");
            };
            Ok(found.folder)
        }
        _ => folder(source),
    }
}

/// Whether nothing on the disk is meant: a name of at most two parts whose first is no folder here.
fn is_name(source: &Path, name: &str) -> bool {
    let is_relative = !source.is_absolute() && !name.starts_with('.') && !name.contains('\\');
    let parts: Vec<&str> = name.split('/').collect();
    let is_here = source.exists() || parts.len() == 2 && Path::new(parts[0]).exists();
    is_relative && parts.len() <= 2 && parts.iter().all(|part| !part.is_empty()) && !is_here
}

/// What to call a model in tables: its folder, its run's folder where that is only `model`.
pub(crate) fn name(folder: &Path) -> String {
    let last = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let full = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let own = last(&full).filter(|name| name != "model");
    own.or_else(|| full.parent().and_then(last)).unwrap_or_else(|| folder.display().to_string())
}

/// What two models are called: as asked, else by their folders, as they were given where those have one name. Each is
/// what was given and the folder that is meant.
pub(crate) fn side_names(
    asked: &[String],
    (given, first): (&Path, &Path),
    (other, second): (&Path, &Path),
) -> Result<[String; 2]> {
    match asked {
        [] if name(first) == name(second) => Ok([given, other].map(|path| path.display().to_string())),
        [] => Ok([name(first), name(second)]),
        [ours, theirs] if ours != theirs && !ours.is_empty() && !theirs.is_empty() => {
            Ok([ours.clone(), theirs.clone()])
        }
        names => {
            let what = format!("--names: found `{}`, expected two names that differ", names.join(","));
            output::refuse(what, "`--names new,old`")
        }
    }
}
