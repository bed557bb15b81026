//! `cross-stitch`: a trunk per task, after every block a learned mixture of all (Misra et al., CVPR 2016).
//!
//! `x_t ← Σⱼ A[t][j]·h_j` after each block above the cut, the last one included (the paper stitches up to the layer
//! below the outputs). A starts at `keep` on the diagonal, the rest shared evenly: 0.9 and 0.1 for two tasks, as in
//! the paper; with LibMTL's all-ones start states would grow m-fold per block.
//!
//! Departures: one weight per pair of tasks and block, not one per channel (as LibMTL); the blocks up to `at` are
//! shared plainly.

use polytask_core::method::{Choice, Family, MethodInfo, ParamInfo, Range};

use super::stitch::Stitch;
use super::{AT, CUT, NOISE, Net, Sharing};
use crate::Result;

static INFO: MethodInfo = MethodInfo {
    id: "cross-stitch",
    title: "Cross-stitch network",
    paper: "Misra et al., CVPR 2016",
    family: Family::Sharing,
    about: "A copy of the upper blocks per task; after every block each goes on with a learned mixture of all.",
    cost: "the upper blocks once per task, on the texts of all tasks",
    kinds: &[],
    params: &[
        AT,
        ParamInfo {
            name: "keep",
            about: "First weight of a task's own copy; the others share the rest.",
            default: "0.9",
            range: Range::Real { min: 0.0, max: 1.0 },
        },
        NOISE,
    ],
};

/// The entry of the table.
pub(super) struct CrossStitch;

impl Sharing for CrossStitch {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn lay(&self, choice: &Choice, net: &mut Net) -> Result<()> {
        let (tasks, keep) = (net.tasks(), choice.real(&INFO, "keep"));
        let mut states = vec![CUT; tasks.len()];
        for layer in net.layers() {
            for (t, task) in tasks.iter().enumerate() {
                states[t] = net.copy(&format!("trunk.{task}"), t, layer, states[t]);
            }
            let heads = states.clone();
            for (t, task) in tasks.iter().enumerate() {
                let name = format!("stitch.{}.{task}", net.name(layer));
                let stitch = Stitch { n: tasks.len(), own: t, keep };
                states[t] = net.mix(&name, Box::new(stitch), None, heads.clone());
            }
        }
        states.into_iter().for_each(|top| net.view(top));
        Ok(())
    }
}
