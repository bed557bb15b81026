//! Progress bars on a terminal; elsewhere only what a log should hold.

use std::io::IsTerminal;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use polytask_core::printable;
use polytask_train::observe::{Event, Observer};

use crate::output::{self, note};

/// Columns that stand before the message: name, bar, counts and time left.
const BAR_WIDTH: usize = 16 + 1 + 24 + 1 + 15 + 2 + 9 + 2;

/// The time left, once a first step has shown how long one takes.
fn left(state: &ProgressState, out: &mut dyn std::fmt::Write) {
    let seconds = state.eta().as_secs();
    let is_known = state.pos() > 0 && state.per_sec() > 0.0;
    let text = if is_known { time_left(seconds, state.pos(), state.len()) } else { String::new() };
    // Writing to the bar's buffer cannot fail.
    let _ = write!(out, "{text:>9}");
}

/// `12s left`, `3m left`; nothing while steps remain and none has been timed.
fn time_left(seconds: u64, done: u64, all: Option<u64>) -> String {
    match seconds {
        0 if all.is_none_or(|all| done < all) => "<1s left".into(),
        0..100 => format!("{seconds}s left"),
        100..6000 => format!("{}m left", seconds / 60),
        _ => format!("{}h left", seconds / 3600),
    }
}

/// As many items as have room, whole, and how many more there are.
fn whole_items(front: String, items: &[String], width: usize) -> String {
    let mut shown = front;
    for (at, item) in items.iter().enumerate() {
        let more = if at + 1 < items.len() { format!("  +{}", items.len() - at - 1) } else { String::new() };
        let longer = format!("{shown}  {item}");
        if longer.chars().count() + more.len() > width {
            return format!("{shown}  +{}", items.len() - at);
        }
        shown = longer;
    }
    shown
}

/// Shows a run's events.
pub struct TerminalProgress {
    bar: ProgressBar,
    is_shown: bool,
    is_terminal: bool,
    phase: String,
    started: Instant,
    tokens: usize,
}

impl TerminalProgress {
    /// Shows events on standard error unless `quiet`.
    pub fn new(quiet: bool) -> Self {
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
        if self.is_terminal {
            self.bar = new_bar(name, total, done);
        }
    }

    fn step(&mut self, done: u64, losses: &[(&str, f64)], tokens: usize) {
        self.tokens += tokens;
        self.bar.set_position(done);
        let rate = self.tokens as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        let losses: Vec<String> = losses.iter().map(|(name, loss)| format!("{name} {loss:.3}")).collect();
        // What reads no tokens has no rate of them.
        let front = if self.tokens > 0 { format!("{:.1}k tokens/s", rate / 1e3) } else { String::new() };
        let message = whole_items(front, &losses, output::width().saturating_sub(BAR_WIDTH));
        self.bar.set_message(printable(&message).into_owned());
    }

    fn say(&self, text: &str) {
        if self.is_terminal {
            self.bar.suspend(|| note(text));
        } else if self.is_shown {
            note(text);
        }
    }
}

/// A bar of a phase whose work was partly done before.
fn new_bar(name: &str, total: u64, done: u64) -> ProgressBar {
    // Only the message is cut where the terminal ends: a line that wraps would be drawn anew below itself.
    let style = "{prefix:>16.bold} {bar:24.cyan/dim} {pos}/{len}  {left}  {wide_msg}";
    let bar = ProgressBar::new(total);
    // The template is fixed; if it were wrong the default style is shown instead.
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style.with_key("left", left));
    }
    bar.set_prefix(printable(name).into_owned());
    bar.set_position(done);
    bar.reset_eta();
    bar
}

/// Progress of work that is no training: a bar with words beside it; one line at the end where there is no terminal.
pub struct WorkProgress {
    bar: Option<ProgressBar>,
    name: String,
    is_shown: bool,
    started: Instant,
}

impl WorkProgress {
    /// Work of `total` units begins; nothing is shown if `quiet`.
    pub fn new(name: &str, total: u64, quiet: bool) -> Self {
        let bar = (std::io::stderr().is_terminal() && !quiet).then(|| new_bar(name, total, 0));
        Self { bar, name: name.to_owned(), is_shown: !quiet, started: Instant::now() }
    }

    /// Some units are done; `words` say more.
    pub fn set(&self, done: u64, words: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position(done.min(bar.length().unwrap_or(done)));
            bar.set_message(printable(words).into_owned());
        }
    }

    /// All is done.
    pub fn finish(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.is_shown {
            note(format!("{:>16}  done in {:.1} s", self.name, self.started.elapsed().as_secs_f64()));
        }
    }
}

impl Observer for TerminalProgress {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_cut_and_what_has_no_room_is_counted() {
        let items: Vec<String> = ["intent 0.123", "sentiment 1.250", "topic 0.5"].map(str::to_owned).to_vec();
        for width in 0..80 {
            let shown = whole_items("9.0k tokens/s".into(), &items, width);
            let rest: Vec<&str> = shown.split("  ").skip(1).collect();
            let whole = rest.iter().filter(|part| items.iter().any(|item| item == *part)).count();
            let counted =
                rest.last().and_then(|last| last.strip_prefix('+')).map_or(0, |n| n.parse().unwrap());
            assert_eq!(whole + counted, items.len(), "{shown}");
            assert!(whole == 0 || shown.chars().count() <= width, "{shown}");
        }
    }

    #[test]
    fn no_time_is_left_only_at_the_end() {
        assert_eq!(time_left(0, 1, Some(10)), "<1s left");
        assert_eq!(time_left(0, 10, Some(10)), "0s left");
        assert_eq!(time_left(42, 1, Some(10)), "42s left");
        assert_eq!(time_left(600, 1, None), "10m left");
    }
}
