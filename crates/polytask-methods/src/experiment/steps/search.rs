//! Merges kept models by coefficients that are learned on rows of the suite.

use std::path::PathBuf;

use polytask_core::{Problem, Split, near};
use polytask_train::Result;
use polytask_train::merging::{BLOCKS, FORMS, LearnOptions, MergeInputs, SearchWords, merge_searched};
use polytask_train::observe::{Observer, Silent};
use polytask_train::prepare::locate;

use super::{Step, StepRequest, Takes, merge};

pub(super) static STEP: Step = Step {
    id: "search",
    takes: Takes::Kept,
    keys: &["form", "blocks", "lr", "mu", "l1", "rows", "steps"],
    run,
};

fn run(request: &StepRequest, observer: &mut dyn Observer) -> Result<()> {
    let suite = (request.suite)(&[])?;
    let base = locate(&suite, &mut Silent)?.display().to_string();
    let (lr, seed) = (request.number("lr", 0.0)?, suite.seed);
    let words = SearchWords {
        form: one_of(request, "form", &FORMS)?,
        blocks: one_of(request, "blocks", &BLOCKS)?,
        lr: (lr > 0.0).then_some(lr),
        mu: request.number("mu", 0.0)?,
        l1: request.number("l1", 0.0)?,
    };
    let learn = LearnOptions {
        split: Split::Valid,
        rows: request.count("rows", 16)?,
        steps: request.count("steps", 200)?,
        shares: Vec::new(),
        learned: words.learned(),
    };
    let models = request.model_names();
    let inputs = MergeInputs { models: &models, base: &base, resolve: &|name| Ok(PathBuf::from(name)) };
    merge_searched(suite, inputs, (&learn, merge::options(request, seed)), observer, &mut |_, _| {})?;
    Ok(())
}

/// A setting that is one of some words; the first where it is not given.
fn one_of<'a>(request: &'a StepRequest, key: &str, words: &[&'static str]) -> Result<&'a str> {
    let word = request.word(key).unwrap_or(words[0]);
    if words.contains(&word) {
        return Ok(word);
    }
    Err(Problem::new(format!("step setting {key}={word}")).try_this(near::advice(word, words)).into())
}
