//! Delta-guided fusion (CoDiEmb): models weigh by a power of how far their parameters moved from the base.

use super::{Prepared, Setting, Weighted};
use crate::Result;
use crate::tensor::{Block, Tensor};

/// Weights by the lengths over the tensor's group, or by entry.
#[allow(clippy::unnecessary_wraps, reason = "one of several that may fail")]
pub(super) fn prepare(_: &Tensor<'_>, setting: &Setting) -> Result<Box<dyn Prepared>> {
    let power = setting.real("gamma");
    if setting.word("granularity") == "element" {
        return Ok(Box::new(Entries { power }));
    }
    Ok(Box::new(Weighted { base: 1.0, models: shares(&setting.lengths, power), of_deltas: true }))
}

/// `d^g / sum d^g`; even where nothing moved.
pub(crate) fn shares(lengths: &[f64], power: f64) -> Vec<f64> {
    let raised: Vec<f64> = lengths.iter().map(|d| d.powf(power)).collect();
    let sum: f64 = raised.iter().sum();
    let n = lengths.len() as f64;
    raised.iter().map(|r| if sum > 0.0 { r / sum } else { 1.0 / n }).collect()
}

struct Entries {
    power: f64,
}

impl Prepared for Entries {
    fn apply(&self, block: &Block<'_>) -> Vec<f32> {
        let (deltas, base) = (block.deltas(), block.base());
        let of = |i: usize| {
            let moved: Vec<f64> = deltas.iter().map(|d| f64::from(d[i].abs())).collect();
            let added: f64 =
                shares(&moved, self.power).iter().zip(&deltas).map(|(w, d)| w * f64::from(d[i])).sum();
            (f64::from(base[i]) + added) as f32
        };
        (0..base.len()).map(of).collect()
    }
}
