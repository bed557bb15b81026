//! Tables whose rows belong to many groups: exam scores of schools, mines in fields, voices of patients.
//!
//! Each is split at random by the seed into seven parts train, one valid and two test. Of the scores, some schools may be
//! mirrored about the mean of all (`mirrored`, the share of schools): a truth that gates can be held against.

use std::path::{Path, PathBuf};

use polytask_core::{Problem, Purpose, Rng, atomic, hash};
use polytask_data::readers;
use polytask_train::Result;
use serde_json::{Map, Value, json};

use super::rows::{packed, sizes, write};
use crate::paper::{Data, Request};

/// The file that names the groups made unlike the others, one a line.
pub(crate) const UNLIKE: &str = "unlike.txt";

/// The folder, its tables, and what their files are called.
const FOLDER: &str = "tabular_mtl";
const TABLES: [(&str, &str); 3] = [("school", "score"), ("landmine", "mine"), ("parkinson", "voice")];

/// A table whose target has been told from its columns.
struct Table {
    rows: Vec<Map<String, Value>>,
    groups: Vec<String>,
    targets: Vec<f64>,
}

/// Writes the tables into the request's folder.
pub(crate) fn data(request: &Request) -> Result<Data> {
    let folder = find(request)?;
    let share = request.number("mirrored");
    if !(0.0..=0.5).contains(&share) {
        let what = format!("method.data.mirrored is {share}, expected a share of at most 0.5");
        return Err(Problem::new(what).try_this("leave it to the recipe").into());
    }
    let key = hash::sha256(format!("groups 1 {share} {} {}", request.seed, sizes(&[&folder])?).as_bytes());
    let data = Data { folder: request.folder.to_path_buf(), key };
    let mark = request.folder.join("data.key");
    if std::fs::read_to_string(&mark).is_ok_and(|known| known == data.key) {
        return Ok(data);
    }
    for (place, (file, name)) in TABLES.into_iter().enumerate() {
        let mut table = Table::read(&packed(&folder, &format!("{file}.csv")))?;
        let unlike = if file == "school" { table.mirror(share, request.seed) } else { Vec::new() };
        if file == "school" {
            atomic::write(&request.folder.join(UNLIKE), unlike.join("\n").as_bytes())?;
        }
        let mut rng = Rng::new(request.seed, Purpose::Pick, &[16, place as u64]);
        table.write(request.folder, name, &mut rng)?;
    }
    atomic::write(&mark, data.key.as_bytes())?;
    Ok(data)
}

fn find(request: &Request) -> Result<PathBuf> {
    let has_all =
        |folder: &Path| TABLES.iter().all(|(file, _)| packed(folder, &format!("{file}.csv")).is_file());
    Ok(super::find(request.bases, FOLDER, has_all).ok_or_else(|| {
        let what = format!(
            "{FOLDER} with school.csv, landmine.csv and parkinson.csv is not in {}",
            super::tried(request.bases)
        );
        Problem::new(what)
            .try_this("`--data DIR` with the folder: columns, then `task` for the group, and `target`")
    })?)
}

impl Table {
    fn read(path: &Path) -> Result<Self> {
        let mut table = Self { rows: Vec::new(), groups: Vec::new(), targets: Vec::new() };
        for record in readers::open(path)? {
            let record = record?;
            let number = |column: &str| -> Result<f64> {
                let text = record.get(column).and_then(readers::Cell::to_text).unwrap_or_default();
                Ok(text.trim().parse().ok().filter(|n: &f64| n.is_finite()).ok_or_else(|| {
                    let what = format!("{}: `{column}` is `{text}`, expected a number", path.display());
                    Problem::new(what).try_this("the file as it was published")
                })?)
            };
            let columns =
                record.columns().iter().filter(|column| !["task", "target"].contains(&column.as_str()));
            let cell = |column: &String| Ok((column.clone(), json!(number(column)?)));
            table.rows.push(columns.map(cell).collect::<Result<_>>()?);
            table.groups.push(format!("group {}", number("task")?));
            table.targets.push(number("target")?);
        }
        Ok(table)
    }

    /// Mirrors the targets of a share of the groups about the mean of all; their names.
    fn mirror(&mut self, share: f64, seed: u64) -> Vec<String> {
        let mut names = self.groups.clone();
        names.sort();
        names.dedup();
        let mut rng = Rng::new(seed, Purpose::Pick, &[16]);
        rng.shuffle(&mut names);
        names.truncate((share * names.len() as f64).round() as usize);
        let mean = self.targets.iter().sum::<f64>() / self.targets.len().max(1) as f64;
        for (target, group) in self.targets.iter_mut().zip(&self.groups) {
            if names.contains(group) {
                *target = 2.0 * mean - *target;
            }
        }
        names.sort();
        names
    }

    /// The three splits as JSON lines; a target that is a yes or no becomes a list with the label or without it.
    fn write(self, folder: &Path, name: &str, rng: &mut Rng) -> Result<()> {
        let is_label = name == "mine";
        let n = self.rows.len();
        let mut order: Vec<usize> = (0..n).collect();
        rng.shuffle(&mut order);
        let mut rows: Vec<Value> = Vec::new();
        for ((mut row, group), target) in self.rows.into_iter().zip(self.groups).zip(self.targets) {
            row.insert("group".into(), json!(group));
            let labels = || if target > 0.5 { json!([name]) } else { json!([]) };
            row.insert(name.into(), if is_label { labels() } else { json!(target) });
            rows.push(Value::Object(row));
        }
        let (train, valid) = (n * 7 / 10, n * 8 / 10);
        for (split, places) in [("train", 0..train), ("valid", train..valid), ("test", valid..n)] {
            let lines = order[places].iter().map(|&row| rows[row].clone());
            write(&folder.join(format!("{name}_{split}.jsonl")), lines)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrored_groups_are_a_share_drawn_by_the_seed_and_the_mean_stays() {
        let table = || Table {
            rows: vec![Map::new(); 40],
            groups: (0..40).map(|row| format!("group {}", row % 10)).collect(),
            targets: (0..40).map(f64::from).collect(),
        };
        let (mut a, mut b) = (table(), table());
        let (first, again) = (a.mirror(0.2, 1), b.mirror(0.2, 1));
        assert_eq!((first.len(), &first), (2, &again));
        for (row, target) in a.targets.iter().enumerate() {
            let is_mirrored = first.contains(&a.groups[row]);
            let expected = if is_mirrored { 39.0 - row as f64 } else { row as f64 };
            assert_eq!(*target, expected);
        }
        assert_ne!(table().mirror(0.5, 2), table().mirror(0.5, 3));
    }
}
