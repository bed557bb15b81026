//! Runs of TREC: what a search found, a line per passage, `query Q0 passage rank score tag`.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;

use polytask_core::{Error, Place, Problem, Result};

use super::RawInput;
use super::input::Lines;

/// A passage that was found for a query.
#[derive(Debug, Clone, PartialEq)]
pub struct TrecHit {
    /// The query's id.
    pub query: String,
    /// The passage's id.
    pub passage: String,
    /// Its score: larger is better; the rank is read from it, as `trec_eval` does.
    pub score: f32,
    /// The line it stands in.
    pub line: usize,
}

/// Reads a run.
///
/// # Errors
/// When a line has other fields, a score is no finite number, or a query has a passage twice.
pub fn read(file: &Path) -> Result<Vec<TrecHit>> {
    let mut lines = Lines::new(RawInput::from_file(file)?.stream()?);
    let (mut hits, mut met) = (Vec::new(), HashSet::new());
    while let Some(next) = lines.next() {
        let (line, text) = next?;
        let fields: Vec<&str> = text.split_whitespace().collect();
        if fields.is_empty() {
            continue;
        }
        let hit = hit(&fields, line).map_err(|problem| at(file, line, problem))?;
        if !met.insert((hit.query.clone(), hit.passage.clone())) {
            let what = format!("query `{}` has passage `{}` twice", fields[0], fields[2]);
            return Err(at(file, line, Problem::new(what).try_this("keep its best score")));
        }
        hits.push(hit);
    }
    Ok(hits)
}

fn at(file: &Path, line: usize, problem: Problem) -> Error {
    Problem { place: Some(Place::line(file, line)), ..problem }.into()
}

fn hit(fields: &[&str], line: usize) -> Result<TrecHit, Problem> {
    let [query, _, passage, _, score, ..] = fields else {
        let what = format!("a line of a run has {} fields, expected 6", fields.len());
        return Err(Problem::new(what).try_this("query Q0 passage rank score tag"));
    };
    match score.parse::<f32>() {
        Ok(score) if score.is_finite() => {
            Ok(TrecHit { query: (*query).into(), passage: (*passage).into(), score, line })
        }
        _ => Err(Problem::new(format!("score is `{score}`, expected a number"))
            .try_this("the fifth field of `query Q0 passage rank score tag`")),
    }
}

/// The lines of a query: `found` are ids and scores, best first.
///
/// # Errors
/// When an id has white space, which the format has no place for.
pub fn lines<'a>(query: &str, found: impl IntoIterator<Item = (&'a str, f32)>, tag: &str) -> Result<String> {
    let mut text = String::new();
    for (i, (passage, score)) in found.into_iter().enumerate() {
        if let Some(id) =
            [query, passage].into_iter().find(|id| id.is_empty() || id.contains(char::is_whitespace))
        {
            let what = format!("id {id:?} cannot stand in a run of TREC, expected one without white space");
            return Err(Problem::new(what).try_this("`--predictions DIR` keeps any ids").into());
        }
        let _ = writeln!(text, "{query} Q0 {passage} {} {score} {tag}", i + 1);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.run");
        let text = lines("q1", [("d2", 0.1 + 0.2), ("d1", -1e-9)], "x").unwrap();
        std::fs::write(&file, format!("{text}\n")).unwrap();
        let hits = read(&file).unwrap();
        let found: Vec<(&str, f32)> = hits.iter().map(|hit| (hit.passage.as_str(), hit.score)).collect();
        assert_eq!(found, [("d2", 0.1 + 0.2), ("d1", -1e-9)]);
        assert!(text.starts_with("q1 Q0 d2 1 "), "{text}");
        assert!(lines("q 1", [("d", 1.0)], "x").unwrap_err().to_string().contains("\"q 1\""));
    }

    #[test]
    fn wrong_lines_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.run");
        let error = |text: &str| {
            std::fs::write(&file, text).unwrap();
            read(&file).unwrap_err().to_string()
        };
        assert!(
            error("q Q0 d 1 0.5 t\nq d 1\n").contains("a.run:2: a line of a run has 3 fields, expected 6")
        );
        assert!(error("q Q0 d 1 best t\n").contains("a.run:1: score is `best`"));
        assert!(error("q Q0 d 1 nan t\n").contains("score is `nan`"));
        assert!(error("q Q0 d 1 2 t\nq Q0 d 2 1 t\n").contains("a.run:2: query `q` has passage `d` twice"));
    }
}
