//! Trains the tasks together, from the model of the step before or from the suite's encoder.

use std::path::Path;

use polytask_train::Result;
use polytask_train::observe::{Observer, Silent};
use polytask_train::prepare::prepare;
use polytask_train::run::{Finished, train_alone};

use super::{Step, StepRequest};

pub(super) static STEP: Step = Step { id: "train", run };

fn run(request: &StepRequest, observer: &mut dyn Observer) -> Result<()> {
    let mut set = request.before.map(from).unwrap_or_default();
    set.extend(request.set.iter().cloned());
    let prepared = prepare((request.suite)(&set)?, &mut Silent)?;
    let all: Vec<usize> = (0..prepared.suite.tasks.len()).collect();
    let save = |finished: &Finished| finished.save(request.out);
    train_alone(&prepared, (request.name, &all), request.folder, observer, save)?;
    let _ = std::fs::remove_dir_all(request.folder.join("checkpoint"));
    Ok(())
}

/// The settings by which a training goes on from a model with its heads.
fn from(model: &Path) -> Vec<String> {
    let folder = toml_edit::value(model.display().to_string());
    vec![format!("model.encoder={}", folder.to_string().trim()), "train.start=model".into()]
}
