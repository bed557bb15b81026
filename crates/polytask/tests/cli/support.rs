//! A folder to work in, small data of every kind, and the binary run in it.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;
use tempfile::TempDir;

/// A temporary folder with a model cache of its own.
pub(crate) struct Place {
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes a file and the folders above it.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    pub(crate) fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.read(path)).unwrap()
    }

    /// Names in a folder, sorted.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(path)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The command with nothing of the surrounding machine in its environment.
    pub(crate) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("POLYTASK_CACHE", self.path("cache")).env("HF_HOME", self.path("hub"));
        command.env("COLUMNS", "110").env("POLYTASK_OFFLINE", "1").env("RAYON_NUM_THREADS", "2");
        command.env_remove("POLYTASK_SIMD");
        command
    }

    pub(crate) fn polytask(&self, args: &[&str]) -> Ran {
        Ran::new(&self.command(env!("CARGO_BIN_EXE_polytask"), args).output().unwrap())
    }

    /// The same with a variable in its environment.
    pub(crate) fn polytask_where(&self, (name, value): (&str, &str), args: &[&str]) -> Ran {
        let mut command = self.command(env!("CARGO_BIN_EXE_polytask"), args);
        Ran::new(&command.env(name, value).output().unwrap())
    }

    /// The same with something on standard input.
    pub(crate) fn polytask_reading(&self, input: &str, args: &[&str]) -> Ran {
        let mut command = self.command(env!("CARGO_BIN_EXE_polytask"), args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that refuses its arguments may not read at all.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Ran::new(&child.wait_with_output().unwrap())
    }
}

impl Ran {
    fn new(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let ran = Self {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        };
        assert!(!ran.err.contains("panicked"), "{ran:#?}");
        ran
    }

    /// Ended with 0; gives standard output.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, 0, "{self:#?}");
        self.out
    }

    /// Ended with 2 and said what to try; gives standard error.
    #[track_caller]
    pub(crate) fn refused(self) -> String {
        assert_eq!(self.code, 2, "{self:#?}");
        assert!(self.out.is_empty(), "{self:#?}");
        assert!(self.err.lines().any(|line| line.starts_with("error: ")), "{self:#?}");
        assert!(self.err.contains("try: "), "{self:#?}");
        self.err
    }

    /// Ended with 0; standard output is one JSON object.
    #[track_caller]
    pub(crate) fn object(self) -> Value {
        let out = self.done();
        assert_eq!(out.lines().count(), 1, "{out}");
        let value: Value = serde_json::from_str(&out).unwrap();
        assert!(value.is_object(), "{out}");
        value
    }

    /// Ended with 0; standard output is JSON lines.
    #[track_caller]
    pub(crate) fn lines(self) -> Vec<Value> {
        self.done().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Every word of `words` in `text`, each named when it lacks.
#[track_caller]
pub(crate) fn has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is not in:\n{text}");
    }
}

const ANIMALS: [&str; 5] = ["cat", "dog", "horse", "bird", "fish"];
const TOOLS: [&str; 5] = ["hammer", "saw", "drill", "knife", "file"];
const DOES: [&str; 7] = ["sees", "takes", "finds", "wants", "leaves", "keeps", "moves"];

/// The `i`-th sentence of a split, and whether it is about animals; splits share no sentence.
fn sentence(i: usize, split: &str) -> (String, bool) {
    let about = i.is_multiple_of(2);
    let words = if about { ANIMALS } else { TOOLS };
    (format!("the {} {} a {} of {split} {i}", words[i % 5], DOES[i % 7], words[(i / 5) % 5]), about)
}

const SPLITS: [(&str, usize); 3] = [("train", 48), ("valid", 12), ("test", 14)];

/// Data of every kind under `data/`.
pub(crate) fn write_data(place: &Place) {
    for (split, n) in SPLITS {
        let rows = |header: &str, row: &dyn Fn(usize) -> String| {
            let head = if header.is_empty() { String::new() } else { format!("{header}\n") };
            (0..n).fold(head, |mut text, i| {
                let _ = writeln!(text, "{}", row(i));
                text
            })
        };
        let text = |i: usize| sentence(i, split).0;
        let topic = |i: usize| if sentence(i, split).1 { "animal" } else { "tool" };
        let file = |task: &str, ending: &str| format!("data/{task}/{split}.{ending}");
        place.write(&file("topic", "csv"), rows("text,label", &|i| format!("{},{}", text(i), topic(i))));
        place
            .write(&file("length", "csv"), rows("text,value", &|i| format!("{},{}", text(i), text(i).len())));
        let labels =
            |i: usize| format!("{{\"text\":\"{}\",\"labels\":[\"{}\",\"odd{}\"]}}", text(i), topic(i), i % 3);
        place.write(&file("marks", "jsonl"), rows("", &labels));
        let close = |i: usize| format!("{}\t{}\t{}", text(i), text((i + i % 3) % n), 5 - i % 3);
        place.write(&file("sts", "tsv"), rows("sentence1\tsentence2\tscore", &close));
        let same = |i: usize| format!("{}\t{}\t{}", text(i), text((i + 1 + i % 2) % n), ["no", "yes"][i % 2]);
        place.write(&file("pairs", "tsv"), rows("a\tb\tlabel", &same));
        place.write(&file("names", "jsonl"), rows("", &|i| tagged(&text(i))));
        let asks = |i: usize| format!("{{\"query\":\"who {}\",\"positives\":[\"{}\"]}}", text(i), text(i));
        place.write(&file("find", "jsonl"), rows("", &asks));
    }
}

/// A sentence with its animals and tools tagged.
fn tagged(text: &str) -> String {
    let tokens: Vec<&str> = text.split(' ').collect();
    let tag = |word: &&str| if ANIMALS.contains(word) || TOOLS.contains(word) { "B-THING" } else { "O" };
    let tags: Vec<&str> = tokens.iter().map(tag).collect();
    serde_json::json!({ "tokens": tokens, "tags": tags }).to_string()
}

/// Tasks by name and kind.
pub(crate) const THREE: &[(&str, &str)] = &[("topic", "class"), ("sts", "similarity"), ("names", "tagging")];
pub(crate) const ALL: &[(&str, &str)] = &[
    ("topic", "class"),
    ("sts", "similarity"),
    ("names", "tagging"),
    ("length", "regression"),
    ("marks", "multilabel"),
    ("pairs", "pair-class"),
    ("find", "retrieval"),
];

/// A suite of these tasks; no margin is so small that chance decides the exit code.
pub(crate) fn suite(tasks: &[(&str, &str)], settings: &str) -> String {
    let head = format!(
        "name = \"small\"\n[model]\nencoder = \"tiny\"\n[train]\nsteps = 12\nbatch_rows = 8\nlr = 1e-3\n{settings}\n"
    );
    tasks.iter().fold(head, |mut text, (name, kind)| {
        let _ = writeln!(
            text,
            "[[task]]\nname = \"{name}\"\nkind = \"{kind}\"\ndata = \"data/{name}\"\nmargin = 100\n"
        );
        text
    })
}

/// A place with data and a suite file of three kinds.
pub(crate) fn with_suite(settings: &str) -> Place {
    let place = Place::new();
    write_data(&place);
    place.write("suite.toml", suite(THREE, settings));
    place
}

/// A finished run of every kind in `run/`, for all tests that only read it: trained once for a binary, copied once for a
/// process. A test runner may give each test a process of its own.
pub(crate) fn trained() -> &'static Place {
    static TRAINED: OnceLock<Place> = OnceLock::new();
    TRAINED.get_or_init(|| {
        // What is static is never dropped: the folder stands where the next process clears it away.
        let place = Place { folder: fresh_folder() };
        copy(&trained_once(), &place.path(""));
        place
    })
}

/// Folders of processes older than this are cleared away.
const STALE: Duration = Duration::from_secs(3600);

/// An empty folder under the build's own folder for tests.
fn fresh_folder() -> TempDir {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("processes");
    fs::create_dir_all(&all).unwrap();
    let is_stale = |folder: &Path| {
        let age = fs::metadata(folder).and_then(|of| of.modified()).ok().and_then(|at| at.elapsed().ok());
        age.is_some_and(|age| age > STALE)
    };
    let folders = fs::read_dir(&all).unwrap().flatten().map(|entry| entry.path());
    // Another process may be clearing away the same one.
    folders.filter(|folder| is_stale(folder)).for_each(|folder| drop(fs::remove_dir_all(folder)));
    tempfile::tempdir_in(all).unwrap()
}

/// The folder of the run that processes copy; whoever comes first trains it.
fn trained_once() -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trained");
    fs::create_dir_all(&root).unwrap();
    let lock = fs::File::create(root.join("lock")).unwrap();
    lock.lock().unwrap();
    let binary = fs::metadata(env!("CARGO_BIN_EXE_polytask")).unwrap();
    let built = binary.modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
    let folder = root.join(format!("{}-{}", binary.len(), built.as_nanos()));
    if !folder.join("complete").exists() {
        let others = fs::read_dir(&root).unwrap().flatten().map(|entry| entry.path());
        others.filter(|path| path.is_dir()).for_each(|path| fs::remove_dir_all(path).unwrap());
        // The run's suite names the data by their whole paths: it is trained where it stays.
        let mut kept = tempfile::Builder::new();
        let kept = kept.prefix(folder.file_name().unwrap()).rand_bytes(0).disable_cleanup(true);
        let place = Place { folder: kept.tempdir_in(&root).unwrap() };
        write_data(&place);
        place.write("suite.toml", suite(ALL, ""));
        place.polytask(&["train", "suite.toml", "--out", "run"]).done();
        place.write("complete", "");
    }
    folder
}

/// A copy of that run's model folder to spoil, as `model/`.
pub(crate) fn copied_model() -> Place {
    let place = Place::new();
    copy(&trained().path("run/model"), &place.path("model"));
    place
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

/// Every file below a folder with its bytes.
pub(crate) fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for path in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}
