//! Which encoder a model is, for what is kept of its vectors.

use polytask_core::hash;

use crate::{Model, Result};

impl Model {
    /// SHA-256 of everything a vector of a text depends on: weights, network, tokenizer, pooling, length limit, score, and the
    /// words before each text.
    ///
    /// # Errors
    /// When the model reads no texts.
    pub fn fingerprint(&self, prompt: &str) -> Result<String> {
        let (encoder, tokenizer) = (&self.encoder, self.symbols.text()?);
        let mut lines = vec![
            format!("weights {} {:?}", encoder.weights_hash(), encoder.network),
            format!(
                "pooling {:?} normalize {} length {}",
                encoder.pooling, encoder.normalize, encoder.max_length
            ),
            format!("lowercase {} prompt {prompt:?}", tokenizer.lowercase()),
        ];
        lines.extend(encoder.score.iter().map(|score| format!("score {score:?}")));
        lines.extend(tokenizer.files().iter().map(|(name, bytes)| format!("{name} {}", hash::sha256(bytes))));
        Ok(hash::sha256(lines.join("\n").as_bytes()))
    }
}
