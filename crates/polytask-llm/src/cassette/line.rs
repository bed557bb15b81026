//! A line of a cassette, and what lines add up to.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budget::LlmSpent;

/// A line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(super) enum Line {
    /// A request is about to be sent.
    Sent { key: String, most_tokens: u64 },
    /// It brought no answer.
    Failed { key: String, tokens: u64, why: String },
    /// It was answered.
    Answer { key: String, tokens: u64, request: Value, answer: Value },
}

/// What the lines cost so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    spent: LlmSpent,
    /// The most a request can have cost whose end is not known.
    open: u64,
}

impl Tally {
    pub(super) fn see(&mut self, line: &Line) {
        match line {
            Line::Sent { most_tokens, .. } => {
                self.spent.requests += 1;
                self.spent.tokens = self.spent.tokens.saturating_add(self.open);
                self.open = *most_tokens;
            }
            Line::Failed { tokens, .. } | Line::Answer { tokens, .. } => {
                self.spent.tokens = self.spent.tokens.saturating_add(*tokens);
                self.open = 0;
            }
        }
    }

    pub(super) fn spent(&self) -> LlmSpent {
        LlmSpent { tokens: self.spent.tokens.saturating_add(self.open), ..self.spent }
    }
}
