//! Mistakes gathered until there are enough to show.

use polytask_core::{Error, Problem, Result};

/// Most mistakes shown at once.
const MOST: usize = 20;

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    list: Vec<Problem>,
}

impl Problems {
    /// Notes a mistake; an error with all of them once there are enough.
    pub(super) fn add(&mut self, problem: Problem) -> Result<()> {
        self.list.push(problem);
        if self.list.len() < MOST { Ok(()) } else { self.check() }
    }

    /// Notes the mistakes an error stands for; any other error ends the reading.
    pub(super) fn add_error(&mut self, error: Error) -> Result<()> {
        match error {
            Error::Invalid(problems) => problems.into_iter().try_for_each(|problem| self.add(problem)),
            other => Err(other),
        }
    }

    /// Number of mistakes so far.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// An error when there was any mistake.
    pub(super) fn check(&mut self) -> Result<()> {
        if self.list.is_empty() { Ok(()) } else { Err(Error::Invalid(std::mem::take(&mut self.list))) }
    }
}
