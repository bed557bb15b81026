//! Project chores, run as `cargo xtask NAME`: what a contributor and CI both call.
//!
//! | name | does |
//! | --- | --- |
//! | `test [ARGS]` | runs every test of the workspace; arguments go to the test runner |
//! | `check [--no-tests]` | format, repository rules, lints, documentation, tests: cheapest first |
//! | `demo-data --data DIR` | makes the data sets under `demo/` from complete ones |
//! | `defaults --data DIR [--only PART]` | compares the settings that suites leave open with probes and a tuned grid |
//! | `generate` | writes the pages that are made from sources and results: `docs/methods/` |
//! | `fuzz [--seconds N] [TARGET ...]` | feeds the parsers mutated input (needs `cargo install cargo-fuzz`) |

// A chore's output is its terminal.
#![allow(clippy::print_stdout)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod check;
mod defaults;
mod demo_data;
mod fuzz;
mod options;
mod pages;
mod process;
mod repo;
mod root;
mod test;
mod tree;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask test [ARGS] | check [--no-tests] | demo-data --data DIR \
                     | defaults --data DIR [--only PART] | generate | fuzz [--seconds N] [TARGET ...]";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    match dispatch(&name, &rest) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn dispatch(name: &str, rest: &[String]) -> anyhow::Result<ExitCode> {
    match name {
        "test" => test::run(rest),
        "check" => check::run(rest),
        "demo-data" => demo_data::run(rest),
        "defaults" => defaults::run(rest),
        "generate" => pages::run(rest),
        "fuzz" => fuzz::run(rest),
        _ => anyhow::bail!("unknown chore `{name}`\n{USAGE}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_chore_is_refused_with_the_usage() {
        let error = dispatch("tset", &[]).unwrap_err().to_string();
        assert!(error.contains("`tset`") && error.contains("usage:"), "{error}");
    }
}
