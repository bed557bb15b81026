//! `mtan`: the upper blocks shared, their states seen through attention masks of each task (Liu et al., CVPR 2019).
//!
//! With u the states below a block and p those above it, `a_t = σ(U·relu(D·[u, a_t of the block below] + d) + u₀) ⊙ p`
//! for every block above the cut; the first mask sees u alone. The last `a_t` are the task's states.
//!
//! Departures: no batch norm in the masks (a block ends in a norm of its own, and statistics over sequences would tie
//! them together); no convolution or pooling behind the mask, which fit one image stage to the next: the blocks of an
//! encoder have one shape. Masks start nearly open (factor 0.88), so that a pre-trained encoder's states survive.

use polytask_core::method::{Choice, Family, MethodInfo, ParamInfo, Range};

use super::mask::Mask;
use super::net::NodeId;
use super::{AT, CUT, Net, Sharing};
use crate::Result;

static INFO: MethodInfo = MethodInfo {
    id: "mtan",
    title: "Multi-task attention network",
    paper: "Liu et al., CVPR 2019",
    family: Family::Sharing,
    about: "All blocks shared; above the cut each task sees the states of every block through attention masks of its own.",
    cost: "two small products per task, block and row",
    kinds: &[],
    params: &[
        AT,
        ParamInfo {
            name: "reduction",
            about: "How many times narrower than a state the middle of a mask is.",
            default: "4",
            range: Range::Integer { min: 1 },
        },
    ],
};

/// The entry of the table.
pub(super) struct Mtan;

impl Sharing for Mtan {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn lay(&self, choice: &Choice, net: &mut Net) -> Result<()> {
        let (tasks, width) = (net.tasks(), net.width);
        let middle = (width / choice.count(&INFO, "reduction")).max(1);
        let mut seen: Vec<Option<NodeId>> = vec![None; tasks.len()];
        let mut below = CUT;
        for layer in net.layers() {
            let above = net.layer(layer, below);
            for (task, seen) in tasks.iter().zip(&mut seen) {
                let reads: Vec<NodeId> = std::iter::once(below).chain(*seen).collect();
                let mask = Mask { seen: reads.len() * width, middle, width };
                let name = format!("mask.{}.{task}", net.name(layer));
                *seen = Some(net.mask(&name, mask, reads, above));
            }
            below = above;
        }
        seen.into_iter().for_each(|top| net.view(top.unwrap_or(CUT)));
        Ok(())
    }
}
