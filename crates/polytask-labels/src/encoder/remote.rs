//! An endpoint that gives vectors of texts, in the place of an encoder. It sees the texts themselves: their bytes are what
//! symbols of other encoders are.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use polytask_core::suite::EndpointSpec;
use polytask_core::{Problem, hash};
use polytask_data::Tokenize;
use polytask_llm::{Cassette, CassetteMode, EmbeddingsCall, Endpoint, LlmBudget, LlmClient, LlmSpent};
use polytask_nn::Result;
use serde::{Deserialize, Serialize};

use crate::features::{Features, to_unit};

/// What a folder keeps of an endpoint: nothing that is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenEndpoint {
    /// Its address.
    pub url: String,
    /// Name of the model there.
    pub model: String,
    /// Environment variable that holds its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// Texts of a request.
    pub batch: usize,
    /// Values of a vector.
    pub width: usize,
}

/// An endpoint that gives vectors of texts.
pub struct RemoteEncoder {
    client: Mutex<LlmClient>,
    written: WrittenEndpoint,
    /// Values of a vector, from the first answer on.
    width: Mutex<Option<usize>>,
    notes: Vec<String>,
}

impl RemoteEncoder {
    /// The endpoint of a suite, with its cassette and budget.
    ///
    /// # Errors
    /// When the address is none, or the cassette cannot be read.
    pub fn of_suite(spec: &EndpointSpec, folder: &Path) -> Result<Self> {
        let endpoint = Endpoint::new(&spec.url, spec.key_env.as_deref())?;
        let mode = CassetteMode::named(&spec.mode).unwrap_or(CassetteMode::Replay);
        let cassette = Cassette::open(&folder.join(&spec.cassette), mode)?;
        let notes = cassette.notes().to_vec();
        let budget = LlmBudget { requests: spec.requests, tokens: spec.tokens };
        let written = WrittenEndpoint {
            url: endpoint.base.clone(),
            model: spec.model.clone(),
            key_env: spec.key_env.clone(),
            batch: spec.batch.max(1),
            width: 0,
        };
        let client = Mutex::new(LlmClient::new(endpoint, Some(cassette), budget));
        Ok(Self { client, written, width: Mutex::new(None), notes })
    }

    /// The endpoint that a folder names.
    ///
    /// # Errors
    /// When the address is none.
    pub(crate) fn of_folder(written: WrittenEndpoint) -> Result<Self> {
        let endpoint = Endpoint::new(&written.url, written.key_env.as_deref())?;
        let client = Mutex::new(LlmClient::new(endpoint, None, LlmBudget::default()));
        let width = Mutex::new(Some(written.width));
        Ok(Self { client, written, width, notes: Vec::new() })
    }

    /// What a folder keeps of it.
    pub(crate) fn written(&self) -> WrittenEndpoint {
        WrittenEndpoint { width: self.known_width().unwrap_or(0), ..self.written.clone() }
    }

    /// What was spent, and what its cassette was repaired of.
    pub fn spent(&self) -> (LlmSpent, &[String]) {
        (self.client.lock().unwrap_or_else(PoisonError::into_inner).spent(), &self.notes)
    }

    pub(super) fn hash(&self) -> String {
        hash::sha256(format!("endpoint {} {}", self.written.url, self.written.model).as_bytes())
    }

    fn known_width(&self) -> Option<usize> {
        *self.width.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Vectors of texts, each distinct one asked for once; the only state of a text is its vector.
    pub(super) fn encode(&self, sequences: &[Vec<u32>]) -> Result<Features> {
        let mut distinct: Vec<&Vec<u32>> = sequences.iter().collect();
        distinct.sort_unstable();
        distinct.dedup();
        let texts: Vec<String> = distinct.iter().map(|sequence| text(sequence)).collect();
        let mut vectors: Vec<Vec<f32>> = Vec::with_capacity(texts.len());
        for part in texts.chunks(self.written.batch) {
            let part: Vec<&str> = part.iter().map(String::as_str).collect();
            vectors.extend(self.ask(&part)?);
        }
        let d = self.known_width().unwrap_or(0);
        let mut all = Features { d_vector: d, d_state: d, starts: vec![0], ..Features::default() };
        for sequence in sequences {
            let Ok(place) = distinct.binary_search(&sequence) else { continue };
            all.vectors.extend_from_slice(&vectors[place]);
            all.starts.push((all.vectors.len() / d.max(1)) as u32);
        }
        all.vectors.chunks_mut(d.max(1)).for_each(to_unit);
        all.states.clone_from(&all.vectors);
        Ok(all)
    }

    fn ask(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        if let Some(place) = texts.iter().position(|text| text.trim().is_empty()) {
            let what = format!("an empty text has no vector at an endpoint (text {place} of a request)");
            return Err(Problem::new(what).try_this("leave rows without a text out").into());
        }
        let call = EmbeddingsCall { model: &self.written.model, texts, width: self.known_width() };
        let found = self.client.lock().unwrap_or_else(PoisonError::into_inner).embeddings(&call)?;
        let width = found.first().map(Vec::len);
        let mut known = self.width.lock().unwrap_or_else(PoisonError::into_inner);
        *known = known.or(width);
        Ok(found)
    }
}

/// The bytes of a text.
pub(super) fn symbols(prompt: &str, text: &str) -> Vec<u32> {
    prompt.bytes().chain(text.bytes()).map(u32::from).collect()
}

fn text(sequence: &[u32]) -> String {
    let bytes: Vec<u8> = sequence.iter().map(|&byte| byte as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Tokenize for RemoteEncoder {
    fn encode(&self, text: &str) -> polytask_core::Result<Vec<u32>> {
        Ok(symbols("", text))
    }

    fn encode_after(&self, prompt: &str, text: &str) -> polytask_core::Result<Vec<u32>> {
        Ok(symbols(prompt, text))
    }

    fn encode_pair(&self, _first: &str, _second: &str) -> polytask_core::Result<Vec<u32>> {
        Err(Problem::new("an endpoint gives vectors of single texts, found pairs")
            .try_this("an encoder")
            .into())
    }

    fn encode_words(&self, _words: &[&str]) -> polytask_core::Result<(Vec<u32>, Vec<u32>)> {
        Err(Problem::new("an endpoint gives vectors of whole texts, found words")
            .try_this("an encoder")
            .into())
    }

    fn max_length(&self) -> usize {
        usize::MAX
    }
}

#[cfg(test)]
mod tests {
    use polytask_llm::testing::{LocalServer, Reply, letter_vectors};
    use serde_json::json;

    use super::*;

    fn spec(server: &LocalServer) -> EndpointSpec {
        EndpointSpec {
            url: server.address.clone(),
            model: "m".into(),
            key_env: None,
            cassette: "c.jsonl".into(),
            mode: "replay".into(),
            requests: None,
            tokens: None,
            batch: 2,
        }
    }

    #[test]
    fn texts_have_the_vectors_of_the_endpoint_and_are_asked_for_once() {
        let server = LocalServer::start(|_, heard| letter_vectors(heard));
        let folder = tempfile::tempdir().unwrap();
        let sequences = ["ä b", "c", "ä b", "d"].map(|text| symbols("", text));
        let remote = RemoteEncoder::of_suite(&spec(&server), folder.path()).unwrap();
        let found = remote.encode(&sequences).unwrap();
        assert_eq!((found.len(), found.d_vector, found.vector(0)), (4, 26, found.vector(2)));
        assert_eq!((found.vector(1)[2], found.states_of(1)), (1.0, found.vector(1)));
        // Three distinct texts, two in a request.
        assert_eq!(server.heard().len(), 2);
        assert!(server.heard().iter().any(|heard| heard.body["input"].to_string().contains("ä b")));
        drop(remote);
        let strict = EndpointSpec { mode: "strict".into(), ..spec(&server) };
        let remote = RemoteEncoder::of_suite(&strict, folder.path()).unwrap();
        assert_eq!(remote.encode(&sequences).unwrap(), found);
        assert_eq!(server.heard().len(), 2);
        assert!(remote.encode(&[Vec::new()]).unwrap_err().to_string().contains("empty text"));
    }

    #[test]
    fn a_width_that_changes_between_requests_is_told() {
        let server = LocalServer::start(|i, heard| match i {
            0 => letter_vectors(heard),
            _ => Reply::json(&json!({ "data": [{ "index": 0, "embedding": [1.0, 2.0] }] })),
        });
        let folder = tempfile::tempdir().unwrap();
        let remote = RemoteEncoder::of_suite(&spec(&server), folder.path()).unwrap();
        let sequences = ["a", "b", "c"].map(|text| symbols("", text));
        let told = remote.encode(&sequences).unwrap_err().to_string();
        assert!(told.contains("has 2 values, expected 26"), "{told}");
    }
}
