//! `ltb`: learning to branch, a tree of copies found by drawing parents (Guo et al., ICML 2020).
//!
//! Above the cut each block has m copies. Copy t of a block, and in the end head t, reads one copy of the block
//! below: `Σⱼ αⱼ·h_j` with α one-hot, drawn by Gumbel-softmax with a straight-through gradient at temperature
//! `(epochs / 20) / √(epoch + 1)`; in the first 1 % of the epochs all α are 1. Logits start equal.
//!
//! Departures: outside training the likeliest parent is taken (LibMTL draws there too), the own one among equals;
//! epochs are counted by steps, so that the first 1 % exists in short trainings; the heads choose their parents too.

use polytask_core::method::{Choice, Family, MethodInfo, ParamInfo, Range};

use super::route::Route;
use super::{AT, CUT, NOISE, Net, Sharing};
use crate::Result;

static INFO: MethodInfo = MethodInfo {
    id: "ltb",
    title: "Learning to branch",
    paper: "Guo et al., ICML 2020",
    family: Family::Sharing,
    about: "A copy of the upper blocks per task; each block and head learns which copy below it to read.",
    cost: "the upper blocks once per task, on the texts of all tasks",
    kinds: &[],
    params: &[
        AT,
        NOISE,
        ParamInfo {
            name: "warmup",
            about: "Share of the epochs in which every block reads the sum of all copies below.",
            default: "0.01",
            range: Range::Real { min: 0.0, max: 1.0 },
        },
    ],
};

/// The entry of the table.
pub(super) struct Ltb;

impl Sharing for Ltb {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn lay(&self, choice: &Choice, net: &mut Net) -> Result<()> {
        let (tasks, setup, warmup) = (net.tasks(), net.setup(), choice.real(&INFO, "warmup"));
        let mut states = vec![CUT; tasks.len()];
        for layer in net.layers() {
            for (t, task) in tasks.iter().enumerate() {
                states[t] = net.copy(&format!("trunk.{task}"), t, layer, states[t]);
            }
            let parents = states.clone();
            for (t, task) in tasks.iter().enumerate() {
                let name = format!("route.{}.{task}", net.name(layer));
                let route =
                    Route { n: tasks.len(), own: t, steps: setup.steps, epochs: setup.epochs, warmup };
                states[t] = net.mix(&name, Box::new(route), None, parents.clone());
            }
        }
        states.into_iter().for_each(|top| net.view(top));
        Ok(())
    }
}
