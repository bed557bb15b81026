//! Ranking a few texts anew, by whichever of its scores a model has.

use polytask_core::TargetType;

use crate::input::Input;
use crate::question::Question;
use crate::search::SearchOptions;
use crate::{Model, ModelTask, Result};

impl Model {
    /// The task that reads a query and a text as one and says how close they are, where the model has one; of the name
    /// given, where one is.
    pub fn cross_task(&self, name: Option<&str>) -> Option<&ModelTask> {
        let scores = |task: &&ModelTask| {
            task.kind.joins_texts()
                && task.kind.target_type() == TargetType::Numbers
                && name.is_none_or(|name| task.info.name == name)
        };
        self.tasks.iter().find(scores)
    }

    /// Whether a search asks a cross-encoder: by the name of its task, or because the model has no other task.
    pub(crate) fn only_reads_pairs(&self, task: Option<&str>) -> bool {
        let has_other = self.tasks.iter().any(|task| !task.kind.joins_texts());
        self.cross_task(task).is_some() && (task.is_some() || !has_other)
    }

    /// The best of some texts for a query, best first: (place, score). A cross-encoder reads both as one; of other models it
    /// is [`Model::search`].
    ///
    /// # Errors
    /// When the model has no such task or prompt.
    pub fn rank<T: AsRef<str>>(
        &self,
        query: &str,
        texts: &[T],
        options: SearchOptions<'_>,
    ) -> Result<Vec<(u32, f32)>> {
        let Some(task) = self.cross_task(options.task) else {
            return Ok(self.search(&[query], texts, options)?.pop().unwrap_or_default());
        };
        let row = |text: &T| vec![Input::from(query), Input::from(text.as_ref())];
        let rows: Vec<Vec<Input>> = texts.iter().map(row).collect();
        let outputs = self.head_outputs(&Question { task, rows })?;
        let mut ranked: Vec<(u32, f32)> =
            (0..).zip(outputs.iter().map(|output| task.kind.form.link(output[0]))).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        ranked.truncate(options.k);
        Ok(ranked)
    }
}
