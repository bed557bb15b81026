//! What an experiment found, as data; tables and pages are drawn from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What an experiment found. Other programs rely on these names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// The paper's number, or the name of the experiment.
    pub id: String,
    /// The method in prose.
    pub title: String,
    /// What was tried.
    pub claim: String,
    /// Whether it was the short form.
    pub quick: bool,
    /// What was trained, setting by setting.
    pub arms: Vec<Arm>,
    /// Differences between arms, paired by seed.
    pub comparisons: Vec<ArmComparison>,
    /// Whether the claim holds.
    pub verdict: Verdict,
    /// Whether the method does what it says it does, apart from whether that helps.
    pub mechanism: Mechanism,
    /// Minutes of training, over all arms and seeds.
    pub minutes: f64,
    /// The command that made this.
    pub command: String,
    /// Commit of the source tree that polytask was built from; empty in results of before it was kept.
    #[serde(default)]
    pub commit: String,
    /// Version of polytask.
    pub version: String,
    /// Version of what a suite trains to (`polytask_train::run::SEMANTICS`); 0 in results of before it was kept.
    #[serde(default)]
    pub semantics: u32,
}

/// An arm in one setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// The setting: data and tasks.
    pub setting: String,
    /// Its name.
    pub name: String,
    /// What `mean` is of: `accuracy` (mean over tasks), `delta_m` (percent against single-task).
    pub metric: String,
    /// Mean over seeds of the test score, in points of 100; `null` when no seed has one.
    pub mean: Option<f64>,
    /// Its 95 % interval over seeds (Student's t); `null` with fewer than two.
    pub interval: Option<[f64; 2]>,
    /// Number of seeds.
    pub seeds: usize,
    /// The test score of each seed; `null` where training diverged.
    pub values: Vec<Option<f64>>,
    /// Parameters chosen on valid, when there was a choice.
    pub chosen: Option<String>,
    /// Task → mean over seeds of its metric on test.
    pub tasks: BTreeMap<String, f64>,
    /// Median milliseconds of an optimiser step, mean over seeds.
    pub step_ms: f64,
    /// What else was measured, mean over seeds: `conflict`, `sharpness`, …
    pub measured: BTreeMap<String, f64>,
    /// The suite of its first seed below the output folder: `polytask train` repeats it.
    pub suite: String,
}

/// A difference between two arms, paired by seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmComparison {
    /// The setting.
    pub setting: String,
    /// `score`, or the name of a measured value.
    pub value: String,
    /// The arm that is said to be better.
    pub better: String,
    /// The arm it is compared with.
    pub than: String,
    /// Whether lower values are better.
    pub lower: bool,
    /// What it is evidence of.
    pub role: Role,
    /// Mean difference over seeds, positive = as said.
    pub mean: Option<f64>,
    /// Its 95 % interval (Student's t over seeds); `null` with fewer than two.
    pub interval: Option<[f64; 2]>,
    /// The difference it must exceed.
    pub bar: f64,
    /// What is concluded.
    pub verdict: Verdict,
}

/// What a comparison is evidence of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The paper's claim: a better score.
    Claim,
    /// The mechanism the paper names.
    Mechanism,
    /// A question the paper leaves open; it decides nothing.
    Question,
}

/// What is concluded from intervals over seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verdict {
    /// The interval lies above the bar.
    #[serde(rename = "holds")]
    Holds,
    /// The interval leaves both open.
    #[serde(rename = "cannot be shown at this scale")]
    CannotBeShown,
    /// The interval lies below what was claimed.
    #[serde(rename = "does not hold")]
    DoesNotHold,
}

impl Verdict {
    /// The verdict in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::CannotBeShown => "cannot be shown at this scale",
            Self::DoesNotHold => "does not hold",
        }
    }
}

/// Whether the mechanism was shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mechanism {
    /// Over all comparisons that are evidence of it; `None` when there is none.
    pub verdict: Option<Verdict>,
    /// One sentence per piece of evidence.
    pub evidence: Vec<String>,
}
