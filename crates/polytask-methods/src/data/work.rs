//! The world of work as graphs: job titles, task statements and technology of the O*NET occupations, and skills named in
//! vacancies.
//!
//! Technology is by category (a line of the file names one product): 910 occupations name at most 20 products each, so
//! recall is capped. Occupations with technology are split 70/10/20 by a fixed seed; from categories to occupations only
//! those of the test part are ranked, so that no edge of train is asked again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use polytask_core::{Problem, Purpose, Rng, atomic, hash};
use polytask_data::readers;
use polytask_train::Result;
use serde_json::json;

use super::rows::{grouped, packed, sizes, texts, write};
use crate::paper::{Data, Request};

/// Seed of the split of technology.
const SPLIT: u64 = 13;

/// Spans that name no skill.
const NO_LABELS: [&str; 2] = ["LABEL NOT PRESENT", "UNDERSPECIFIED"];

/// The folders of the packed data.
struct Found {
    onet: PathBuf,
    skills: PathBuf,
}

/// Writes the graphs into the request's folder.
pub fn data(request: &Request) -> Result<Data> {
    let found = find(request)?;
    let key = hash::sha256(format!("work 1 {}", sizes(&[&found.onet, &found.skills])?).as_bytes());
    let data = Data { folder: request.folder.to_path_buf(), key };
    let mark = request.folder.join("data.key");
    if std::fs::read_to_string(&mark).is_ok_and(|known| known == data.key) {
        return Ok(data);
    }
    occupations(&found.onet, request.folder)?;
    technology(&found.onet, request.folder)?;
    skills(&found.skills, request.folder)?;
    atomic::write(&mark, data.key.as_bytes())?;
    Ok(data)
}

fn find(request: &Request) -> Result<Found> {
    let folder = |name: &str, file: &str| {
        let is_there = |folder: &Path| packed(folder, file).is_file();
        super::find(request.bases, name, is_there).ok_or_else(|| {
            let what = format!("{name}/{file} is not in {}", super::tried(request.bases));
            Problem::new(what).try_this(format!("`--data DIR` with the folder `{name}`: O*NET (onetcenter.org) and TechWolf's skill extraction benchmark, both CC BY 4.0"))
        })
    };
    Ok(Found {
        onet: folder("onet_work", "occupations.tsv")?,
        skills: folder("skill_extraction", "esco_skills.txt")?,
    })
}

/// Occupations, and titles and tasks that lead to them.
fn occupations(onet: &Path, folder: &Path) -> Result<()> {
    let rows = texts(&packed(onet, "occupations.tsv"), ["code", "title", "description"])?;
    let node = |[code, title, description]: [String; 3]| json!({"id": code, "title": title, "description": description});
    write(&folder.join("occupations.jsonl"), rows.into_iter().map(node))?;
    for (split, file) in [("train", "titles_train"), ("valid", "titles_dev"), ("test", "titles_test")] {
        let rows = texts(&packed(onet, &format!("{file}.tsv")), ["title", "codes"])?;
        let edge = |[title, codes]: [String; 2]| json!({"title": title, "occupation": codes});
        write(&folder.join(format!("titles_{split}.jsonl")), rows.into_iter().map(edge))?;
    }
    for split in ["train", "test"] {
        let rows = texts(&packed(onet, &format!("tasks_{split}.tsv")), ["task", "code"])?;
        let edges = grouped(rows.into_iter().map(|[task, code]| (task, code)));
        let edge = |(task, codes): (String, String)| json!({"task": task, "occupation": codes});
        write(&folder.join(format!("tasks_{split}.jsonl")), edges.into_iter().map(edge))?;
    }
    Ok(())
}

/// Occupations and the categories of technology they use, both ways.
fn technology(onet: &Path, folder: &Path) -> Result<()> {
    let rows = texts(&packed(onet, "technology_skills.tsv"), ["code", "category"])?;
    let mut ids = BTreeMap::new();
    for [_, category] in &rows {
        let n = ids.len();
        ids.entry(category.clone()).or_insert_with(|| format!("c{n}"));
    }
    write(&folder.join("categories.jsonl"), ids.iter().map(|(text, id)| json!({"id": id, "text": text})))?;
    let mut edges = grouped(rows.iter().map(|[code, category]| (code.clone(), ids[category].clone())));
    edges.sort();
    Rng::new(SPLIT, Purpose::Shuffle, &[]).shuffle(&mut edges);
    let (train, rest) = edges.split_at(edges.len() * 7 / 10);
    let (valid, test) = rest.split_at(edges.len() / 10);
    for (split, edges) in [("train", train), ("valid", valid), ("test", test)] {
        let edge = |(code, ids): &(String, String)| json!({"occupation": code, "category": ids});
        write(&folder.join(format!("technology_{split}.jsonl")), edges.iter().map(edge))?;
    }
    back(onet, folder, test)
}

/// From categories to the occupations of the test part.
fn back(onet: &Path, folder: &Path, test: &[(String, String)]) -> Result<()> {
    let rows = texts(&packed(onet, "occupations.tsv"), ["code", "title", "description"])?;
    let is_asked = |row: &&[String; 3]| test.iter().any(|(code, _)| *code == row[0]);
    let node = |[code, title, description]: &[String; 3]| json!({"id": code, "title": title, "description": description});
    write(&folder.join("held_out.jsonl"), rows.iter().filter(is_asked).map(node))?;
    let turned = test.iter().flat_map(|(code, ids)| ids.split('|').map(|id| (id.to_owned(), code.clone())));
    let edges = grouped(turned).into_iter();
    write(
        &folder.join("users_test.jsonl"),
        edges.map(|(id, codes)| json!({"category": id, "occupation": codes})),
    )
}

/// Sentences of vacancies and the skills they name, of 13,896 that there are.
fn skills(from: &Path, folder: &Path) -> Result<()> {
    let file = packed(from, "esco_skills.txt");
    let bytes = std::fs::read(&file).map_err(polytask_core::Error::io("read", &file))?;
    let ids: BTreeMap<String, String> =
        lines(&file, bytes)?.into_iter().enumerate().map(|(i, skill)| (skill, format!("s{i}"))).collect();
    write(&folder.join("skills.jsonl"), ids.iter().map(|(text, id)| json!({"id": id, "text": text})))?;
    for part in ["tech", "house"] {
        let rows = texts(&packed(from, &format!("{part}_test.csv")), ["sentence", "label"])?;
        let known = rows.into_iter().filter(|[_, label]| !NO_LABELS.contains(&label.as_str()));
        let edges = known.filter_map(|[sentence, label]| Some((sentence, ids.get(&label)?.clone())));
        let edge = |(sentence, ids): (String, String)| json!({"sentence": sentence, "skill": ids});
        write(&folder.join(format!("{part}_test.jsonl")), grouped(edges).into_iter().map(edge))?;
    }
    Ok(())
}

/// The lines of a text file.
fn lines(file: &Path, bytes: Vec<u8>) -> Result<Vec<String>> {
    // A table of one column whose head is the first line.
    let name =
        if file.extension().is_some_and(|ending| ending == "gz") { "lines.tsv.gz" } else { "lines.tsv" };
    let mut reader = readers::open_bytes(name, bytes)?;
    let columns = reader.columns();
    let mut lines: Vec<String> = columns.clone();
    for record in reader {
        lines.extend(record?.get(&columns[0]).and_then(readers::Cell::to_text));
    }
    lines.iter_mut().for_each(|line| *line = line.trim().to_owned());
    lines.retain(|line| !line.is_empty());
    Ok(lines)
}
