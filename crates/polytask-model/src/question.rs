//! What a model is asked: some rows, by a task.

use crate::input::Input;
use crate::task::ModelTask;

/// Rows that a task is asked about.
pub struct Question<'a> {
    /// The task.
    pub task: &'a ModelTask,
    /// Of each row the kind's inputs, in order.
    pub rows: Vec<Vec<Input>>,
}
