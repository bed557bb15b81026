//! What `polytask.json` of a model's folder says about its tasks.

use std::path::Path;

use polytask_core::kind::KindInfo;
use polytask_core::{Place, Problem, atomic, files};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::info::TaskInfo;

const FILE: &str = "polytask.json";

/// Version of the file.
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct ModelFile {
    version: u32,
    tasks: Vec<TaskInfo>,
    /// Name of the score, where vectors are not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    score: Option<String>,
}

/// Writes what a folder says about its tasks; `score` is the name of their score, where vectors are not compared.
pub fn write_tasks(folder: &Path, tasks: Vec<TaskInfo>, score: Option<&str>) -> Result<()> {
    let file = ModelFile { version: VERSION, tasks, score: score.map(str::to_owned) };
    Ok(atomic::write_json(&folder.join(FILE), &file)?)
}

/// Reads it; a folder without one has no tasks. `score` is the name of the score that the folder has.
///
/// # Errors
/// A file that is none of ours, or one whose tasks were trained by another score.
pub(crate) fn read_tasks(folder: &Path, score: Option<&str>) -> Result<Vec<TaskInfo>> {
    let path = folder.join(FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let bytes = files::read(&path, files::LARGE).map_err(polytask_core::Error::io("read", &path))?;
    let wrong = |what: String| {
        Problem::new(format!("{}: {what}", path.display())).try_this("restore the file the run wrote")
    };
    let file: ModelFile = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
    if file.version != VERSION {
        return Err(wrong(format!("version is {}, expected {VERSION}", file.version)).into());
    }
    if file.score.as_deref() != score {
        let name = |score: Option<&str>| score.unwrap_or("pooled").to_owned();
        let (found, expected) = (name(score), name(file.score.as_deref()));
        let what = format!("the tasks were trained by the score `{expected}`, but score.json says `{found}`");
        return Err(wrong(what).try_this("restore the score.json the run wrote").into());
    }
    Ok(file.tasks)
}

/// The tasks that a folder says it has, whatever its score is; none of an encoder's.
///
/// # Errors
/// A file that is none of ours.
pub fn tasks_in(folder: &Path) -> Result<Vec<TaskInfo>> {
    let named = |json: serde_json::Value| Some(json.get("score")?.as_str()?.to_owned());
    let score = polytask_core::length::read_json(folder, FILE)?.and_then(named);
    read_tasks(folder, score.as_deref())
}

/// Refuses a task whose name is no file name or whose labels are not its head's outputs.
pub(crate) fn check_task(folder: &Path, info: &TaskInfo, kind: &KindInfo) -> Result<()> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_named = !info.name.is_empty() && info.name.chars().all(legal);
    let n_expected = kind.n_outputs(info.labels.len(), info.scale.len());
    let are_bounds = info.bounds.is_empty() || info.bounds.len() == info.scale.len();
    let is_ordered = info.bounds.iter().flatten().all(|(low, high)| low <= high);
    if !are_bounds || !is_ordered {
        let what = format!(
            "task `{}`: bounds {:?}, expected one for each of {} numbers, the smaller value first",
            info.name,
            info.bounds,
            info.scale.len()
        );
        let file = folder.join(FILE);
        return Err(Problem::at(Place::file(&file), what).try_this("restore the file the run wrote").into());
    }
    if kind.form.least_labels().is_some() && info.labels.is_empty() {
        let what = format!("task `{}` of kind {} has no labels, expected at least one", info.name, kind.name);
        let file = folder.join(FILE);
        return Err(Problem::at(Place::file(&file), what).try_this("restore the file the run wrote").into());
    }
    let what = match is_named {
        false => format!("task name `{}`, expected letters, digits, - and _", info.name),
        true if info.n_outputs != n_expected || n_expected == 0 => {
            format!("task `{}` has {} outputs, expected {}", info.name, info.n_outputs, n_expected.max(1))
        }
        true => return Ok(()),
    };
    Err(Problem::at(Place::file(&folder.join(FILE)), what).try_this("restore the file the run wrote").into())
}

/// What lies at a path that is no folder.
pub(crate) fn what_is(path: &Path) -> &'static str {
    if path.exists() { "a file" } else { "not there" }
}
