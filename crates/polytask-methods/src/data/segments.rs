//! Documents in sentences with their segments: abstracts (`csabstruct`), joined openings of articles (`wikiseg_synth`) and
//! transcripts of meetings (`qmsum_topics`).

use std::path::Path;

use polytask_core::{Problem, atomic, hash};
use polytask_data::documents;
use polytask_segment::SegmentedDocument;
use polytask_segment::document::DocumentColumns;
use polytask_train::Result;
use serde_json::json;

use super::rows::{packed, sizes, write};
use crate::paper::{Data, Request};

/// Folders of data, what their files are called here, and the column of the sections where it is not the usual one.
const SETS: [(&str, &str, Option<&str>); 3] = [
    ("csabstruct", "abstracts", None),
    ("wikiseg_synth", "openings", None),
    ("qmsum_topics", "meetings", Some("labels")),
];

/// Writes all files into the request's folder; `documents` of each split, all of them where it is 0.
pub fn data(request: &Request) -> Result<Data> {
    let n = request.number("documents").max(0.0) as usize;
    let mut found = Vec::new();
    for (folder, name, sections) in SETS {
        let is_there = |place: &Path| packed(place, "train.jsonl").is_file() && place.ends_with(folder);
        let place = super::find(request.bases, folder, is_there).ok_or_else(|| {
            let what = format!("{folder}/train.jsonl is not in {}", super::tried(request.bases));
            Problem::new(what).try_this(format!("`--data DIR` with the folder `{folder}`"))
        })?;
        found.push((place, name, sections));
    }
    let places: Vec<&Path> = found.iter().map(|(place, ..)| place.as_path()).collect();
    let key = hash::sha256(format!("segments 1 {n} {}", sizes(&places)?).as_bytes());
    let data = Data { folder: request.folder.to_path_buf(), key };
    let mark = request.folder.join("data.key");
    if std::fs::read_to_string(&mark).is_ok_and(|known| known == data.key) {
        return Ok(data);
    }
    for (place, name, sections) in &found {
        let named = sections.map(|column| ("sections".to_owned(), column.to_owned()));
        let columns = DocumentColumns::default().named(named.iter().map(|(role, column)| (role, column)));
        for (split, file) in [("train", "train"), ("valid", "dev"), ("test", "test")] {
            let all = documents::read(&packed(place, &format!("{file}.jsonl")), &columns)?;
            let most = if n == 0 { all.len() } else { n };
            write(&request.folder.join(format!("{name}_{split}.jsonl")), all.iter().take(most).map(row))?;
        }
    }
    atomic::write(&mark, data.key.as_bytes())?;
    Ok(data)
}

fn row(document: &SegmentedDocument) -> serde_json::Value {
    let SegmentedDocument { id, sentences, sections, classes } = document;
    let mut row = json!({ "id": id, "sentences": sentences, "sections": sections });
    if let Some(classes) = classes {
        row["labels"] = json!(classes);
    }
    row
}
