//! The three blocks, one after the other.

use polytask_core::Result;

use super::blocks::{Blocks, RobustSet};
use super::gated::Gated;
use super::{Robust, RobustParams, sigmoid};
use crate::bins::Bins;
use crate::quantile::median;
use crate::tree::grow::Grower;

/// Fits the blocks; `start` are θ to begin with, drawn by the seed without them. `observe` hears of every round: its
/// number from 1 and the mean square of what is left.
///
/// # Errors
/// When settings, groups or targets are wrong.
pub fn fit_robust(
    set: RobustSet<'_>,
    params: &RobustParams,
    start: Option<&[f64]>,
    observe: &mut dyn FnMut(usize, f64),
) -> Result<Robust> {
    params.check()?;
    let mut blocks = Blocks::new(set, params, start)?;
    let starts = if start.is_some() || params.gated == 0 { 1 } else { params.starts };
    let tree = params.tree();
    let bins = Bins::new(set.table, set.weights, params.max_bin, params.seed);
    let mut grower = Grower::new(&bins, &tree);
    let mut model = blocks.empty();
    let mut round = 0;
    let mut tell = |blocks: &Blocks<'_>| {
        round += 1;
        observe(round, blocks.mean_square());
    };
    for _ in 0..params.shared {
        blocks.fill_residuals();
        model.shared.push(blocks.shared_tree(&mut grower));
        tell(&blocks);
    }
    let mut best: Option<Gated> = None;
    for number in 0..starts {
        let gated = blocks.gated_block(&mut grower, (number, start), &mut tell);
        if best.as_ref().is_none_or(|best| gated.left < best.left) {
            best = Some(gated);
        }
    }
    if let Some(best) = best {
        (model.normal, model.outlier) = blocks.take(best);
    }
    for _ in 0..params.own {
        blocks.fill_residuals();
        for group in 0..set.names.len() {
            model.groups[group].own.extend(blocks.own_tree(&mut grower, group));
        }
        tell(&blocks);
    }
    model.groups.iter_mut().zip(&blocks.thetas).for_each(|(group, theta)| group.theta = *theta);
    model.fallback = median(blocks.thetas.iter().map(|theta| sigmoid(*theta)));
    Ok(model)
}
