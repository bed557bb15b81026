//! The encoder that a suite names.

use polytask_core::Suite;
use polytask_data::{Symbols, Tokenizer};
use polytask_model::symbols_of;
use polytask_nn::encoder::Encoder;

use crate::Result;
use crate::locate::locate;
use crate::observe::Observer;

/// Name of the small random encoder for tests and first tries.
pub(crate) const TINY: &str = "tiny";

/// The suite's encoder with the suite's own pooling and length limit.
pub fn load_encoder(suite: &Suite, observer: &mut dyn Observer) -> Result<(Encoder, Symbols)> {
    let model = &suite.model;
    let (mut encoder, symbols) = if model.encoder == TINY {
        (Encoder::tiny(polytask_data::TINY_VOCAB, suite.seed)?, tiny_tokenizer(suite)?.into())
    } else {
        let folder = locate(suite, observer)?;
        let encoder = Encoder::load(&folder)?;
        let symbols = symbols_of(&folder, &encoder, model.max_length)?;
        (encoder, symbols)
    };
    // The folder that is written must cut where training did.
    if let Symbols::Text(tokenizer) = &symbols {
        encoder.max_length = tokenizer.max_length();
    }
    if let Some(pooling) = &model.pooling {
        encoder.pooling = pooling.parse()?;
    }
    Ok((encoder, symbols))
}

pub(crate) fn tiny_tokenizer(suite: &Suite) -> Result<Tokenizer> {
    Ok(suite.model.max_length.map_or_else(|| Ok(Tokenizer::tiny()), Tokenizer::tiny_cut)?)
}
