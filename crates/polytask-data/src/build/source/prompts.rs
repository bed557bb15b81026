//! What stands before the texts of a source.

use polytask_core::suite::{SourceSpec, TaskSpec};

use super::super::corpus::RankingPrompts;
use crate::views::Prompt;

/// What stands before the texts of a role.
fn prompt(source: &SourceSpec, role: &str) -> Option<Prompt> {
    source.prompts.get(role).map(|text| Prompt::from(text.as_str()))
}

/// What stands before the texts of each input, which all tasks of a source call alike where it has prompts.
pub(super) fn input_prompts(source: &SourceSpec, tasks: &[&TaskSpec]) -> Vec<Option<Prompt>> {
    tasks[0].kind.inputs.iter().map(|role| prompt(source, role)).collect()
}

/// What stands before queries and passages of a task.
pub(super) fn ranking_prompts(source: &SourceSpec, task: &TaskSpec) -> RankingPrompts {
    let query = task.kind.inputs.first().and_then(|role| prompt(source, role));
    RankingPrompts { query, passage: task.kind.ranked_role().and_then(|role| prompt(source, role)) }
}
