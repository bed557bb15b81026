//! The cycles: a sentence model labels pairs for a cross-encoder, and that one for the next sentence model.

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_core::outputs::sigmoid;
use polytask_core::{atomic, hash};
use polytask_eval::{Predictions, score};
use polytask_model::{Input, Model, Question};
use polytask_nn::topk;
use serde_json::json;

use super::Args;
use super::pairs::{Pairs, scored};
use super::training::{Form, TASK, Training};
use super::written::{Best, Distilled, HalfCycle};
use polytask_terminal::output;

/// Standard deviation of labels below which models say the same of every pair.
const COLLAPSED: f64 = 0.02;
/// Seed where none is given.
const SEED: u64 = 13;
/// Pairs that a cross-encoder reads at a time.
const PIECE: usize = 2048;

/// One model that teaches itself, or one of two that teach each other.
struct Side {
    /// The encoder both forms begin with.
    start: PathBuf,
    cross_start: PathBuf,
    /// The sentence model of now.
    bi: PathBuf,
}

/// All of a run.
pub(super) struct Loops<'a> {
    args: &'a Args,
    pairs: Pairs,
    /// Pairs with scores, as the trainings read them.
    dev: Option<PathBuf>,
    sides: Vec<Side>,
    done: Distilled,
}

/// Labels of pairs, from 0 to 1.
struct Labels {
    values: Vec<f32>,
    clamped: usize,
}

impl<'a> Loops<'a> {
    pub(super) fn new(
        args: &'a Args,
        pairs: Pairs,
        (starts, cross): (Vec<PathBuf>, Option<PathBuf>),
    ) -> Result<Self> {
        let side = |start: PathBuf| Side {
            cross_start: cross.clone().unwrap_or_else(|| start.clone()),
            bi: start.clone(),
            start,
        };
        let done = Distilled::new(key(args, &pairs, &starts)?, pairs.rows.len(), pairs.doubles);
        done.check_folder(&args.out, args.resume)?;
        let dev = args.dev.as_deref().map(|dev| scored(dev, &args.columns)).transpose()?;
        atomic::create_dir(&args.out)?;
        let place = args.out.join("dev.jsonl");
        let dev = dev.map(|rows| atomic::write(&place, rows.as_bytes()).map(|()| place)).transpose()?;
        Ok(Self { args, pairs, dev, sides: starts.into_iter().map(side).collect(), done })
    }

    /// Runs the cycles; the models of `--out` are those of the best half-cycles by dev, else the last.
    pub(super) fn run(mut self, cycles: usize) -> Result<Distilled> {
        self.done.write(&self.args.out)?;
        for cycle in 1..=cycles {
            let folder = self.args.out.join(format!("cycle-{cycle}"));
            atomic::create_dir(&folder)?;
            let cosines = self.cosines()?;
            cosines.check((cycle, Form::Cross))?;
            let crosses = self.half(&folder, (cycle, Form::Cross), &cosines)?;
            let said = self.scores(&crosses)?;
            self.done.last_agrees(agreement(&cosines.values, &said.values)?);
            said.check((cycle, Form::Bi))?;
            let next = self.half(&folder, (cycle, Form::Bi), &said)?;
            for (side, folder) in self.sides.iter_mut().zip(next) {
                side.bi = folder;
            }
            let now = self.cosines()?;
            self.done.last_agrees(agreement(&said.values, &now.values)?);
            self.done.write(&self.args.out)?;
        }
        for form in [Form::Bi, Form::Cross] {
            let Some(Best { folder, .. }) = self.done.best(form.name()) else { continue };
            copy(&folder, &self.args.out.join(format!("best-{}", form.name())))?;
        }
        self.done.finish();
        self.done.write(&self.args.out)?;
        Ok(self.done)
    }

    /// Trains one form of all sides on labels.
    fn half(&mut self, folder: &Path, (cycle, form): (usize, Form), labels: &Labels) -> Result<Vec<PathBuf>> {
        let rows = folder.join(format!("{}.jsonl", form.name()));
        self.label(&rows, form, labels)?;
        let mut folders = Vec::new();
        let mut scores = Vec::new();
        for (s, side) in self.sides.iter().enumerate() {
            let number = if self.sides.len() > 1 { format!("-{}", s + 1) } else { String::new() };
            let training = Training {
                form,
                encoder: if form == Form::Bi { &side.start } else { &side.cross_start },
                rows: &rows,
                dev: self.dev.as_deref(),
                seed: self.args.seed.unwrap_or(SEED),
                set: &self.args.set,
                out: folder.join(format!("{}{number}", form.name())),
            };
            output::note(format!("cycle {cycle}: {}{number}", form.name()));
            let (model, score) = training.done(self.args.quiet)?;
            folders.push(model);
            scores.extend(score);
        }
        let (mean, deviation) = moments(&labels.values);
        self.done.push(HalfCycle {
            cycle,
            form: form.name().into(),
            models: folders.clone(),
            label_mean: mean,
            label_deviation: deviation,
            clamped: labels.clamped,
            agreement: None,
            dev: scores,
        });
        Ok(folders)
    }

    /// Writes labelled pairs: in both orders for the form that tells them apart.
    fn label(&self, file: &Path, form: Form, labels: &Labels) -> Result<()> {
        let row = |a: &str, b: &str, score: f32| json!({"a": a, "b": b, "score": score}).to_string();
        let mut lines = Vec::new();
        for ([a, b], score) in self.pairs.rows.iter().zip(&labels.values) {
            lines.push(row(a, b, *score));
            lines.extend((form == Form::Cross).then(|| row(b, a, *score)));
        }
        let text = lines.join("\n") + "\n";
        Ok(atomic::write(file, text.as_bytes())?)
    }

    /// The mean cosine of each pair over the sides.
    fn cosines(&self) -> Result<Labels> {
        let of_side = |side: &Side| {
            let model = Model::load(&side.bi)?;
            let texts = |i: usize| self.pairs.rows.iter().map(move |row| row[i].as_str()).collect::<Vec<_>>();
            let (a, b) = (model.embed(&texts(0), None, None)?, model.embed(&texts(1), None, None)?);
            let width = a.width;
            let (a, b) = (topk::normalised(a.values, width), topk::normalised(b.values, width));
            let cosine = |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            Ok(a.chunks(width).zip(b.chunks(width)).map(cosine).collect())
        };
        self.mean(of_side)
    }

    /// The mean score of each pair over cross-encoders, the texts in the order of the file.
    fn scores(&self, folders: &[PathBuf]) -> Result<Labels> {
        let mut all = Vec::new();
        for folder in folders {
            let model = Model::load(folder)?;
            let task = model.task(TASK)?;
            let mut values = Vec::new();
            for part in self.pairs.rows.chunks(PIECE) {
                let row = |row: &[String; 2]| row.iter().map(|text| Input::from(text.as_str())).collect();
                let outputs = model.head_outputs(&Question { task, rows: part.iter().map(row).collect() })?;
                values.extend(outputs.iter().map(|output| sigmoid(output[0])));
            }
            all.push(values);
        }
        Ok(Labels::mean(&all))
    }

    fn mean(&self, of_side: impl Fn(&Side) -> Result<Vec<f32>>) -> Result<Labels> {
        Ok(Labels::mean(&self.sides.iter().map(of_side).collect::<Result<Vec<_>>>()?))
    }
}

impl Labels {
    /// Stops where labels say nothing.
    fn check(&self, (cycle, form): (usize, Form)) -> Result<()> {
        let bad = self.values.iter().position(|value| !value.is_finite());
        if let Some(at) = bad {
            let what = format!("cycle {cycle}: pair {} has a label that is no number", at + 1);
            return output::refuse(what, "remove the pair; an empty text has no direction");
        }
        let (_, deviation) = moments(&self.values);
        if deviation >= COLLAPSED {
            return Ok(());
        }
        let what = format!(
            "cycle {cycle}: the labels for the {} form have a standard deviation of {deviation:.4}, below {COLLAPSED}: the \
             models say the same of every pair",
            form.name()
        );
        output::refuse(
            what,
            "fewer cycles, a smaller train.lr by `--set`, or pairs that differ more in likeness",
        )
    }

    /// The mean of several, between 0 and 1.
    fn mean(all: &[Vec<f32>]) -> Self {
        let n = all.len() as f32;
        let values: Vec<f32> =
            (0..all[0].len()).map(|i| all.iter().map(|values| values[i]).sum::<f32>() / n).collect();
        let clamped = values.iter().filter(|value| !(0.0..=1.0).contains(*value)).count();
        Self { values: values.into_iter().map(|value| value.clamp(0.0, 1.0)).collect(), clamped }
    }
}

/// Spearman's correlation of what a student says with its labels.
fn agreement(labels: &[f32], said: &[f32]) -> Result<f64> {
    let numbers = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect();
    let both = Predictions::Numbers { width: 1, truth: numbers(labels), predicted: numbers(said) };
    Ok(score("spearman", &both)?)
}

/// Mean and standard deviation.
fn moments(values: &[f32]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / n;
    let square = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / n;
    (mean, square.sqrt())
}

/// What tells this run from others: pairs, starts, settings.
fn key(args: &Args, pairs: &Pairs, starts: &[PathBuf]) -> Result<String> {
    let rows: Vec<String> = pairs.rows.iter().map(|[a, b]| format!("{a}\u{1}{b}")).collect();
    let dev = args.dev.as_deref().map(hash::sha256_file).transpose()?.unwrap_or_default();
    let all = format!(
        "{starts:?} {:?} {:?} {} {dev} {}",
        args.cross,
        args.set,
        args.seed.unwrap_or(SEED),
        rows.join("\u{2}")
    );
    Ok(hash::sha256(all.as_bytes()))
}

/// Copies a model's folder; one that was there goes.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        std::fs::remove_dir_all(to).map_err(polytask_core::Error::io("replace", to))?;
    }
    atomic::create_dir(to)?;
    for entry in std::fs::read_dir(from).map_err(polytask_core::Error::io("read", from))? {
        let path = entry.map_err(polytask_core::Error::io("read", from))?.path();
        let place = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &place)?;
        } else {
            std::fs::copy(&path, &place).map_err(polytask_core::Error::io("copy", &path))?;
        }
    }
    Ok(())
}
