//! `dselect-k`: experts chosen by k smooth binary codes per task (Hazimeh et al., NeurIPS 2021).
//!
//! The selectors are written out in `selector`; the regulariser is summed over sequences and over *every* task's
//! selectors with the γ that is set (LibMTL counts the last task's alone, with γ = 1).
//!
//! Departures: as `mmoe`'s, what the selectors read is the mean state at the cut; the regulariser's gradient stops
//! at the selectors' weights, as it does where they read the data.

use polytask_core::method::{Choice, Family, MethodInfo, ParamInfo, Range};

use super::mmoe::experts;
use super::selector::Selector;
use super::{AT, CUT, NOISE, Net, Sharing};
use crate::Result;

static INFO: MethodInfo = MethodInfo {
    id: "dselect-k",
    title: "DSelect-k",
    paper: "Hazimeh et al., NeurIPS 2021",
    family: Family::Sharing,
    about: "Experts as `mmoe`'s, of which each task ends up with at most k, chosen by smooth binary codes.",
    cost: "the upper blocks once per expert",
    kinds: &[],
    params: &[
        AT,
        ParamInfo {
            name: "entropy",
            about: "Factor on the entropy of the selectors' choices.",
            default: "1e-6",
            range: Range::Real { min: 0.0, max: 1.0 },
        },
        ParamInfo {
            name: "experts",
            about: "Copies of the upper blocks that all tasks share.",
            default: "4",
            range: Range::Integer { min: 2 },
        },
        ParamInfo {
            name: "gamma",
            about: "Width of the smooth step between the two values of a code's bit.",
            default: "1.0",
            range: Range::Positive,
        },
        ParamInfo {
            name: "k",
            about: "Selectors per task: the most experts it keeps.",
            default: "2",
            range: Range::Integer { min: 1 },
        },
        NOISE,
    ],
};

/// The entry of the table.
pub(super) struct DSelectK;

impl Sharing for DSelectK {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn lay(&self, choice: &Choice, net: &mut Net) -> Result<()> {
        let tops = experts(net, choice.count(&INFO, "experts"));
        for task in net.tasks() {
            let selector = Selector {
                n: tops.len(),
                k: choice.count(&INFO, "k"),
                gamma: choice.real(&INFO, "gamma"),
                entropy: choice.real(&INFO, "entropy"),
                width: net.width,
            };
            let view = net.mix(&format!("gate.{task}"), Box::new(selector), Some(CUT), tops.clone());
            net.view(view);
        }
        Ok(())
    }
}
