//! The Dense module: an affine map of the pooled vector and an activation.

use std::path::Path;

use polytask_core::length::read_json;
use serde_json::{Value, json};

use super::{on_sentence_vectors, problem, unsupported};
use crate::weights::{self, TensorOut, Values, WeightFiles};
use crate::{Result, States};

/// The function after a Dense module's affine map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenseActivation {
    /// None.
    Identity,
    /// Hyperbolic tangent.
    Tanh,
    /// max(x, 0).
    Relu,
    /// 1 / (1 + exp(-x)).
    Sigmoid,
}

/// Activations by the class names configuration files hold.
const ACTIVATIONS: [(&str, DenseActivation); 4] = [
    ("torch.nn.modules.linear.Identity", DenseActivation::Identity),
    ("torch.nn.modules.activation.Tanh", DenseActivation::Tanh),
    ("torch.nn.modules.activation.ReLU", DenseActivation::Relu),
    ("torch.nn.modules.activation.Sigmoid", DenseActivation::Sigmoid),
];

/// `y = activation(W x + b)`, frozen.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    /// Values per input vector.
    pub d_in: usize,
    /// Values per output vector.
    pub d_out: usize,
    /// `[d_out, d_in]`.
    pub weight: Vec<f32>,
    /// `[d_out]`, if there is one.
    pub bias: Option<Vec<f32>>,
    /// The function after it.
    pub activation: DenseActivation,
}

impl Dense {
    /// Reads a module's folder; `d_in` is what the module before gives.
    pub(super) fn load(path: &Path, d_in: usize) -> Result<Self> {
        let file = path.join("config.json");
        let Some(config) = read_json(path, "config.json")? else {
            return Err(problem(&file, "no such file", "fetch the folder again"));
        };
        on_sentence_vectors(&file, &config)?;
        if config.get("use_residual").and_then(Value::as_bool) == Some(true) {
            return Err(unsupported(&file, "`use_residual` true", "a Dense module without residual"));
        }
        let size = |key: &str| config.get(key).and_then(Value::as_u64).map(|n| n as usize);
        if size("in_features") != Some(d_in) {
            let what =
                format!("`in_features` is {:?}, but the module before gives {d_in}", size("in_features"));
            return Err(problem(&file, &what, "fetch the folder again"));
        }
        let activation = activation(&file, &config)?;
        let has_bias = config.get("bias").and_then(Value::as_bool).unwrap_or(true);
        Self::load_weights(path, d_in, size("out_features").unwrap_or(0), has_bias, activation)
    }

    fn load_weights(
        path: &Path,
        d_in: usize,
        d_out: usize,
        has_bias: bool,
        activation: DenseActivation,
    ) -> Result<Self> {
        let weights = WeightFiles::open_folder(path)?;
        let tensor = |name: &str, shape: &[usize]| {
            if let Some(entry) = weights.find(name).filter(|entry| entry.shape != shape) {
                let what = format!("tensor `{name}` is {:?}, expected {shape:?}", entry.shape);
                return Err(problem(weights.path(), &what, "fetch the folder again"));
            }
            weights.f32(name)
        };
        let weight = tensor("linear.weight", &[d_out, d_in])?;
        let bias = if has_bias { Some(tensor("linear.bias", &[d_out])?) } else { None };
        Ok(Self { d_in, d_out, weight, bias, activation })
    }

    /// Writes the module's folder.
    pub(super) fn save(&self, path: &Path) -> Result<()> {
        polytask_core::atomic::create_dir(path)?;
        let class =
            ACTIVATIONS.iter().find(|(_, activation)| *activation == self.activation).map(|(name, _)| name);
        let config = json!({"in_features": self.d_in, "out_features": self.d_out, "bias": self.bias.is_some(),
            "activation_function": class});
        polytask_core::atomic::write_json(&path.join("config.json"), &config)?;
        let (weight, bias) = ([self.d_out, self.d_in], [self.d_out]);
        let out = |name, shape, values| TensorOut { name, shape, values: Values::F32(values) };
        let mut tensors = vec![out("linear.weight", &weight[..], self.weight.as_slice())];
        tensors.extend(self.bias.as_ref().map(|b| out("linear.bias", &bias[..], b.as_slice())));
        weights::write(&path.join(weights::FILE), &tensors, &[])
    }

    /// Applies the map to every vector.
    ///
    /// # Shapes
    /// `[vectors, d_in]` → `[vectors, d_out]`.
    pub fn forward(&self, x: &States) -> States {
        let mut values = Vec::with_capacity(x.n_rows() * self.d_out);
        for i in 0..x.n_rows() {
            for (o, weights) in self.weight.chunks_exact(self.d_in).enumerate() {
                let dot: f32 = weights.iter().zip(x.row(i)).map(|(w, x)| w * x).sum();
                values.push(self.activation.of(dot + self.bias.as_ref().map_or(0.0, |bias| bias[o])));
            }
        }
        States { values, width: self.d_out }
    }
}

impl DenseActivation {
    fn of(self, x: f32) -> f32 {
        match self {
            Self::Identity => x,
            Self::Tanh => x.tanh(),
            Self::Relu => x.max(0.0),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        }
    }
}

/// The activation; without one, that of the module's constructor.
fn activation(file: &Path, config: &Value) -> Result<DenseActivation> {
    let Some(class) = config.get("activation_function").and_then(Value::as_str) else {
        return Ok(DenseActivation::Tanh);
    };
    let known = ACTIVATIONS.iter().find(|(name, _)| *name == class).map(|&(_, activation)| activation);
    let names = || ACTIVATIONS.map(|(name, _)| name).join(", ");
    known.ok_or_else(|| unsupported(file, &format!("activation `{class}`"), &names()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dense(activation: DenseActivation) -> Dense {
        Dense {
            d_in: 2,
            d_out: 3,
            weight: vec![1.0, 2.0, -1.0, 0.0, 0.5, 0.5],
            bias: Some(vec![0.5, 0.0, -9.0]),
            activation,
        }
    }

    #[test]
    fn the_map_is_applied_row_by_row_as_worked_by_hand() {
        let x = States { values: vec![1.0, 2.0, -1.0, 0.0], width: 2 };
        let y = dense(DenseActivation::Relu).forward(&x);
        assert_eq!(y.values, [5.5, 0.0, 0.0, 0.0, 1.0, 0.0]);
        let plain = Dense { bias: None, ..dense(DenseActivation::Tanh) }.forward(&x);
        assert_eq!(plain.values[0], 5.0_f32.tanh());
        assert_eq!(dense(DenseActivation::Sigmoid).forward(&x).values[4], 1.0 / (1.0 + (-1.0_f32).exp()));
    }

    #[test]
    fn a_saved_module_reads_back_the_same() {
        let folder = tempfile::tempdir().unwrap();
        for (_, activation) in ACTIVATIONS {
            for bias in [None, dense(activation).bias] {
                let dense = Dense { bias, ..dense(activation) };
                dense.save(folder.path()).unwrap();
                assert_eq!(Dense::load(folder.path(), 2).unwrap(), dense);
            }
        }
    }

    #[test]
    fn wrong_sizes_and_unknown_functions_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        dense(DenseActivation::Tanh).save(folder.path()).unwrap();
        assert!(Dense::load(folder.path(), 5).unwrap_err().to_string().contains("gives 5"));
        let with = |text: &str| {
            std::fs::write(folder.path().join("config.json"), text).unwrap();
            Dense::load(folder.path(), 2).unwrap_err().to_string()
        };
        assert!(with(r#"{"in_features":2,"out_features":4}"#).contains("expected [4, 2]"));
        assert!(
            with(r#"{"in_features":2,"out_features":3,"activation_function":"os.system"}"#).contains("Tanh")
        );
        assert!(with(r#"{"in_features":2,"out_features":3,"use_residual":true}"#).contains("residual"));
    }
}
