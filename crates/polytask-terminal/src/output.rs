//! Words on the terminal: results on standard output, everything else on standard error.
//!
//! Whatever is printed goes through here, and so whatever a file or a server says is made harmless here.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Result;
use polytask_core::printable::printable_json;
use polytask_core::{Error, Problem, printable};
use polytask_eval::table::wrapped;
use serde::Serialize;

/// How a verb ended when it could run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// Ran, but a stated bar was missed (a task regressed).
    Missed,
    /// The input is wrong, and what is wrong has been printed.
    Refused,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::Missed => Self::from(1),
            Outcome::Refused => Self::from(2),
        }
    }
}

/// Prints a line on standard output.
pub fn line(text: impl AsRef<str>) -> Result<()> {
    write_line(&printable(text.as_ref()))
}

fn write_line(text: &str) -> Result<()> {
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}

/// Prints a value as one JSON object on standard output.
pub fn json<T: Serialize>(value: &T) -> Result<()> {
    write_line(&printable_json(&serde_json::to_string(value)?))
}

/// Columns of a table: what the environment says, else the terminal's, else what most terminals have room for.
pub fn width() -> usize {
    let named = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let shown = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    named.or_else(shown).unwrap_or(110)
}

/// Prints a line for people on standard error.
pub fn note(text: impl AsRef<str>) {
    // A closed standard error is nobody's problem.
    let _ = writeln!(io::stderr().lock(), "{}", printable(text.as_ref()));
}

/// An error that says what failed and what to try.
pub fn refuse<T>(what: impl Into<String>, remedy: impl Into<String>) -> Result<T> {
    Err(Error::from(Problem::new(what).try_this(remedy)).into())
}

/// Prints an error and what caused it, once each.
pub fn print_error(error: &anyhow::Error) {
    let mut shown = Vec::<String>::new();
    for cause in error.chain().map(ToString::to_string) {
        if !shown.iter().any(|known| known.contains(&cause)) {
            shown.push(cause);
        }
    }
    let text = format!("error: {}", shown.join("\n  because: "));
    // Before the lines are broken: what is shown as a code has another width.
    let text = printable(&text).into_owned();
    // A log keeps its lines whole.
    note(if io::stderr().is_terminal() { broken(&text, width()) } else { text });
}

/// A text with its lines broken between words where they are wider than `width`; what goes on stands below the words.
fn broken(text: &str, width: usize) -> String {
    let line = |line: &str| {
        let inner = line.trim_start();
        let label = inner.find(": ").map_or(0, |at| at + 2).min(9);
        let indent = line.len() - inner.len();
        let lines = wrapped(inner, width.saturating_sub(indent + label).max(20));
        let gap = " ".repeat(indent);
        gap.clone() + &lines.join(&format!("\n{gap}{}", " ".repeat(label)))
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Whether the reader of our output went away (`polytask … | head`): not an error.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let closed = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    };
    error.chain().any(closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_broken_between_words_and_its_remedy_stays_apart() {
        let text = "error: the digits are not in /nowhere\n    try: `--data DIR`, where DIR holds them";
        let expected = "error: the digits are not\n       in /nowhere\n    try: `--data DIR`, where\n         DIR holds them";
        assert_eq!(broken(text, 33), expected);
        assert_eq!(broken(text, 200), text);
    }
}
