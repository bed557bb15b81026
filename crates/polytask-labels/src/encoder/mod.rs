//! What texts are to heads: a vector each, and the states of their tokens, of an encoder here or of an endpoint elsewhere.

mod cache;
mod remote;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use polytask_data::Tokenize;
use polytask_model::Model;
use polytask_nn::Result;

use crate::features::{Features, to_unit};
use cache::VectorCache;
pub use remote::{RemoteEncoder, WrittenEndpoint};

/// An encoder that stays as it is.
pub struct TextEncoder {
    source: Source,
    cache: Option<Mutex<VectorCache>>,
}

enum Source {
    Here(Box<Model>),
    Elsewhere(Box<RemoteEncoder>),
}

impl From<Model> for TextEncoder {
    fn from(model: Model) -> Self {
        Self { source: Source::Here(Box::new(model)), cache: None }
    }
}

impl From<RemoteEncoder> for TextEncoder {
    fn from(remote: RemoteEncoder) -> Self {
        Self { source: Source::Elsewhere(Box::new(remote)), cache: None }
    }
}

impl TextEncoder {
    /// The same, which keeps what it says of texts in a file and asks no text twice.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn cached(mut self, folder: &Path) -> Result<Self> {
        let Source::Here(model) = &self.source else { return Ok(self) };
        let (d_vector, d_state) = (model.encoder.d_embedding(), model.encoder.trunk.d_hidden());
        let hash = self.hash()?;
        let file = folder.join(format!("vectors-{}.bin", &hash[..16]));
        self.cache = Some(Mutex::new(VectorCache::open(&file, (d_vector, d_state))?));
        Ok(self)
    }

    /// The model, where it is here.
    pub fn model(&self) -> Option<&Model> {
        match &self.source {
            Source::Here(model) => Some(model),
            Source::Elsewhere(_) => None,
        }
    }

    /// The endpoint, where it is elsewhere.
    pub fn remote(&self) -> Option<&RemoteEncoder> {
        match &self.source {
            Source::Here(_) => None,
            Source::Elsewhere(remote) => Some(remote),
        }
    }

    /// What makes symbols of texts.
    pub fn tokenize(&self) -> &dyn Tokenize {
        match &self.source {
            Source::Here(model) => &model.symbols,
            Source::Elsewhere(remote) => &**remote,
        }
    }

    /// Tells it from every other encoder.
    ///
    /// # Errors
    /// When it reads no texts.
    pub fn hash(&self) -> Result<String> {
        match &self.source {
            // What stands before texts is among the symbols that it is asked about.
            Source::Here(model) => model.fingerprint(""),
            Source::Elsewhere(remote) => Ok(remote.hash()),
        }
    }

    /// Symbols of texts, with words before each where some are named.
    ///
    /// # Errors
    /// When the encoder cannot read them.
    pub fn sequences<S: AsRef<str>>(&self, texts: &[S], prompt: Option<&str>) -> Result<Vec<Vec<u32>>> {
        match &self.source {
            Source::Here(model) => model.sequences(texts, prompt),
            Source::Elsewhere(_) => {
                let prompt = prompt.unwrap_or("");
                Ok(texts.iter().map(|text| remote::symbols(prompt, text.as_ref())).collect())
            }
        }
    }

    /// Encodes sequences, each distinct one once, in their order.
    ///
    /// # Errors
    /// When the model cannot encode them, or the endpoint does not answer.
    pub fn encode(&self, sequences: &[Vec<u32>], with_states: bool) -> Result<Features> {
        match &self.source {
            Source::Elsewhere(remote) => remote.encode(sequences),
            Source::Here(model) => match &self.cache {
                None => encode(model, sequences, with_states),
                Some(cache) => {
                    let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
                    cache.features(sequences, with_states, |missing| encode(model, missing, with_states))
                }
            },
        }
    }

    /// No texts.
    pub(crate) fn nothing(&self, d_vector: usize) -> Features {
        let d_state = self.model().map_or(d_vector, |model| model.encoder.trunk.d_hidden());
        Features { d_vector, d_state, starts: vec![0], ..Features::default() }
    }

    /// Values of a state, before anything was encoded; `None` where that is not known.
    pub(crate) fn d_state(&self) -> Option<usize> {
        self.model().map(|model| model.encoder.trunk.d_hidden())
    }
}

/// Encodes sequences, each distinct one once, in their order.
fn encode(model: &Model, sequences: &[Vec<u32>], with_states: bool) -> Result<Features> {
    let (d_vector, d_state) = (model.encoder.d_embedding(), model.encoder.trunk.d_hidden());
    let mut vectors = vec![0.0; sequences.len() * d_vector];
    let mut states: Vec<Vec<f32>> = vec![Vec::new(); if with_states { sequences.len() } else { 0 }];
    model.encode(sequences, |found| {
        let place = found.sequence;
        vectors[place * d_vector..(place + 1) * d_vector].copy_from_slice(found.vector);
        if with_states {
            states[place] = found.states.to_vec();
        }
    })?;
    vectors.chunks_mut(d_vector.max(1)).for_each(to_unit);
    let mut starts = vec![0];
    starts.extend(states.iter().scan(0, |end, of| {
        *end += of.len() / d_state.max(1);
        Some(*end as u32)
    }));
    if !with_states {
        starts.resize(sequences.len() + 1, 0);
    }
    Ok(Features { vectors, d_vector, states: states.concat(), starts, d_state })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny(seed: u64) -> Model {
        let encoder = polytask_nn::Encoder::tiny(polytask_data::TINY_VOCAB, seed).unwrap();
        Model::new(encoder, polytask_data::Tokenizer::tiny().into(), Vec::new())
    }

    #[test]
    fn an_encoder_gives_unit_vectors_in_the_order_of_the_texts() {
        let encoder = TextEncoder::from(tiny(1));
        let sequences = encoder.sequences(&["a", "a longer text", "a"], None).unwrap();
        let found = encoder.encode(&sequences, true).unwrap();
        assert_eq!(found.vector(0), found.vector(2));
        assert_eq!(found.states_of(0), found.states_of(2));
        assert_eq!(found.states_of(1).len(), sequences[1].len() * found.d_state);
        assert!((found.vector(1).iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-5);
    }

    #[test]
    fn what_is_kept_is_what_the_encoder_says_with_states_and_without() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, kept) =
            (TextEncoder::from(tiny(1)), || TextEncoder::from(tiny(1)).cached(folder.path()).unwrap());
        let sequences = plain.sequences(&["a", "a longer text", "a", "more"], None).unwrap();
        let first = kept();
        for (part, with_states) in [(&sequences[..2], false), (&sequences[..3], true), (&sequences[..], true)]
        {
            // An encoder's vectors hang on its batches in their last bits.
            let (found, expected) =
                (first.encode(part, with_states).unwrap(), plain.encode(part, with_states).unwrap());
            assert_eq!((found.len(), &found.starts), (expected.len(), &expected.starts));
            let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(near(&found.vectors, &expected.vectors) && near(&found.states, &expected.states));
        }
        let all = first.encode(&sequences, true).unwrap();
        drop(first);
        assert_eq!(kept().encode(&sequences, true).unwrap(), all);
        // Another encoder has a file of its own.
        let other = TextEncoder::from(tiny(2)).cached(folder.path()).unwrap();
        assert_ne!(other.encode(&sequences, true).unwrap().vectors, all.vectors);
    }
}
