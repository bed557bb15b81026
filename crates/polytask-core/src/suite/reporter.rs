//! Mistakes of a suite, gathered with their places and told in their order.

use std::path::Path;

use super::tree::Origin;
use crate::error::{Place, Problem};

/// Mistakes that are shown; who has more has made one mistake many times.
const MOST: usize = 100;

/// Gathers mistakes with their place.
pub(super) struct Reporter<'a> {
    file: &'a Path,
    found: Vec<(Origin, Problem)>,
    /// Mistakes beyond those.
    more: usize,
    purpose: Purpose,
}

/// What a suite is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Training: every source has rows to train on.
    Train,
    /// Judging a model that is there: labels and scales are the model's, and no source needs rows to train on.
    Judge,
}

impl<'a> Reporter<'a> {
    pub(super) fn new(file: &'a Path, purpose: Purpose) -> Self {
        Self { file, found: Vec::new(), more: 0, purpose }
    }

    /// Whether a source without rows to train on is a mistake.
    pub(super) fn wants_train(&self) -> bool {
        self.purpose == Purpose::Train
    }

    /// Whether a further mistake is only counted; it is, when so.
    pub(super) fn counts_only(&mut self) -> bool {
        let is_full = self.found.len() >= MOST;
        self.more += usize::from(is_full);
        is_full
    }

    /// Notes a mistake; an empty remedy is none.
    pub(super) fn report(&mut self, origin: &Origin, what: impl Into<String>, remedy: impl Into<String>) {
        if self.counts_only() {
            return;
        }
        let problem = Problem::at(origin.place(self.file), what);
        let remedy = remedy.into();
        let problem = if remedy.is_empty() { problem } else { problem.try_this(remedy) };
        self.found.push((origin.clone(), problem));
    }

    /// Notes a mistake of another file that a value names.
    pub(super) fn report_elsewhere(&mut self, origin: &Origin, problem: Problem) {
        if !self.counts_only() {
            self.found.push((origin.clone(), problem));
        }
    }

    /// All mistakes: overrides first, then by line, in the order found within a line.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        self.found.sort_by(|a, b| a.0.cmp(&b.0));
        let rest = format!("{} more mistakes", self.more);
        let rest = (self.more > 0).then(|| Problem::at(Place::file(self.file), rest));
        self.found.into_iter().map(|(_, problem)| problem).chain(rest).collect()
    }
}
