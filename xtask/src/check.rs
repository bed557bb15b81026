//! `cargo xtask check`: the same rules by hand and in CI, cheapest first, all of them even when one fails.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::options::Options;
use crate::process::{Outcome, cargo, first_failure, table};
use crate::root::root;
use crate::tree::Tree;
use crate::{repo, test};

/// Name, cargo arguments and environment of each check made by cargo.
type CargoCheck = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

/// All in the release profile: build scripts and macros are then built once for checks, tests and demo.
const CARGO_CHECKS: &[CargoCheck] = &[
    (
        "lints",
        &["clippy", "--release", "--workspace", "--all-targets", "--keep-going", "--", "-D", "warnings"],
        &[],
    ),
    ("documentation", &["doc", "--release", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")]),
];

/// Runs the checks and prints what ran with times.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let options = Options::parse(arguments, &[], &["no-tests"])?;
    let root = root();
    let mut outcomes = vec![cargo(&root, "format", &["fmt", "--all", "--check"], &[])?];
    outcomes.extend(repository()?);
    for (name, arguments, variables) in CARGO_CHECKS {
        outcomes.push(cargo(&root, name, arguments, variables)?);
    }
    if !options.has("no-tests") {
        outcomes.push(tests()?);
    }
    println!("\n{}", table(&outcomes));
    Ok(first_failure(&outcomes))
}

fn repository() -> Result<Vec<Outcome>> {
    let tree = Tree::read(&root())?;
    Ok(repo::CHECKS.iter().map(|check| rule(check, &tree)).collect())
}

fn rule(check: &repo::Check, tree: &Tree) -> Outcome {
    let start = Instant::now();
    let problems = (check.find)(tree);
    for problem in &problems {
        println!("{}: {problem}", check.name);
    }
    let code = u8::from(!problems.is_empty());
    Outcome { name: check.name.to_owned(), code, time: start.elapsed() }
}

fn tests() -> Result<Outcome> {
    let start = Instant::now();
    let passed = test::run(&[])? == ExitCode::SUCCESS;
    Ok(Outcome { name: "tests".to_owned(), code: u8::from(!passed), time: start.elapsed() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_with_problems_fails() {
        let tree = Tree { files: Vec::new() };
        let check = repo::Check { name: "x", find: |_| vec!["bad".to_owned()] };
        assert!(!rule(&check, &tree).passed());
        assert!(rule(&repo::Check { name: "x", find: |_| Vec::new() }, &tree).passed());
    }
}
