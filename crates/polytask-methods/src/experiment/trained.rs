//! What the trainings of an arm gave.

use super::measure::Measured;
use crate::recipe::ArmSpec;

/// An arm of a setting, trained with every seed.
pub(super) struct Trained<'a> {
    pub(super) spec: &'a ArmSpec,
    /// The candidate that was best on valid.
    pub(super) chosen: Option<String>,
    /// Settings it was trained with.
    pub(super) changes: Vec<String>,
    /// What each seed gave.
    pub(super) runs: Vec<Measured>,
    /// The suite of the first seed, below the output folder.
    pub(super) suite: String,
}
