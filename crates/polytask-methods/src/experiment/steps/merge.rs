//! Merges kept models by a method with given settings.

use std::path::PathBuf;

use polytask_core::{Error, Problem};
use polytask_merge::{Given, MergeConfig, MergeMethod, MergeOptions};
use polytask_train::Result;
use polytask_train::observe::{Observer, Silent};
use polytask_train::prepare::locate;

use super::{Step, StepRequest, Takes};

/// Most bytes of a file of weights.
const SHARD: usize = 5_000_000_000;

pub(super) static STEP: Step = Step { id: "merge", takes: Takes::Kept, keys: &[], run };

fn run(request: &StepRequest, _: &mut dyn Observer) -> Result<()> {
    let suite = (request.suite)(&[])?;
    let base = locate(&suite, &mut Silent)?.display().to_string();
    let name = request.word("method").unwrap_or("task_arithmetic");
    let method = MergeMethod::find(name)
        .map_err(|advice| Problem::new(format!("unknown method `{name}`")).try_this(advice))?;
    let given: Vec<Given> = request.set.iter().filter_map(|text| Given::parse(text)).collect();
    let given: Vec<Given> = given.into_iter().filter(|given| given.name != "method").collect();
    let config = MergeConfig::of_models(method, &request.model_names(), Some(&base), &given)
        .map_err(Error::Invalid)?;
    polytask_merge::merge(
        &config,
        &|name| Ok(PathBuf::from(name)),
        &options(request, suite.seed),
        &mut |_, _| {},
    )?;
    Ok(())
}

/// Where the merge goes; all else as the command line has it.
pub(super) fn options(request: &StepRequest, seed: u64) -> MergeOptions {
    MergeOptions {
        out: request.out.to_path_buf(),
        compat: false,
        seed,
        shard: SHARD,
        heads: Vec::new(),
        learned: None,
    }
}
