//! How long an optimiser step takes: the time between the events of steps that follow each other.

use std::time::Instant;

use polytask_train::observe::{Event, Observer};

use super::statistics::median;

/// Passes events on and times the steps.
pub struct Clock<'a> {
    inner: &'a mut dyn Observer,
    /// When the last event was, if it was that of a step.
    last: Option<Instant>,
    steps: Vec<f64>,
}

impl<'a> Clock<'a> {
    /// Around another observer.
    pub fn new(inner: &'a mut dyn Observer) -> Self {
        Self { inner, last: None, steps: Vec::new() }
    }

    /// Seconds of each step but the first after an evaluation.
    pub fn steps(&self) -> &[f64] {
        &self.steps
    }

    /// Median milliseconds of a step, evaluations not counted.
    pub(super) fn step_ms(&self) -> f64 {
        1e3 * median(self.steps.clone())
    }
}

impl Observer for Clock<'_> {
    fn event(&mut self, event: Event) {
        let now = Instant::now();
        // Passes over the frozen part have no loss and are no steps of a training.
        let is_step = matches!(event, Event::Step { losses, .. } if !losses.is_empty());
        if let (Some(last), true) = (self.last, is_step) {
            self.steps.push((now - last).as_secs_f64());
        }
        self.inner.event(event);
        self.last = is_step.then(Instant::now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use polytask_train::observe::Silent;

    use super::*;

    #[test]
    fn only_time_between_two_steps_counts() {
        let mut silent = Silent;
        let mut clock = Clock::new(&mut silent);
        let step = |done| Event::Step { done, losses: &[("a", 1.0)], lr: 0.1, tokens: 1, observed: &[] };
        clock.event(step(1));
        std::thread::sleep(Duration::from_millis(2));
        clock.event(step(2));
        std::thread::sleep(Duration::from_millis(40));
        clock.event(Event::Valid { step: 2, scores: &[] });
        clock.event(step(3));
        assert_eq!(clock.steps.len(), 1);
        assert!((2.0..30.0).contains(&clock.step_ms()), "{}", clock.step_ms());
    }

    #[test]
    fn passes_over_the_frozen_part_do_not_count() {
        let mut silent = Silent;
        let mut clock = Clock::new(&mut silent);
        for done in 1..4 {
            clock.event(Event::Step { done, losses: &[], lr: 0.0, tokens: 1, observed: &[] });
        }
        assert!(clock.steps().is_empty());
    }
}
