//! `quantile`: a quantile of numbers; leaves are set again to the quantile of what is left in them.

use polytask_core::{Problem, Result};

use super::{LossSpec, TreeLoss};
use crate::quantile::weighted_quantile;

pub(super) struct Quantile {
    level: f64,
}

pub(super) fn make(spec: &LossSpec) -> Result<Box<dyn TreeLoss>> {
    if spec.level <= 0.0 || spec.level >= 1.0 || spec.level.is_nan() {
        let what = format!("quantile of level {}, expected a number above 0 and below 1", spec.level);
        return Err(Problem::new(what).try_this("0.5 is the median").into());
    }
    Ok(Box::new(Quantile { level: spec.level }))
}

impl TreeLoss for Quantile {
    fn expected(&self, target: f64) -> Option<String> {
        (!target.is_finite()).then(|| "a finite number".into())
    }

    fn start(&self, known: &[(f64, f64)]) -> Vec<f64> {
        vec![weighted_quantile(&mut known.to_vec(), self.level)]
    }

    fn slopes(&self, margins: &[f64], target: f64, out: &mut [f32]) {
        out[0] = (if target > margins[0] { -self.level } else { 1.0 - self.level }) as f32;
        out[1] = 1.0;
    }

    fn value(&self, margins: &[f64], target: f64) -> f64 {
        let left = target - margins[0];
        left * if left > 0.0 { self.level } else { self.level - 1.0 }
    }

    fn respond(&self, _margins: &mut [f64]) {}

    fn refit(&self) -> Option<f64> {
        Some(self.level)
    }
}
