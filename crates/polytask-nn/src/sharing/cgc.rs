//! `cgc`: experts of all tasks beside experts of one, gates over both; stacked, it is PLE (Tang et al., RecSys 2020).
//!
//! At each level, task t's gate weighs the shared experts and its own, reading the states they read; between levels
//! a further gate over all experts gives the shared experts of the next level their states. Experts of a level are
//! copies of a group of consecutive upper blocks.
//!
//! LibMTL has no gate between levels: its shared experts read every task's states instead, at m times the cost. This
//! is the paper's. Departures: as `mmoe`'s.

use polytask_core::Problem;
use polytask_core::method::{Choice, Family, MethodInfo, ParamInfo, Range};

use super::gate::Gate;
use super::net::NodeId;
use super::{AT, CUT, NOISE, Net, Sharing, invalid};
use crate::Result;

static INFO: MethodInfo = MethodInfo {
    id: "cgc",
    title: "Customized gate control, progressive layered extraction",
    paper: "Tang et al., RecSys 2020",
    family: Family::Sharing,
    about: "Shared experts and experts of each task, weighed by the task's gate; with several levels, PLE.",
    cost: "the upper blocks once per shared expert and once per task and own expert",
    kinds: &[],
    params: &[
        AT,
        ParamInfo {
            name: "levels",
            about: "Stacked levels of experts and gates (PLE), at most one per upper block.",
            default: "1",
            range: Range::Integer { min: 1 },
        },
        NOISE,
        ParamInfo {
            name: "own",
            about: "Experts of each task alone.",
            default: "1",
            range: Range::Integer { min: 1 },
        },
        ParamInfo {
            name: "shared",
            about: "Experts that all tasks share.",
            default: "1",
            range: Range::Integer { min: 1 },
        },
    ],
};

/// The entry of the table.
pub(super) struct Cgc;

/// Experts of one owner: what they are called, what they read, where they have come to.
struct Experts {
    label: String,
    reads: NodeId,
    tops: Vec<NodeId>,
}

impl Sharing for Cgc {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn lay(&self, choice: &Choice, net: &mut Net) -> Result<()> {
        let (levels, layers) = (choice.count(&INFO, "levels"), net.layers());
        if levels > layers.len() {
            let n = layers.len();
            let what = format!("`levels` of sharing `cgc` is {levels}, but {n} blocks lie above the cut");
            return Err(invalid(vec![Problem::new(what).try_this("fewer levels, or a lower `at`")]));
        }
        let counts = [choice.count(&INFO, "shared"), choice.count(&INFO, "own")];
        let (mut all, mut start) = (owners(net), layers.start);
        for level in 0..levels {
            let end = layers.start + (level + 1) * layers.len() / levels;
            grow(net, &mut all, start..end, counts);
            gates(net, &mut all, level, level + 1 == levels);
            start = end;
        }
        all[1..].iter().for_each(|own| net.view(own.reads));
        Ok(())
    }
}

/// The shared experts, then those of each task, all at the cut.
fn owners(net: &Net) -> Vec<Experts> {
    let at_cut = |label: String| Experts { label, reads: CUT, tops: Vec::new() };
    let own = net.tasks().iter().map(|task| at_cut(format!("own.{task}")));
    std::iter::once(at_cut("shared".into())).chain(own).collect()
}

/// The experts of a level over its blocks.
fn grow(net: &mut Net, all: &mut [Experts], layers: std::ops::Range<usize>, [shared, own]: [usize; 2]) {
    for (i, experts) in all.iter_mut().enumerate() {
        experts.tops = vec![experts.reads; if i == 0 { shared } else { own }];
    }
    for layer in layers {
        let mut copy = 0;
        for experts in all.iter_mut() {
            for (e, top) in experts.tops.iter_mut().enumerate() {
                *top = net.copy(&format!("{}.{e}", experts.label), copy, layer, *top);
                copy += 1;
            }
        }
    }
}

/// What each owner reads at the next level; nothing shared goes beyond the last.
fn gates(net: &mut Net, all: &mut [Experts], level: usize, is_last: bool) {
    let tops: Vec<Vec<NodeId>> = all.iter().map(|experts| experts.tops.clone()).collect();
    for (i, experts) in all.iter_mut().enumerate().skip(usize::from(is_last)) {
        let inputs = if i == 0 { tops.concat() } else { [tops[0].as_slice(), &tops[i]].concat() };
        let gate = Gate { n: inputs.len(), width: net.width };
        let name = match experts.label.strip_prefix("own.") {
            Some(task) => format!("gate.{level}.{task}"),
            None => format!("gate.{level}"),
        };
        experts.reads = net.mix(&name, Box::new(gate), Some(experts.reads), inputs);
    }
}
