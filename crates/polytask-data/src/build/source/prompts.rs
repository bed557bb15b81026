//! What stands before the texts of a source.

use polytask_core::suite::{SourceSpec, TaskSpec};

use super::super::corpus::RankingPrompts;
use crate::views::Prompt;

/// What stands before the texts of a role.
fn prompt(source: &SourceSpec, role: &str) -> Option<Prompt> {
    source.prompts.get(role).map(|text| Prompt::from(text.as_str()))
}

/// What stands before the texts of each input.
pub(super) fn input_prompts(source: &SourceSpec, tasks: &[&TaskSpec]) -> Vec<Option<Prompt>> {
    let of_input = |i| tasks.iter().find_map(|task| prompt(source, task.kind.inputs.get::<usize>(i)?));
    let n_inputs = tasks.iter().map(|task| task.kind.inputs.len()).max();
    (0..n_inputs.unwrap_or(0)).map(of_input).collect()
}

/// What stands before queries and passages of a task.
pub(super) fn ranking_prompts(source: &SourceSpec, task: &TaskSpec) -> RankingPrompts {
    let query = task.kind.inputs.first().and_then(|role| prompt(source, role));
    RankingPrompts { query, passage: task.kind.ranked_role().and_then(|role| prompt(source, role)) }
}
