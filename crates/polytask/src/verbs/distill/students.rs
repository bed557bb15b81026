//! A suite whose tasks get teachers of their own: each is trained alone, and all of them teach one joint student.
//!
//! With folds a task has several teachers, each trained without a part of the rows, which it alone answers.

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_core::report::RunReport;
use polytask_core::{Error, Suite, TargetType, atomic, files, suite};
use polytask_train::observe::{Event, Observer};
use polytask_train::prepare::prepare;
use polytask_train::run::{Finished, Prepared, SEMANTICS, train_alone};
use polytask_train::teacher::hide_fold;
use serde_json::{Value, json};

use super::Args;
use crate::verbs::train::RunArgs;
use polytask_terminal::output;
use polytask_terminal::progress::TerminalProgress;
use polytask_terminal::suites;

/// Of which suite and folds the teachers are, and of which data.
const ORIGIN: &str = "origin.json";
const DATA: &str = "data.json";
/// Weight of the teachers where none is given.
const ALPHA: f64 = 0.5;

/// The folder of the student's run.
pub(super) fn student(out: &Path) -> PathBuf {
    out.join("student")
}

/// Trains the teachers that are missing, then the student.
pub(super) fn run(args: &Args) -> Result<RunReport> {
    let run = RunArgs::of((&args.set, args.seed), (args.resume, args.quiet, args.json));
    let suite = run.load(&args.input, &[])?;
    let taught = taught(&suite)?;
    let folder = args.out.join("teachers");
    if !args.resume && folder.exists() {
        let what = format!("{} is there already", folder.display());
        return output::refuse(what, "`--resume` to go on, or another `--out`");
    }
    let n_folds = args.folds.unwrap_or(1);
    let origin = folder.join(ORIGIN);
    // The data are looked at by what is trained; the student's run refuses others than it began with.
    let own = json!({ "semantics": SEMANTICS, "suite": suite::weight_hash(&suite), "folds": n_folds });
    check_origin(&origin, &own)?;
    let all: Vec<Teacher> = taught.iter().flat_map(|task| Teacher::all_of(task, n_folds)).collect();
    let missing: Vec<&Teacher> = all.iter().filter(|teacher| !folder.join(teacher.name()).is_dir()).collect();
    if !missing.is_empty() {
        atomic::create_dir(&folder)?;
        let mut progress = TerminalProgress::new(args.quiet);
        suites::set_threads(suite.train.threads)?;
        let mut prepared = prepare(suite, &mut progress)?;
        let data = json!({ "data": prepared.dataset.files });
        check_origin(&folder.join(DATA), &data)?;
        atomic::write_json(&origin, &own)?;
        atomic::write_json(&folder.join(DATA), &data)?;
        missing.iter().try_for_each(|teacher| teacher.train(&mut prepared, &folder, &mut progress))?;
    }
    let set: Vec<String> = taught.iter().map(|task| setting(args, task, &folder)).collect::<Result<_>>()?;
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    run.execute(run.load(&args.input, &set)?, &student(&args.out))
}

/// Refuses teachers that were trained by another suite, in other folds or on other data.
fn check_origin(file: &Path, own: &Value) -> Result<()> {
    let Ok(text) = files::read_text(file, files::SMALL) else { return Ok(()) };
    if serde_json::from_str::<Value>(&text).is_ok_and(|found| found == *own) {
        return Ok(());
    }
    let what = format!("{} says that the teachers were trained with other settings or data", file.display());
    output::refuse(
        what,
        "the suite, `--set`, `--seed` and `--folds` they were trained with, or another `--out`",
    )
}

/// Names of the tasks that can be taught and have no teacher yet.
fn taught(suite: &Suite) -> Result<Vec<String>> {
    let can = |task: &&polytask_core::suite::TaskSpec| {
        !matches!(task.kind.target_type(), TargetType::Tags | TargetType::Passages) && task.teacher.is_none()
    };
    let names: Vec<String> = suite.tasks.iter().filter(can).map(|task| task.name.clone()).collect();
    if names.is_empty() {
        return output::refuse(
            "no task of the suite can get a teacher, expected one with labels or numbers and without `teacher`",
            "`polytask train`, which uses the teachers that a suite names",
        );
    }
    Ok(names)
}

/// A model that is trained on one task alone, without the rows of a fold where there are several.
struct Teacher<'a> {
    task: &'a str,
    /// The fold it does not see, of how many.
    fold: Option<(usize, usize)>,
}

impl<'a> Teacher<'a> {
    fn all_of(task: &'a str, folds: usize) -> Vec<Self> {
        match folds {
            1 => vec![Self { task, fold: None }],
            n => (0..n).map(|fold| Self { task, fold: Some((fold, n)) }).collect(),
        }
    }

    /// The name of its folder.
    fn name(&self) -> String {
        self.fold
            .map_or_else(|| self.task.to_owned(), |(fold, n)| format!("{}-{}-of-{n}", self.task, fold + 1))
    }

    /// Trains it; its model appears whole or not at all.
    fn train(&self, prepared: &mut Prepared, folder: &Path, progress: &mut TerminalProgress) -> Result<()> {
        let task = prepared.suite.tasks.iter().position(|task| task.name == self.task).unwrap_or_default();
        let name = format!("teacher {}", self.name());
        progress.event(Event::Note(&format!("{name}: trained on {} alone", self.task)));
        let partial = folder.join(format!(".{}.partial", self.name()));
        // One of an interrupted run may be here.
        let _ = std::fs::remove_dir_all(&partial);
        let whole = prepared.dataset.tasks[task].clone();
        if let Some(fold) = self.fold {
            hide_fold(&mut prepared.dataset, task, fold);
        }
        let save = |finished: &Finished| finished.save(&partial);
        let trained = train_alone(prepared, (&name, &[task]), folder, progress, save);
        prepared.dataset.tasks[task] = whole;
        trained?;
        let place = folder.join(self.name());
        std::fs::rename(&partial, &place).map_err(Error::io("write", &place))?;
        let _ = std::fs::remove_dir_all(folder.join("checkpoint"));
        Ok(())
    }
}

/// The setting by which a task learns from its teachers.
fn setting(args: &Args, task: &str, folder: &Path) -> Result<String> {
    let place = |teacher: Teacher| {
        let place = folder.join(teacher.name());
        let place = place.canonicalize().map_err(Error::io("read", &place))?;
        // A JSON string is one of TOML, too.
        Ok(serde_json::Value::from(place.display().to_string()))
    };
    let models =
        Teacher::all_of(task, args.folds.unwrap_or(1)).into_iter().map(place).collect::<Result<Vec<_>>>()?;
    let models = serde_json::Value::from(models);
    let (alpha, out_of_fold) =
        (args.alpha.unwrap_or(ALPHA), models.as_array().is_some_and(|all| all.len() > 1));
    Ok(format!("task.{task}.teacher={{ model = {models}, alpha = {alpha:?}, out_of_fold = {out_of_fold} }}"))
}
