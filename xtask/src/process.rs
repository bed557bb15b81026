//! Child processes with their output shown, and how long each took.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What a step of a chore came to.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// What was done.
    pub(crate) name: String,
    /// Exit status; 0 is success.
    pub(crate) code: u8,
    /// How long it took.
    pub(crate) time: Duration,
}

impl Outcome {
    /// Whether it succeeded.
    pub(crate) fn passed(&self) -> bool {
        self.code == 0
    }
}

/// Runs cargo in `root` with its output shown.
pub(crate) fn cargo(
    root: &Path,
    name: &str,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Result<Outcome> {
    println!("\n== {name}: cargo {}", arguments.join(" "));
    let start = Instant::now();
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).args(arguments).envs(variables.iter().copied());
    let status = command.status().with_context(|| format!("cannot start cargo for {name}"))?;
    Ok(Outcome { name: name.to_owned(), code: exit_code(status.code()), time: start.elapsed() })
}

/// A child's status as ours: killed by a signal counts as 1.
pub(crate) fn exit_code(code: Option<i32>) -> u8 {
    code.map_or(1, |code| u8::try_from(code).unwrap_or(1))
}

/// Whether `cargo SUBCOMMAND` is installed.
pub(crate) fn has_cargo(subcommand: &str) -> bool {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args([subcommand, "--version"]).output().is_ok_and(|output| output.status.success())
}

/// The status of the first step that failed, else success.
pub(crate) fn first_failure(outcomes: &[Outcome]) -> ExitCode {
    let failed = outcomes.iter().find(|outcome| !outcome.passed());
    failed.map_or(ExitCode::SUCCESS, |outcome| ExitCode::from(outcome.code))
}

/// A table of steps and times.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let width = outcomes.iter().map(|outcome| outcome.name.len()).max().unwrap_or(0);
    let line = |outcome: &Outcome| {
        let verdict = if outcome.passed() { "ok" } else { "FAILED" };
        format!("  {:width$}  {:>8.1} s  {verdict}\n", outcome.name, outcome.time.as_secs_f64())
    };
    outcomes.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &str, code: u8) -> Outcome {
        Outcome { name: name.to_owned(), code, time: Duration::from_millis(1500) }
    }

    #[test]
    fn the_first_failing_step_decides_the_status() {
        let steps = [outcome("a", 0), outcome("b", 101), outcome("c", 4)];
        assert_eq!(format!("{:?}", first_failure(&steps)), format!("{:?}", ExitCode::from(101)));
        assert_eq!(format!("{:?}", first_failure(&steps[..1])), format!("{:?}", ExitCode::SUCCESS));
    }

    #[test]
    fn a_killed_child_does_not_count_as_success() {
        assert_eq!(exit_code(None), 1);
        assert_eq!(exit_code(Some(256)), 1);
        assert_eq!(exit_code(Some(0)), 0);
    }

    #[test]
    fn the_table_names_time_and_verdict() {
        let text = table(&[outcome("format", 0), outcome("lints", 1)]);
        assert_eq!(text, "  format       1.5 s  ok\n  lints        1.5 s  FAILED\n");
    }
}
