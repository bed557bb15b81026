//! Prompts of trained tasks under the names that a sentence-transformers folder has them.

use std::collections::BTreeMap;

use crate::ModelTask;

/// Name of the prompt of queries, as sentence-transformers has it.
pub(crate) const QUERY: &str = "query";
/// Names of the prompt of passages; the first is the one that is written.
pub(crate) const PASSAGE: &[&str] = &["document", "passage", "corpus"];

/// The prompts of tasks: `NAME` before the texts of a task, `NAME-query` and `NAME-document` where it ranks; `query` and
/// `document` where all tasks that rank agree.
pub(crate) fn named(tasks: &[ModelTask]) -> BTreeMap<String, String> {
    let mut named = BTreeMap::new();
    for task in tasks {
        let sides = sides(task);
        named.extend(sides.iter().map(|(side, text)| (of_task(&task.info.name, side), (*text).to_owned())));
    }
    for side in [QUERY, PASSAGE[0]] {
        let ranking = tasks.iter().filter(|task| task.kind.ranked_role().is_some());
        let mut texts =
            ranking.map(|task| sides(task).into_iter().find(|(of, _)| *of == side).map(|of| of.1));
        if let Some(Some(first)) = texts.next()
            && texts.all(|text| text == Some(first))
        {
            named.insert(side.to_owned(), first.to_owned());
        }
    }
    named
}

/// The name of a task's prompt for a side; the empty side is all its texts.
fn of_task(task: &str, side: &str) -> String {
    if side.is_empty() { task.to_owned() } else { format!("{task}-{side}") }
}

/// The prompts of a task by side; none where the texts of one side have several.
fn sides(task: &ModelTask) -> Vec<(&'static str, &str)> {
    let Some(ranked) = task.kind.ranked_role() else {
        let mut prompts = task.kind.inputs.iter().map(|role| task.prompt(role));
        let first = prompts.next().flatten().filter(|first| prompts.all(|prompt| prompt == Some(first)));
        return first.map(|first| ("", first)).into_iter().collect();
    };
    let query = task.kind.inputs.first().and_then(|role| task.prompt(role));
    let sides = [(QUERY, query), (PASSAGE[0], task.prompt(ranked))];
    sides.into_iter().filter_map(|(side, prompt)| Some((side, prompt?))).collect()
}
