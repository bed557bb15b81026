//! Where a model answers, with which key, and how long it is waited for.

use std::time::Duration;

use polytask_core::suite::is_variable;
use polytask_core::{Problem, Result};

/// What an address may end in beyond the part all calls share.
const CALLS: [&str; 2] = ["/chat/completions", "/embeddings"];
/// What is added to an address that names a machine alone.
const VERSION: &str = "/v1";

/// An endpoint that speaks the form of `OpenAI`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// What all addresses of it begin with, as `https://api.example.com/v1`.
    pub base: String,
    /// The environment variable that holds its key; `None` where it asks for none.
    pub key_env: Option<String>,
    /// How long it is waited for.
    pub patience: LlmPatience,
}

/// How long an endpoint is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LlmPatience {
    /// Longest wait for a connection.
    pub connect: Duration,
    /// Longest wait for a whole answer.
    pub answer: Duration,
    /// Times a request is sent.
    pub attempts: u32,
    /// Wait after the first failure; each further one is twice as long.
    pub first_wait: Duration,
    /// Longest wait between two attempts, also where the endpoint asks for a longer one.
    pub longest_wait: Duration,
}

impl Default for LlmPatience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(180),
            attempts: 6,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(120),
        }
    }
}

impl Endpoint {
    /// An endpoint by its address: with the version or without, also with the name of a call behind it.
    ///
    /// # Errors
    /// When the address is none of http, or holds a login or a key, which would be stored with it.
    pub fn new(address: &str, key_env: Option<&str>) -> Result<Self> {
        let address = address.trim().trim_end_matches('/');
        let wrong = |why: &str, remedy: &str| Problem::new(format!("endpoint: {why}")).try_this(remedy);
        let Some((scheme, rest)) = address.split_once("://") else {
            return Err(
                wrong("the address has no `http://` or `https://`", "http://127.0.0.1:8000/v1").into()
            );
        };
        if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) || rest.is_empty() {
            return Err(wrong("the address is none of http or https", "https://api.example.com/v1").into());
        }
        let host = rest.split('/').next().unwrap_or(rest);
        if host.contains('@') || rest.contains(['?', '#']) {
            let why = "the address holds a login or a query, which would be stored with it";
            return Err(wrong(why, "the address alone, and the key in an environment variable").into());
        }
        if let Some(name) = key_env.filter(|name| !is_variable(name)) {
            // It may well be the key itself: it is not repeated.
            let why =
                format!("the variable of the key has no name that one can have ({} characters)", name.len());
            return Err(wrong(&why, "the name of an environment variable, as API_KEY, not the key").into());
        }
        let cut = CALLS.iter().find_map(|call| address.strip_suffix(call)).unwrap_or(address);
        let names_host_alone = !cut[scheme.len() + 3..].contains('/');
        let base = if names_host_alone { format!("{cut}{VERSION}") } else { cut.to_owned() };
        Ok(Self { base, key_env: key_env.map(str::to_owned), patience: LlmPatience::default() })
    }

    /// The address of a call.
    pub(crate) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The key, read anew for every client and kept by it alone.
    ///
    /// # Errors
    /// When the variable is not there, is empty, or holds what no header can.
    pub(crate) fn key(&self) -> Result<Option<String>> {
        let Some(name) = &self.key_env else { return Ok(None) };
        let remedy = format!("export {name}=…, or name no variable where the endpoint asks for no key");
        let value = std::env::var(name).unwrap_or_default();
        let value = value.trim();
        let what = if value.is_empty() {
            format!("the environment variable `{name}`, which holds the key of the endpoint, is not set")
        } else if value.chars().any(|c| c.is_control() || !c.is_ascii()) {
            format!("the environment variable `{name}` holds characters that no key has")
        } else {
            return Ok(Some(value.to_owned()));
        };
        Err(Problem::new(what).try_this(remedy).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_version_and_call_or_without() {
        for address in [
            "http://a:1",
            "http://a:1/",
            "http://a:1/v1",
            "http://a:1/v1/embeddings",
            "http://a:1/v1/chat/completions",
        ] {
            assert_eq!(Endpoint::new(address, None).unwrap().base, "http://a:1/v1", "{address}");
        }
        assert_eq!(Endpoint::new("https://a/other", None).unwrap().base, "https://a/other");
    }

    #[test]
    fn what_would_store_a_secret_or_is_no_address_is_refused_without_showing_it() {
        for address in ["http://me:secret@a/v1", "http://a/v1?key=secret", "ftp://a", "a:1/v1", "http://"] {
            let told = Endpoint::new(address, None).unwrap_err().to_string();
            assert!(told.contains("try: ") && !told.contains("secret"), "{told}");
        }
        let told = Endpoint::new("http://a", Some("sk-secret")).unwrap_err().to_string();
        assert!(told.contains("not the key") && !told.contains("secret"), "{told}");
    }

    #[test]
    fn a_key_that_is_not_there_is_told_by_the_name_of_its_variable() {
        let endpoint = Endpoint::new("http://a", Some("POLYTASK_TEST_NO_SUCH_KEY")).unwrap();
        let told = endpoint.key().unwrap_err().to_string();
        assert!(told.contains("`POLYTASK_TEST_NO_SUCH_KEY`"), "{told}");
    }
}
