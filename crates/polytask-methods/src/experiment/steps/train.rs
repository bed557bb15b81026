//! Trains the tasks together, from the model of the step before or from the suite's encoder.

use polytask_core::suite::Start;
use polytask_train::Result;
use polytask_train::observe::{Observer, Silent};
use polytask_train::prepare::prepare;
use polytask_train::run::{Finished, train_alone};

use super::{Step, StepRequest, Takes};

pub(super) static STEP: Step = Step { id: "train", takes: Takes::Before, keys: &[], run };

fn run(request: &StepRequest, observer: &mut dyn Observer) -> Result<()> {
    let mut suite = (request.suite)(&request.set)?;
    if let Some(before) = request.before {
        // Not among the settings: those of the user, which may name another encoder to begin with, would win.
        let before = std::path::absolute(before).map_err(polytask_core::Error::io("find", before))?;
        suite.model.encoder = before.display().to_string();
        suite.train.start = Start::Model;
    }
    let prepared = prepare(suite, &mut Silent)?;
    let all: Vec<usize> = (0..prepared.suite.tasks.len()).collect();
    let save = |finished: &Finished| finished.save(request.out);
    train_alone(&prepared, (request.name, &all), request.folder, observer, save)?;
    let _ = std::fs::remove_dir_all(request.folder.join("checkpoint"));
    Ok(())
}
