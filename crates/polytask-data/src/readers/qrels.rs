//! Relevance judgements: BEIR (`query-id`, `corpus-id`, `score` with a header) and TREC (`qid 0 docid rel`).

use std::path::Path;

pub use polytask_core::target::Qrel;
use polytask_core::{Error, Place, Problem, Result};

use super::input::Lines;
use super::{Cell, RawInput, Reader, Record};

/// Column names of the query's id, the passage's id and the grade in files with named columns.
const COLUMNS: [&[&str]; 3] = [
    &["query-id", "query_id", "qid"],
    &["corpus-id", "corpus_id", "passage_id", "docid", "doc_id", "pid"],
    &["score", "grade", "relevance", "rel"],
];

/// Reads judgements from a file.
pub fn read(file: &Path) -> Result<Vec<Qrel>> {
    match super::format_of(file) {
        Some(format) if format.name != "tsv" => from_records(file, super::open(file)?),
        _ => from_lines(RawInput::from_file(file)?),
    }
}

/// Reads judgements from bytes as if they were the content of `file`.
pub fn read_bytes(file: &str, bytes: &[u8]) -> Result<Vec<Qrel>> {
    let path = Path::new(file);
    match super::format_of(path) {
        Some(format) if format.name != "tsv" => from_records(path, super::open_bytes(file, bytes.to_vec())?),
        _ => from_lines(RawInput::from_bytes(path, bytes.to_vec())),
    }
}

fn from_lines(input: RawInput) -> Result<Vec<Qrel>> {
    let mut lines = Lines::new(input.stream()?);
    let file = lines.file().to_path_buf();
    let mut qrels = Vec::new();
    while let Some(next) = lines.next() {
        let (line, text) = next?;
        let fields: Vec<&str> = if text.contains('\t') {
            text.split('\t').map(str::trim).collect()
        } else {
            text.split_whitespace().collect()
        };
        let (query, passage, grade) = match fields[..] {
            [] | [""] => continue,
            [query, passage, grade] | [query, _, passage, grade] => (query, passage, grade),
            _ => return Err(wrong_line(&file, line, fields.len())),
        };
        match grade.parse::<f32>() {
            Ok(grade) if grade.is_finite() => {
                qrels.push(Qrel { query: query.into(), passage: passage.into(), grade, line });
            }
            _ if line == 1 => {}
            _ => return Err(wrong_grade(&file, line, &Cell::Text(grade.into()))),
        }
    }
    Ok(qrels)
}

fn wrong_line(file: &Path, line: usize, found: usize) -> Error {
    let what = format!("judgement has {found} fields, expected 3 (query-id, corpus-id, score) or 4 (TREC)");
    Problem::at(Place::line(file, line), what).try_this("separate the fields by tabs").into()
}

fn wrong_grade(file: &Path, line: usize, found: &Cell) -> Error {
    let what = format!("grade is {}, expected a number", found.describe());
    Problem::at(Place::line(file, line), what).try_this("write 1 for relevant and 0 for not relevant").into()
}

fn from_records(file: &Path, mut reader: Reader) -> Result<Vec<Qrel>> {
    let columns = reader.columns();
    let mut names = Vec::new();
    for choices in COLUMNS {
        let found = columns.iter().find(|name| choices.contains(&name.as_str()));
        names.push(found.cloned().ok_or_else(|| missing(file, choices, &columns))?);
    }
    reader.map(|record| from_record(file, &names, &record?)).collect()
}

fn missing(file: &Path, choices: &[&str], found: &[String]) -> Error {
    let what = format!("no column {}, found {}", choices.join(" or "), super::listed(found));
    let remedy = super::other_separator(file, found, choices);
    let remedy = remedy.unwrap_or_else(|| "name the columns query-id, corpus-id, score".into());
    Problem::at(Place::file(file), what).try_this(remedy).into()
}

fn from_record(file: &Path, names: &[String], record: &Record) -> Result<Qrel> {
    let cell = |i: usize| record.get(&names[i]).unwrap_or(&Cell::Null);
    let text = |i: usize| {
        cell(i).to_text().ok_or_else(|| {
            let what = format!("`{}` is missing, expected an id", names[i]);
            Error::from(Problem::at(Place::line(file, record.line), what))
        })
    };
    let grade = cell(2).to_text().and_then(|t| t.trim().parse::<f32>().ok()).filter(|g| g.is_finite());
    let grade = grade.ok_or_else(|| wrong_grade(file, record.line, cell(2)))?;
    Ok(Qrel { query: text(0)?, passage: text(1)?, grade, line: record.line })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn triples(file: &str, bytes: &[u8]) -> Vec<(String, String, f32)> {
        read_bytes(file, bytes).unwrap().into_iter().map(|q| (q.query, q.passage, q.grade)).collect()
    }

    #[test]
    fn beir_trec_and_jsonl_judgements_read_alike() {
        let expected = [("q1".to_owned(), "d1".to_owned(), 2.0), ("q1".to_owned(), "d2".to_owned(), 0.0)];
        let beir = b"query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n";
        let jsonl = b"{\"query-id\":\"q1\",\"corpus-id\":\"d1\",\"score\":2}\n\
            {\"query-id\":\"q1\",\"corpus-id\":\"d2\",\"score\":0}\n";
        assert_eq!(triples("q.tsv", beir), expected);
        assert_eq!(triples("qrels.txt", b"q1 0 d1 2\nq1 0 d2 0\n"), expected);
        assert_eq!(triples("q.jsonl", jsonl), expected);
        assert_eq!(triples("q.csv", b"qid,docid,rel\nq1,d1,2\nq1,d2,0\n"), expected);
    }

    #[test]
    fn wrong_judgements_name_their_line() {
        let error = |bytes: &[u8]| read_bytes("q.tsv", bytes).unwrap_err().to_string();
        assert!(error(b"q1\td1\t1\nq1\td2\n").starts_with("q.tsv:2: judgement has 2 fields"));
        assert!(error(b"q1\td1\t1\nq1\td2\tyes\n").starts_with("q.tsv:2: grade is `yes`, expected a number"));
        let error = read_bytes("q.csv", b"a,b\n1,2\n").unwrap_err().to_string();
        assert!(error.contains("no column query-id"), "{error}");
    }
}
