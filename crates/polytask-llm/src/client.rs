//! A request's way to its answer.

use std::time::Duration;

use polytask_core::{Error, Problem, Result, hash};
use serde_json::{Value, json};

use crate::budget::{LlmBudget, LlmSpent};
use crate::cassette::{Cassette, CassetteMode};
use crate::endpoint::Endpoint;
use crate::retry;
use crate::wire::{Attempt, Wire};

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct LlmRequest {
    /// Which call, as `/embeddings`.
    pub path: &'static str,
    /// What is sent.
    pub body: Value,
    /// Tells requests apart that send the same and want another answer each.
    pub turn: u64,
    /// The most tokens that prompt and answer can have.
    pub most_tokens: u64,
    /// What is asked, for errors.
    pub about: String,
}

impl LlmRequest {
    /// What an answer is kept under: a hash of all that decides it but for the address, so that a cassette outlasts an endpoint
    /// that moves. Two models of one name need a cassette each.
    pub fn key(&self) -> String {
        let all = json!({ "path": self.path, "body": self.body, "turn": self.turn });
        hash::sha256(all.to_string().as_bytes())
    }
}

/// Asks one endpoint.
pub struct LlmClient {
    endpoint: Endpoint,
    cassette: Option<Cassette>,
    budget: LlmBudget,
    /// Spent without a cassette, which else counts itself.
    spent: LlmSpent,
    /// Made with the first request that is sent: where the cassette answers all, no key is needed.
    wire: Option<Wire>,
}

impl LlmClient {
    /// A client; what its cassette has cost counts against the budget.
    pub fn new(endpoint: Endpoint, cassette: Option<Cassette>, budget: LlmBudget) -> Self {
        Self { endpoint, cassette, budget, spent: LlmSpent::default(), wire: None }
    }

    /// The endpoint.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What was spent, earlier runs with the same cassette included.
    pub fn spent(&self) -> LlmSpent {
        self.cassette.as_ref().map_or(self.spent, Cassette::spent)
    }

    /// Whether a request is answered without sending it.
    pub fn knows(&self, request: &LlmRequest) -> bool {
        self.cassette
            .as_ref()
            .is_some_and(|cassette| cassette.mode() != CassetteMode::Record && cassette.has(&request.key()))
    }

    /// The answer of a request, as `read` makes it of JSON; what is wrong with it, `read` says in words.
    ///
    /// # Errors
    /// When the budget does not allow it, the endpoint refuses it or does not answer, or the answer is none.
    pub fn ask<T>(
        &mut self,
        request: &LlmRequest,
        read: impl Fn(&Value) -> std::result::Result<T, String>,
    ) -> Result<T> {
        let key = request.key();
        if let Some(answer) = self.kept(&key)? {
            return read(&answer).map_err(|what| self.nonsense(request, &key, &what));
        }
        self.refuse_network(request, &key)?;
        self.sent(request, &key, |bytes| {
            let value = json_of(bytes)?;
            read(&value).map(|found| (found, value))
        })
    }

    /// What the cassette has of the vectors of texts; nothing where all is asked anew.
    pub(crate) fn kept_vectors(&mut self, model: &str, texts: &[&str]) -> Result<Vec<Option<Value>>> {
        match &mut self.cassette {
            Some(cassette) if cassette.mode() != CassetteMode::Record => cassette.vectors(model, texts),
            _ => Ok(vec![None; texts.len()]),
        }
    }

    /// The answer that the cassette has.
    fn kept(&mut self, key: &str) -> Result<Option<Value>> {
        match &mut self.cassette {
            Some(cassette) if cassette.mode() != CassetteMode::Record => cassette.answer(key),
            _ => Ok(None),
        }
    }

    fn refuse_network(&self, request: &LlmRequest, key: &str) -> Result<()> {
        let Some(cassette) = self.cassette.as_ref().filter(|c| c.mode() == CassetteMode::Strict) else {
            return Ok(());
        };
        let what = format!(
            "cassette {} has no answer to {} (request {}), and its mode is strict",
            cassette.path().display(),
            request.about,
            &key[..12]
        );
        Err(Problem::new(what).try_this("the mode `replay`, which asks what is missing").into())
    }

    /// Sends a request until it is answered, or may not be sent again.
    fn sent<T>(
        &mut self,
        request: &LlmRequest,
        key: &str,
        read: impl Fn(&[u8]) -> std::result::Result<(T, Value), String>,
    ) -> Result<T> {
        if self.wire.is_none() {
            self.wire = Some(Wire::new(&self.endpoint)?);
        }
        let body = request.body.to_string();
        let mut attempt = 0;
        loop {
            attempt += 1;
            self.budget.check(self.spent(), request.most_tokens, &request.about)?;
            self.sending(key, request.most_tokens)?;
            let Some(wire) = &self.wire else { return Err(Error::Bug("a request without a wire".into())) };
            match wire.post(&self.endpoint.address(request.path), body.as_bytes()) {
                Attempt::Answered(bytes) => return self.answered(request, key, read(&bytes)),
                Attempt::Refused(why) => {
                    self.failed(key, 0, &why)?;
                    return Err(self.gave_up(request, key, &why));
                }
                Attempt::Later { why, asked, is_free } => {
                    self.failed(key, if is_free { 0 } else { request.most_tokens }, &why)?;
                    std::thread::sleep(self.wait(request, key, (attempt, asked, &why))?);
                }
            }
        }
    }

    /// How long to wait for the next attempt.
    fn wait(
        &self,
        request: &LlmRequest,
        key: &str,
        (attempt, asked, why): (u32, Option<Duration>, &str),
    ) -> Result<Duration> {
        let patience = self.endpoint.patience;
        if attempt >= patience.attempts {
            let why = format!("{why}, {attempt} times");
            return Err(self.gave_up(request, key, &why));
        }
        let salt = hash::text64(key);
        retry::wait(patience, attempt, asked, salt).ok_or_else(|| {
            let seconds = asked.unwrap_or_default().as_secs();
            let why = format!(
                "{why}; it asks to wait {seconds} s, more than {} s",
                patience.longest_wait.as_secs()
            );
            self.gave_up(request, key, &why)
        })
    }

    fn answered<T>(
        &mut self,
        request: &LlmRequest,
        key: &str,
        read: std::result::Result<(T, Value), String>,
    ) -> Result<T> {
        match read {
            Ok((value, answer)) => {
                let tokens = tokens_of(&answer).unwrap_or(request.most_tokens);
                self.spent.tokens = self.spent.tokens.saturating_add(tokens);
                if let Some(cassette) = &mut self.cassette {
                    cassette.answered(key, tokens, (&request.body, &answer))?;
                }
                Ok(value)
            }
            Err(what) => {
                self.failed(key, request.most_tokens, &what)?;
                Err(self.nonsense(request, key, &what))
            }
        }
    }

    fn sending(&mut self, key: &str, most_tokens: u64) -> Result<()> {
        self.spent.requests += 1;
        self.cassette.as_mut().map_or(Ok(()), |cassette| cassette.sending(key, most_tokens))
    }

    fn failed(&mut self, key: &str, tokens: u64, why: &str) -> Result<()> {
        self.spent.tokens = self.spent.tokens.saturating_add(tokens);
        self.cassette.as_mut().map_or(Ok(()), |cassette| cassette.failed(key, tokens, why))
    }

    fn gave_up(&self, request: &LlmRequest, key: &str, why: &str) -> Error {
        let kept = if self.cassette.is_some() { "; what was answered before is kept" } else { "" };
        Error::Network(format!(
            "endpoint {} did not answer {} (request {}): {why}{kept}; try: run the same command again",
            self.endpoint.address(request.path),
            request.about,
            &key[..12]
        ))
    }

    pub(crate) fn nonsense(&self, request: &LlmRequest, key: &str, what: &str) -> Error {
        let what = format!(
            "endpoint {} answered {} (request {}) with nonsense: {what}",
            self.endpoint.address(request.path),
            request.about,
            &key[..12]
        );
        Problem::new(what).try_this("another model of the endpoint, or check what it serves").into()
    }
}

/// The value of an answer.
fn json_of(bytes: &[u8]) -> std::result::Result<Value, String> {
    serde_json::from_slice(bytes).map_err(|error| {
        let text = String::from_utf8_lossy(bytes);
        let has = |word| text.contains(word);
        if has("NaN") || has("Infinity") {
            return "it holds a number that is none (NaN or infinite)".into();
        }
        let begin: String = text.trim_start().chars().filter(|c| !c.is_control()).take(60).collect();
        format!("it is not JSON ({error}); it begins with `{begin}`")
    })
}

/// Tokens that an answer says it took.
fn tokens_of(answer: &Value) -> Option<u64> {
    answer.get("usage")?.get("total_tokens")?.as_u64()
}
