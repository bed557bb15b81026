//! How tasks share the network above a cut: plainly, through experts and gates, through stitched or routed trunks,
//! through attention masks.
//!
//! An architecture lays a small graph over the blocks of any trunk that can be cut: layers (the trunk's own, or
//! copies of them), mixes (a weighted sum of states, the weights from a gate) and masks. [`Shared`] runs the graph
//! as a [`Trunk`] of its own, whose states have one version per task, a *view*. A block that
//! a single view depends on is that task's own, like a head: no method counts it among the shared parameters.
//!
//! | node | states | weights |
//! | --- | --- | --- |
//! | layer | a block of the trunk, or a copy of one, above other states | the block's |
//! | mix | `Σₖ wₖ·xₖ`, one weight per input and sequence | gate, selector, stitch, route |
//! | mask | `σ(…)·x`, one factor per value | two layers, seen states to factors |
//!
//! A copy starts as the encoder's block plus a little seeded noise (deviation `noise` times the root mean square of
//! each matrix; the first copy has none), so that copies can grow apart. Gates and masks of layers read what their
//! layers read; where one weight per example is wanted, they read the mean of the example's states.
//!
//! Adding one = one file here and one line in [`SHARINGS`].

mod cgc;
mod cotangents;
mod cross_stitch;
mod dselect_k;
mod gate;
#[cfg(test)]
mod golden;
mod hard;
mod ltb;
mod mask;
mod mix;
mod mmoe;
mod mtan;
mod needed;
mod net;
mod route;
mod selector;
mod stitch;
mod sweep;
#[cfg(test)]
mod tests;
mod trunk;

use std::sync::Arc;

use polytask_core::method::{Choice, ParamInfo, Range};
use polytask_core::{MethodInfo, Problem, near};
use serde::{Deserialize, Serialize};

use crate::params::{Params, Real};
use crate::trunk::Trunk;
use crate::{Error, Result};

use net::CUT;
pub use net::Net;
pub use trunk::Shared;

/// The architecture without anything above the cut.
pub const HARD: &str = "hard";

/// All architectures, sorted by id.
pub static SHARINGS: &[&dyn Sharing] = &[
    &cgc::Cgc,
    &cross_stitch::CrossStitch,
    &dselect_k::DSelectK,
    &hard::Hard,
    &ltb::Ltb,
    &mmoe::Mmoe,
    &mtan::Mtan,
];

/// An architecture in the table.
pub trait Sharing: Sync {
    /// What it tells about itself.
    fn info(&self) -> &'static MethodInfo;

    /// Lays its graph above the cut, level by level, and names the states of each task.
    fn lay(&self, choice: &Choice, net: &mut Net) -> Result<()>;
}

/// What an architecture needs to know of the training.
#[derive(Debug, Clone)]
pub struct SharingSetup<'a> {
    /// The tasks, one view each.
    pub tasks: &'a [String],
    /// Seed of the noise of copies and of new weights.
    pub seed: u64,
    /// Optimiser steps of the training.
    pub steps: u64,
    /// Epochs of the training.
    pub epochs: f64,
}

/// The architecture an encoder was trained with, and the tasks its views belong to: a file of the model folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SharedBy {
    /// The architecture and its parameters.
    pub choice: Choice,
    /// The tasks, one view each.
    pub tasks: Vec<String>,
}

/// Where the cut lies.
const AT: ParamInfo = ParamInfo {
    name: "at",
    about: "Highest block that all tasks share plainly, as `layer.3`; by default the lower half of the layers is shared.",
    default: "null",
    range: Range::Text,
};

/// How far copies start apart.
const NOISE: ParamInfo = ParamInfo {
    name: "noise",
    about: "Noise on the weights of every copy but the first, as a share of their root mean square.",
    default: "0.01",
    range: Range::Real { min: 0.0, max: 1.0 },
};

/// The architecture of this id.
pub fn find(id: &str) -> Option<&'static dyn Sharing> {
    SHARINGS.iter().copied().find(|sharing| sharing.info().id == id)
}

/// What all architectures tell about themselves, sorted by id.
pub fn infos() -> Vec<&'static MethodInfo> {
    SHARINGS.iter().map(|sharing| sharing.info()).collect()
}

/// The chosen architecture over a trunk, and its parameters from those of the trunk.
///
/// # Errors
/// As [`check`].
pub fn make<T: Real>(
    choice: &Choice,
    inner: Arc<dyn Trunk<T>>,
    params: &Params<T>,
    setup: &SharingSetup,
) -> Result<(Shared<T>, Params<T>)> {
    let (net, noise) = lay(choice, &*inner, params, setup)?;
    let shared = net.params(params, noise);
    Ok((Shared::new(inner, net, &shared), shared))
}

/// Whether the chosen architecture can be laid over a trunk.
///
/// # Errors
/// Unknown names and parameters, an `at` that names no block or leaves nothing above it.
pub fn check<T: Real>(
    choice: &Choice,
    inner: &dyn Trunk<T>,
    params: &Params<T>,
    setup: &SharingSetup,
) -> Result<()> {
    lay(choice, inner, params, setup).map(drop)
}

/// The graph of the chosen architecture, and the noise on its copies.
fn lay<'a, T: Real>(
    choice: &Choice,
    inner: &dyn Trunk<T>,
    params: &Params<T>,
    setup: &'a SharingSetup<'a>,
) -> Result<(Net<'a>, f64)> {
    let ids: Vec<&str> = infos().iter().map(|info| info.id).collect();
    let Some(sharing) = find(&choice.name) else {
        let what = format!("unknown sharing `{}`", choice.name);
        return Err(invalid(vec![Problem::new(what).try_this(near::advice(&choice.name, &ids))]));
    };
    let mut problems = sharing.info().wrong_params("sharing", choice);
    problems.extend(
        COUNTS.iter().filter_map(|name| too_many(choice.param(sharing.info(), name).as_u64()?, name)),
    );
    if !problems.is_empty() {
        return Err(invalid(problems));
    }
    if choice.name != HARD && !inner.can_be_cut() {
        let what = format!("sharing `{}` needs an encoder that can be cut between its blocks", choice.name);
        return Err(invalid(vec![Problem::new(what).try_this("sharing = \"hard\", or an encoder of texts")]));
    }
    let names: Vec<&str> = params.blocks.iter().map(|block| block.name.as_str()).collect();
    let cut = cut(&names, choice.param(sharing.info(), AT.name).as_str())?;
    let mut net = Net::new(&names, cut, inner.d_hidden(), setup);
    sharing.lay(choice, &mut net)?;
    let noise = choice.param(sharing.info(), NOISE.name).as_f64().unwrap_or(0.0);
    Ok((net, noise))
}

/// Parameters that say how many copies of the upper blocks there are.
const COUNTS: [&str; 3] = ["experts", "own", "shared"];
/// More copies than this fit into no memory.
const MOST: u64 = 64;

fn too_many(n: u64, name: &str) -> Option<Problem> {
    let what = format!("parameter `{name}` of the sharing is {n}, expected at most {MOST}");
    (n > MOST).then(|| Problem::new(what).try_this("a few; each costs the upper blocks once more"))
}

/// Index of the block the cut lies above.
fn cut(names: &[&str], at: Option<&str>) -> Result<usize> {
    let n_layers = names.iter().filter(|name| name.starts_with("layer.")).count();
    let n_above = if n_layers > 0 { n_layers.div_ceil(2) } else { names.len() / 2 };
    let last = names.len().saturating_sub(1);
    let Some(at) = at else { return Ok(last.saturating_sub(n_above)) };
    match names.iter().position(|name| *name == at) {
        Some(found) if found < last => Ok(found),
        Some(_) => {
            let what = format!("`at` of the sharing is `{at}`, the highest block: nothing lies above it");
            Err(invalid(vec![
                Problem::new(what).try_this(format!("a lower block, as `{}`", names[last.saturating_sub(1)])),
            ]))
        }
        None => {
            let what = format!("`at` of the sharing names `{at}`, which is no block of the encoder");
            Err(invalid(vec![Problem::new(what).try_this(near::advice(at, &names[..last]))]))
        }
    }
}

fn invalid(problems: Vec<Problem>) -> Error {
    Error::Core(polytask_core::Error::Invalid(problems))
}
