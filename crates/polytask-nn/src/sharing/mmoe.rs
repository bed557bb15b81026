//! `mmoe`: experts that all tasks share, a gate per task (Ma et al., KDD 2018).
//!
//! `z_t = Σₖ softmax(W_t·m + b_t)ₖ · E_k(x)`, x the states at the cut and m their mean over the sequence.
//!
//! Departures: experts are the upper blocks of a pre-trained encoder, copies of one another with a little noise; the
//! paper's gate reads the flat input of the network, of which sequences of any length have none, so it reads the mean
//! of what the experts read. The gate has a bias, as LibMTL's.

use polytask_core::method::{Choice, Family, MethodInfo, ParamInfo, Range};

use super::gate::Gate;
use super::net::NodeId;
use super::{AT, CUT, NOISE, Net, Sharing};
use crate::Result;

static INFO: MethodInfo = MethodInfo {
    id: "mmoe",
    title: "Multi-gate mixture of experts",
    paper: "Ma et al., KDD 2018",
    family: Family::Sharing,
    about: "Several copies of the upper blocks, experts; each task reads a mixture of them, weighed by its own gate.",
    cost: "the upper blocks once per expert",
    kinds: &[],
    params: &[AT, EXPERTS, NOISE],
};

/// How many experts.
pub(super) const EXPERTS: ParamInfo = ParamInfo {
    name: "experts",
    about: "Copies of the upper blocks that all tasks share.",
    default: "3",
    range: Range::Integer { min: 1 },
};

/// The entry of the table.
pub(super) struct Mmoe;

impl Sharing for Mmoe {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn lay(&self, choice: &Choice, net: &mut Net) -> Result<()> {
        let tops = experts(net, choice.count(&INFO, EXPERTS.name));
        for task in net.tasks() {
            let gate = Gate { n: tops.len(), width: net.width };
            let view = net.mix(&format!("gate.{task}"), Box::new(gate), Some(CUT), tops.clone());
            net.view(view);
        }
        Ok(())
    }
}

/// The states above each expert, level by level.
pub(super) fn experts(net: &mut Net, n: usize) -> Vec<NodeId> {
    let mut tops = vec![CUT; n];
    for layer in net.layers() {
        for (expert, top) in tops.iter_mut().enumerate() {
            *top = net.copy(&format!("expert.{expert}"), expert, layer, *top);
        }
    }
    tops
}
