//! From a recipe to trained arms: choices on valid, seeds, and what is kept from before.

use std::path::{Path, PathBuf};
use std::time::Instant;

use polytask_core::{Problem, Suite, atomic, files, hash, suite};
use polytask_train::Result;
use polytask_train::cache::FrozenStates;
use polytask_train::observe::{Event, Observer, Silent};
use polytask_train::prepare::prepare;
use polytask_train::run::SEMANTICS;
use serde::{Deserialize, Serialize};

use super::measure::{Lesson, Measured};
use super::names::slug;
use super::statistics::mean;
use super::trained::Trained;
use super::{Options, judge, labelled, trees};
use crate::paper::{Data, OracleRequest, Paper, Request};
use crate::recipe::{ArmSpec, Recipe, Setting, is_of_step};

/// All that stays the same while an experiment runs.
pub(super) struct Lab<'a> {
    pub(super) paper: &'a Paper,
    pub(super) recipe: &'a Recipe,
    pub(super) options: &'a Options<'a>,
    /// One set of states for all trainings of the same encoder on the same texts.
    pub(super) frozen: FrozenStates,
}

/// A training's result as the folder keeps it.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Differs whenever the training would.
    key: String,
    measured: Measured,
}

/// One training: of which arm, named how in files, with which changes, by which seed.
pub(super) struct One<'a> {
    pub(super) setting: &'a Setting,
    pub(super) arm: &'a ArmSpec,
    pub(super) label: Option<&'a str>,
    pub(super) changes: &'a [String],
    pub(super) seed: usize,
}

impl<'a> Lab<'a> {
    /// How many trainings there are when none was kept and the first candidate of no choice wins.
    pub(super) fn trainings(&self) -> usize {
        let spec = &self.recipe.spec;
        let of_arm = |setting: &Setting, arm: &ArmSpec| match (arm.choose.len(), self.recipe.seeds(setting)) {
            (0, seeds) => seeds,
            (n, seeds) => n * self.choose_on(setting) + seeds - self.choose_on(setting),
        };
        let of_setting =
            |setting: &Setting| self.recipe.arms(setting).map(|arm| of_arm(setting, arm)).sum::<usize>();
        spec.setting.iter().map(of_setting).sum()
    }

    fn choose_on(&self, setting: &Setting) -> usize {
        self.recipe.spec.choose_on.clamp(1, self.recipe.seeds(setting).max(1))
    }

    /// Trains a setting's arms in their order.
    pub(super) fn setting(
        &self,
        setting: &'a Setting,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Trained<'a>>> {
        let mut trained = Vec::new();
        for arm in self.recipe.arms(setting) {
            let arm = self.arm(setting, arm, &trained, observer)?;
            trained.push(arm);
        }
        Ok(trained)
    }

    fn arm(
        &self,
        setting: &Setting,
        spec: &'a ArmSpec,
        before: &[Trained<'a>],
        observer: &mut dyn Observer,
    ) -> Result<Trained<'a>> {
        let (chosen, changes) = self.changes(setting, spec, before, observer)?;
        let mut runs = Vec::new();
        for seed in 1..=self.recipe.seeds(setting) {
            let label = chosen.as_deref();
            let one = One { setting, arm: spec, label, changes: &changes, seed };
            runs.push(self.train(&one, observer)?);
        }
        if setting.oracle {
            return Ok(Trained { spec, chosen, changes, runs, suite: String::new() });
        }
        let first = One { setting, arm: spec, label: chosen.as_deref(), changes: &changes, seed: 1 };
        let suite = self.file(&first, "toml").strip_prefix(&self.options.out).map_or_else(
            |_| String::new(),
            |path| path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/"),
        );
        Ok(Trained { spec, chosen, changes, runs, suite })
    }

    /// The candidate that is taken, and the settings an arm is trained with.
    fn changes(
        &self,
        setting: &Setting,
        spec: &ArmSpec,
        before: &[Trained],
        observer: &mut dyn Observer,
    ) -> Result<(Option<String>, Vec<String>)> {
        if let Some(name) = &spec.like {
            let model = earlier(before, name, spec)?;
            let mut changes = [&model.changes[..], &spec.set].concat();
            if let Some(name) = &spec.in_time_of {
                changes.push(self.epochs_in_time_of(setting, model, earlier(before, name, spec)?)?);
            }
            return Ok((model.chosen.clone(), changes));
        }
        if spec.choose.is_empty() {
            return Ok((None, spec.set.clone()));
        }
        let mut best: Option<(f64, String, Vec<String>)> = None;
        for candidate in &spec.choose {
            let changes = [&spec.set[..], &candidate.set].concat();
            let label = Some(candidate.label.as_str());
            let mut scores = Vec::new();
            for seed in 1..=self.choose_on(setting) {
                let one = One { setting, arm: spec, label, changes: &changes, seed };
                let measured = self.train(&one, observer)?;
                let alone = judge::alone(before).map(|alone| &alone.runs[seed - 1]);
                let valid = alone.map(|a| &a.valid);
                // A seed without a score (it diverged) rules its candidate out.
                let score = judge::score(setting.score, &measured, &measured.valid, valid);
                scores.push(score.unwrap_or(f64::NEG_INFINITY));
            }
            let score = mean(&scores).unwrap_or(f64::NEG_INFINITY);
            if best.as_ref().is_none_or(|(highest, ..)| score > *highest) {
                best = Some((score, candidate.label.clone(), changes));
            }
        }
        let (_, label, changes) = best.unwrap_or_default();
        Ok((Some(label), changes))
    }

    /// `train.epochs` with which `model`'s dearer steps take no longer than the training of `other`.
    fn epochs_in_time_of(&self, setting: &Setting, model: &Trained, other: &Trained) -> Result<String> {
        let step = |arm: &Trained| mean(&arm.runs.iter().map(|run| run.step_ms).collect::<Vec<_>>());
        let ratio = match (step(other), step(model)) {
            (Some(other), Some(own)) if own > 0.0 => (other / own).min(1.0),
            _ => 1.0,
        };
        let one = One { setting, arm: model.spec, label: None, changes: &model.changes, seed: 1 };
        let epochs = self.suite(&one)?.0.train.epochs;
        // One digit: the same machine gives the same number again, and the training is not repeated.
        Ok(format!("train.epochs={:.1}", (epochs * ratio).max(0.1)))
    }

    /// One training, or what was kept of it.
    fn train(&self, one: &One, observer: &mut dyn Observer) -> Result<Measured> {
        if one.setting.oracle {
            return self.oracle(one);
        }
        let (suite, data) = self.suite(one)?;
        let unseen = self.unseen(one, &data)?;
        let (file, place) = (self.file(one, "toml"), self.file(one, "json"));
        let folder = place.parent().unwrap_or(Path::new("")).to_path_buf();
        let is_beside = data.folder == folder;
        let text = suite::to_toml(&if is_beside { suite.clone() } else { suite.with_absolute_paths() });
        let key = self.key(one, (&text, &data), unseen.as_ref());
        let kept = one.arm.keeps.then(|| self.file(one, "model"));
        let has_model = kept.as_ref().is_none_or(|folder| folder.is_dir());
        if let Some(measured) = read_kept(&place, &key).filter(|_| has_model) {
            return Ok(measured);
        }
        atomic::write(&file, text.as_bytes())?;
        let name = format!("{} #{}", one.arm.name, one.seed);
        if suite.model.trees.is_some() {
            let measured = trees::measure(&suite, one.arm.alone, (&name, &data.folder), observer)?;
            atomic::write_json(&place, &Kept { key, measured: measured.clone() })?;
            return Ok(measured);
        }
        if suite.matches_labels() {
            let measured =
                labelled::measure(&suite, one.arm.learner.as_deref(), (&folder, &self.options.out))?;
            atomic::write_json(&place, &Kept { key, measured: measured.clone() })?;
            return Ok(measured);
        }
        if !one.arm.steps.is_empty() {
            let measured = self.stepwise(one, (&name, &folder), observer)?;
            atomic::write_json(&place, &Kept { key, measured: measured.clone() })?;
            return Ok(measured);
        }
        let mut prepared = prepare(suite, &mut Silent)?;
        prepared.frozen = self.frozen.clone();
        let lesson = Lesson {
            prepared: &prepared,
            name: &name,
            arm: one.arm,
            setting: one.setting,
            unseen: unseen.as_ref(),
            kept: kept.as_deref(),
            observe: &self.recipe.spec.observe,
            folder: &folder,
        };
        let measured = lesson.measure(observer)?;
        if let Some(why) = &measured.diverged {
            observer.event(Event::Note(&format!("{name}: {why}")));
        }
        atomic::write_json(&place, &Kept { key, measured: measured.clone() })?;
        // Its checkpoints are of no use any more; a folder that cannot be removed harms nobody.
        let _ = std::fs::remove_dir_all(folder.join("checkpoint"));
        Ok(measured)
    }

    /// Differs whenever a training would, or what is asked of its model.
    fn key(&self, one: &One, (text, data): (&str, &Data), unseen: Option<&Suite>) -> String {
        let (version, settings) = (env!("CARGO_PKG_VERSION"), suite::weight_settings(text).join("\n"));
        let asked = unseen.map(suite::to_toml).unwrap_or_default();
        let learner = one.arm.learner.as_deref().unwrap_or_default();
        let (alone, observe) = (one.arm.alone, &self.recipe.spec.observe);
        let (taught, steps) = (self.teachers(one), steps_key(one));
        let key = format!(
            "{version} {SEMANTICS} {alone} {observe:?} {} {settings}{learner}{asked}{taught}{steps}",
            data.key
        );
        hash::sha256(key.as_bytes())
    }

    /// The results of the arms whose kept models an arm may learn from; nothing where there are none.
    fn teachers(&self, one: &One) -> String {
        let keeps = self.recipe.arms(one.setting).filter(|arm| arm.keeps && arm.name != one.arm.name);
        let result = |arm: &ArmSpec| {
            let of_arm = One { arm, label: None, ..*one };
            let kept: Kept =
                serde_json::from_slice(&files::read(&self.file(&of_arm, "json"), files::LARGE).ok()?).ok()?;
            Some(kept.key)
        };
        keeps.filter_map(result).collect()
    }

    /// The suite of a training, and its data.
    fn suite(&self, one: &One) -> Result<(Suite, Data)> {
        let folder = self.folder(one);
        atomic::create_dir(&folder)?;
        let data = (self.paper.data)(&Request {
            bases: &self.options.bases,
            folder: &folder,
            numbers: &self.recipe.numbers(one.setting),
            seed: one.seed as u64,
        })?;
        let seed = format!("seed={}", one.seed);
        let changes: Vec<String> = one.changes.iter().cloned().chain([seed]).collect();
        let part = (one.setting, one.arm);
        let suite = self.recipe.suite(part, &data.folder, &changes, self.options.catalogue)?;
        Ok((suite, data))
    }

    /// The suite of a training with more changes.
    pub(super) fn suite_with(&self, one: &One, more: &[String]) -> Result<Suite> {
        let changes = [one.changes, more].concat();
        Ok(self.suite(&One { changes: &changes, ..*one })?.0)
    }

    /// What the models of a training are asked without having been trained on it.
    fn unseen(&self, one: &One, data: &Data) -> Result<Option<Suite>> {
        let changes: Vec<String> =
            one.changes.iter().cloned().chain([format!("seed={}", one.seed)]).collect();
        self.recipe.suite_of_unseen((one.setting, one.arm), &data.folder, &changes, self.options.catalogue)
    }

    /// An arm in the paper's world of known truth.
    fn oracle(&self, one: &One) -> Result<Measured> {
        let Some(oracle) = self.paper.oracle else {
            let what = format!(
                "setting `{}` asks for an oracle, which {} has not",
                one.setting.name, self.paper.title
            );
            return Err(Problem::new(what).try_this("remove `oracle` from the setting").into());
        };
        let start = Instant::now();
        let numbers = self.recipe.numbers(one.setting);
        let scores = oracle(&OracleRequest { arm: &one.arm.name, numbers: &numbers, seed: one.seed as u64 })?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Measured::of_oracle(scores, seconds))
    }

    fn folder(&self, one: &One) -> PathBuf {
        self.options.out.join(slug(&one.setting.name)).join(format!("seed-{}", one.seed))
    }

    /// Where the suite or the result of a training lies.
    pub(super) fn file(&self, one: &One, ending: &str) -> PathBuf {
        let label = one.label.map(|label| format!(" {label}")).unwrap_or_default();
        self.folder(one).join(format!("{}.{ending}", slug(&format!("{}{label}", one.arm.name))))
    }
}

/// The steps of an arm with their settings; nothing where it is one training.
fn steps_key(one: &One) -> String {
    if one.arm.steps.is_empty() {
        return String::new();
    }
    let steps = serde_json::to_string(&one.arm.steps).unwrap_or_default();
    let of_steps = one.changes.iter().filter(|change| is_of_step(change));
    format!("{steps}{:?}", of_steps.collect::<Vec<_>>())
}

/// The arm an arm refers to.
fn earlier<'t, 'a>(before: &'t [Trained<'a>], name: &str, of: &ArmSpec) -> Result<&'t Trained<'a>> {
    before.iter().find(|arm| arm.spec.name == name).ok_or_else(|| {
        let what = format!("arm `{}` refers to `{name}`, which is no earlier arm of its setting", of.name);
        Problem::new(what).try_this("the name of an arm above it").into()
    })
}

/// A result of the very training; one that cannot be read is trained again.
fn read_kept(path: &Path, key: &str) -> Option<Measured> {
    let kept: Kept = serde_json::from_slice(&files::read(path, files::LARGE).ok()?).ok()?;
    (kept.key == key).then_some(kept.measured)
}
