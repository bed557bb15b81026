//! What a model said about each row it was judged by: kept with a run, so that two runs can be compared later.

use std::path::Path;

use polytask_core::{Error, Place, Problem, Result, atomic, files, hash};
use serde::{Deserialize, Serialize};

use crate::predictions::Predictions;

/// Folder of a run that holds them, a file per task.
pub const FOLDER: &str = "predictions";

/// Version of the files.
const VERSION: u32 = 1;

/// Most bytes of a file: predictions of millions of rows.
const LARGEST: u64 = 4 << 30;

/// A task's rows of one split, what is true of them and what a model said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgedRows {
    version: u32,
    /// Name of the task.
    pub task: String,
    /// Name of its kind.
    pub kind: String,
    /// The split.
    pub split: String,
    /// Metrics, the main one first.
    pub metrics: Vec<String>,
    /// Points below another model that count as worse.
    pub margin: f64,
    /// Seed of the intervals.
    pub seed: u64,
    /// SHA-256 of the inputs of all rows, in order, and of all passages, in any; letters' case and white space are put
    /// aside.
    pub inputs: String,
    /// SHA-256 of what is true of them, by the names of labels.
    pub truth: String,
    /// Truth and predictions.
    pub predictions: Predictions,
}

/// The rows that a model is judged by.
#[derive(Debug, Clone, Copy)]
pub struct RowsOf<'a> {
    /// Name of the task.
    pub task: &'a str,
    /// Name of its kind.
    pub kind: &'a str,
    /// The split.
    pub split: &'a str,
    /// Metrics, the main one first.
    pub metrics: &'a [&'a str],
    /// Points below another model that count as worse.
    pub margin: f64,
    /// Seed of the intervals.
    pub seed: u64,
    /// A hash of every input, row after row.
    pub inputs: &'a [u64],
    /// Names of the labels.
    pub labels: &'a [String],
    /// A hash of every passage of the corpus (retrieval).
    pub passages: &'a [u64],
}

impl JudgedRows {
    /// What a model said about the rows of a task.
    pub fn new(rows: &RowsOf<'_>, predictions: Predictions) -> Self {
        let mut passages = rows.passages.to_vec();
        passages.sort_unstable();
        let inputs: Vec<u8> =
            rows.inputs.iter().chain(&passages).flat_map(|input| input.to_le_bytes()).collect();
        Self {
            version: VERSION,
            task: rows.task.into(),
            kind: rows.kind.into(),
            split: rows.split.into(),
            metrics: rows.metrics.iter().map(|metric| (*metric).to_owned()).collect(),
            margin: rows.margin,
            seed: rows.seed,
            inputs: hash::sha256(&inputs),
            truth: hash::sha256(truth_text(&predictions, rows.labels, rows.passages).as_bytes()),
            predictions,
        }
    }

    /// Writes the file of the task into a folder.
    pub fn write(&self, folder: &Path) -> Result<()> {
        atomic::create_dir(folder)?;
        let bytes = serde_json::to_vec(self).map_err(|error| Error::Bug(error.to_string()))?;
        atomic::write(&folder.join(format!("{}.json", self.task)), &bytes)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it is not one of these, or its parts do not fit each other.
    pub fn read(file: &Path) -> Result<Self> {
        let bytes = files::read(file, LARGEST).map_err(Error::io("read", file))?;
        let wrong = |what: String| {
            let remedy = "a file that `polytask train` or `polytask eval --predictions DIR` wrote";
            Error::from(Problem::at(Place::file(file), what).try_this(remedy))
        };
        let rows: Self = serde_json::from_slice(&bytes)
            .map_err(|error| wrong(format!("not predictions of a task ({error})")))?;
        if rows.version != VERSION {
            return Err(wrong(format!("version is {}, expected {VERSION}", rows.version)));
        }
        if rows.metrics.is_empty() {
            return Err(wrong("names no metric, expected at least one".into()));
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if rows.task.is_empty() || !rows.task.chars().all(legal) {
            return Err(wrong(format!("task name {:?}, expected letters, digits, - and _", rows.task)));
        }
        rows.predictions.check().map_err(|error| wrong(error.to_string()))?;
        Ok(rows)
    }

    /// Those of a run, of a folder of such files, or of one file, by task.
    ///
    /// # Errors
    /// When there are none.
    pub fn read_all(source: &Path) -> Result<Vec<Self>> {
        if source.is_file() {
            return Ok(vec![Self::read(source)?]);
        }
        let inside = source.join(FOLDER);
        let folder = if inside.is_dir() { &inside } else { source };
        let entries = std::fs::read_dir(folder).map_err(Error::io("read", folder))?;
        let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
        if let Ok(paths) = &mut paths {
            paths.retain(|path| {
                path.extension().is_some_and(|ending| ending == "json")
                    && (*folder == inside || !is_report(path))
            });
            paths.sort();
        }
        let paths = paths.map_err(Error::io("read", folder))?;
        if paths.is_empty() {
            let what = format!("{} holds no predictions of a run", source.display());
            let remedy = "the folder of a finished run; `polytask eval SUITE --model MODEL --predictions DIR` \
                          writes them for any model";
            return Err(Problem::new(what).try_this(remedy).into());
        }
        paths.iter().map(|path| Self::read(path)).collect()
    }
}

/// Whether a file is the report of a run and no predictions of a task with this name.
fn is_report(path: &Path) -> bool {
    let holds = |bytes: Vec<u8>| bytes.windows(13).any(|window| window == b"\"predictions\"");
    path.file_name().is_some_and(|name| name == "report.json") && !files::read(path, LARGEST).is_ok_and(holds)
}

/// What is true, in words that do not depend on the order of labels or passages.
fn truth_text(predictions: &Predictions, labels: &[String], passages: &[u64]) -> String {
    let name =
        |label: u32| labels.get(label as usize).map_or_else(|| label.to_string(), |name| format!("{name:?}"));
    let sorted = |mut names: Vec<String>| {
        names.sort_unstable();
        names.join(" ")
    };
    let rows: Vec<String> = match predictions {
        Predictions::Labels { truth, .. } => truth.iter().map(|&label| name(label)).collect(),
        Predictions::LabelSets { n_labels, truth, .. } => {
            let chosen = |row: &[bool]| {
                (0u32..).zip(row).filter(|(_, holds)| **holds).map(|(label, _)| name(label)).collect()
            };
            truth.chunks((*n_labels).max(1)).map(|row| sorted(chosen(row))).collect()
        }
        Predictions::Numbers { width, truth, .. } => {
            truth.chunks((*width).max(1)).map(|row| format!("{row:?}")).collect()
        }
        Predictions::Tags { labels, truth, .. } => {
            let name = |tag: &u32| labels.get(*tag as usize).map_or("", String::as_str);
            truth.iter().map(|row| row.iter().map(name).collect::<Vec<_>>().join(" ")).collect()
        }
        Predictions::Rankings { rankings, .. } => {
            let text = |passage: u32| passages.get(passage as usize).copied().unwrap_or(passage.into());
            let answers = |relevant: &[(u32, f32)]| {
                relevant.iter().map(|&(passage, grade)| format!("{}:{grade}", text(passage))).collect()
            };
            rankings.iter().map(|ranking| sorted(answers(&ranking.relevant))).collect()
        }
    };
    rows.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predictions::Ranking;

    const OF: RowsOf<'static> = RowsOf {
        task: "mood",
        kind: "class",
        split: "test",
        metrics: &["macro_f1"],
        margin: 1.0,
        seed: 7,
        inputs: &[1, 2],
        labels: &[],
        passages: &[],
    };

    fn rows(labels: &[&str], predictions: Predictions) -> JudgedRows {
        let labels: Vec<String> = labels.iter().map(ToString::to_string).collect();
        JudgedRows::new(&RowsOf { labels: &labels, ..OF }, predictions)
    }

    fn labels(truth: &[u32]) -> Predictions {
        Predictions::Labels { truth: truth.to_vec(), predicted: vec![0; truth.len()], n_labels: 2 }
    }

    #[test]
    fn truth_is_the_same_in_any_order_of_labels_and_passages() {
        let (one, other) = (rows(&["a", "b"], labels(&[0, 1])), rows(&["b", "a"], labels(&[1, 0])));
        assert_eq!(one.truth, other.truth);
        assert_ne!(one.truth, rows(&["a", "b"], labels(&[1, 0])).truth);
        let set = |truth: &[bool]| Predictions::LabelSets {
            n_labels: 2,
            truth: truth.to_vec(),
            scores: vec![0.0; 4],
        };
        let (one, other) = (set(&[true, true, true, false]), set(&[true, true, false, true]));
        assert_eq!(rows(&["a", "b"], one).truth, rows(&["b", "a"], other).truth);
        let ranked = |passages: &[u64], relevant: u32| {
            let ranking = Ranking { retrieved: vec![], relevant: vec![(relevant, 1.0)] };
            let of = RowsOf { passages, ..OF };
            JudgedRows::new(&of, Predictions::Rankings { rankings: vec![ranking], ids: Vec::new() })
        };
        let (one, other) = (ranked(&[7, 9], 0), ranked(&[9, 7], 1));
        assert_eq!((&one.truth, &one.inputs), (&other.truth, &other.inputs));
        assert_ne!(one.truth, ranked(&[7, 9], 1).truth);
        assert_ne!(one.inputs, ranked(&[7, 9, 11], 0).inputs, "more passages are another task");
    }

    #[test]
    fn what_is_written_is_read_from_a_run_its_folder_and_its_file() {
        let run = tempfile::tempdir().unwrap();
        let numbers =
            Predictions::Numbers { width: 1, truth: vec![1.5, f64::NAN], predicted: vec![0.1, 2.0] };
        let written = rows(&[], numbers);
        written.write(&run.path().join(FOLDER)).unwrap();
        for source in
            [run.path().to_path_buf(), run.path().join(FOLDER), run.path().join(FOLDER).join("mood.json")]
        {
            let read = JudgedRows::read_all(&source).unwrap();
            assert_eq!((read.len(), &read[0].truth, &read[0].inputs), (1, &written.truth, &written.inputs));
            assert_eq!(read[0].predictions.known_rows(), [0]);
        }
    }

    #[test]
    fn other_files_are_refused_with_what_would_do() {
        let folder = tempfile::tempdir().unwrap();
        let error = JudgedRows::read_all(folder.path()).unwrap_err().to_string();
        assert!(error.contains("holds no predictions") && error.contains("--predictions DIR"), "{error}");
        assert!(JudgedRows::read_all(&folder.path().join("nowhere")).is_err());
        let file = folder.path().join("mood.json");
        let good = serde_json::to_value(rows(&["a", "b"], labels(&[0, 1]))).unwrap();
        for (key, value) in [
            ("version", serde_json::json!(9)),
            ("metrics", serde_json::json!([])),
            ("predictions", serde_json::json!({"Labels": {"truth": [5], "predicted": [0], "n_labels": 2}})),
        ] {
            let mut bad = good.clone();
            bad[key] = value;
            std::fs::write(&file, bad.to_string()).unwrap();
            let error = JudgedRows::read(&file).unwrap_err().to_string();
            assert!(error.contains("mood.json"), "{key}: {error}");
        }
        std::fs::write(&file, "[1").unwrap();
        assert!(JudgedRows::read(&file).unwrap_err().to_string().contains("not predictions of a task"));
    }
}
