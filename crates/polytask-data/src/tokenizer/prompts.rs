//! Prompts: words that a model wants before every text (`query: …`), as its folder names them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use polytask_core::Result;
use polytask_core::error::{Place, Problem};
use polytask_core::length::read_json;
use polytask_core::near;
use serde_json::Value;

use super::Tokenizer;

/// The file that names them.
const FILE: &str = "config_sentence_transformers.json";

/// The prompts of a model folder by name, and the one that stands before every text (empty where none does).
pub(super) fn read(folder: &Path) -> Result<(BTreeMap<String, String>, String)> {
    let config = read_json(folder, FILE)?.unwrap_or(Value::Null);
    let place = || Place::file(&folder.join(FILE));
    let mut prompts = BTreeMap::new();
    for (name, value) in config.get("prompts").and_then(Value::as_object).into_iter().flatten() {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            _ => {
                let what = format!("prompt `{name}` is {value}, expected a text");
                return Err(Problem::at(place(), what).try_this("fetch the folder again").into());
            }
        };
        prompts.insert(name.clone(), text);
    }
    let Some(name) = config.get("default_prompt_name").and_then(Value::as_str) else {
        return Ok((prompts, String::new()));
    };
    match prompts.get(name).cloned() {
        Some(default) => Ok((prompts, default)),
        None => Err(Problem { place: Some(place()), ..unknown(name, &prompts) }.into()),
    }
}

impl Tokenizer {
    /// The folder's prompt of this name.
    ///
    /// # Errors
    /// When the folder has none of this name; the error names those there are.
    pub fn prompt_named(&self, name: &str) -> Result<&str> {
        match self.prompts.get(name) {
            Some(prompt) => Ok(prompt),
            None => Err(unknown(name, &self.prompts).into()),
        }
    }

    /// What stands before every text; empty for most models.
    pub fn prompt(&self) -> &str {
        &self.prompt
    }
}

/// A name that no prompt has.
pub(super) fn unknown(name: &str, prompts: &BTreeMap<String, String>) -> Problem {
    let known: Vec<&str> = prompts.keys().map(String::as_str).collect();
    if known.is_empty() {
        let what = format!("the model has no prompt `{name}`: it has none");
        return Problem::new(what).try_this("put the words before the texts themselves");
    }
    let what = format!("the model has no prompt `{name}`, expected one of: {}", known.join(", "));
    Problem::new(what).try_this(near::advice(name, &known))
}

/// A text with its prompt before it.
pub(super) fn before<'a>(prompt: &str, text: &'a str) -> Cow<'a, str> {
    if prompt.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(format!("{prompt}{text}")) }
}
