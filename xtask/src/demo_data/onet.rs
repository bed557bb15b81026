//! Retrieval: job title → occupation, from O*NET.

use std::path::Path;

use anyhow::{Result, bail};
use serde_json::json;

use super::read::{Row, tsv};
use super::sample::{normal, pick, without};
use super::{DataFile, Set, note};

/// Titles per split.
const TRAIN: usize = 4000;
const VALID: usize = 500;
const TEST: usize = 1000;

/// The cut, laid out as a BEIR folder.
pub(super) fn make(data: &Path) -> Result<Set> {
    let folder = data.join("onet_work");
    let titles = |name: &str| tsv(&folder.join(name), &["title", "codes"]);
    let occupations = tsv(&folder.join("occupations.tsv.gz"), &["code", "title", "description"])?;
    let official = titles("titles_test.tsv.gz")?;
    let dev = without(titles("titles_dev.tsv.gz")?, &official, title);
    let rest = without(without(titles("titles_train.tsv.gz")?, &official, title), &dev, title);
    let splits = [
        ("qrels/train.tsv", "train judgements", "t", pick(&rest, TRAIN, title)),
        ("qrels/valid.tsv", "validation judgements", "v", pick(&dev, VALID, title)),
        ("qrels/test.tsv", "test judgements", "e", pick(&official, TEST, title)),
    ];
    let mut files = vec![corpus(&occupations), queries(&splits)];
    for (name, about, prefix, rows) in &splits {
        files.push(qrels(name, about, prefix, rows, &occupations)?);
    }
    Ok(Set { folder: "onet", note: NOTE, files })
}

type Split = (&'static str, &'static str, &'static str, Vec<Row>);

fn title(row: &Row) -> String {
    normal(&row[0])
}

fn query_id(prefix: &str, i: usize) -> String {
    format!("{prefix}{:04}", i + 1)
}

fn jsonl(lines: impl Iterator<Item = serde_json::Value>) -> Vec<u8> {
    lines.map(|line| line.to_string() + "\n").collect::<String>().into_bytes()
}

fn corpus(occupations: &[Row]) -> DataFile {
    let lines = occupations.iter().map(|row| json!({"_id": row[0], "title": row[1], "text": row[2]}));
    let (name, about) = ("corpus.jsonl", "occupations: code, title, description");
    DataFile { name, about, rows: occupations.len(), bytes: jsonl(lines) }
}

fn queries(splits: &[Split]) -> DataFile {
    let numbered = splits
        .iter()
        .flat_map(|(_, _, prefix, rows)| rows.iter().enumerate().map(move |(i, row)| (prefix, i, row)));
    let lines: Vec<_> =
        numbered.map(|(prefix, i, row)| json!({"_id": query_id(prefix, i), "text": row[0]})).collect();
    let (name, about) = ("queries.jsonl", "alternate job titles of all splits");
    DataFile { name, about, rows: lines.len(), bytes: jsonl(lines.into_iter()) }
}

fn qrels(
    name: &'static str,
    about: &'static str,
    prefix: &str,
    rows: &[Row],
    occupations: &[Row],
) -> Result<DataFile> {
    let mut lines = vec!["query-id\tcorpus-id\tscore".to_owned()];
    for (i, row) in rows.iter().enumerate() {
        for code in row[1].split('|') {
            if !occupations.iter().any(|occupation| occupation[0] == code) {
                bail!(
                    "title `{}` belongs to occupation `{code}`, which is not in the list of occupations",
                    row[0]
                );
            }
            lines.push(format!("{}\t{code}\t1", query_id(prefix, i)));
        }
    }
    Ok(DataFile { name, about, rows: lines.len() - 1, bytes: (lines.join("\n") + "\n").into_bytes() })
}

const NOTE: note::Note = note::Note {
    title: "O*NET job titles",
    about: "Alternate job titles and the occupations they belong to: the demo's task `jobs` (kind `retrieval`, 1,016 passages, a \
            title may belong to several).",
    credit: "This product includes information from the O*NET 27.0 Database by the U.S. Department of Labor, Employment and \
             Training Administration (USDOL/ETA), used under the CC BY 4.0 licence. O*NET® is a trademark of USDOL/ETA. \
             polytask has modified the information; USDOL/ETA has not approved, endorsed or tested these modifications.",
    origin: "`SrivardhiniK/career-path-recommender` at `6b3ec4b4ecf4`, path `data/` (unchanged copy of the O*NET 27.0 text release)",
    licence: note::CC_BY_4,
    changes: "Alternate titles grouped by string and cut at random into parts; 4,000 train, 500 validation and 1,000 test titles \
              chosen from these by a hash; laid out as BEIR files. Titles and descriptions are as in the source.",
};
