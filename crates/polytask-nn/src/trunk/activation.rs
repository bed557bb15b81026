//! The function between the two products of a feed-forward layer.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::Result;

/// An activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// x·Φ(x), with the error function.
    #[serde(rename = "gelu")]
    Gelu,
    /// Its tanh approximation.
    #[serde(rename = "gelu_new", alias = "gelu_pytorch_tanh")]
    GeluTanh,
    /// x·σ(1.702·x), an older approximation of GELU.
    #[serde(rename = "quick_gelu")]
    QuickGelu,
    /// max(x, 0).
    #[serde(rename = "relu")]
    Relu,
    /// x·σ(x).
    #[serde(rename = "silu", alias = "swish")]
    Silu,
}

impl Activation {
    /// In differentiable operations. Built from the error function and tanh: the engine's fused activations
    /// differentiate with six digits only.
    pub(crate) fn plain(self, x: &Tensor) -> Result<Tensor> {
        let gate = match self {
            Self::Gelu => (x / std::f64::consts::SQRT_2)?.erf()?,
            Self::GeluTanh => {
                let cubic = ((x.sqr()? * x)? * 0.044_715)?;
                ((x + cubic)? * (2.0 / std::f64::consts::PI).sqrt())?.tanh()?
            }
            Self::QuickGelu => return Ok((x / ((x * -1.702)?.exp()? + 1.0)?)?),
            Self::Relu => return Ok(x.relu()?),
            Self::Silu => return Ok((x / (x.neg()?.exp()? + 1.0)?)?),
        };
        Ok(((gate + 1.0)? * (x * 0.5)?)?)
    }
}
