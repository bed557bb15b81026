//! `polytask train`: the tasks of a suite together, judged against single-task models.

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_core::report::{REPORT_VERSION, RunReport};
use polytask_core::{Suite, atomic, files, suite};
use polytask_train::log::Log;
use polytask_train::observe::Observer;
use polytask_train::prepare::prepare;
use polytask_train::run::{self, Prepared, RunOptions};

use polytask_terminal::output::{self, Outcome};
use polytask_terminal::progress::TerminalProgress;
use polytask_terminal::suites;

use super::boost::trees;
use super::labels;

/// Train the tasks of a suite together and compare with single-task models
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask train suite.toml --out runs/first
  polytask train suite.toml --out runs/first --resume
  polytask train suite.toml --time 5m
  polytask train suite.toml --set train.weighting=pcgrad --set train.epochs=2 --seed 7

The run's folder holds model/ (loads in sentence-transformers unless model.sharing gives each task vectors
of its own), report.html, report.json, CARD.md, suite.toml, log.jsonl, mteb/ (scores as MTEB result files) and
predictions/ (what `polytask compare` pairs).

Exit codes: 0 done, 1 a task regressed beyond its margin, 2 could not run.")]
pub(crate) struct Args {
    /// The suite file
    suite: PathBuf,
    /// Folder of the run [default: runs/NAME]
    #[arg(long, short)]
    out: Option<PathBuf>,
    #[command(flatten)]
    run: RunArgs,
}

/// What is left of a run.
pub(super) enum Work {
    /// Nothing; its report.
    Finished(Box<RunReport>),
    /// All, or what its last checkpoint left.
    Open(Box<Prepared>),
}

/// What every verb that trains takes.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// Change a setting: train.lr=3e-4, task.sts.margin=2
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// Seed of every random choice
    #[arg(long)]
    seed: Option<u64>,
    /// Continue a run that was interrupted
    #[arg(long)]
    resume: bool,
    /// Replace the run in the folder
    #[arg(long, conflicts_with = "resume")]
    force: bool,
    /// Plan the steps so that the run takes about this long: 90s, 5m, 2h
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    time: Option<f64>,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
    /// Print the report as one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let suite = args.run.load(&args.suite, &[])?;
    let out = args.out.clone().unwrap_or_else(|| Path::new("runs").join(&suite.name));
    let report = args.run.execute(suite, &out)?;
    show(&report, &out, args.run.json)
}

impl RunArgs {
    /// Those of a verb that trains a suite as one of its steps.
    pub(super) fn of(
        (set, seed): (&[String], Option<u64>),
        (resume, quiet, json): (bool, bool, bool),
    ) -> Self {
        Self { set: set.to_vec(), seed, resume, force: false, time: None, quiet, json }
    }

    /// The suite with `first` and the command line's settings.
    pub(super) fn load(&self, path: &Path, first: &[&str]) -> Result<Suite> {
        let seed = self.seed.map(|seed| format!("seed={seed}"));
        let set = first.iter().map(ToString::to_string).chain(self.set.iter().cloned()).chain(seed);
        let mut suite = suites::load(path, &set.collect::<Vec<_>>())?;
        if self.time.is_some() && !suite.train.open.contains(&"steps") {
            let what = "`--time` plans the steps, but the suite sets `train.steps`, `train.epochs` or a fresh encoder";
            return output::refuse(what, "one of both");
        }
        suite.train.seconds = self.time;
        Ok(suite)
    }

    /// The suite with what an interrupted run chose when it began.
    pub(super) fn adopted(&self, mut suite: Suite, out: &Path) -> Result<Suite> {
        let before = out.join("suite.toml");
        if self.resume && before.is_file() && !suite.train.open.is_empty() {
            suite.train.adopt(&suites::load(&before, &[])?.train);
            // What `--time` planned stands in the file.
            suite.train.seconds = None;
        }
        Ok(suite)
    }

    /// Runs a suite in `out`; that folder is touched only when suite and data are right.
    pub(super) fn execute(&self, suite: Suite, out: &Path) -> Result<RunReport> {
        let mut progress = self.progress();
        if suite.model.trees.is_some() {
            return self.apart(&suite, out, &mut progress, (trees::read, trees::run));
        }
        if suite.matches_labels() {
            return self.apart(&suite, out, &mut progress, (labels::run::read, labels::run::run));
        }
        match self.begin(suite, out, &mut progress)? {
            Work::Finished(report) => Ok(*report),
            Work::Open(prepared) => self.train_in(&prepared, out, &mut progress, run::run),
        }
    }

    /// Trees in the place of a network, or heads on one that stays as it is, by how they read a suite and run; a run that
    /// was interrupted begins anew, for it takes seconds.
    pub(super) fn apart<D>(
        &self,
        suite: &Suite,
        out: &Path,
        progress: &mut TerminalProgress,
        (read, train): (
            impl FnOnce(&Suite, &mut dyn Observer) -> Result<D>,
            impl FnOnce(&Suite, &D, &Path, &mut dyn Observer) -> Result<RunReport>,
        ),
    ) -> Result<RunReport> {
        if self.time.is_some() {
            let what = "`--time` plans the steps of a network that is trained, found none";
            return output::refuse(
                what,
                "`--set` with fewer rounds, as in model.trees.rounds=50, or no `--time`",
            );
        }
        suites::set_threads(suite.train.threads)?;
        run::check_free(out, self.force, self.resume)?;
        if let Some(report) = self.finished(suite, out)? {
            return Ok(report);
        }
        let read = read(suite, progress)?;
        let _held = run::claim(out, self.force, self.resume)?;
        let copy = suite::to_toml(&suite.with_absolute_paths());
        atomic::write(&out.join("suite.toml"), copy.as_bytes())?;
        let mut log = Log::open(&out.join("log.jsonl"), progress)?;
        train(suite, &read, out, &mut log)
    }

    pub(super) fn progress(&self) -> TerminalProgress {
        TerminalProgress::new(self.quiet)
    }

    /// What is to be done in `out`; nothing is written yet.
    pub(super) fn begin(&self, suite: Suite, out: &Path, progress: &mut TerminalProgress) -> Result<Work> {
        suites::set_threads(suite.train.threads)?;
        suites::note_cache();
        run::check_free(out, self.force, self.resume)?;
        let suite = self.adopted(suite, out)?;
        if let Some(report) = self.finished(&suite, out)? {
            return Ok(Work::Finished(Box::new(report)));
        }
        Ok(Work::Open(Box::new(prepare(suite, progress)?)))
    }

    /// The report of a run of this suite that has nothing left to resume.
    fn finished(&self, suite: &Suite, out: &Path) -> Result<Option<RunReport>> {
        if !self.resume {
            return Ok(None);
        }
        check_same(suite, out)?;
        finished(out)
    }

    /// Makes `out` the folder of this run, which no other process may touch meanwhile, and trains in it.
    pub(super) fn train_in(
        &self,
        prepared: &Prepared,
        out: &Path,
        progress: &mut TerminalProgress,
        train: impl FnOnce(&Prepared, &RunOptions, &mut dyn Observer) -> polytask_train::Result<RunReport>,
    ) -> Result<RunReport> {
        let _held = run::claim(out, self.force, self.resume)?;
        // Another process may have finished the run while this one read the data.
        if let Some(report) = self.finished(&prepared.suite, out)? {
            return Ok(report);
        }
        let copy = suite::to_toml(&prepared.suite.with_absolute_paths());
        atomic::write(&out.join("suite.toml"), copy.as_bytes())?;
        let mut log = Log::open(&out.join("log.jsonl"), progress)?;
        Ok(train(prepared, &self.options(out), &mut log)?)
    }

    pub(super) fn options(&self, out: &Path) -> RunOptions {
        RunOptions { out: out.into(), resume: self.resume, baselines: Some(suites::baselines()) }
    }
}

/// Seconds of `90s`, `5m`, `2h` or a plain number of seconds.
fn duration(text: &str) -> Result<f64, String> {
    let units = [("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let unit = units.into_iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)));
    let (number, seconds) = unit.unwrap_or((text, 1.0));
    match number.trim().parse::<f64>() {
        Ok(n) if n > 0.0 && n.is_finite() => Ok(n * seconds),
        _ => Err("expected a time such as 90s, 5m or 2h".into()),
    }
}

/// Refuses to continue a run with other settings than it began with; those that change no weight may differ.
/// Files are not compared by name, since a folder may have moved; checkpoints know their content.
fn check_same(suite: &Suite, out: &Path) -> Result<()> {
    let path = out.join("suite.toml");
    let Ok(before) = files::read_text(&path, files::SMALL) else { return Ok(()) };
    check_baselines(suite, &path, out)?;
    let is_path = |line: &String| {
        ["data", "files", "corpus", "queries", "qrels"].iter().any(|key| line.starts_with(key))
    };
    let now = suite::to_toml(&suite.with_absolute_paths());
    let [before, now] = [before, now].map(|text| {
        let mut settings = suite::weight_settings(&text);
        settings.retain(|line| !is_path(line));
        settings
    });
    if before == now {
        return Ok(());
    }
    let n = before.iter().zip(&now).take_while(|(a, b)| a == b).count();
    let [before, now] = [&before, &now].map(|lines| lines.get(n).map_or("nothing more", String::as_str));
    let what = format!("the run in {} began with `{before}`, found `{now}`", out.display());
    output::refuse(what, "the suite, `--set` and `--seed` it began with, or `--force` to start anew")
}

/// Refuses to continue a run that is compared with other learners: its report would lack what is asked for.
fn check_baselines(suite: &Suite, written: &Path, out: &Path) -> Result<()> {
    // A suite that cannot be read any more is compared setting by setting.
    let Ok(before) = suites::load(written, &[]) else { return Ok(()) };
    let (before, now) = (before.train.baselines, &suite.train.baselines);
    if before == *now {
        return Ok(());
    }
    let what = format!("the run in {} began with `baselines = {before:?}`, found `{now:?}`", out.display());
    output::refuse(what, "the `train.baselines` it began with, or `--force` to start anew")
}

/// The report of a run that has nothing left to resume.
fn finished(out: &Path) -> Result<Option<RunReport>> {
    let path = out.join("report.json");
    if !path.exists() {
        return Ok(None);
    }
    let bytes = files::read(&path, files::LARGE).map_err(polytask_core::Error::io("read", &path))?;
    match serde_json::from_slice::<RunReport>(&bytes) {
        Ok(report) if report.version == REPORT_VERSION => {
            output::note("this run is finished; nothing to resume");
            Ok(Some(report))
        }
        Ok(report) => {
            let what = format!(
                "{} has format {}, expected {REPORT_VERSION}: another version of polytask made it",
                path.display(),
                report.version
            );
            output::refuse(what, "`--force` to run anew")
        }
        Err(error) => output::refuse(format!("{}: {error}", path.display()), "`--force` to run anew"),
    }
}

/// Prints the outcome.
pub(super) fn show(report: &RunReport, out: &Path, json: bool) -> Result<Outcome> {
    if json {
        output::json(report)?;
    } else {
        output::line(polytask_eval::table(report, output::width()).trim_end())?;
        if let Some(trees) = &report.trees {
            let lines = polytask_eval::trees::summary(trees, output::width());
            lines.iter().try_for_each(output::line)?;
        }
        for segmentation in &report.segmentations {
            output::line("")?;
            output::line(polytask_eval::segmentation_table(segmentation, output::width()).trim_end())?;
        }
        let labels = report.labels.iter();
        let lines = labels.flat_map(|task| polytask_eval::labels::summary(task, output::width()));
        lines.into_iter().try_for_each(output::line)?;
        output::line(format!("\nmodel   {}", out.join("model").display()))?;
        output::line(format!("report  {}", out.join("report.html").display()))?;
    }
    let regressed = report.tasks.iter().any(|task| task.regressed);
    Ok(if regressed { Outcome::Missed } else { Outcome::Done })
}
