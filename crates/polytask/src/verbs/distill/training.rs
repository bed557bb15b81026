//! The two trainings of a cycle, as suites.

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_core::{Suite, atomic, suite};
use polytask_train::log::Log;
use polytask_train::prepare::prepare;
use polytask_train::run::{self, RunOptions};
use serde_json::Value;

use polytask_terminal::progress::TerminalProgress;

/// The task of both.
pub(super) const TASK: &str = "close";

/// How a model reads a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Each text alone.
    Bi,
    /// Both as one.
    Cross,
}

impl Form {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bi => "bi",
            Self::Cross => "cross",
        }
    }

    /// The published settings of its training.
    fn settings(self) -> &'static str {
        match self {
            Self::Bi => "epochs = 10\nbatch_rows = 128\nlr = 5e-5\nwarmup = 0.0",
            Self::Cross => "epochs = 1\nbatch_rows = 32\nlr = 2e-5\nwarmup = 0.1",
        }
    }

    /// Most tokens: of a text, of two as one.
    fn max_length(self) -> usize {
        match self {
            Self::Bi => 32,
            Self::Cross => 64,
        }
    }

    fn task(self) -> &'static str {
        match self {
            Self::Bi => "kind = \"similarity\"\nloss = \"cosine-mse\"",
            Self::Cross => "kind = \"similarity\"\nform = \"pair\"",
        }
    }
}

/// One training.
pub(super) struct Training<'a> {
    pub(super) form: Form,
    /// Folder of the encoder it begins with.
    pub(super) encoder: &'a Path,
    /// File of labelled pairs.
    pub(super) rows: &'a Path,
    pub(super) dev: Option<&'a Path>,
    pub(super) seed: u64,
    pub(super) set: &'a [String],
    /// Folder of the run.
    pub(super) out: PathBuf,
}

impl Training<'_> {
    /// Trains, or goes on with what is there; the model's folder, and the score on dev where there is one.
    pub(super) fn done(&self, quiet: bool) -> Result<(PathBuf, Option<f64>)> {
        let report = self.out.join("report.json");
        if !report.is_file() {
            self.train(quiet)?;
        }
        let text = std::fs::read_to_string(&report).map_err(polytask_core::Error::io("read", &report))?;
        let report: Value = serde_json::from_str(&text)?;
        let score = report.pointer("/tasks/0/joint/0/value").and_then(Value::as_f64);
        Ok((self.out.join("model"), score.filter(|_| self.dev.is_some())))
    }

    fn train(&self, quiet: bool) -> Result<()> {
        let mut progress = TerminalProgress::new(quiet);
        let suite = self.suite()?;
        let prepared = prepare(suite, &mut progress)?;
        let is_begun = self.out.join("log.jsonl").exists();
        let _held = run::claim(&self.out, false, is_begun)?;
        let copy = suite::to_toml(&prepared.suite.with_absolute_paths());
        atomic::write(&self.out.join("suite.toml"), copy.as_bytes())?;
        let mut log = Log::open(&self.out.join("log.jsonl"), &mut progress)?;
        let options = RunOptions { out: self.out.clone(), resume: is_begun, baselines: None };
        run::run(&prepared, &options, &mut log)?;
        Ok(())
    }

    /// The suite of the training, with the settings of the command line.
    fn suite(&self) -> Result<Suite> {
        let text = |path: &Path| {
            let full = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
            format!("{:?}", full.to_string_lossy())
        };
        let valid = self.dev.map_or(String::new(), |dev| format!(", valid = {}", text(dev)));
        let keep = if self.dev.is_some() { "eval_every = 200\nkeep = \"best\"" } else { "keep = \"last\"" };
        let written = format!(
            "name = \"distill-{}\"\nseed = {}\n[model]\nencoder = {}\nmax_length = {}\n[train]\n{}\n{keep}\n\
             start = \"random\"\nbaselines = false\nconflict_every = 0\n[[task]]\nname = \"{TASK}\"\n{}\nrange = [0.0, 1.0]\n\
             valid = 0.02\nfiles = {{ train = {}{valid} }}\n",
            self.form.name(),
            self.seed,
            text(self.encoder),
            self.form.max_length(),
            self.form.settings(),
            self.form.task(),
            text(self.rows),
        );
        let file = self.out.join("distill.toml");
        let set: Vec<String> = self.set.to_vec();
        Ok(suite::parse(&written, &file, &polytask_train::catalogue(), &set)?)
    }
}
