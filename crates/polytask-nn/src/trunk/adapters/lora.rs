//! LoRA: which matrices of a network get a product of two narrow ones.

use polytask_core::{Problem, near};
use serde_json::{Map, Value, json};

use super::Adapter;
use crate::trunk::graph::{BlockGraph, Graph, NodeAdapter};
use crate::trunk::layers::{Lora, Matrix, TensorShape};

/// What adapters of all targeted matrices are.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraSpec {
    /// Rank of the added product.
    pub rank: usize,
    /// The product is multiplied by alpha / rank.
    pub alpha: f64,
    /// Share of the input's values that the product does not see in training.
    pub dropout: f64,
    /// Names of matrices, or what names end with: `query`, `attention.output.dense`; all of the layers when empty.
    pub targets: Vec<String>,
}

impl LoraSpec {
    /// Whether a matrix is meant.
    fn targets(&self, name: &str) -> bool {
        let is_end = |pattern: &String| {
            name.strip_suffix(pattern.as_str()).is_some_and(|front| front.is_empty() || front.ends_with('.'))
        };
        self.targets.is_empty() || self.targets.iter().any(is_end)
    }

    /// The adapter of a layer's matrix, where one of its parts is meant.
    fn of(&self, matrix: &Matrix, node: usize) -> Option<Lora> {
        let targets: Vec<bool> = matrix.parts.iter().map(|(name, _)| self.targets(name)).collect();
        let scale = (self.alpha / self.rank as f64) as f32;
        let lora = Lora { rank: self.rank, scale, dropout: self.dropout, targets, node: node as u64 };
        lora.targets.contains(&true).then_some(lora)
    }
}

impl Adapter for LoraSpec {
    fn attach(&self, graph: &mut Graph) -> Result<(), Vec<Problem>> {
        let problems = self.problems(graph);
        if !problems.is_empty() {
            return Err(problems);
        }
        let layers =
            graph.blocks.iter_mut().enumerate().filter(|(_, block)| block.name.starts_with("layer."));
        for (i, block) in layers {
            if adapt_block(block, self) {
                graph.adapted.push(i + 1);
            }
        }
        Ok(())
    }

    fn merges(&self) -> bool {
        true
    }

    fn peft(&self) -> Option<Map<String, Value>> {
        let fields = json!({
            "peft_type": "LORA",
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "bias": "none",
            "fan_in_fan_out": false,
            "use_rslora": false,
            "use_dora": false,
        });
        fields.as_object().cloned()
    }
}

impl LoraSpec {
    fn problems(&self, graph: &Graph) -> Vec<Problem> {
        let (spec, names) = (self, matrix_names(graph));
        let mut ends: Vec<&str> = names.iter().filter_map(|(name, _)| name.rsplit('.').next()).collect();
        ends.sort_unstable();
        ends.dedup();
        let unknown = spec.targets.iter().filter(|target| {
            let one = LoraSpec { targets: vec![(*target).clone()], ..spec.clone() };
            !names.iter().any(|(name, _)| one.targets(name))
        });
        let mut problems: Vec<Problem> = unknown
            .map(|target| {
                let what = format!(
                    "`targets` of lora names `{target}`, which ends the name of no matrix of the encoder"
                );
                Problem::new(what).try_this(near::advice(target, &ends))
            })
            .collect();
        let smallest = names.iter().filter(|(name, _)| spec.targets(name)).min_by_key(|(_, most)| *most);
        if let Some((name, most)) = smallest.filter(|(_, most)| spec.rank > *most) {
            let what = format!(
                "`rank` of lora is {}, but `{name}` has no more than {most} rows or columns",
                spec.rank
            );
            problems.push(Problem::new(what).try_this(format!("`rank = {most}` or less")));
        }
        problems
    }
}

/// Names of the matrices of layers, and the largest rank that each can have.
fn matrix_names(graph: &Graph) -> Vec<(String, usize)> {
    let layers = graph.blocks.iter().filter(|block| block.name.starts_with("layer."));
    let matrices = layers.flat_map(|block| block.nodes.iter().filter_map(|node| node.layer.matrix()));
    let of = |(matrix, _): (&Matrix, usize)| {
        let part = |(name, width): &(String, usize)| (name.clone(), matrix.d_in.min(*width));
        matrix.parts.iter().map(part).collect::<Vec<_>>()
    };
    matrices.flat_map(of).collect()
}

/// Gives a block's matrices their adapters; whether there is one.
fn adapt_block(block: &mut BlockGraph, spec: &LoraSpec) -> bool {
    let mut start = 0;
    for (i, node) in block.nodes.iter_mut().enumerate() {
        let Some((lora, matrix)) =
            node.layer.matrix().and_then(|(matrix, _)| Some((spec.of(matrix, i)?, matrix)))
        else {
            continue;
        };
        let len: usize = lora.tensors(matrix).iter().map(TensorShape::len).sum();
        node.adapter = Some(NodeAdapter { lora, range: start..start + len });
        start += len;
    }
    start > 0
}
