//! Bottleneck adapters (Houlsby et al. 2019, <https://arxiv.org/abs/1902.00751>): where a half of a layer ends, before its
//! rows are added to the residual, a narrow network with a residual of its own: `x + U f(D x + b) + c`.
//!
//! Departures: U starts at zero, so that a fresh adapter changes nothing (the paper starts it near zero); layer norms are
//! not trained with the adapters, as they are in the paper; the one adapter of a layer that Pfeiffer et al. 2020 keep stands
//! where the second of these two does, before the norm, not behind it.

use polytask_core::Problem;

use super::Adapter;
use crate::trunk::activation::Activation;
use crate::trunk::graph::{BlockGraph, Graph, Home, INPUT, Node};
use crate::trunk::layers::{Bias, FeedForward, Layer, Linear, Residual};

/// Which halves of a layer have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BottleneckPlace {
    /// Both.
    Both,
    /// The feed-forward half alone (Pfeiffer et al. 2020, <https://arxiv.org/abs/2005.00247>).
    FeedForward,
}

/// What the adapters of all layers are.
#[derive(Debug, Clone, PartialEq)]
pub struct BottleneckSpec {
    /// Values between both products.
    pub width: usize,
    /// The function between them.
    pub act: Activation,
    /// Where they stand.
    pub place: BottleneckPlace,
}

impl Adapter for BottleneckSpec {
    fn attach(&self, graph: &mut Graph) -> Result<(), Vec<Problem>> {
        let d = graph.d_hidden();
        if self.width > d {
            let what =
                format!("`width` of bottleneck is {}, but the encoder's states have {d} values", self.width);
            return Err(vec![Problem::new(what).try_this(format!("less than {d}, as 16"))]);
        }
        for (i, block) in graph.blocks.iter_mut().enumerate() {
            if block.name.starts_with("layer.") && self.rebuild(block) {
                graph.adapted.push(i + 1);
            }
        }
        if graph.adapted.is_empty() {
            return Err(vec![Problem::new("the encoder has no layer that a bottleneck fits into")]);
        }
        Ok(())
    }
}

impl BottleneckSpec {
    /// Puts an adapter before each half's end; whether there was one.
    fn rebuild(&self, block: &mut BlockGraph) -> bool {
        let old = std::mem::replace(block, block.emptied());
        let ends = old.nodes.iter().filter(|node| node.layer.as_residual().is_some()).count();
        let skipped = match self.place {
            BottleneckPlace::Both => 0,
            BottleneckPlace::FeedForward => ends.saturating_sub(1),
        };
        // New numbers of the old nodes.
        let mut numbers = vec![INPUT];
        let mut halves = 0;
        for node in old.nodes {
            let Node { layer, input, residual, .. } = node;
            let (input, residual) = (numbers[input], residual.map(|number| numbers[number]));
            let number = match layer.as_residual() {
                Some(end) if halves >= skipped => {
                    let narrowed = self.insert(block, (input, halves), end);
                    block.node(Box::new(end.without_bias()), (narrowed, residual), Home::Base)
                }
                _ => block.node(layer, (input, residual), Home::Base),
            };
            halves += usize::from(block.nodes[number - 1].layer.as_residual().is_some());
            numbers.push(number);
        }
        ends > skipped
    }

    /// The adapter of a half whose branch is node `branch`.
    fn insert(&self, block: &mut BlockGraph, (branch, half): (usize, usize), end: &Residual) -> usize {
        let d = end.width();
        let biased = match end.bias() {
            Some(name) => block.add(Bias::new(name, d), branch),
            None => branch,
        };
        let name = |part: &str| format!("{}.bottleneck{half}.{part}", block.name);
        let (down, up) = (name("down"), name("up"));
        let (down_bias, up_bias) = (name("down.bias"), name("up.bias"));
        let narrow = block.node(Box::new(Linear::new(&down, d, self.width)), (biased, None), Home::Adapter);
        let feed = FeedForward::new(self.act, &up, self.width, d).biased(&down_bias).zeroed();
        let widened = block.node(Box::new(feed), (narrow, None), Home::Adapter);
        let sum = Residual::plain(d).biased(&up_bias);
        block.node(Box::new(sum), (widened, Some(biased)), Home::Adapter)
    }
}
