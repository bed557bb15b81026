//! Calls of an endpoint that speaks the form of `OpenAI`: chat and vectors of texts.
//!
//! A call's way: request → cassette (paid for already?) → budget (allowed?) → wire, tried again where that may help →
//! reading (is it an answer?) → cassette → answer. The key of the endpoint comes from an environment variable, and goes
//! into a header and nowhere else.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod budget;
mod cassette;
mod chat;
mod client;
mod embeddings;
mod endpoint;
mod retry;
pub mod testing;
#[cfg(test)]
mod tests;
mod wire;

pub use budget::{LlmBudget, LlmSpent};
pub use cassette::{Cassette, CassetteMode};
pub use chat::{ChatCall, ChatMessage, message};
pub use client::{LlmClient, LlmRequest};
pub use embeddings::EmbeddingsCall;
pub use endpoint::{Endpoint, LlmPatience};
