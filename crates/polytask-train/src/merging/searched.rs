//! A merge whose coefficients are learned, from folders to a folder.

use polytask_core::Suite;
use polytask_merge::learn::{AnisotropicSettings, CoefficientPenalty, Form, SearchSettings};
use polytask_merge::{MergeConfig, MergeOptions, MergeReport, Resolve};
use serde_json::{Value, json};

use super::{FactorGroup, LearnOptions, Learned, LearnedMerge, MergeFolders, learn_merge};
use crate::Result;
use crate::observe::Observer;

/// Names of what is learned.
pub const FORMS: [&str; 4] = ["slerp", "average", "free", "atlas"];
/// Names of what has a coefficient of its own in `atlas`.
pub const BLOCKS: [&str; 2] = ["tensor", "layer"];

/// Settings of a search in words and numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SearchWords<'a> {
    /// One of [`FORMS`].
    pub form: &'a str,
    /// One of [`BLOCKS`].
    pub blocks: &'a str,
    /// Learning rate; that of the form when absent.
    pub lr: Option<f64>,
    /// Price of length.
    pub mu: f64,
    /// Price of the coefficients' absolute values in `atlas`.
    pub l1: f64,
}

impl SearchWords<'_> {
    /// The learning rate.
    pub fn rate(&self) -> f64 {
        self.lr.unwrap_or(if self.form == "atlas" { 0.01 } else { 0.05 })
    }

    /// What is learned.
    pub fn learned(&self) -> Learned {
        let lr = self.rate();
        if self.form == "atlas" {
            let penalty =
                if self.l1 > 0.0 { CoefficientPenalty::L1(self.l1) } else { CoefficientPenalty::Off };
            let grouping = if self.blocks == "layer" { FactorGroup::Layer } else { FactorGroup::Tensor };
            return Learned::Blocks(
                AnisotropicSettings { lr, penalty, ..AnisotropicSettings::default() },
                grouping,
            );
        }
        let form = match self.form {
            "average" => Form::Average,
            "free" => Form::Free,
            _ => Form::Slerp,
        };
        Learned::Search(SearchSettings { form, lr, mu: self.mu })
    }
}

/// What is merged, as it was given, and where that lies.
#[derive(Clone, Copy)]
pub struct MergeInputs<'a> {
    /// The models.
    pub models: &'a [String],
    /// What they were trained from.
    pub base: &'a str,
    /// Finds the folder of each.
    pub resolve: &'a Resolve<'a>,
}

/// Learns the coefficients on a suite's rows and writes the merge; what was learned is added to `merge.learned`.
///
/// # Errors
/// Whatever keeps the models from being merged or run on these rows; nothing is left behind then.
pub fn merge_searched(
    suite: Suite,
    inputs: MergeInputs,
    (learn, merge): (&LearnOptions, MergeOptions),
    observer: &mut dyn Observer,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<(LearnedMerge, MergeReport)> {
    let MergeInputs { models, base, resolve } = inputs;
    let place = tempfile::tempdir().map_err(polytask_core::Error::io("write", &std::env::temp_dir()))?;
    let start = place.path().join("start");
    // A plain sum brings all heads together.
    let even = vec![vec![(String::new(), 1.0)]; models.len()];
    let plain = MergeOptions { out: start.clone(), ..merge.clone() };
    polytask_merge::merge(&MergeConfig::of_factors(models, base, &even), resolve, &plain, &mut |_, _| {})?;
    let folders = models.iter().map(|name| resolve(name)).collect::<polytask_merge::Result<_>>()?;
    let folders = MergeFolders { start, base: resolve(base)?, models: folders };
    let learnt = learn_merge(suite, &folders, learn, observer)?;
    let config = MergeConfig::of_factors(models, base, &learnt.factors);
    let mut learned = merge.learned.clone().unwrap_or_else(|| json!({}));
    learned["found"] = serde_json::to_value(&learnt).unwrap_or(Value::Null);
    let merge = MergeOptions { learned: Some(learned), ..merge };
    let report = polytask_merge::merge(&config, resolve, &merge, progress)?;
    Ok((learnt, report))
}
