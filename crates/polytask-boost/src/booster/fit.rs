//! The rounds of boosting.

use polytask_core::Result;

use super::judge::Judge;
use super::state::State;
use super::{BoostedTree, Booster, TrainingSet};
use crate::bins::Bins;
use crate::params::{BoostParams, Leaves};
use crate::tree::grow::Grower;

/// How a round left the losses.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundLosses {
    /// The round, from 1.
    pub round: usize,
    /// Mean loss of each target on train.
    pub train: Vec<f64>,
    /// The same on valid; empty without it, NaN where no row is known.
    pub valid: Vec<f64>,
}

/// Fits trees to all known targets; `observe` hears of every round. With `valid` and early stopping, the trees up to
/// the best round are kept.
///
/// # Errors
/// When settings, targets or weights are wrong.
pub fn fit(
    train: TrainingSet<'_>,
    valid: Option<TrainingSet<'_>>,
    params: &BoostParams,
    observe: &mut dyn FnMut(&RoundLosses),
) -> Result<Booster> {
    params.check()?;
    let mut state = State::new(train, params)?;
    let mut judge = valid.map(|valid| Judge::new(valid, &state, params.min_delta)).transpose()?;
    let mut booster = state.booster();
    let bins = Bins::new(train.table, train.weights, params.max_bin, params.seed);
    let mut grower = Grower::new(&bins, &params.tree);
    let all_known = state.rows_with_a_target();
    for round in 0..params.rounds {
        let first = booster.trees.len();
        // On a thread of the pool, which then waits for no other to start the many short works of a round.
        rayon::scope(|_| {
            booster.trees.extend(one_round(&mut state, &mut grower, &all_known, (round, params)));
        });
        let valid = judge.as_mut().map_or_else(Vec::new, |judge| judge.add(&booster.trees[first..], &state));
        observe(&RoundLosses { round: round + 1, train: state.losses(), valid });
        if judge.as_ref().is_some_and(|judge| judge.is_over(params)) {
            break;
        }
    }
    if let Some(judge) = judge.filter(|judge| judge.best > 0 && params.early_stopping > 0) {
        booster.trees.retain(|tree| tree.round < judge.best);
    }
    Ok(booster)
}

fn one_round(
    state: &mut State<'_>,
    grower: &mut Grower<'_>,
    all_known: &[u32],
    (round, params): (usize, &BoostParams),
) -> Vec<BoostedTree> {
    state.fill_slopes();
    match params.leaves {
        Leaves::Vector => vec![state.vector_tree(grower, all_known, round)],
        Leaves::Apart => {
            (0..state.fitted.len()).flat_map(|target| state.trees_apart(grower, target, round)).collect()
        }
    }
}
