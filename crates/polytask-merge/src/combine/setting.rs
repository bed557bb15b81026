//! Settings of one tensor: what a configuration says for its name and its layer.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::parts::{Rescale, SparsifySettings};

/// What holds for all tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rules {
    /// Whether mergekit's form holds where ours differs.
    pub(crate) compat: bool,
    /// Of draws.
    pub(crate) seed: u64,
}

/// Values of a tensor's parameters, complete with defaults.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Setting {
    /// One value per tensor.
    pub(crate) shared: BTreeMap<String, Value>,
    /// By model without the base.
    pub(crate) models: Vec<BTreeMap<String, Value>>,
    /// Lengths of the models' task vectors over a group of tensors, where a method weighs by these.
    pub(crate) lengths: Vec<f64>,
}

impl Setting {
    /// A shared number; NaN where there is none (which was refused before).
    pub(crate) fn real(&self, name: &str) -> f64 {
        self.shared.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN)
    }

    /// A shared switch.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.shared.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// A shared word.
    pub(crate) fn word(&self, name: &str) -> &str {
        self.shared.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A number of every model.
    pub(crate) fn each(&self, name: &str) -> Vec<f64> {
        let number = |model: &BTreeMap<String, Value>| model.get(name).and_then(Value::as_f64);
        self.models.iter().map(|model| number(model).unwrap_or(f64::NAN)).collect()
    }

    /// How task vectors are thinned, by model.
    pub(crate) fn sparsify(&self) -> Vec<SparsifySettings> {
        let (density, gamma, epsilon) = (self.each("density"), self.each("gamma"), self.each("epsilon"));
        let of = |m: usize| SparsifySettings { density: density[m], gamma: gamma[m], epsilon: epsilon[m] };
        (0..self.models.len()).map(of).collect()
    }

    /// How thinned task vectors are stretched.
    pub(crate) fn rescale(&self) -> Rescale {
        match self.word("rescale_by") {
            _ if !self.flag("rescale") => Rescale::Off,
            "probability" => Rescale::Probability,
            _ => Rescale::L1,
        }
    }
}
