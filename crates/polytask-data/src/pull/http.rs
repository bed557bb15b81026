//! Requests, and files that arrive in spite of cut connections.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use polytask_core::error::Problem;
use polytask_core::{Error, Result, atomic, files, hash};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use ureq::http::Response;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Proxy, ResponseExt};

use super::address::join;
use super::login::{base64, shown, split_login};
use super::options::{Patience, PullOptions};
use super::pace::Pace;
use super::unique;

const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(30);
/// A partial file untouched this long belongs to nobody: a live download would have timed out.
const ABANDONED: Duration = Duration::from_secs(90);
/// Connections tried for one file, counted anew whenever bytes arrived.
const ATTEMPTS: usize = 3;
/// As many as a request follows.
const MOST_REDIRECTS: usize = 10;
const USER_AGENT: &str = concat!("polytask/", env!("CARGO_PKG_VERSION"));
/// Pages beyond this are no index of one package and no configuration file.
const LONGEST_PAGE: u64 = 256 << 20;

/// A page of text and where it really came from.
pub(super) struct Page {
    /// Address after redirects.
    pub(super) address: String,
    /// Media type without parameters.
    pub(super) media_type: String,
    /// Content.
    pub(super) bytes: Vec<u8>,
}

/// Makes requests with the trusted certificates and proxy of the options.
pub(super) struct Client {
    agents: Vec<Agent>,
    patience: Patience,
}

impl Client {
    /// # Errors
    /// When the certificate file named by the user cannot be read, or the proxy's address is malformed.
    pub(super) fn new(options: &PullOptions) -> Result<Self> {
        let mut roots = Vec::new();
        if let Some(path) = options.certificates.iter().find(|path| path.is_file()) {
            roots.push(certificates(path)?);
        }
        // Where the named file lacks a public authority, the built-in list is asked.
        roots.push(RootCerts::WebPki);
        let proxy = match &options.proxy {
            Some(address) => Some(Proxy::new(&with_scheme(address)).map_err(|_| bad_proxy())?),
            None => Proxy::try_from_env(),
        };
        let agents = roots.into_iter().map(|roots| agent(roots, proxy.clone())).collect();
        Ok(Self { agents, patience: options.patience })
    }

    /// A page; `None` when there is none at the address.
    pub(super) fn page(&self, address: &str, accept: &str) -> Result<Option<Page>, String> {
        let Some(mut response) = self.get(address, &[("accept", accept)])? else { return Ok(None) };
        let media_type = response.body().mime_type().unwrap_or("").to_owned();
        let address = response.get_uri().to_string();
        let bytes = read_page(response.body_mut().with_config().limit(LONGEST_PAGE).reader(), self.patience);
        let bytes = bytes.map_err(|error| format!("{}: {error}", shown(&address)))?;
        Ok(Some(Page { address, media_type, bytes }))
    }

    /// The SHA-256 the hub states for a large file: its tag, which stands on the answer before the redirect.
    pub(super) fn linked_sha256(&self, address: &str) -> Option<String> {
        let is_sha256 = |tag: &&str| tag.len() == 64 && tag.bytes().all(|b| b.is_ascii_hexdigit());
        self.agents.iter().find_map(|agent| {
            let request =
                agent.head(address).config().max_redirects(0).max_redirects_will_error(false).build();
            let response = request.call().ok()?;
            let tag = response.headers().get("x-linked-etag")?.to_str().ok()?;
            Some(tag.trim_matches('"')).filter(is_sha256).map(str::to_owned)
        })
    }

    /// The answer with a good status; `None` for "not found".
    fn get(&self, address: &str, headers: &[(&str, &str)]) -> Result<Option<Response<Body>>, String> {
        let (address, login) = split_login(address);
        let mut last = String::new();
        for agent in &self.agents {
            let mut request = agent.get(&address);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if let Some(login) = &login {
                request = request.header("authorization", format!("Basic {}", base64(login.as_bytes())));
            }
            match request.call() {
                Ok(response) => return Ok(Some(response)),
                Err(ureq::Error::StatusCode(404 | 410)) => return Ok(None),
                Err(ureq::Error::TooManyRedirects | ureq::Error::BadUri(_)) => {
                    return Err(format!("{}: {}", shown(&address), redirected(agent, &address)));
                }
                Err(error) => {
                    last = format!("{}: {error}", shown(&address));
                    if !is_about_certificates(&error) {
                        break;
                    }
                }
            }
        }
        Err(last)
    }
}

/// A file to be fetched.
pub(super) struct Download<'a> {
    /// Where it is.
    pub(super) address: &'a str,
    /// What to call it while it comes.
    pub(super) what: &'a str,
    /// Its SHA-256, if known.
    pub(super) sha256: Option<&'a str>,
}

impl Client {
    /// Fetches a file into `folder` and gives its path; a partial file of an earlier try is continued when the
    /// hash is known and so can tell whether the parts fit. `None` when there is no such file.
    ///
    /// # Errors
    /// When the connection breaks for good (what came stays, to be continued), or the hash is wrong (the file
    /// is removed).
    pub(super) fn download(
        &self,
        file: &Download<'_>,
        folder: &Path,
        options: &PullOptions,
    ) -> Result<Option<PathBuf>> {
        atomic::create_dir(folder)?;
        let stem = partial_stem(file);
        let path = folder.join(unique(&stem));
        let resumed = file.sha256.is_some() && claim(folder, &stem, &path);
        match self.download_to(file, &path, options) {
            Ok(false) => Ok(None),
            Ok(true) => match verify(file, &path) {
                Ok(()) => Ok(Some(path)),
                // The abandoned part may be of another content: once more from the start.
                Err(_) if resumed => self.download(file, folder, options),
                Err(error) => Err(error),
            },
            Err(error) => {
                if file.sha256.is_some() {
                    // Best effort: the next try continues here.
                    let _ = fs::rename(&path, folder.join(format!("{stem}.partial")));
                } else {
                    let _ = fs::remove_file(&path);
                }
                Err(error)
            }
        }
    }

    fn download_to(&self, file: &Download<'_>, path: &Path, options: &PullOptions) -> Result<bool> {
        let mut out =
            OpenOptions::new().create(true).append(true).open(path).map_err(Error::io("write", path))?;
        let (mut attempts, mut last, mut pace) = (0, String::new(), Pace::new(options.patience));
        while attempts < ATTEMPTS {
            if let Err(why) = pace.connect() {
                return Err(given_up(file, &why));
            }
            let before = out.metadata().map_err(Error::io("read", path))?.len();
            match self.continue_at(before, file, &mut out, (options, &mut pace)) {
                Ok(Part::All) => return Ok(true),
                Ok(Part::NoSuchFile) => {
                    drop(out);
                    let _ = fs::remove_file(path);
                    return Ok(false);
                }
                Ok(Part::Restart) => attempts += 1,
                Err(Broken::Disk(error)) => return Err(Error::io("write", path)(error)),
                Err(Broken::Patience(why)) => return Err(given_up(file, &why)),
                Err(Broken::Line(error)) => {
                    last = error;
                    let after = out.metadata().map_err(Error::io("read", path))?.len();
                    attempts = if after > before { 1 } else { attempts + 1 };
                }
            }
        }
        Err(Error::Network(format!(
            "{} did not arrive whole: {last}; try: run the same command again",
            file.what
        )))
    }

    /// One connection's share of a file.
    fn continue_at(
        &self,
        at: u64,
        file: &Download<'_>,
        out: &mut File,
        (options, pace): (&PullOptions, &mut Pace),
    ) -> Result<Part, Broken> {
        let range = format!("bytes={at}-");
        // Ranges count bytes as stored, so compression on the way is declined.
        let mut headers = vec![("accept-encoding", "identity")];
        if at > 0 {
            headers.push(("range", &range));
        }
        let answer = match self.get(file.address, &headers) {
            Err(error) if at > 0 && error.contains("416") => {
                restart(out)?;
                return Ok(Part::Restart);
            }
            answer => answer.map_err(Broken::Line)?,
        };
        let Some(response) = answer else { return Ok(Part::NoSuchFile) };
        let start = if response.status() == 206 { at } else { 0 };
        if start != at {
            restart(out)?;
        }
        if start > 0 && range_start(&response) != Some(start) {
            restart(out)?;
            return Ok(Part::Restart);
        }
        let total = response.body().content_length().map(|n| n + start);
        let done = copy(response, (start, total), file, out, (options, pace))?;
        match total {
            Some(total) if done < total => {
                Err(Broken::Line(format!("connection cut at byte {done} of {total}")))
            }
            _ => Ok(Part::All),
        }
    }
}

/// How far one connection got.
enum Part {
    All,
    Restart,
    NoSuchFile,
}

/// What stopped a connection's share.
enum Broken {
    Line(String),
    Disk(io::Error),
    Patience(String),
}

fn given_up(file: &Download<'_>, why: &str) -> Error {
    Error::Network(format!("{} did not arrive: {why}; try: another index or hub", file.what))
}

/// The content of a page, as long as it comes at a sensible pace.
fn read_page(mut body: impl Read, patience: Patience) -> Result<Vec<u8>, String> {
    let (mut bytes, mut buffer, mut pace) = (Vec::new(), vec![0; 1 << 16], Pace::new(patience));
    loop {
        let n = body.read(&mut buffer).map_err(|error| error.to_string())?;
        if n == 0 {
            return Ok(bytes);
        }
        bytes.extend_from_slice(&buffer[..n]);
        pace.arrive(n)?;
    }
}

/// Why redirects led nowhere: too many of them, or one to what is no web address (a file of this machine).
fn redirected(agent: &Agent, address: &str) -> String {
    let mut at = address.to_owned();
    for _ in 0..MOST_REDIRECTS {
        let request = agent.get(&at).config().max_redirects(0).max_redirects_will_error(false).build();
        let Ok(answer) = request.call() else { break };
        let target = answer.headers().get("location").and_then(|target| target.to_str().ok());
        let Some(target) = target.filter(|_| answer.status().is_redirection()) else { break };
        at = join(&at, target);
        if !["http", "https"].iter().any(|scheme| scheme_of(&at).eq_ignore_ascii_case(scheme)) {
            return format!("redirected to {}, expected an address of http or https", shown(&at));
        }
    }
    "too many redirects".into()
}

fn scheme_of(address: &str) -> &str {
    address.split(':').next().unwrap_or(address)
}

fn restart(out: &mut File) -> Result<(), Broken> {
    out.set_len(0).and_then(|()| out.seek(SeekFrom::Start(0))).map(|_| ()).map_err(Broken::Disk)
}

fn copy(
    response: Response<Body>,
    (start, total): (u64, Option<u64>),
    file: &Download<'_>,
    out: &mut File,
    (options, pace): (&PullOptions, &mut Pace),
) -> Result<u64, Broken> {
    let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
    let (mut buffer, mut done) = (vec![0; 1 << 16], start);
    loop {
        let n = body.read(&mut buffer).map_err(|error| Broken::Line(error.to_string()))?;
        if n == 0 {
            return Ok(done);
        }
        out.write_all(&buffer[..n]).map_err(Broken::Disk)?;
        done += n as u64;
        options.report(done, total, file.what);
        pace.arrive(n).map_err(Broken::Patience)?;
    }
}

/// First byte an answer with status 206 holds.
fn range_start(response: &Response<Body>) -> Option<u64> {
    let header = response.headers().get("content-range")?.to_str().ok()?;
    header.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// The same file gives the same name, so that a later process finds the part that came.
fn partial_stem(file: &Download<'_>) -> String {
    let key = file.sha256.map_or_else(|| hash::sha256(file.address.as_bytes()), str::to_owned);
    format!("{}-{}", key.get(..16).unwrap_or(&key), file.what.replace(['/', '\\'], "-"))
}

/// Takes over a partial file by renaming it, which only one process can do.
fn claim(folder: &Path, stem: &str, path: &Path) -> bool {
    if fs::rename(folder.join(format!("{stem}.partial")), path).is_ok() {
        return true;
    }
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let of_this_file = entry.file_name().to_string_lossy().starts_with(stem);
        of_this_file && is_abandoned(&entry.path()) && fs::rename(entry.path(), path).is_ok()
    })
}

fn is_abandoned(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|data| data.modified());
    modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > ABANDONED))
}

fn verify(file: &Download<'_>, path: &Path) -> Result<()> {
    let Some(expected) = file.sha256 else { return Ok(()) };
    let found = hash::sha256_file(path)?;
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    // Best effort: a wrong file must not be taken for a good one.
    let _ = fs::remove_file(path);
    let what = format!("{} has SHA-256 {found}, expected {expected}; it was removed", file.what);
    Err(Problem::new(what).try_this("again, or another index: this one serves a changed file").into())
}

fn agent(roots: RootCerts, proxy: Option<Proxy>) -> Agent {
    let tls = TlsConfig::builder().root_certs(roots).build();
    Agent::config_builder()
        .tls_config(tls)
        .proxy(proxy)
        .user_agent(USER_AGENT)
        .timeout_connect(Some(CONNECT))
        .timeout_resolve(Some(CONNECT))
        .timeout_recv_response(Some(ANSWER))
        .timeout_per_read(Some(ANSWER))
        .build()
        .new_agent()
}

fn certificates(path: &Path) -> Result<RootCerts> {
    let bytes = files::read(path, files::SMALL).map_err(Error::io("read", path))?;
    let ders = CertificateDer::pem_slice_iter(&bytes).flatten();
    let all: Vec<Certificate<'static>> =
        ders.map(|der| Certificate::from_der(der.as_ref()).to_owned()).collect();
    if all.is_empty() {
        let what = format!("{}: no certificate in it, expected PEM", path.display());
        return Err(Problem::new(what)
            .try_this("check PIP_CERT, REQUESTS_CA_BUNDLE and SSL_CERT_FILE")
            .into());
    }
    Ok(RootCerts::from(all))
}

fn bad_proxy() -> Error {
    Problem::new("the proxy's address is malformed").try_this("PIP_PROXY=http://host:port").into()
}

/// Proxies are often written without the scheme.
fn with_scheme(address: &str) -> String {
    if address.contains("://") { address.to_owned() } else { format!("http://{address}") }
}

fn is_about_certificates(error: &ureq::Error) -> bool {
    let text = error.to_string().to_ascii_lowercase();
    ["certificate", "unknownissuer", "tls", "rustls"].iter().any(|word| text.contains(word))
}
