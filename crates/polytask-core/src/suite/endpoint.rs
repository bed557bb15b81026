//! `endpoint` in `[model]`: vectors of texts from elsewhere.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::Suite;
use super::keys::Table;
use super::reporter::Reporter;
use super::section::Section;
use super::tree::Data;

/// Keys of `[model]` that are about an encoder on this machine.
const OF_ENCODER: [&str; 6] = ["encoder", "tune", "sharing", "pooling", "score", "max_length"];

/// An endpoint that gives vectors of texts in the place of an encoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndpointSpec {
    /// Its address.
    pub url: String,
    /// Name of the model there.
    pub model: String,
    /// The environment variable that holds its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// File of requests and answers, relative to the suite's folder.
    pub cassette: PathBuf,
    /// What the cassette does.
    pub mode: String,
    /// Most requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Most tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Texts of a request.
    pub batch: usize,
}

impl fmt::Display for EndpointSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.model, self.url)
    }
}

/// The endpoint of a model, where it has one.
pub(super) fn read(section: &Section, reporter: &mut Reporter) -> Option<EndpointSpec> {
    let node = section.node("endpoint")?;
    let own = Section::check(Table::Endpoint, "`endpoint` of [model]".into(), node, reporter);
    for key in ["url", "model"] {
        if matches!(node.data, Data::Table(_)) && !own.has(key) && !own.is_refused(key) {
            let what = format!("{} has no `{key}`", own.label);
            let example = "endpoint = { url = \"http://127.0.0.1:8000/v1\", model = \"NAME\" }";
            reporter.report(own.origin, what, example);
        }
    }
    let url = own.maybe_text("url").unwrap_or_default();
    if own.has("url") && !url.starts_with("http://") && !url.starts_with("https://") {
        let what = format!("`url` in {} has no `http://` or `https://`", own.label);
        reporter.report(own.place("url"), what, "http://127.0.0.1:8000/v1");
    }
    if let Some(name) = own.maybe_text("key_env").filter(|name| !is_variable(name)) {
        // It may well be the key itself: it is not repeated.
        let what = format!("`key_env` in {} is no name of a variable ({} characters)", own.label, name.len());
        reporter.report(own.place("key_env"), what, "key_env = \"API_KEY\": the name, not the key");
    }
    Some(EndpointSpec {
        url,
        model: own.maybe_text("model").unwrap_or_default(),
        key_env: own.maybe_text("key_env"),
        cassette: own.path("cassette").unwrap_or_default(),
        mode: own.text("mode"),
        requests: own.maybe_count("requests"),
        tokens: own.maybe_count("tokens"),
        batch: own.size("batch"),
    })
}

/// Whether a text can be the name of an environment variable, as those that hold keys are written; a key is none.
pub fn is_variable(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    name.len() <= 64 && name.starts_with(|c: char| !c.is_ascii_digit()) && name.chars().all(legal)
}

/// An endpoint gives vectors and no gradient: heads that match descriptions need no more, others do.
pub(super) fn fits(suite: &Suite, model: &Section, reporter: &mut Reporter) {
    if suite.model.endpoint.is_none() {
        return;
    }
    if !suite.tasks.is_empty() && !suite.tasks.iter().all(super::TaskSpec::matches_labels) {
        let what = "`endpoint` in [model] gives vectors of texts alone, but a head of the suite is trained with the encoder";
        reporter.report(model.place("endpoint"), what, "`labels` as a file in every task, or an encoder");
    }
    for task in &suite.tasks {
        let tunes = |choice: &crate::method::Choice| super::parts::tunes_encoder(&choice.name);
        if tunes(&task.head) || task.beside.as_ref().is_some_and(tunes) {
            let what = format!(
                "task `{}` tunes the encoder, but `endpoint` in [model] gives no gradient",
                task.name
            );
            reporter.report(model.place("endpoint"), what, "an encoder, or head = \"bilinear\"");
        }
    }
    for key in OF_ENCODER.into_iter().filter(|key| model.has(key) && !model.is_default(key)) {
        let what = format!("`{key}` in [model] is about an encoder, but `endpoint` gives the vectors");
        reporter.report(model.place(key), what, "one of both");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_the_place_of_its_variable_is_no_name() {
        for name in ["API_KEY", "_KEY2", "OPENAI_API_KEY"] {
            assert!(is_variable(name), "{name}");
        }
        for name in ["sk-1234", "api_key", "2KEY", "A KEY"] {
            assert!(!is_variable(name), "{name}");
        }
    }
}
