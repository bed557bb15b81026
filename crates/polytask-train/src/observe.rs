//! What a run tells while it works; showing it is the caller's business.

/// Something happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// A phase of known length begins (`joint`, `single: sts`, `encode`).
    Phase {
        /// Its name.
        name: &'a str,
        /// Units of work in it.
        total: u64,
        /// Units done before (a resumed run).
        done: u64,
    },
    /// Work went on in the current phase.
    Step {
        /// Units done.
        done: u64,
        /// Running mean of the loss of each task, by name.
        losses: &'a [(&'a str, f64)],
        /// Learning rate of the trunk.
        lr: f64,
        /// Tokens read by this step.
        tokens: usize,
        /// What the weighting did and measured: (name, task or empty for the step as a whole, value).
        observed: &'a [(&'a str, &'a str, f64)],
    },
    /// The phase is over.
    Done,
    /// Scores on valid: (task, main metric, value).
    Valid {
        /// Optimiser step.
        step: u64,
        /// The scores.
        scores: &'a [(&'a str, &'a str, f64)],
    },
    /// Something a user should know.
    Note(&'a str),
}

/// Receives events.
pub trait Observer {
    /// Takes one event.
    fn event(&mut self, event: Event);
}

/// Tells nobody.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {
    fn event(&mut self, _event: Event) {}
}
