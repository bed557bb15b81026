//! `cargo xtask test`: every test of the workspace, in the release profile the demo is built in.
//!
//! With `cargo-nextest` the documentation tests come first, as nextest does not run them, so that the output
//! ends with the summary of the many. Without it plain `cargo test` runs all of them.

use std::process::ExitCode;

use anyhow::Result;

use crate::process::{Outcome, cargo, first_failure, has_cargo};
use crate::root::root;

/// Runs the tests; `arguments` go to the test runner.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let outcomes = steps(arguments, has_cargo("nextest"))
        .iter()
        .map(|(name, step)| {
            let step: Vec<&str> = step.iter().map(String::as_str).collect();
            cargo(&root(), name, &step, &[])
        })
        .collect::<Result<Vec<Outcome>>>()?;
    Ok(first_failure(&outcomes))
}

/// The cargo calls that run the tests, in order. With arguments only the main runner is called: its options
/// mean nothing to the documentation tests.
fn steps(arguments: &[String], nextest: bool) -> Vec<(&'static str, Vec<String>)> {
    let mut steps = Vec::new();
    if nextest && arguments.is_empty() {
        steps.push(("documentation tests", words("test --release --workspace --doc --no-fail-fast")));
    }
    let runner =
        if nextest { "nextest run --release --no-fail-fast" } else { "test --release --no-fail-fast" };
    let mut call = words(runner);
    if !arguments.iter().any(|argument| picks_package(argument)) {
        call.push("--workspace".to_owned());
    }
    call.extend_from_slice(arguments);
    steps.push(("tests", call));
    steps
}

fn picks_package(argument: &str) -> bool {
    argument == "--package" || argument.starts_with("--package=") || argument.starts_with("-p")
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(arguments: &str, nextest: bool) -> Vec<String> {
        steps(&words(arguments), nextest).into_iter().map(|(_, call)| call.join(" ")).collect()
    }

    #[test]
    fn with_nextest_its_summary_comes_last() {
        let calls = lines("", true);
        assert!(calls[0].contains("--doc") && calls[1].starts_with("nextest run --release"), "{calls:?}");
    }

    #[test]
    fn without_nextest_plain_cargo_test_runs_everything() {
        assert_eq!(lines("", false), ["test --release --no-fail-fast --workspace"]);
    }

    #[test]
    fn arguments_go_to_the_runner() {
        assert_eq!(
            lines("-p polytask-nn gelu", true),
            ["nextest run --release --no-fail-fast -p polytask-nn gelu"]
        );
        assert_eq!(lines("gelu", false), ["test --release --no-fail-fast --workspace gelu"]);
    }
}
