//! Adapters: small parameters beside a network that stays as it is. One file each.
//!
//! The adapter of a block is a parameter block of its own, above all others. It may stand beside matrices
//! (LoRA), as layers within a block, or as rows before the front's; a pass through the network
//! does all of them, and goes down to the lowest block that has one.

mod bottleneck;
mod lora;
mod prompt;

use std::fmt::Debug;

use polytask_core::Problem;
use serde_json::{Map, Value};

pub use bottleneck::{BottleneckPlace, BottleneckSpec};
pub use lora::LoraSpec;
pub use prompt::PromptSpec;

use super::graph::Graph;
use crate::params::Params;

/// A kind of adapter and its settings.
pub trait Adapter: Debug + Send + Sync {
    /// Adds itself to a network.
    ///
    /// # Errors
    /// Settings that do not fit the network.
    fn attach(&self, graph: &mut Graph) -> Result<(), Vec<Problem>>;

    /// Changes its first weights, the last blocks of `params`, where they depend on the network's own.
    fn start(&self, _params: &mut Params, _seed: u64) {}

    /// Whether it can be added to the network's own weights.
    fn merges(&self) -> bool {
        false
    }

    /// What `adapter_config.json` of the PEFT library says of it; `None` where that library has no such adapter.
    fn peft(&self) -> Option<Map<String, Value>> {
        None
    }
}

impl Graph {
    /// The same network with adapters; they are blocks above all others, ascending.
    ///
    /// # Errors
    /// Settings that do not fit the network.
    pub fn adapt(mut self, spec: &dyn Adapter) -> Result<Self, Vec<Problem>> {
        spec.attach(&mut self)?;
        Ok(self)
    }

    /// The parameters without adapters, these added to their matrices.
    pub fn merged(&self, params: &Params) -> Params {
        let mut blocks = params.blocks[..self.n_base()].to_vec();
        for (number, &block) in self.adapted.iter().enumerate() {
            let values = &params.blocks[self.n_base() + number].values;
            let nodes = self.blocks.get(block.wrapping_sub(1)).map(|block| block.nodes.as_slice());
            for node in nodes.unwrap_or_default() {
                let (Some(adapter), Some((matrix, start))) = (&node.adapter, node.layer.matrix()) else {
                    continue;
                };
                let first = node.range.start + start;
                let weight = &mut blocks[block].values[first..first + matrix.len()];
                adapter.lora.merge(matrix, &values[adapter.range.clone()], weight);
            }
        }
        Params { blocks }
    }
}
