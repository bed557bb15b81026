//! The file of mined rows: written piece by piece, so that an interrupted run can go on.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_core::{Error, atomic, files};
use polytask_retrieve::mine::Mined;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::input::{Mining, Query};
use super::{Args, Totals};
use polytask_terminal::output;

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Shape {
    Rows,
    Triplet,
    NTuple,
}

/// A query as training reads it.
#[derive(Serialize)]
struct RowLine<'a> {
    query: &'a str,
    positives: &'a [&'a str],
    negatives: &'a [&'a str],
}

/// How far a file is.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Progress {
    /// Hash of all that decides its lines.
    settings: String,
    /// Queries whose lines are in it.
    queries: usize,
    lines: usize,
    bytes: u64,
    /// What was found so far.
    totals: Totals,
}

/// Most bytes of the note beside the file.
const LARGEST: u64 = 1 << 16;

/// The file, and beside it until it is whole a note of how far it is.
pub(super) struct Written {
    path: PathBuf,
    file: File,
    shape: Shape,
    n: usize,
    progress: Progress,
}

impl Written {
    /// Opens the file anew, or where an interrupted run left it.
    pub(super) fn open(args: &Args, settings: &str) -> Result<Self> {
        let path = args.output.clone();
        let progress = match Progress::left(args)? {
            Some(found) if found.settings != settings => {
                let what = format!("{} was begun with other data or settings", path.display());
                return output::refuse(what, "the same command as before, or another --output");
            }
            Some(found) => found,
            None => Progress { settings: settings.to_owned(), ..Progress::default() },
        };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            atomic::create_dir(folder)?;
        }
        let file = open_at(&path, progress.bytes)?;
        let written = Self { path, file, shape: args.shape, n: args.n, progress };
        written.note()?;
        Ok(written)
    }

    /// Queries whose lines are there.
    pub(super) fn done(&self) -> usize {
        self.progress.queries
    }

    /// What was found for those.
    pub(super) fn totals(&self) -> &Totals {
        &self.progress.totals
    }

    /// Adds the lines of some queries; `totals` are of all so far.
    pub(super) fn push(
        &mut self,
        mining: &Mining,
        piece: Range<usize>,
        mined: &[Mined],
        totals: &Totals,
    ) -> Result<()> {
        let mut text = String::new();
        let mut lines = 0;
        for (query, found) in mining.queries[piece.clone()].iter().zip(mined) {
            for line in self.lines(mining, query, found) {
                text += &line;
                text.push('\n');
                lines += 1;
            }
        }
        self.file.write_all(text.as_bytes()).map_err(Error::io("write", &self.path))?;
        self.file.sync_data().map_err(Error::io("write", &self.path))?;
        self.progress.queries = piece.end;
        self.progress.lines += lines;
        self.progress.bytes += text.len() as u64;
        self.progress.totals = totals.clone();
        self.note()
    }

    /// Removes the note: the file is whole. The number of its lines.
    pub(super) fn finish(self) -> Result<usize> {
        let note = note_of(&self.path);
        std::fs::remove_file(&note).map_err(Error::io("remove", &note))?;
        Ok(self.progress.lines)
    }

    fn note(&self) -> Result<()> {
        Ok(atomic::write_json(&note_of(&self.path), &self.progress)?)
    }

    /// The lines of a query.
    fn lines(&self, mining: &Mining, query: &Query, found: &Mined) -> Vec<String> {
        let text = |&passage: &u32| mining.corpus[passage as usize].as_str();
        let positives: Vec<&str> = query.positives.iter().map(text).collect();
        let negatives: Vec<&str> = found.negatives.iter().map(|negative| text(&negative.passage)).collect();
        let anchor = query.text.as_str();
        match self.shape {
            Shape::Rows => {
                let row = RowLine { query: anchor, positives: &positives, negatives: &negatives };
                serde_json::to_string(&row).into_iter().collect()
            }
            Shape::Triplet => {
                let with = |&positive| negatives.iter().map(move |&n| triplet(anchor, positive, n));
                positives.iter().flat_map(with).collect()
            }
            Shape::NTuple if negatives.len() < self.n => Vec::new(),
            Shape::NTuple => {
                positives.iter().map(|&positive| n_tuple(anchor, positive, &negatives)).collect()
            }
        }
    }
}

fn triplet(anchor: &str, positive: &str, negative: &str) -> String {
    json!({"anchor": anchor, "positive": positive, "negative": negative}).to_string()
}

fn n_tuple(anchor: &str, positive: &str, negatives: &[&str]) -> String {
    let mut line = Map::new();
    line.insert("anchor".into(), anchor.into());
    line.insert("positive".into(), positive.into());
    for (i, negative) in negatives.iter().enumerate() {
        line.insert(format!("negative_{}", i + 1), (*negative).into());
    }
    Value::Object(line).to_string()
}

impl Progress {
    /// What an interrupted run left, where it is to go on; refuses a file that nothing was said about.
    fn left(args: &Args) -> Result<Option<Self>> {
        let (path, note) = (&args.output, note_of(&args.output));
        let found = if args.resume { read_note(&note)? } else { None };
        if found.is_some() || !path.exists() {
            return Ok(found);
        }
        let path = path.display();
        if args.resume {
            return output::refuse(format!("{path} is whole: nothing to resume"), "leave out --resume");
        }
        if note.exists() {
            let what = format!("{path} was left by an interrupted run");
            return output::refuse(what, "`--resume`, or remove it");
        }
        output::refuse(format!("{path} exists"), "another --output, or remove it")
    }
}

/// The file with its first `bytes` bytes: what follows the last whole piece is written again.
fn open_at(path: &Path, bytes: u64) -> Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path).map_err(Error::io("write", path))?;
    let found = file.metadata().map_err(Error::io("read", path))?.len();
    if found < bytes {
        let what = format!("{} has {found} bytes, but {bytes} were written", path.display());
        let remedy = "the file as the interrupted run left it, or remove it and its .progress";
        return output::refuse(what, remedy);
    }
    file.set_len(bytes).map_err(Error::io("write", path))?;
    Ok(file)
}

/// The note of an interrupted run; none where there is none.
fn read_note(path: &Path) -> Result<Option<Progress>> {
    let bytes = match files::read(path, LARGEST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path)(error).into()),
    };
    match serde_json::from_slice(&bytes) {
        Ok(progress) => Ok(Some(progress)),
        Err(error) => {
            let what = format!("{}: not what a run writes: {error}", path.display());
            output::refuse(what, "remove it and the file beside it, and begin anew")
        }
    }
}

/// The note beside a file.
fn note_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".progress");
    path.with_file_name(name)
}
