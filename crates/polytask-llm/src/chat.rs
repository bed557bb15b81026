//! Chat: messages in, one message out.

use polytask_core::Result;
use serde_json::{Value, json};

use crate::budget::most_tokens;
use crate::client::{LlmClient, LlmRequest};

/// A message of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatMessage {
    /// Who says it: `system`, `user` or `assistant`.
    pub role: &'static str,
    /// What is said.
    pub content: String,
}

/// A chat that a model is to continue.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatCall<'a> {
    /// Name of the model.
    pub model: &'a str,
    /// What was said so far.
    pub messages: &'a [ChatMessage],
    /// Most tokens of the answer.
    pub most_answer: u64,
    /// How much the answer is left to chance.
    pub temperature: f64,
    /// Tells calls apart that say the same and want another answer each.
    pub turn: u64,
    /// What is asked, for errors.
    pub about: String,
}

impl ChatCall<'_> {
    /// As a request.
    pub fn request(&self) -> LlmRequest {
        let messages: Vec<Value> =
            self.messages.iter().map(|said| json!({ "role": said.role, "content": said.content })).collect();
        let texts: Vec<&str> = self.messages.iter().map(|said| said.content.as_str()).collect();
        LlmRequest {
            path: "/chat/completions",
            body: json!({ "model": self.model, "messages": messages, "max_tokens": self.most_answer,
                "temperature": self.temperature }),
            turn: self.turn,
            most_tokens: most_tokens(&texts).saturating_add(self.most_answer),
            about: self.about.clone(),
        }
    }
}

impl LlmClient {
    /// What a model says, and whether it was cut off.
    ///
    /// # Errors
    /// When no answer comes, or one without a message.
    pub fn chat(&mut self, call: &ChatCall<'_>) -> Result<(String, bool)> {
        self.ask(&call.request(), message)
    }
}

/// What an answer of a chat says, and whether it was cut off; else what is wrong with it.
///
/// # Errors
/// When it says nothing.
pub fn message(answer: &Value) -> std::result::Result<(String, bool), String> {
    let choice = answer.get("choices").and_then(|choices| choices.get(0));
    let choice = choice.ok_or("it has no `choices`")?;
    let content = choice.get("message").and_then(|message| message.get("content"));
    let content = content.and_then(Value::as_str).ok_or("its message has no text")?;
    if content.trim().is_empty() {
        return Err("its message is empty".into());
    }
    let was_cut = choice.get("finish_reason").and_then(Value::as_str) == Some("length");
    Ok((content.to_owned(), was_cut))
}
