//! Progress bars on a terminal; elsewhere only what a log should hold.

use std::io::IsTerminal;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use polytask_core::printable;
use polytask_train::observe::{Event, Observer};

use crate::output::note;

/// Shows a run's events.
pub(crate) struct Progress {
    bar: ProgressBar,
    is_shown: bool,
    is_terminal: bool,
    phase: String,
    started: Instant,
    tokens: usize,
}

impl Progress {
    /// Shows events on standard error unless `quiet`.
    pub(crate) fn new(quiet: bool) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self {
            bar: ProgressBar::hidden(),
            is_shown: !quiet,
            is_terminal: is_terminal && !quiet,
            phase: String::new(),
            started: Instant::now(),
            tokens: 0,
        }
    }

    fn begin(&mut self, name: &str, total: u64, done: u64) {
        (self.phase, self.started, self.tokens) = (name.into(), Instant::now(), 0);
        if !self.is_terminal {
            return;
        }
        // Only the message is cut where the terminal ends: a line that wraps would be drawn anew below itself.
        let style = "{prefix:>16.bold} {bar:24.cyan/dim} {pos}/{len}  {eta:>3} left  {wide_msg}";
        self.bar = ProgressBar::new(total);
        // The template is fixed; if it were wrong the default style is shown instead.
        if let Ok(style) = ProgressStyle::with_template(style) {
            self.bar.set_style(style);
        }
        self.bar.set_prefix(printable(name).into_owned());
        self.bar.set_position(done);
        self.bar.reset_eta();
    }

    fn step(&mut self, done: u64, losses: &[(&str, f64)], tokens: usize) {
        self.tokens += tokens;
        self.bar.set_position(done);
        let rate = self.tokens as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        let losses: Vec<String> = losses.iter().map(|(name, loss)| format!("{name} {loss:.3}")).collect();
        let losses = losses.join("  ");
        self.bar.set_message(format!("{:.1}k tokens/s  {}", rate / 1e3, printable(&losses)));
    }

    fn say(&self, text: &str) {
        if self.is_terminal {
            self.bar.suspend(|| note(text));
        } else if self.is_shown {
            note(text);
        }
    }
}

impl Observer for Progress {
    fn event(&mut self, event: Event) {
        match event {
            Event::Phase { name, total, done } => self.begin(name, total, done),
            Event::Step { done, losses, tokens, .. } => self.step(done, losses, tokens),
            Event::Done => {
                self.bar.finish_and_clear();
                self.say(&format!(
                    "{:>16}  done in {:.1} s",
                    self.phase,
                    self.started.elapsed().as_secs_f64()
                ));
            }
            Event::Valid { step, scores } => {
                let scores: Vec<String> = scores
                    .iter()
                    .map(|(task, metric, value)| format!("{task} {metric} {value:.4}"))
                    .collect();
                self.say(&format!("{:>16}  step {step}: {}", "valid", scores.join(", ")));
            }
            Event::Note(text) => self.say(&format!("{:>16}  {text}", "note")),
        }
    }
}
