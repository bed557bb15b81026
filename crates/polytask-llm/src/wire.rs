//! One attempt of a request over the network.

use std::path::Path;
use std::time::{Duration, SystemTime};

use polytask_core::{Error, Problem, Result, files};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Proxy, Timeout};

use crate::endpoint::Endpoint;
use crate::retry;

const USER_AGENT: &str = concat!("polytask/", env!("CARGO_PKG_VERSION"));
/// Answers beyond this are no answers.
const LONGEST: u64 = 256 << 20;
/// Characters of an answer that an error shows.
const SHOWN: usize = 300;

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// With a good status; the bytes of the answer.
    Answered(Vec<u8>),
    /// It may end otherwise later. Whether the endpoint said so itself, so that nothing was paid for.
    Later { why: String, asked: Option<Duration>, is_free: bool },
    /// It will not end otherwise.
    Refused(String),
}

/// Sends requests to one endpoint.
pub(crate) struct Wire {
    agent: Agent,
    key: Option<String>,
}

impl Wire {
    /// # Errors
    /// When the key is not there, or certificates or the proxy that the environment names cannot be read.
    pub(crate) fn new(endpoint: &Endpoint) -> Result<Self> {
        let roots = match std::env::var_os("SSL_CERT_FILE") {
            Some(path) if Path::new(&path).is_file() => certificates(Path::new(&path))?,
            _ => RootCerts::WebPki,
        };
        let agent = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .proxy(if is_local(&endpoint.base) { None } else { Proxy::try_from_env() })
            .user_agent(USER_AGENT)
            .http_status_as_error(false)
            // A redirected POST would arrive elsewhere, as another request and with the key.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(endpoint.patience.connect))
            .timeout_resolve(Some(endpoint.patience.connect))
            .timeout_global(Some(endpoint.patience.answer))
            .build()
            .new_agent();
        Ok(Self { agent, key: endpoint.key()? })
    }

    /// Sends a body of JSON.
    pub(crate) fn post(&self, address: &str, body: &[u8]) -> Attempt {
        let mut request = self.agent.post(address).header("content-type", "application/json");
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        match request.send(body) {
            Ok(response) => self.read(response),
            Err(error) => self.failed(&error, never_connected(&error)),
        }
    }

    fn read(&self, mut response: ureq::http::Response<Body>) -> Attempt {
        let status = response.status();
        let header = |name: &str| response.headers().get(name)?.to_str().ok().map(str::to_owned);
        let (after, location) = (header("retry-after"), header("location"));
        let bytes = match response.body_mut().with_config().limit(LONGEST).read_to_vec() {
            Ok(bytes) => bytes,
            Err(error) => return self.failed(&error, false),
        };
        if status.is_success() {
            return Attempt::Answered(bytes);
        }
        let says = self.shown(&String::from_utf8_lossy(&bytes));
        let mut why = format!("status {}", status.as_u16());
        if !says.is_empty() {
            why = format!("{why}: {says}");
        }
        if status.is_redirection() {
            let to = location.map_or_else(String::new, |to| format!(" to {}", self.shown(&to)));
            return Attempt::Refused(format!("{why}: redirected{to}; give that address"));
        }
        if retry::may_pass(status.as_u16(), &says) {
            let asked = after.and_then(|after| retry::asked(&after, SystemTime::now()));
            return Attempt::Later { why, asked, is_free: true };
        }
        Attempt::Refused(why + advice(status.as_u16(), self.key.is_some()))
    }

    fn failed(&self, error: &ureq::Error, is_free: bool) -> Attempt {
        let why = self.shown(&error.to_string());
        let is_lasting = matches!(error, ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::Tls(_));
        if is_lasting || why.to_ascii_lowercase().contains("certificate") {
            return Attempt::Refused(why);
        }
        Attempt::Later { why, asked: None, is_free }
    }

    /// Words of an answer as an error may show them: on one line, not too long, without the key.
    pub(crate) fn shown(&self, text: &str) -> String {
        let text = match &self.key {
            Some(key) => text.replace(key.as_str(), "…"),
            None => text.to_owned(),
        };
        let message = serde_json::from_str::<serde_json::Value>(&text)
            .ok()
            .and_then(|value| {
                let error = value.get("error")?;
                let message = error.get("message").unwrap_or(error).as_str()?.to_owned();
                let code = error.get("code").and_then(|code| code.as_str());
                Some(code.map_or(message.clone(), |code| format!("{message} ({code})")))
            })
            .unwrap_or(text);
        let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
        let line: String = line.chars().filter(|c| !c.is_control()).collect();
        let short: String = line.chars().take(SHOWN).collect();
        if short.len() < line.len() { short + "…" } else { short }
    }
}

/// Whether an address is one of this machine, to which no proxy leads.
fn is_local(base: &str) -> bool {
    let host = base.split("://").nth(1).unwrap_or(base);
    ["127.", "localhost", "[::1]"].iter().any(|own| host.starts_with(own))
}

/// Whether there was no connection, so that nothing was paid for.
fn never_connected(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => true,
        ureq::Error::Timeout(timeout) => matches!(timeout, Timeout::Resolve | Timeout::Connect),
        ureq::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        _ => false,
    }
}

/// What to try after a status.
fn advice(status: u16, has_key: bool) -> &'static str {
    match status {
        401 | 403 if has_key => "; is the key right?",
        401 | 403 => "; it asks for a key: name the environment variable that holds it",
        404 | 405 => "; is the address right, and the name of the model?",
        413 => "; fewer or shorter texts in a request",
        _ => "",
    }
}

/// Certificates of a PEM file.
fn certificates(path: &Path) -> Result<RootCerts> {
    let bytes = files::read(path, files::SMALL).map_err(Error::io("read", path))?;
    let ders = CertificateDer::pem_slice_iter(&bytes).flatten();
    let all: Vec<Certificate<'static>> =
        ders.map(|der| Certificate::from_der(der.as_ref()).to_owned()).collect();
    if all.is_empty() {
        let what = format!("{}: no certificate in it, expected PEM", path.display());
        return Err(Problem::new(what).try_this("check SSL_CERT_FILE").into());
    }
    Ok(RootCerts::from(all))
}
