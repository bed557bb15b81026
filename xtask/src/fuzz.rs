//! `cargo xtask fuzz`: every fuzz target for a while, on the stable toolchain.
//!
//! Never part of `check` or CI: found inputs become ordinary tests of the crate they break.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::root::root;

/// Seconds per target when none are given.
const SECONDS: &str = "60";

/// Runs the targets named (all otherwise), each for `--seconds N`.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let (seconds, named) = split(arguments)?;
    let all = targets()?;
    if let Some(unknown) = named.iter().find(|name| !all.contains(name)) {
        bail!("no fuzz target `{unknown}`, expected one of {}", all.join(", "));
    }
    let (root, mut broken) = (root(), Vec::new());
    for target in if named.is_empty() { &all } else { &named } {
        std::fs::create_dir_all(root.join("fuzz/corpus").join(target))?;
        std::fs::create_dir_all(root.join("fuzz/seeds").join(target))?;
        let (corpus, seeds) = (format!("fuzz/corpus/{target}"), format!("fuzz/seeds/{target}"));
        let limit = format!("-max_total_time={seconds}");
        let arguments = ["fuzz", "run", "-s", "none", target, &corpus, &seeds, "--", &limit];
        if !process::cargo(&root, &format!("fuzz {target}"), &arguments, &[])?.passed() {
            broken.push(target.clone());
        }
    }
    if broken.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("broken: {}; the input that broke it lies in fuzz/artifacts", broken.join(", "));
    Ok(ExitCode::FAILURE)
}

/// `--seconds N` and the targets named.
fn split(arguments: &[String]) -> Result<(String, Vec<String>)> {
    let mut named = arguments.to_vec();
    let Some(at) = named.iter().position(|argument| argument == "--seconds") else {
        return Ok((SECONDS.into(), named));
    };
    let value: Vec<String> = named.drain(at..(at + 2).min(named.len())).collect();
    let seconds =
        value.get(1).filter(|s| s.parse::<u32>().is_ok()).context("--seconds needs a whole number")?;
    Ok((seconds.clone(), named))
}

/// The targets there are, by name.
fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root().join("fuzz/targets"))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_taken_out_of_the_targets() {
        let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        assert_eq!(split(&words("csv --seconds 5 tsv")).unwrap(), ("5".into(), words("csv tsv")));
        assert!(split(&words("--seconds soon")).is_err());
        assert!(targets().unwrap().contains(&"safetensors".to_string()));
    }
}
