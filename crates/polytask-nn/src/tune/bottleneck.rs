//! `bottleneck`: narrow networks within the layers (Houlsby et al. 2019).

use std::sync::Arc;

use polytask_core::method::{Choice, Family, MethodInfo, ParamInfo, Range};

use super::Tune;
use crate::Result;
use crate::encoder::Encoder;
use crate::trunk::Activation;
use crate::trunk::adapters::{BottleneckPlace, BottleneckSpec};

const WIDTH: ParamInfo = ParamInfo {
    name: "width",
    about: "Values between both products.",
    default: "16",
    range: Range::Integer { min: 1 },
};

const PLACE: ParamInfo = ParamInfo {
    name: "place",
    about: "Which halves of a layer have one: attention and feed-forward, or the feed-forward half alone.",
    default: "\"both\"",
    range: Range::OneOf(&["both", "feed-forward"]),
};

static INFO: MethodInfo = MethodInfo {
    id: "bottleneck",
    title: "Bottleneck adapters",
    paper: "https://arxiv.org/abs/1902.00751",
    family: Family::Tune,
    about: "The encoder's weights (norms too) stay as they are; where a half of a layer ends, a narrow network with a residual of its \
            own is trained. It cannot be added to the weights: the model folder holds both under names of its own.",
    cost: "gradients and moments of a few percent of the weights; two more products per layer in use",
    kinds: &[],
    params: &[WIDTH, PLACE],
};

/// The entry of the table.
pub(super) struct Bottleneck;

impl Tune for Bottleneck {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn lr(&self) -> Option<f64> {
        Some(1e-3)
    }

    fn apply(&self, choice: &Choice, encoder: Encoder, named: (&str, u64)) -> Result<Encoder> {
        let place = match choice.param(&INFO, PLACE.name).as_str() {
            Some("feed-forward") => BottleneckPlace::FeedForward,
            _ => BottleneckPlace::Both,
        };
        let width = choice.param(&INFO, WIDTH.name).as_u64().unwrap_or_default() as usize;
        encoder.adapt(Arc::new(BottleneckSpec { width, act: Activation::Gelu, place }), choice, named)
    }
}
