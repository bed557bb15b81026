//! What was read of a source becomes part of the data set.

use std::collections::BTreeMap;

use polytask_core::words::verb;
use polytask_core::{Split, plural};

use super::super::Builder;
use super::super::table::Table;
use super::Reading;

impl Reading<'_, '_> {
    /// Moves the tables into the data set.
    pub(super) fn install(self, index: usize, tables: BTreeMap<Split, Table>) {
        let Builder { dataset, interner, .. } = &mut *self.builder;
        let ids = self.tasks.iter().zip(self.ids).filter_map(|(task, problem)| Some((task, problem?)));
        let said = ids.map(|(task, problem)| format!("task `{}`: {}", task.name, problem.what));
        dataset.warnings.extend(said);
        for (split, mut table) in tables {
            let columns = std::mem::take(&mut table.targets);
            for (t, (&task, column)) in self.members.iter().zip(columns).enumerate() {
                let targets = column.finish(self.widths[t].unwrap_or(1));
                dataset.tasks[task].targets.insert(split, targets);
                if self.columns.as_ref().is_some_and(|columns| columns.tasks[t].weight.is_some()) {
                    let weights = std::mem::take(&mut table.task_weights[t]);
                    dataset.tasks[task].weights.insert(split, weights);
                }
            }
            dataset.sources[index].splits.insert(split, table.rows());
        }
        for ((task, labels), corpus) in self.members.iter().zip(&self.labels).zip(self.corpora) {
            let data = &mut dataset.tasks[*task];
            let places = labels.places();
            dataset.warnings.extend(places.map(|(n, first)| {
                format!("task `{}`: {} by number: 0 is `{first}`, and so on", data.name, plural(n, "label"))
            }));
            let unknown = labels.unknown().filter(|_| !labels.names().is_empty());
            dataset.warnings.extend(unknown.map(|(word, n)| read_as_unknown(&data.name, word, n)));
            data.labels = labels.names().to_vec();
            data.twins = corpus.twins(interner);
            (data.corpus, data.corpus_ids) = (corpus.texts, corpus.ids);
        }
    }
}

/// Says that cells with a word were read as unknown.
fn read_as_unknown(task: &str, word: &str, n: usize) -> String {
    format!(
        "task `{task}`: {} such as `{word}` {} unknown; where it is a label, name it in `labels`",
        plural(n, "target"),
        verb(n, "means", "mean")
    )
}
