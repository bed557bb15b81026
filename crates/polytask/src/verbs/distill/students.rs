//! A suite whose tasks get teachers of their own: each is trained alone, and all of them teach one joint student.

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_core::report::RunReport;
use polytask_core::{Error, Suite, TargetType, atomic};
use polytask_train::observe::{Event, Observer};
use polytask_train::prepare::prepare;
use polytask_train::run::{Finished, Prepared, train_alone};

use super::Args;
use crate::verbs::train::RunArgs;
use polytask_terminal::output;
use polytask_terminal::progress::TerminalProgress;
use polytask_terminal::suites;

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
    let missing: Vec<&String> = taught.iter().filter(|task| !folder.join(task).is_dir()).collect();
    if !missing.is_empty() {
        atomic::create_dir(&folder)?;
        let mut progress = TerminalProgress::new(args.quiet);
        suites::set_threads(suite.train.threads)?;
        let prepared = prepare(suite, &mut progress)?;
        missing.iter().try_for_each(|task| teacher(&prepared, task, &folder, &mut progress))?;
    }
    let set: Vec<String> = taught.iter().map(|task| setting(args, task, &folder)).collect::<Result<_>>()?;
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    run.execute(run.load(&args.input, &set)?, &student(&args.out))
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

/// Trains a task alone; its model appears whole or not at all.
fn teacher(prepared: &Prepared, name: &str, folder: &Path, progress: &mut TerminalProgress) -> Result<()> {
    let task = prepared.suite.tasks.iter().position(|task| task.name == name).unwrap_or_default();
    progress.event(Event::Note(&format!("teacher of {name}: trained on it alone")));
    let partial = folder.join(format!(".{name}.partial"));
    // One of an interrupted run may be here.
    let _ = std::fs::remove_dir_all(&partial);
    let save = |finished: &Finished| finished.save(&partial);
    train_alone(prepared, (&format!("teacher of {name}"), &[task]), folder, progress, save)?;
    let whole = folder.join(name);
    std::fs::rename(&partial, &whole).map_err(Error::io("write", &whole))?;
    let _ = std::fs::remove_dir_all(folder.join("checkpoint"));
    Ok(())
}

/// The setting by which a task learns from its teacher.
fn setting(args: &Args, task: &str, folder: &Path) -> Result<String> {
    let place = folder.join(task);
    let place = place.canonicalize().map_err(Error::io("read", &place))?;
    // A JSON string is one of TOML, too.
    let model = serde_json::Value::from(place.display().to_string());
    Ok(format!("task.{task}.teacher={{ model = {model}, alpha = {:?} }}", args.alpha))
}
