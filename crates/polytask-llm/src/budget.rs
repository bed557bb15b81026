//! What calls may cost at most, and what they cost so far.

use polytask_core::{Problem, Result};

/// The most that may be spent; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LlmBudget {
    /// Requests sent, those that failed counted too.
    pub requests: Option<u64>,
    /// Tokens of prompts and answers.
    pub tokens: Option<u64>,
}

/// What was spent. A request whose end nobody saw counts with the most it can have cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LlmSpent {
    /// Requests sent.
    pub requests: u64,
    /// Tokens.
    pub tokens: u64,
}

impl LlmBudget {
    /// Refuses a request that may cost more than is left.
    pub(crate) fn check(&self, spent: LlmSpent, most_tokens: u64, about: &str) -> Result<()> {
        let what = |limit: u64, unit: &str, used: u64, needed: u64| {
            let what = format!(
                "the budget of {limit} {unit} does not allow {about}: {used} were spent, and it may take {needed} more"
            );
            let remedy = "a larger budget; what was paid for is in the cassette and is not paid again";
            Err(Problem::new(what).try_this(remedy).into())
        };
        match (self.requests, self.tokens) {
            (Some(limit), _) if spent.requests + 1 > limit => what(limit, "requests", spent.requests, 1),
            (_, Some(limit)) if spent.tokens.saturating_add(most_tokens) > limit => {
                what(limit, "tokens", spent.tokens, most_tokens)
            }
            _ => Ok(()),
        }
    }
}

/// The most tokens a text can have. A token of a tokenizer on bytes holds one byte at least; what a chat's form adds to a
/// message is a few tokens.
pub(crate) fn most_tokens(texts: &[&str]) -> u64 {
    const OF_FORM: u64 = 16;
    texts.iter().map(|text| text.len() as u64 + OF_FORM).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_request_that_fits_is_allowed_and_the_next_one_refused() {
        let budget = LlmBudget { requests: Some(3), tokens: Some(100) };
        let spent = |requests, tokens| LlmSpent { requests, tokens };
        budget.check(spent(2, 60), 40, "it").unwrap();
        let told = budget.check(spent(3, 0), 1, "it").unwrap_err().to_string();
        assert!(told.contains("3 requests"), "{told}");
        let told = budget.check(spent(2, 61), 40, "it").unwrap_err().to_string();
        assert!(told.contains("61 were spent, and it may take 40 more"), "{told}");
        LlmBudget::default().check(spent(u64::MAX - 1, u64::MAX), u64::MAX, "it").unwrap();
    }
}
