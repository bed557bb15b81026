//! A line of the table of weightings.

use polytask_core::MethodInfo;
use polytask_core::method::Choice;

use crate::{Result, Weighting};

/// What a weighting is told about the run when it is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// Names of the suite's tasks, in suite order.
    pub tasks: Vec<String>,
    /// Peak learning rate of the trunk.
    pub lr: f64,
}

impl Setup {
    /// A run with these tasks and the rate of a fine-tuning.
    pub fn of(tasks: &[&str]) -> Self {
        Self { tasks: tasks.iter().map(ToString::to_string).collect(), lr: 3e-5 }
    }
}

/// A property that holds by a weighting's mathematics; the shared tests check those a weighting claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Tasks in another order give the same direction.
    Permutation,
    /// Gradients c times as large give a direction c times as large.
    Scaling,
    /// A task's weight does not depend on which other tasks there are.
    Separate,
    /// Ratios of weights do not depend on which other tasks there are.
    Ratios,
}

/// Makes a weighting from its parameters.
pub type Make = fn(&Choice, &Setup) -> Result<Box<dyn Weighting>>;

/// A line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// What the weighting says about itself.
    pub info: &'static MethodInfo,
    /// Properties its mathematics has.
    pub claims: &'static [Claim],
    /// Makes it.
    pub make: Make,
}
