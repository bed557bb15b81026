//! `hard`: one network for all tasks (Caruana 1993).

use polytask_core::method::{Choice, Family, MethodInfo};

use super::{CUT, Net, Sharing};
use crate::Result;

static INFO: MethodInfo = MethodInfo {
    id: super::HARD,
    title: "Hard sharing",
    paper: "Caruana, ICML 1993",
    family: Family::Sharing,
    about: "One network for all tasks, a head for each.",
    cost: "none",
    kinds: &[],
    params: &[],
};

/// The entry of the table.
pub(super) struct Hard;

impl Sharing for Hard {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    /// The trunk as it is, once for every task: what other architectures are held against.
    fn lay(&self, _choice: &Choice, net: &mut Net) -> Result<()> {
        let top = net.layers().fold(CUT, |below, layer| net.layer(layer, below));
        (0..net.tasks().len()).for_each(|_| net.view(top));
        Ok(())
    }
}
