//! How long a step takes here and now, for a run that was given a time.

use super::{Plan, Prepared, Result};
use crate::checkpoint::fresh;
use crate::method::table::{self, Setup};
use crate::observe::Silent;
use crate::side::with_sides;
use crate::trainer::Trainer;

/// Steps timed, after one that warms up.
const STEPS: u64 = 4;

/// Seconds of a joint step with the suite's batches; the steps are thrown away.
pub(crate) fn seconds_per_step(prepared: &Prepared) -> Result<f64> {
    let suite = &prepared.suite;
    with_sides(prepared, &mut Silent, |joint, _, _| {
        let parts = joint.parts;
        let heads = parts.heads.iter().map(|head| head.block(suite.seed)).collect();
        let names = suite.tasks.iter().map(|task| task.name.clone()).collect();
        let setup = Setup { tasks: names, lr: suite.train.lr };
        let n_trained = joint.engine.n_trained();
        let mut trainer = Trainer {
            engine: joint.engine,
            spec: &suite.train,
            plan: Plan::new(suite, &prepared.dataset),
            tasks: (0..suite.tasks.len()).collect(),
            method: table::make_in(&suite.train.weighting, &setup, suite.train.gradients, n_trained)?,
            regularizer: None,
            state: fresh(parts.encoder.params.clone(), heads, suite.tasks.len()),
            checkpoints: None,
            spare: None,
            reference: None,
            saved: None,
        };
        trainer.seconds_per_step(STEPS)
    })
}
