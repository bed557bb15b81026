//! What an encoder says of sequences, for heads that stand beside the model: states of all tokens and the vector.

use polytask_core::Problem;

use crate::pass::for_passes;
use crate::{Model, Result};

/// What the encoder says of a sequence.
#[derive(Debug, Clone, Copy)]
pub struct EncodedText<'a> {
    /// Which sequence it is.
    pub sequence: usize,
    /// States of its tokens, `[tokens, d_hidden]`.
    pub states: &'a [f32],
    /// Its vector as the folder defines it, `[d_embedding]`.
    pub vector: &'a [f32],
}

impl Model {
    /// The symbols of texts, each after `prompt`, or after the folder's own where there is none.
    ///
    /// # Errors
    /// When the model reads no texts.
    pub fn sequences<S: AsRef<str>>(&self, texts: &[S], prompt: Option<&str>) -> Result<Vec<Vec<u32>>> {
        let tokenizer = self.symbols.text()?;
        let prompt = prompt.map_or_else(|| self.prompt(None), Ok)?;
        let texts: Vec<String> = texts.iter().map(|text| format!("{prompt}{}", text.as_ref())).collect();
        Ok(tokenizer.encode_batch_after("", &texts)?)
    }

    /// Encodes sequences, the longest first; `visit` gets each.
    ///
    /// # Errors
    /// When tasks have versions of the encoder, so that a text has no states of its own.
    pub fn encode(&self, sequences: &[Vec<u32>], mut visit: impl FnMut(EncodedText<'_>)) -> Result<()> {
        if self.encoder.trunk.n_views() != 1 {
            let what = "the tasks of the model have versions of its encoder, expected one for all";
            return Err(Problem::new(what).try_this("a plain encoder").into());
        }
        for_passes(self, sequences, &[0], |pass| {
            let finished = self.encoder.finish(self.encoder.pooling.forward(&pass.states, &pass.layout));
            for (i, &sequence) in pass.sequences.iter().enumerate() {
                let place = pass.place(0, i);
                let (states, vector) = (pass.states_of(0, i), finished.row(place));
                visit(EncodedText { sequence, states, vector });
            }
            Ok(())
        })?;
        Ok(())
    }
}
