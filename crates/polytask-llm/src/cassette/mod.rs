//! What was asked and answered, in a file that only grows: a line before a request is sent, a line when it ended. A line
//! is on the disk before the next thing happens, so that whatever kills a run, nothing that was answered is paid again.

mod line;

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use polytask_core::{Error, Place, Problem, Result, atomic, hash};
use serde_json::Value;

use crate::budget::LlmSpent;
use line::{Line, Tally};

/// What a cassette is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CassetteMode {
    /// Every request is sent, and its answer takes the place of an earlier one.
    Record,
    /// Requests that were answered are answered from the file, others are sent and written down.
    Replay,
    /// Requests are answered from the file alone; the network is never used.
    Strict,
}

impl CassetteMode {
    /// Their names.
    pub const NAMES: [&'static str; 3] = ["record", "replay", "strict"];

    /// A mode by its name.
    pub fn named(name: &str) -> Option<Self> {
        let place = Self::NAMES.iter().position(|known| *known == name)?;
        Some([Self::Record, Self::Replay, Self::Strict][place])
    }
}

/// A file of requests and answers.
pub struct Cassette {
    path: PathBuf,
    mode: CassetteMode,
    file: File,
    /// Where the line of each answer begins.
    answers: HashMap<String, u64>,
    /// The line that has a text's vector, and its place there.
    texts: HashMap<String, (u64, usize)>,
    /// Where the next line will begin.
    end: u64,
    tally: Tally,
    notes: Vec<String>,
}

impl Cassette {
    /// Opens a file; it is made where there is none, except in the mode strict.
    ///
    /// A last line that a crash cut is taken away, which the notes say.
    ///
    /// # Errors
    /// When it cannot be read or written, another process writes to it, or a line in its middle is damaged.
    pub fn open(path: &Path, mode: CassetteMode) -> Result<Self> {
        let is_strict = mode == CassetteMode::Strict;
        if !is_strict && let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            atomic::create_dir(parent)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).append(!is_strict).create(!is_strict);
        let action = if is_strict { "read" } else { "write" };
        let file = options.open(path).map_err(Error::io(action, path))?;
        if !is_strict {
            lock(&file, path)?;
        }
        let mut new = Self {
            path: path.to_path_buf(),
            mode,
            file,
            answers: HashMap::new(),
            texts: HashMap::new(),
            end: 0,
            tally: Tally::default(),
            notes: Vec::new(),
        };
        new.read_all()?;
        Ok(new)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is for.
    pub fn mode(&self) -> CassetteMode {
        self.mode
    }

    /// Number of requests that it answers.
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// Whether it answers none.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// What was repaired when it was opened.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What all requests in it have cost.
    pub fn spent(&self) -> LlmSpent {
        self.tally.spent()
    }

    /// Whether a request was answered.
    pub fn has(&self, key: &str) -> bool {
        self.answers.contains_key(key)
    }

    /// The answer of a request.
    ///
    /// # Errors
    /// When the file changed under our hands.
    pub(crate) fn answer(&mut self, key: &str) -> Result<Option<Value>> {
        let at = self.answers.get(key).copied();
        at.map(|at| self.answer_at(at)).transpose()
    }

    /// What it has of the vectors of texts, whatever other texts they were asked for with.
    pub(crate) fn vectors(&mut self, model: &str, texts: &[&str]) -> Result<Vec<Option<Value>>> {
        let places: Vec<Option<(u64, usize)>> =
            texts.iter().map(|text| self.texts.get(&text_key(model, text)).copied()).collect();
        let mut lines = HashMap::<u64, Value>::new();
        for (at, _) in places.iter().flatten() {
            if !lines.contains_key(at) {
                let answer = self.answer_at(*at)?;
                lines.insert(*at, answer);
            }
        }
        let of = |(at, place): (u64, usize)| vector_of(lines.get(&at)?, place).cloned();
        Ok(places.into_iter().map(|place| place.and_then(of)).collect())
    }

    fn answer_at(&mut self, at: u64) -> Result<Value> {
        let mut bytes = Vec::new();
        self.file
            .seek(SeekFrom::Start(at))
            .and_then(|_| BufReader::new(&self.file).read_until(b'\n', &mut bytes))
            .map_err(Error::io("read", &self.path))?;
        match serde_json::from_slice(&bytes) {
            Ok(Line::Answer { answer, .. }) => Ok(answer),
            _ => Err(Problem::at(Place::file(&self.path), "the cassette was changed while it was read")
                .try_this("one process at a time")
                .into()),
        }
    }

    /// Notes that a request is about to be sent.
    pub(crate) fn sending(&mut self, key: &str, most_tokens: u64) -> Result<()> {
        self.append(&Line::Sent { key: key.into(), most_tokens })
    }

    /// Notes that a request brought no answer.
    pub(crate) fn failed(&mut self, key: &str, tokens: u64, why: &str) -> Result<()> {
        self.append(&Line::Failed { key: key.into(), tokens, why: why.into() })
    }

    /// Keeps an answer.
    pub(crate) fn answered(
        &mut self,
        key: &str,
        tokens: u64,
        (request, answer): (&Value, &Value),
    ) -> Result<()> {
        let (request, answer) = (request.clone(), answer.clone());
        self.append(&Line::Answer { key: key.into(), tokens, request, answer })
    }

    /// Writes a line and waits until it is on the disk.
    fn append(&mut self, line: &Line) -> Result<()> {
        let mut bytes =
            serde_json::to_vec(line).map_err(|error| Error::Bug(format!("a cassette's line: {error}")))?;
        bytes.push(b'\n');
        self.file
            .write_all(&bytes)
            .and_then(|()| self.file.sync_data())
            .map_err(Error::io("write", &self.path))?;
        self.see(line, bytes.len() as u64);
        Ok(())
    }

    fn read_all(&mut self) -> Result<()> {
        let length = self.file.metadata().map_err(Error::io("read", &self.path))?.len();
        let mut reader = BufReader::new(self.file.try_clone().map_err(Error::io("read", &self.path))?);
        let mut bytes = Vec::new();
        for number in 1.. {
            bytes.clear();
            let n = reader.read_until(b'\n', &mut bytes).map_err(Error::io("read", &self.path))? as u64;
            if n == 0 {
                break;
            }
            let is_whole = bytes.ends_with(b"\n");
            match serde_json::from_slice::<Line>(&bytes) {
                Ok(line) if is_whole => self.see(&line, n),
                _ if bytes.trim_ascii().is_empty() && is_whole => self.end += n,
                _ if !is_whole && is_begun(&bytes) && self.end + n == length => return self.cut(number, n),
                Ok(_) => return Err(self.damaged(number, "the line does not end")),
                Err(error) => return Err(self.damaged(number, &error.to_string())),
            }
        }
        Ok(())
    }

    fn see(&mut self, line: &Line, length: u64) {
        if let Line::Answer { key, request, .. } = line {
            self.answers.insert(key.clone(), self.end);
            let texts = request.get("input").and_then(Value::as_array).into_iter().flatten();
            let model = request.get("model").and_then(Value::as_str).unwrap_or_default();
            for (place, text) in texts.filter_map(Value::as_str).enumerate() {
                self.texts.insert(text_key(model, text), (self.end, place));
            }
        }
        self.tally.see(line);
        self.end += length;
    }

    /// Takes the last line away, which a crash cut.
    fn cut(&mut self, number: usize, length: u64) -> Result<()> {
        let name = self.path.display();
        if self.mode == CassetteMode::Strict {
            self.notes
                .push(format!("{name}:{number}: the last line ({length} bytes) is cut short, and left out"));
            return Ok(());
        }
        self.file
            .set_len(self.end)
            .and_then(|()| self.file.sync_all())
            .map_err(Error::io("write", &self.path))?;
        self.notes.push(format!(
            "{name}:{number}: the last line ({length} bytes) was cut short by a crash, and is taken away"
        ));
        Ok(())
    }

    fn damaged(&self, number: usize, why: &str) -> Error {
        Problem::at(Place::line(&self.path, number), format!("no line of a cassette: {why}"))
            .try_this("take the line out (its request is paid again), or another file")
            .into()
    }
}

/// What a text's vector is kept under.
fn text_key(model: &str, text: &str) -> String {
    hash::sha256(format!("{model}\n{text}").as_bytes())
}

/// Whether bytes are the beginning of a line of a cassette: nothing else is ever taken away.
fn is_begun(bytes: &[u8]) -> bool {
    let head = br#"{"event":"#;
    bytes.starts_with(head) || head.starts_with(bytes)
}

/// The vector of one text in an answer.
fn vector_of(answer: &Value, place: usize) -> Option<&Value> {
    let data = answer.get("data")?.as_array()?;
    let is_its = |one: &&Value| one.get("index").and_then(Value::as_u64) == Some(place as u64);
    data.iter().find(is_its).or_else(|| data.get(place).filter(|one| one.get("index").is_none()))
}

/// Two writers would pay twice, and mix their lines.
fn lock(file: &File, path: &Path) -> Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            let what = "another process writes to this cassette";
            Err(Problem::at(Place::file(path), what).try_this("wait for it, or another file").into())
        }
        // Some shared file systems have no locks; then nobody watches.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn open(path: &Path, mode: CassetteMode) -> Cassette {
        Cassette::open(path, mode).unwrap()
    }

    /// A cassette with two answers.
    fn written(path: &Path) {
        let mut cassette = open(path, CassetteMode::Replay);
        for (key, tokens) in [("a", 10), ("b", 20)] {
            cassette.sending(key, 100).unwrap();
            cassette.answered(key, tokens, (&json!({}), &json!({ "is": key }))).unwrap();
        }
    }

    #[test]
    fn answers_outlast_the_process_and_so_does_what_they_cost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/c.jsonl");
        written(&path);
        let mut again = open(&path, CassetteMode::Replay);
        assert_eq!(again.answer("b").unwrap(), Some(json!({ "is": "b" })));
        assert_eq!((again.answer("c").unwrap(), again.len()), (None, 2));
        assert_eq!(again.spent(), LlmSpent { requests: 2, tokens: 30 });
        again.sending("c", 7).unwrap();
        drop(again);
        // Nobody saw how it ended: it counts with the most it can have cost, also when others came after it.
        let mut again = open(&path, CassetteMode::Replay);
        assert_eq!(again.spent(), LlmSpent { requests: 3, tokens: 37 });
        again.sending("d", 5).unwrap();
        again.failed("d", 0, "status 429").unwrap();
        assert_eq!(again.spent(), LlmSpent { requests: 4, tokens: 37 });
    }

    #[test]
    fn a_last_line_that_a_crash_cut_is_taken_away_wherever_it_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.jsonl");
        written(&path);
        let whole = std::fs::read(&path).unwrap();
        let last = whole[..whole.len() - 1].iter().rposition(|b| *b == b'\n').unwrap() + 1;
        for cut in [last + 1, last + 20, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let strict = open(&path, CassetteMode::Strict);
            assert!(strict.notes()[0].contains("left out") && !strict.has("b"), "{:?}", strict.notes());
            drop(strict);
            let mut repaired = open(&path, CassetteMode::Replay);
            assert!(repaired.notes()[0].contains(":4: the last line"), "{:?}", repaired.notes());
            assert!(repaired.has("a") && !repaired.has("b"));
            repaired.answered("b", 1, (&json!({}), &json!(1))).unwrap();
            drop(repaired);
            let mut again = open(&path, CassetteMode::Replay);
            assert!(again.notes().is_empty() && again.answer("b").unwrap() == Some(json!(1)));
        }
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_named_and_nothing_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.jsonl");
        written(&path);
        let text = std::fs::read_to_string(&path).unwrap();
        let damaged = text.replacen("{\"event\":\"answer\"", "{\"event\":answer\"", 1);
        assert_ne!(damaged, text);
        std::fs::write(&path, &damaged).unwrap();
        let told = Cassette::open(&path, CassetteMode::Replay).err().unwrap().to_string();
        assert!(told.contains("c.jsonl:2: no line of a cassette"), "{told}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged);
    }

    #[test]
    fn a_whole_last_line_and_the_line_of_another_file_are_named_and_left_where_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.jsonl");
        written(&path);
        let text = std::fs::read_to_string(&path).unwrap();
        let at = text.rfind("{\"event\":\"answer\"").unwrap();
        let damaged = format!("{}{}", &text[..at], text[at..].replacen("answer\"", "answer", 1));
        for other in [damaged.as_str(), "{\"text\":\"a row\"}\n", "{\"text\":\"a row without an end\"}"] {
            std::fs::write(&path, other).unwrap();
            let told = Cassette::open(&path, CassetteMode::Replay).err().unwrap().to_string();
            assert!(told.contains("no line of a cassette"), "{told}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), other);
        }
    }

    #[test]
    fn two_processes_do_not_write_to_one_and_strict_makes_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.jsonl");
        let told = Cassette::open(&path, CassetteMode::Strict).err().unwrap().to_string();
        assert!(told.contains("cannot read") && !path.exists(), "{told}");
        let first = open(&path, CassetteMode::Replay);
        let told = Cassette::open(&path, CassetteMode::Record).err().unwrap().to_string();
        assert!(told.contains("another process writes"), "{told}");
        drop(first);
        open(&path, CassetteMode::Record);
    }
}
