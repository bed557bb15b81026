//! Heads stay per task: each comes from the model that has its task.

use std::path::PathBuf;

use polytask_core::{Problem, hash};
use polytask_model::TaskInfo;

use super::ModelInput;

/// A head of the result.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) info: TaskInfo,
    /// The model it comes from, as written.
    pub(crate) model: String,
    /// Its folder.
    pub(crate) folder: PathBuf,
}

/// The heads of the result; `wanted` says whose head a task keeps where several models have it.
///
/// # Errors
/// All tasks that several models have with heads that differ, and wishes that nothing fulfils.
pub(crate) fn choose_heads(
    models: &[&ModelInput],
    wanted: &[(String, String)],
) -> Result<Vec<Head>, Vec<Problem>> {
    let mut problems: Vec<Problem> =
        wanted.iter().filter_map(|(task, model)| unfulfilled(models, task, model)).collect();
    let mut heads: Vec<Head> = Vec::new();
    for model in models {
        for info in &model.tasks {
            let folder = model.facts.folder.join("heads").join(&info.name);
            let head = Head { info: info.clone(), model: model.name.clone(), folder };
            let whose = wanted.iter().find(|(task, _)| *task == info.name).map(|(_, model)| model);
            match heads.iter_mut().find(|known| known.info.name == info.name) {
                _ if whose.is_some_and(|whose| *whose != model.name) => {}
                None => heads.push(head),
                Some(known) if is_same(known, &head) => {}
                Some(known) => problems.push(clash(known, &head)),
            }
        }
    }
    if problems.is_empty() { Ok(heads) } else { Err(problems) }
}

fn unfulfilled(models: &[&ModelInput], task: &str, model: &str) -> Option<Problem> {
    let has = |input: &&ModelInput| input.tasks.iter().any(|info| info.name == task);
    match models.iter().find(|input| input.name == model) {
        Some(input) if has(input) => None,
        Some(input) => {
            let known: Vec<&str> = input.tasks.iter().map(|info| info.name.as_str()).collect();
            let what = format!("`--head {task}={model}`: that model has no task `{task}`");
            Some(Problem::new(what).try_this(polytask_core::near::advice(task, &known)))
        }
        None => {
            let known: Vec<&str> = models.iter().map(|input| input.name.as_str()).collect();
            let what = format!("`--head {task}={model}`: `{model}` is not merged");
            Some(Problem::new(what).try_this(polytask_core::near::advice(model, &known)))
        }
    }
}

fn is_same(a: &Head, b: &Head) -> bool {
    let weights = |head: &Head| hash::sha256_file(&head.folder.join("model.safetensors")).ok();
    a.info == b.info && weights(a) == weights(b)
}

fn clash(a: &Head, b: &Head) -> Problem {
    let (task, one, other) = (&a.info.name, &a.model, &b.model);
    let what = format!("`{one}` and `{other}` both have a task `{task}`, with heads that differ");
    Problem::new(what).try_this(format!("`--head {task}={one}` to keep that of `{one}`"))
}
