//! One side of a comparison: a process that prints a JSON object on its last line.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use polytask_core::{Error, Problem};
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::leftovers;
use polytask_terminal::output;

/// A program to be run.
#[derive(Debug, Clone)]
pub(super) struct Side {
    /// What the table calls it.
    pub(super) name: String,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    /// Set in its environment.
    pub(super) variables: Vec<(String, String)>,
    /// It is ended when it takes longer.
    pub(super) limit: Duration,
    /// What to try when it lacks a package.
    pub(super) remedy: Option<String>,
}

/// Lines of a failed program's messages that are shown.
const SHOWN: usize = 12;

/// What Python says when a package is not there or cannot be loaded.
const LACKS: [&str; 2] = ["ModuleNotFoundError", "ImportError"];

/// How often a running process is looked at.
const PAUSE: Duration = Duration::from_millis(5);

impl Side {
    /// Runs it and reads the JSON object it prints last.
    pub(super) fn report(&self) -> Result<Value> {
        let report = self.report_in_time()?;
        let limit = self.limit.as_secs();
        report.with_context(|| format!("{} took longer than {limit} s and was ended", self.command()))
    }

    /// As [`Side::report`]; `None` when it took too long.
    pub(super) fn report_in_time(&self) -> Result<Option<Value>> {
        let Some((status, stdout, stderr)) = self.run()? else { return Ok(None) };
        if !status.success() {
            let what = format!("{} failed ({status}):\n{}", self.command(), last_lines(&stderr, SHOWN));
            let lacks_package = LACKS.iter().any(|error| stderr.contains(error));
            return match self.remedy.as_ref().filter(|_| lacks_package) {
                Some(remedy) => output::refuse(what, remedy),
                None => bail!(what),
            };
        }
        let line = stdout.lines().next_back().unwrap_or_default();
        serde_json::from_str::<Value>(line)
            .ok()
            .filter(Value::is_object)
            .map(Some)
            .with_context(|| format!("{} printed `{line}`, expected a JSON object", self.command()))
    }

    fn command(&self) -> String {
        format!("{} {}", self.program.display(), self.arguments.join(" "))
    }

    fn run(&self) -> Result<Option<(ExitStatus, String, String)>> {
        // Files instead of pipes: a grandchild that lives on would hold a pipe open.
        let (stdout, stderr) = (Scratch::new()?, Scratch::new()?);
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .envs(self.variables.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(stdout.writer()?)
            .stderr(stderr.writer()?)
            .spawn()
            .map_err(|error| {
                let what = format!("cannot start {}: {error}", self.program.display());
                Error::from(Problem::new(what).try_this("the path of a program that can be run"))
            })?;
        let Some(status) = self.wait(&mut child)? else { return Ok(None) };
        Ok(Some((status, stdout.text()?, stderr.text()?)))
    }

    /// `None` when it took too long and was ended.
    fn wait(&self, child: &mut Child) -> Result<Option<ExitStatus>> {
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            if start.elapsed() > self.limit {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// The last lines of a text that are not empty.
pub(super) fn last_lines(text: &str, n: usize) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(n)..].join("\n")
}

/// A file that vanishes with its value.
struct Scratch(NamedTempFile);

impl Scratch {
    fn new() -> Result<Self> {
        let file = tempfile::Builder::new().prefix(leftovers::PREFIX).tempfile();
        Ok(Self(file.context("cannot write a temporary file")?))
    }

    fn writer(&self) -> Result<Stdio> {
        Ok(self.0.reopen()?.into())
    }

    fn text(&self) -> Result<String> {
        let mut bytes = Vec::new();
        self.0.reopen()?.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
