//! What a model says of a split, with the group of every row, for those who measure further than a report does.

use polytask_core::{Result, Split};
use polytask_data::Dataset;
use polytask_eval::Predictions;

use super::model::BoostModel;
use super::rows::Laid;

/// What a model says of a task's known rows.
#[derive(Debug, Clone)]
pub struct JudgedTask {
    /// Truth and predictions, a row each.
    pub predictions: Predictions,
    /// Number of each row's group; `None` where it is unknown or new.
    pub groups: Vec<Option<usize>>,
}

/// What a model says of its tasks in a split; `tasks` are their places in the suite, in the model's order. A task
/// without known rows there is `None`.
///
/// # Errors
/// When the rows of the split cannot be read as the model reads them.
pub fn judged(
    dataset: &Dataset,
    model: &BoostModel,
    tasks: &[usize],
    split: Split,
) -> Result<Vec<Option<JudgedTask>>> {
    let laid = Laid::of(dataset, split);
    if laid.texts.is_empty() {
        return Ok(vec![None; tasks.len()]);
    }
    let rows = model.view().texts(dataset, &laid.texts)?;
    let (margins, n) = (model.margins(&rows), model.n_margins());
    let of_task = |(own, &task): (&super::TaskOutputs, &usize)| {
        let data = &dataset.tasks[task];
        let (first, targets) = (laid.first[data.source], data.targets.get(&split)?);
        let read = |row: usize| own.read(&margins[(first + row) * n..(first + row + 1) * n]);
        let known = (0..targets.len()).filter(|&row| targets.is_known(row));
        Some(JudgedTask {
            predictions: own.predictions(targets, read)?,
            groups: known.map(|row| rows.groups[first + row]).collect(),
        })
    };
    Ok(model.tasks.iter().zip(tasks).map(of_task).collect())
}
