//! Labels matched by their descriptions: how such a suite runs, and how its model answers.

pub(crate) mod predict;
pub(crate) mod run;
