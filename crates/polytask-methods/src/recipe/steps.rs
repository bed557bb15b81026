//! Arms that are more than one training: a list of steps, of which each makes a model of those before it.

use serde::{Deserialize, Serialize};

/// What a setting of a single step begins with: `step.1.lambda=0.3`.
const STEP: &str = "step.";

/// A step of an arm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepSpec {
    /// What is done: `train`, `merge`, `search`.
    #[serde(rename = "do")]
    pub action: String,
    /// The earlier arm whose kept models it works on.
    pub of: Option<String>,
    /// Settings: of the suite for a training, of the method for a merge.
    #[serde(default)]
    pub set: Vec<String>,
}

/// Of the settings of an arm those of its step `index`, without what they begin with.
pub fn of_step(changes: &[String], index: usize) -> Vec<String> {
    let head = format!("{STEP}{}.", index + 1);
    changes.iter().filter_map(|change| change.strip_prefix(&head)).map(str::to_owned).collect()
}

/// Whether a setting is that of a step.
pub fn is_of_step(change: &str) -> bool {
    change.starts_with(STEP)
}

/// The first setting of a step that is none of `n`.
pub fn beyond(changes: &[String], n: usize) -> Option<&String> {
    let is_there = |change: &String| (0..n).any(|i| change.starts_with(&format!("{STEP}{}.", i + 1)));
    changes.iter().find(|change| is_of_step(change) && !is_there(change))
}

/// Of the settings of an arm those of its suite.
pub fn of_suite(changes: &[String]) -> Vec<String> {
    changes.iter().filter(|change| !is_of_step(change)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_steps_and_of_the_suite_are_told_apart() {
        let changes = ["step.2.lambda=0.3", "train.lr=1", "step.1.method=ties"].map(str::to_owned);
        assert_eq!(of_step(&changes, 1), ["lambda=0.3"]);
        assert_eq!(of_step(&changes, 0), ["method=ties"]);
        assert_eq!(of_suite(&changes), ["train.lr=1"]);
        assert_eq!(beyond(&changes, 1).unwrap(), "step.2.lambda=0.3");
        assert_eq!(beyond(&changes, 2), None);
    }
}
