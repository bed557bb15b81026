//! The encoder as the tasks of a suite share it.

use polytask_core::Suite;
use polytask_data::Plan;
use polytask_nn::encoder::Encoder;
use polytask_nn::sharing::{self, HARD, SharingSetup};

use crate::Result;
use crate::observe::{Event, Observer};
use crate::prepared::Prepared;

/// Refuses an architecture that does not fit the encoder; for one task too, so that what is wrong is said.
pub(crate) fn check(suite: &Suite, encoder: &Encoder) -> Result<()> {
    let tasks = names(suite);
    let setup = SharingSetup { tasks: &tasks, seed: suite.seed, steps: 1, epochs: 1.0 };
    Ok(sharing::check(&suite.model.sharing, &*encoder.trunk, &encoder.params, &setup)?)
}

fn names(suite: &Suite) -> Vec<String> {
    suite.tasks.iter().map(|task| task.name.clone()).collect()
}

/// The encoder with the suite's architecture; none where the tasks share it plainly, as a single task always does.
pub(crate) fn encoder(prepared: &Prepared, observer: &mut dyn Observer) -> Result<Option<Encoder>> {
    let Prepared { suite, dataset, encoder, .. } = prepared;
    let choice = &suite.model.sharing;
    if choice.name == HARD {
        return Ok(None);
    }
    let tasks = names(suite);
    if tasks.len() < 2 {
        observer.event(Event::Note(&alone(suite)));
        return Ok(None);
    }
    let plan = Plan::new(suite, dataset);
    let steps = plan.n_steps();
    let setup = SharingSetup { tasks: &tasks, seed: suite.seed, steps, epochs: plan.epochs(steps) };
    Ok(Some(encoder.share(choice, &setup)?))
}

fn alone(suite: &Suite) -> String {
    format!(
        "sharing `{}` needs two tasks: the one task of this suite has the whole encoder",
        suite.model.sharing.name
    )
}

/// What a reader of the report should know about the architecture.
pub(crate) fn note(suite: &Suite, encoder: &Encoder) -> Option<String> {
    if suite.model.sharing.name == HARD {
        return None;
    }
    let Some(by) = &encoder.sharing else { return Some(alone(suite)) };
    Some(format!(
        "the tasks share the encoder by `{}`: the model folder has a version of every vector for each task, so \
         polytask reads it (`embed --task`, `predict`, `eval`) and sentence-transformers does not",
        by.choice.name
    ))
}
