//! What the command line and its benches share: words on the terminal, progress, suites loaded with all named parts.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod demo;
pub mod output;
pub mod progress;
pub mod suites;

/// Reads a number of at least 1.
///
/// # Errors
/// What was expected.
pub fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("expected a whole number of at least 1".into()),
    }
}
