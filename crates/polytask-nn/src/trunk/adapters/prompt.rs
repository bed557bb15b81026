//! Soft prompts (Lester et al. 2021, <https://arxiv.org/abs/2104.08691>): learned rows before those of every input.

use polytask_core::Problem;
use polytask_core::rng::{Purpose, Rng};
use serde_json::{Map, Value, json};

use super::Adapter;
use crate::params::Params;
use crate::trunk::graph::{FRONT, Graph, Prompt};

/// How many rows stand before every input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptSpec {
    /// Number of rows.
    pub rows: usize,
}

impl Adapter for PromptSpec {
    fn attach(&self, graph: &mut Graph) -> Result<(), Vec<Problem>> {
        if graph.front.even().is_some() {
            let what = "soft prompts stand before tokens, and this encoder reads images";
            return Err(vec![Problem::new(what).try_this("`tune = \"lora\"`")]);
        }
        if self.rows >= graph.max_positions {
            let what = format!(
                "`rows` of prompt is {}, but the encoder reads at most {} rows in all",
                self.rows, graph.max_positions
            );
            return Err(vec![Problem::new(what).try_this("fewer, as 20")]);
        }
        graph.max_positions -= self.rows;
        graph.prompt = Some(Prompt { rows: self.rows, width: graph.front.width() });
        graph.adapted.insert(0, FRONT);
        Ok(())
    }

    /// As tokens drawn from the vocabulary, which learns faster than noise (section 3.2 of the paper, which draws from the
    /// 5,000 most frequent ones: a model folder does not say which these are).
    fn start(&self, params: &mut Params, seed: u64) {
        let n_base = params.blocks.len() - 1;
        let (blocks, adapters) = params.blocks.split_at_mut(n_base);
        let (words, width) = (&blocks[FRONT].values, adapters[0].tensors[0].shape[1]);
        let mut rng = Rng::new(seed, Purpose::Init, &[FRONT as u64]);
        for row in adapters[0].values.chunks_exact_mut(width) {
            let token = rng.below(words.len() / width);
            row.copy_from_slice(&words[token * width..][..width]);
        }
    }

    fn peft(&self) -> Option<Map<String, Value>> {
        let fields = json!({
            "peft_type": "PROMPT_TUNING",
            "num_virtual_tokens": self.rows,
            "prompt_tuning_init": "RANDOM",
            "num_transformer_submodules": 1,
        });
        fields.as_object().cloned()
    }
}
