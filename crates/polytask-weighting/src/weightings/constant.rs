//! Constant weights chosen by the user.
//!
//! - **What:** loss i has the weight the user gave its task. Tuned constant weights are the honest rival of every
//!   conflict method.
//! - **Paper:** none (linear scalarisation); Xin et al., NeurIPS 2022, for why it must always be compared.
//! - **Rule:** wᵢ = `weights[name of task i]`, 1 for a task not named.
//! - **Departures:** none. `loss_weight` of a task is another factor on top (it belongs to the suite and holds
//!   under every method); a weight of 0 leaves the task's head untrained too.
//! - **Cost:** one backward.

use polytask_core::method::{Choice, Range};
use polytask_core::near::nearest;
use polytask_core::{Family, MethodInfo, ParamInfo, Problem};
use serde_json::Value;

use crate::Result;
use crate::adapt::ByLoss;
use crate::table::{Claim, Entry, Setup};
use crate::{LossWeighting, Step, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "constant",
    title: "Constant weights",
    paper: "",
    family: Family::LossWeighting,
    about: "follows the sum of the task losses times weights the user gives",
    cost: "one backward",
    kinds: &[],
    params: &[ParamInfo {
        name: "weights",
        about: "weight of each task's loss, by task name; 1 for tasks not named",
        default: "{}",
        range: Range::Map(&[]),
    }],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry =
    Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling, Claim::Separate], make };

/// Weights in suite order.
struct Constant(Vec<f64>);

fn make(choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    let mut weights = vec![1.0; setup.tasks.len()];
    let mut problems = Vec::new();
    if let Value::Object(map) = choice.param(&INFO, "weights") {
        for (name, value) in map {
            match setup.tasks.iter().position(|task| *task == name) {
                Some(task) => weights[task] = value.as_f64().unwrap_or(f64::NAN),
                None => problems.push(unknown_task(&name, setup)),
            }
        }
    }
    if problems.is_empty() && weights.iter().all(|&w| w == 0.0) && !weights.is_empty() {
        problems.push(
            Problem::new(
                "parameter `weights` of weighting `constant` is 0 for every task, expected one above 0",
            )
            .try_this("leave tasks out of the table for weight 1"),
        );
    }
    if problems.is_empty() {
        Ok(Box::new(ByLoss(Constant(weights))))
    } else {
        Err(polytask_core::Error::Invalid(problems).into())
    }
}

fn unknown_task(name: &str, setup: &Setup) -> Problem {
    let known: Vec<&str> = setup.tasks.iter().map(String::as_str).collect();
    let what = format!(
        "parameter `weights` of weighting `constant` names task `{name}`, the suite has {}",
        known.join(", ")
    );
    match nearest(name, &known) {
        Some(near) => Problem::new(what).try_this(format!("`{near}`")),
        None => Problem::new(what),
    }
}

impl LossWeighting for Constant {
    fn weights(&mut self, step: &mut Step) -> Vec<f64> {
        step.tasks.iter().map(|&task| self.0[task]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeProbe, weights};

    fn choice(weights: &Value) -> Choice {
        let mut choice = Choice::named("constant");
        choice.params.insert("weights".into(), weights.clone());
        choice
    }

    #[test]
    fn weights_follow_task_names_also_when_a_task_is_absent() {
        let setup = Setup::of(&["sts", "wic", "boolq"]);
        let given = choice(&serde_json::json!({"boolq": 0.25, "sts": 2}));
        let mut method = make(&given, &setup).unwrap();
        let mut probe = FakeProbe::random(1, 3, 5);
        assert_eq!(weights(method.as_mut(), &mut probe), [2.0, 1.0, 0.25]);
        let mut probe = FakeProbe::random(1, 2, 5).with_tasks(&[1, 2]);
        assert_eq!(weights(method.as_mut(), &mut probe), [1.0, 0.25]);
    }

    #[test]
    fn an_unknown_task_is_refused_with_the_nearest_name() {
        let setup = Setup::of(&["sts", "intent"]);
        let error = make(&choice(&serde_json::json!({"intents": 2})), &setup).err().unwrap().to_string();
        assert!(error.contains("`intents`") && error.contains("try: `intent`"), "{error}");
    }

    #[test]
    fn weights_of_zero_everywhere_are_refused() {
        let error = make(&choice(&serde_json::json!({"a": 0.0})), &Setup::of(&["a"])).err().unwrap();
        assert!(error.to_string().contains("0 for every task"));
    }
}
