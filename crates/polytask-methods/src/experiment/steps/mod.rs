//! Steps of an arm, a file each: every step makes a model folder, from kept models of earlier arms or from the step
//! before it. The last folder is asked about all tasks.

mod merge;
mod search;
mod train;

use std::path::{Path, PathBuf};
use std::time::Instant;

use polytask_core::{Problem, Split, Suite, near};
use polytask_train::judge::{Side, judge};
use polytask_train::observe::{Observer, Silent};
use polytask_train::{Error, Result};

use super::measure::Measured;
use super::names::slug;
use super::train::{Lab, One};
use crate::recipe::{StepSpec, beyond, of_step};

/// A sort of step.
struct Step {
    /// Its name in recipes.
    id: &'static str,
    /// What it works on.
    takes: Takes,
    /// The settings it knows; none where they are those of a suite or a method, which check their own.
    keys: &'static [&'static str],
    /// Makes the model.
    run: fn(&StepRequest, &mut dyn Observer) -> Result<()>,
}

/// What a step works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// The kept models of an earlier arm: it can only be the first step.
    Kept,
    /// The model of the step before it.
    Before,
}

/// All sorts of steps.
static STEPS: &[&Step] = &[&train::STEP, &merge::STEP, &search::STEP];

/// What a step is asked.
struct StepRequest<'a> {
    /// What the training is called.
    name: &'a str,
    /// The kept models it works on.
    models: Vec<PathBuf>,
    /// The model of the step before it.
    before: Option<&'a Path>,
    /// Its settings.
    set: Vec<String>,
    /// The suite with more settings.
    suite: &'a dyn Fn(&[String]) -> Result<Suite>,
    /// Where it may leave files while it runs.
    folder: &'a Path,
    /// Where its model goes; nothing is there.
    out: &'a Path,
}

impl StepRequest<'_> {
    /// The kept models as text, as they are named to a merge.
    fn model_names(&self) -> Vec<String> {
        self.models.iter().map(|path| path.display().to_string()).collect()
    }

    /// A setting as `KEY=VALUE`; `None` where it is not given.
    fn word(&self, key: &str) -> Option<&str> {
        let pairs = self.set.iter().filter_map(|text| text.split_once('='));
        // What comes last wins.
        pairs.rev().find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim())
    }

    /// A whole number among the settings, `open` where it is not given.
    fn count(&self, key: &str, open: usize) -> Result<usize> {
        let number = self.number(key, open as f64)?;
        if number.fract() == 0.0 {
            return Ok(number as usize);
        }
        let what = format!("step setting {key}={number}, expected a whole number");
        Err(Problem::new(what).try_this(format!("`{key}={open}`")).into())
    }

    /// A number among the settings, `open` where it is not given.
    fn number(&self, key: &str, open: f64) -> Result<f64> {
        let Some(text) = self.word(key) else { return Ok(open) };
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        number.ok_or_else(|| {
            let what = format!("step setting {key}={text}, expected a number of at least 0");
            Problem::new(what).try_this(format!("`{key}={open}`")).into()
        })
    }
}

fn find(spec: &StepSpec) -> Result<&'static Step> {
    let names: Vec<&str> = STEPS.iter().map(|step| step.id).collect();
    STEPS.iter().find(|step| step.id == spec.action).copied().ok_or_else(|| {
        let what = format!("there is no step `{}`", spec.action);
        Problem::new(what).try_this(near::advice(&spec.action, &names)).into()
    })
}

/// Refuses what a step would not look at.
fn check(one: &One) -> Result<()> {
    let arm = &one.arm.name;
    for (i, spec) in one.arm.steps.iter().enumerate() {
        let (step, at) = (find(spec)?, i + 1);
        let is_right = match step.takes {
            Takes::Kept => i == 0 && spec.of.is_some(),
            Takes::Before => spec.of.is_none(),
        };
        if !is_right {
            let what = format!("step {at} of arm `{arm}`: `{}` takes {}", step.id, step.takes.words());
            return Err(Problem::new(what)
                .try_this("`merge` or `search` with `of` first, then `train`")
                .into());
        }
        for text in [&spec.set[..], &of_step(one.changes, i)].concat() {
            let key = text.split_once('=').map_or("", |(key, _)| key.trim());
            if key.is_empty() || !step.keys.is_empty() && !step.keys.contains(&key) {
                let what = format!(
                    "step {at} of arm `{arm}`: setting `{text}`, expected KEY=VALUE of `{}`",
                    step.id
                );
                return Err(Problem::new(what).try_this(near::advice(key, step.keys)).into());
            }
        }
    }
    match beyond(one.changes, one.arm.steps.len()) {
        Some(change) => {
            let what = format!("arm `{arm}` has {} steps, found the setting `{change}`", one.arm.steps.len());
            Err(Problem::new(what).try_this("`step.1.KEY=VALUE` for its first step").into())
        }
        None => Ok(()),
    }
}

impl Takes {
    fn words(self) -> &'static str {
        match self {
            Self::Kept => "the kept models that `of` names, and is the first step",
            Self::Before => "the model of the step before it, and no `of`",
        }
    }
}

impl Lab<'_> {
    /// Takes an arm's steps and asks the model they end at.
    pub(super) fn stepwise(
        &self,
        one: &One,
        (name, folder): (&str, &Path),
        observer: &mut dyn Observer,
    ) -> Result<Measured> {
        check(one)?;
        let start = Instant::now();
        let mut model: Option<PathBuf> = None;
        for (i, spec) in one.arm.steps.iter().enumerate() {
            let out = self.file(one, &format!("step-{}", i + 1));
            // One of an interrupted experiment may be here.
            let _ = std::fs::remove_dir_all(&out);
            let request = StepRequest {
                name,
                models: self.kept_models(one, spec)?,
                before: model.as_deref(),
                set: [&spec.set[..], &of_step(one.changes, i)].concat(),
                suite: &|more| self.suite_with(one, more),
                folder,
                out: &out,
            };
            let made = (find(spec)?.run)(&request, observer);
            // A model folder per step would be gigabytes; one that cannot be removed harms nobody.
            if let Some(before) = model.replace(out) {
                let _ = std::fs::remove_dir_all(before);
            }
            match made {
                Err(error @ Error::Diverged { .. }) => {
                    return Ok(Measured { diverged: Some(error.to_string()), ..Measured::default() });
                }
                result => result?,
            }
        }
        let folder = model.unwrap_or_default();
        let mut measured = asked(&self.suite_with(one, &[])?, (name, &folder))?;
        measured.seconds = start.elapsed().as_secs_f64();
        self.put_away(one, &folder)?;
        Ok(measured)
    }

    /// The kept models that a step works on: one per task where the arm trained each alone.
    fn kept_models(&self, one: &One, spec: &StepSpec) -> Result<Vec<PathBuf>> {
        let Some(name) = &spec.of else { return Ok(Vec::new()) };
        let wrong = |what: String| Problem::new(what).try_this("an earlier arm with `keeps = true`");
        let of = format!("arm `{}` works on models of `{name}`", one.arm.name);
        let arm = self.recipe.arms(one.setting).find(|arm| arm.name == *name && arm.keeps);
        let arm = arm.ok_or_else(|| wrong(format!("{of}, which keeps none")))?;
        let kept = self.file(&One { arm, label: None, ..*one }, "model");
        let folders = if arm.alone {
            let tasks = self.suite_with(one, &[])?.tasks;
            tasks.iter().map(|task| kept.join(slug(&task.name))).collect()
        } else {
            vec![kept]
        };
        match folders.iter().find(|folder| !folder.is_dir()) {
            Some(folder) => Err(wrong(format!("{of}, but {} is not there", folder.display())).into()),
            None => Ok(folders),
        }
    }

    /// Keeps the model of an arm whose models are kept; removes that of another.
    fn put_away(&self, one: &One, model: &Path) -> Result<()> {
        if !one.arm.keeps {
            // A model folder per arm would be gigabytes; one that cannot be removed harms nobody.
            let _ = std::fs::remove_dir_all(model);
            return Ok(());
        }
        let kept = self.file(one, "model");
        let _ = std::fs::remove_dir_all(&kept);
        Ok(std::fs::rename(model, &kept).map_err(polytask_core::Error::io("write", &kept))?)
    }
}

/// What a model says on valid and on the split each task is reported on.
fn asked(suite: &Suite, (name, folder): (&str, &Path)) -> Result<Measured> {
    let mut measured = Measured::default();
    let side = Side { name, folder };
    for task in judge(suite.clone(), side, None, None, &mut Silent)?.report.tasks {
        let Some(score) = task.joint.first() else { continue };
        measured.metrics.insert(task.task.clone(), score.metric.clone());
        measured.test.insert(task.task.clone(), score.interval.value);
    }
    for task in judge(suite.clone(), side, None, Some(Split::Valid), &mut Silent)?.report.tasks {
        measured.valid.extend(task.joint.first().map(|score| (task.task.clone(), score.interval.value)));
    }
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(set: &[&str], suite: &'a dyn Fn(&[String]) -> Result<Suite>) -> StepRequest<'a> {
        let set = set.iter().map(|text| (*text).to_owned()).collect();
        let (folder, out) = (Path::new("a"), Path::new("b"));
        StepRequest { name: "x", models: Vec::new(), before: None, set, suite, folder, out }
    }

    #[test]
    fn the_last_setting_of_a_step_wins_and_numbers_are_checked() {
        let none = |_: &[String]| Err(Problem::new("no suite").into());
        let asked = request(&["steps=10", "steps = 20", "lr=fast"], &none);
        assert_eq!(asked.number("steps", 1.0).unwrap(), 20.0);
        assert_eq!(asked.number("mu", 0.5).unwrap(), 0.5);
        let error = asked.number("lr", 0.05).unwrap_err().to_string();
        assert!(error.contains("lr=fast") && error.contains("at least 0"), "{error}");
    }

    #[test]
    fn an_unknown_step_is_refused_with_the_nearest() {
        let spec = StepSpec { action: "merg".into(), of: None, set: Vec::new() };
        let error = find(&spec).map(|step| step.id).unwrap_err().to_string();
        assert!(error.contains("`merg`") && error.contains("merge"), "{error}");
    }
}
