//! From trained heads and what their data are to a model that can be written and used.

use std::collections::BTreeMap;

use polytask_core::Suite;
use polytask_core::suite::TaskSpec;
use polytask_model::{Model, ModelTask, TaskInfo};
use polytask_nn::Block;
use polytask_nn::encoder::Encoder;
use polytask_nn::heads::{self, HeadOptions};

use crate::heads::TaskHead;
use crate::prepared::Prepared;

/// The model of a run with trained heads; the trunk's weights are given when it is saved.
pub(crate) fn to_model(
    prepared: &Prepared,
    encoder: &Encoder,
    task_heads: &[TaskHead],
    blocks: Vec<Block>,
) -> Model {
    let data = prepared.dataset.tasks.iter();
    let tasks = task_heads.iter().zip(data).zip(blocks).map(|((head, data), block)| {
        let n_outputs = head.head.n_outputs();
        let options =
            HeadOptions { hidden: head.hidden, is_pooler: head.is_pooler, scoring: head.head.scoring() };
        ModelTask {
            info: TaskInfo {
                name: head.name.clone(),
                kind: head.kind.name.into(),
                metric: head.metric.clone(),
                labels: data.labels.clone(),
                scale: data.scale.clone(),
                bounds: if data.bounds.iter().any(Option::is_some) {
                    data.bounds.clone()
                } else {
                    Vec::new()
                },
                n_outputs,
                hidden: head.hidden,
                is_pooler: head.is_pooler,
                columns: input_columns(&prepared.suite, &head.name),
                prompts: prompts(&prepared.suite, &head.name),
                reads_words: reads_words(&prepared.suite, &head.name),
            },
            kind: head.kind,
            head: heads::build_with(head.kind.head, head.head.d_in(), n_outputs, options),
            block,
        }
    });
    Model::new(encoder.clone(), prepared.symbols.clone(), tasks.collect())
}

/// Role → column of a task's inputs, where its suite names one under the role's name or a synonym of it.
fn input_columns(suite: &Suite, name: &str) -> BTreeMap<String, String> {
    let Some(task) = suite.tasks.iter().find(|task| task.name == name) else { return BTreeMap::new() };
    let source = suite.sources.iter().find(|source| source.name == task.from);
    let named = |role: &str| {
        let mut names = std::iter::once(role).chain(task.kind.synonyms_of(role).iter().copied());
        names.find_map(|name| task.columns.get(name).or_else(|| source?.columns.get(name)).cloned())
    };
    // Where the rows are words, these are the text.
    let column = |role: &str| {
        named(role).or_else(|| source?.columns.get("tokens").filter(|_| role == "text").cloned())
    };
    task.kind.inputs.iter().filter_map(|role| Some(((*role).to_owned(), column(role)?))).collect()
}

/// Role → words before every text of it, of the roles that the task has.
fn prompts(suite: &Suite, name: &str) -> BTreeMap<String, String> {
    let Some(task) = suite.tasks.iter().find(|task| task.name == name) else { return BTreeMap::new() };
    let mut prompts = suite.source_of(task).prompts.clone();
    let roles = task.kind.prompt_roles();
    prompts.retain(|role, _| roles.contains(&role.as_str()));
    prompts
}

/// Whether a task's text is the words that a task of the same source tags.
fn reads_words(suite: &Suite, name: &str) -> bool {
    let Some(task) = suite.tasks.iter().find(|task| task.name == name) else { return false };
    let tags = |other: &TaskSpec| other.from == task.from && other.kind.tags_words();
    task.kind.inputs.len() == 1 && suite.tasks.iter().any(tags)
}
