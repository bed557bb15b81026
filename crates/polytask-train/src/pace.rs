//! How long steps and evaluations take here and now, for a run that was given a time.

use std::time::Instant;

use polytask_core::Split;
use polytask_core::method::Choice;
use polytask_data::Plan;
use polytask_weighting::table::{self, Setup};

use crate::Result;
use crate::checkpoint::fresh;
use crate::defaults::Pace;
use crate::evaluate;
use crate::observe::Silent;
use crate::prepared::Prepared;
use crate::side::{Side, suite_compares, with_sides};
use crate::trainer::Trainer;

/// Steps timed, after one that warms up.
const STEPS: u64 = 4;
/// The same for each task alone.
const STEPS_ALONE: u64 = 2;

/// Times the suite's steps and an evaluation; the steps are thrown away.
pub(crate) fn pace(prepared: &Prepared) -> Result<Pace> {
    let tasks: Vec<usize> = (0..prepared.suite.tasks.len()).collect();
    with_sides(prepared, &mut Silent, |joint, single, _| {
        let plan = Plan::new(&prepared.suite, &prepared.dataset);
        let mut together = trainer(prepared, joint, &tasks, plan.clone())?;
        let step = together.seconds_per_step(STEPS)?;
        let start = Instant::now();
        evaluate::predict(&joint.engine, together.weights(), &tasks, Split::Valid)?;
        let look = start.elapsed().as_secs_f64();
        if !suite_compares(&prepared.suite) {
            return Ok(Pace { step, steps_alone: 0.0, looks: look });
        }
        let alone = |&task: &usize| -> Result<f64> {
            let plan = plan.clone().for_task(task);
            // A source that not every step reads makes a shorter training.
            let share = plan.n_steps() as f64 / together.plan.n_steps().max(1) as f64;
            Ok(share * trainer(prepared, single, &[task], plan)?.seconds_per_step(STEPS_ALONE)?)
        };
        let steps_alone = tasks.iter().map(alone).sum::<Result<f64>>()?;
        Ok(Pace { step, steps_alone, looks: 2.0 * look })
    })
}

/// A training with random heads.
fn trainer<'a>(prepared: &'a Prepared, side: Side<'a>, tasks: &[usize], plan: Plan) -> Result<Trainer<'a>> {
    let (suite, parts) = (&prepared.suite, side.parts);
    let heads = parts.heads.iter().map(|head| head.block(suite.seed)).collect();
    let setup =
        Setup { tasks: suite.tasks.iter().map(|task| task.name.clone()).collect(), lr: suite.train.lr };
    let method = if tasks.len() > 1 {
        table::make_in(&suite.train.weighting, &setup, suite.train.gradients, side.engine.n_trained())?
    } else {
        table::make(&Choice::named("equal"), &setup)?
    };
    Ok(Trainer {
        engine: side.engine,
        spec: &suite.train,
        plan,
        tasks: tasks.to_vec(),
        method,
        regularizer: None,
        state: fresh(parts.encoder.params.clone(), heads, suite.tasks.len()),
        checkpoints: None,
        spare: None,
        reference: None,
        share: None,
        saved: None,
    })
}
