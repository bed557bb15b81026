//! SCE (Wan et al. 2024): select what varies over models, weigh models by their energy, erase minority signs.

use super::{Prepared, Rules, Setting};
use crate::Result;
use crate::parts::{Ranks, Window, agrees, key, major, select};
use crate::tensor::{Block, Tensor, dot};

/// Energies that sum to less than this are no energies to mergekit, though those of real task vectors do.
const COMPAT_LEAST: f64 = 1e-6;
/// Weights of who agrees that sum to less than this count as this.
const LEAST: f32 = 1e-6;

/// Finds the selected entries and the weights.
pub(super) fn prepare(tensor: &Tensor<'_>, setting: &Setting, rules: Rules) -> Result<Box<dyn Prepared>> {
    let (share, n) = (setting.real("select_topk"), tensor.n_models());
    let window = if share < 1.0 { selected(tensor, share)? } else { None };
    let selection = if share < 1.0 { Selection::Some(window) } else { Selection::All };
    let energies =
        tensor.sums(n, |block| selection.apply(block).iter().map(|delta| dot(delta, delta)).collect())?;
    let means: Vec<f64> = energies.iter().map(|sum| sum / tensor.len().max(1) as f64).collect();
    let sum: f64 = means.iter().sum();
    let is_nothing = if rules.compat { sum < COMPAT_LEAST } else { sum <= 0.0 };
    let weights = means.iter().map(|m| if is_nothing { 1.0 / n as f64 } else { m / sum });
    Ok(Box::new(Sce { weights: weights.map(|w| w as f32).collect(), selection }))
}

struct Sce {
    weights: Vec<f32>,
    selection: Selection,
}

enum Selection {
    All,
    Some(Option<Window>),
}

/// The entries of largest variance: this share of those that vary at all.
fn selected(tensor: &Tensor<'_>, share: f64) -> Result<Option<Window>> {
    let varying = tensor
        .sums(1, |block| vec![variances(&block.deltas()).into_iter().filter(|v| *v != 0.0).count() as f64])?;
    let keys = |block: &Block<'_>| vec![variances(&block.deltas()).into_iter().map(key).collect()];
    Ok(select(tensor, 1, &keys, &[Ranks::Largest((varying[0] * share) as usize)])?.remove(0))
}

/// Variance over models, per entry.
fn variances(deltas: &[Vec<f32>]) -> Vec<f32> {
    let n = deltas.len() as f32;
    let of = |i: usize| {
        let mean = deltas.iter().map(|d| d[i]).sum::<f32>() / n;
        deltas.iter().map(|d| (d[i] - mean) * (d[i] - mean)).sum::<f32>() / n
    };
    (0..deltas.first().map_or(0, Vec::len)).map(of).collect()
}

impl Selection {
    fn apply(&self, block: &Block<'_>) -> Vec<Vec<f32>> {
        let mut deltas = block.deltas();
        let Self::Some(window) = self else { return deltas };
        let keys: Vec<u32> = variances(&deltas).into_iter().map(key).collect();
        let mask = window.as_ref().map(|window| window.mask(block.range.start, &keys));
        for delta in &mut deltas {
            let is_kept = |i: usize| mask.as_ref().is_some_and(|mask| mask[i]);
            delta.iter_mut().enumerate().filter(|(i, _)| !is_kept(*i)).for_each(|(_, v)| *v = 0.0);
        }
        deltas
    }
}

impl Prepared for Sce {
    fn apply(&self, block: &Block<'_>) -> Vec<f32> {
        let (deltas, base) = (self.selection.apply(block), block.base());
        let of = |i: usize| {
            let is_positive = major(deltas.iter().map(|d| d[i]).sum());
            let who = deltas.iter().zip(&self.weights).filter(|(d, _)| agrees(d[i], is_positive));
            let (sum, weight) = who.fold((0.0, 0.0_f32), |(s, t), (d, w)| (s + w * d[i], t + w));
            base[i] + sum / weight.max(LEAST)
        };
        (0..base.len()).map(of).collect()
    }
}
