//! A published cross-encoder as a model of one task.

use std::collections::BTreeMap;

use polytask_core::{KindInfo, TargetType, kind};
use polytask_nn::encoder::Encoder;
use polytask_nn::folder::PublishedHead;
use polytask_nn::heads::HeadOptions;
use polytask_nn::pooling::PoolMode;

use crate::info::TaskInfo;
use crate::task::ModelTask;

/// The task of a published cross-encoder is called what its sort of target is.
fn named(kind: &'static KindInfo) -> &'static str {
    kind.target
}

/// The task of a published head, and the encoder that pools for it: one output scores two texts, several are labels of them.
pub(crate) fn task(mut encoder: Encoder, head: PublishedHead) -> (Encoder, ModelTask) {
    encoder.pooling = PoolMode::Cls.into();
    let wanted = if head.n_outputs == 1 { TargetType::Numbers } else { TargetType::Label };
    let kind = kind::KINDS.iter().copied().find(|kind| kind.joins_texts() && kind.target_type() == wanted);
    let kind = kind.expect("there are kinds of two texts as one for labels and for numbers");
    let options = HeadOptions { is_pooler: true, ..HeadOptions::default() };
    let form = encoder.head(kind.head, head.n_outputs, options);
    let mut block = form.block(&format!("head.{}", named(kind)), 0);
    for (i, values) in head.tensors.iter().enumerate() {
        block.tensor_mut(i).copy_from_slice(values);
    }
    let is_score = head.labels.is_empty();
    let info = TaskInfo {
        name: named(kind).into(),
        kind: kind.name.into(),
        metric: kind.metrics[0].into(),
        labels: head.labels,
        scale: if is_score { vec![(0.0, 1.0)] } else { Vec::new() },
        bounds: Vec::new(),
        n_outputs: head.n_outputs,
        hidden: None,
        is_pooler: true,
        columns: BTreeMap::default(),
        prompts: BTreeMap::default(),
        reads_words: false,
    };
    (encoder, ModelTask { info, kind, head: form, block })
}
