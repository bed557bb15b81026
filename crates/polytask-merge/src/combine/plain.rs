//! Entry by entry: the weighted mean, the tensor itself, the other where it is near.

use super::{Prepared, Setting, Weighted, wrong};
use crate::Result;
use crate::parts::relative;
use crate::tensor::{Block, Tensor};

/// Distances below this count as this.
const NEAREST: f32 = 1e-6;

/// `sum w_i M_i`, divided by the sum of weights where these are normalised.
pub(super) fn linear(tensor: &Tensor<'_>, setting: &Setting) -> Result<Box<dyn Prepared>> {
    let mut models = setting.each("weight");
    if setting.flag("normalize") {
        models = relative(&models)
            .map_err(|what| wrong(tensor, &what, "weights that do not cancel, or `normalize: false`"))?;
    }
    Ok(Box::new(Weighted { base: 0.0, models, of_deltas: false }))
}

/// The only tensor, times `scale`.
pub(super) fn pass_through(setting: &Setting) -> Box<dyn Prepared> {
    Box::new(Weighted { base: 0.0, models: setting.each("scale"), of_deltas: false })
}

/// `w M + (1 - w) B` with `w = clip(t / |B - M|, 0, 1)` per entry.
pub(super) fn near_swap(setting: &Setting) -> Box<dyn Prepared> {
    Box::new(NearSwap { t: setting.real("t") as f32 })
}

struct NearSwap {
    t: f32,
}

impl Prepared for NearSwap {
    fn apply(&self, block: &Block<'_>) -> Vec<f32> {
        let near = |(m, b): (&f32, &f32)| {
            let w = (self.t / (b - m).abs().max(NEAREST)).clamp(0.0, 1.0);
            w * m + (1.0 - w) * b
        };
        block.models[0].iter().zip(block.base().iter()).map(near).collect()
    }
}
