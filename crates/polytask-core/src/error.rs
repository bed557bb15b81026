//! What went wrong, where, and what to try.
//!
//! A [`Problem`] is one mistake in something the user wrote (suite file, data, model folder). Checks gather
//! all of them and return [`Error::Invalid`], so a user sees every mistake at once.

use std::fmt;
use std::path::{Path, PathBuf};

/// Result of this crate and of the crates that add no error kinds of their own.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A position in a file the user can open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Line, counted from 1; 0 when the whole file is meant.
    pub line: usize,
}

impl Place {
    /// A whole file.
    pub fn file(file: &Path) -> Self {
        Self { file: file.to_path_buf(), line: 0 }
    }

    /// A line of a file, counted from 1.
    pub fn line(file: &Path, line: usize) -> Self {
        Self { file: file.to_path_buf(), line }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 { write!(f, ":{}", self.line) } else { Ok(()) }
    }
}

/// One mistake: where it is, what failed (with found and expected), what to try.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where, when it is in a file.
    pub place: Option<Place>,
    /// What failed, what was found and what was expected; lower case, no full stop.
    pub what: String,
    /// What to try.
    pub remedy: Option<String>,
}

impl Problem {
    /// A problem without a place in a file.
    pub fn new(what: impl Into<String>) -> Self {
        Self { place: None, what: what.into(), remedy: None }
    }

    /// A problem at a place in a file.
    pub fn at(place: Place, what: impl Into<String>) -> Self {
        Self { place: Some(place), what: what.into(), remedy: None }
    }

    /// The same problem with advice.
    #[must_use]
    pub fn try_this(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}", self.what)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n    try: {remedy}"),
            None => Ok(()),
        }
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Invalid(vec![problem])
    }
}

/// Errors of the vocabulary and of everything that reads user input.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The user's files are wrong; the user can fix each of these.
    #[error("{}", list(.0))]
    Invalid(Vec<Problem>),
    /// The operating system refused a file operation; the user (rights, space) can fix it.
    #[error("cannot {action} {}: {source}{}", path.display(), io_remedy(action, source))]
    Io {
        /// What was tried: "read", "write", "create".
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Something did not come over the network; names, mirrors and proxies are the user's.
    #[error("{0}")]
    Network(String),
    /// A broken invariant: a bug of polytask.
    #[error("{0}; this is a bug of polytask, please report it")]
    Bug(String),
}

impl Error {
    /// Wraps an error of the operating system with what was tried on which path.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}

/// All problems, a line each, in the order of their places.
fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Advice for the system errors a user meets most.
fn io_remedy(action: &str, source: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match source.kind() {
        ErrorKind::NotFound => " (try: check the path)",
        ErrorKind::PermissionDenied if action == "read" => " (try: check who may read it)",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            " (try: choose a folder you may write, with --out)"
        }
        ErrorKind::InvalidInput if action == "read" => {
            " (try: a file; `-` reads standard input where rows are read)"
        }
        ErrorKind::FileTooLarge if action != "read" => {
            " (try: raise the limit of file sizes, `ulimit -f`; nothing half-written was left)"
        }
        ErrorKind::StorageFull => " (try: free space or choose another disk; nothing half-written was left)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_fits_what_was_tried() {
        let error = |action, kind: std::io::ErrorKind| {
            Error::io(action, Path::new("a.jsonl"))(kind.into()).to_string()
        };
        let missing = error("read", std::io::ErrorKind::NotFound);
        assert!(missing.ends_with("(try: check the path)"), "no suite is involved: {missing}");
        assert!(error("read", std::io::ErrorKind::PermissionDenied).contains("who may read it"));
        assert!(error("write", std::io::ErrorKind::PermissionDenied).contains("--out"));
    }

    #[test]
    fn a_problem_prints_place_then_cause_then_remedy() {
        let problem = Problem::at(Place::line(Path::new("s.toml"), 7), "unknown key `lrr`").try_this("`lr`");
        assert_eq!(problem.to_string(), "s.toml:7: unknown key `lrr`\n    try: `lr`");
    }
}
