//! Results in the shape of MTEB's result files, so that its tools can read and compare them.
//!
//! `<out>/<org>__<model>/<revision>/<Task>.json` for retrieval, similarity and classification tasks, and
//! `model_meta.json` beside them. `mteb_version` is null: the numbers are polytask's own, equal in definition.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use polytask_core::kind::{self, Mteb};
use polytask_core::report::{RunReport, Score, TaskReport};
use polytask_core::{Result, atomic};
use serde_json::{Map, Value, json};

use crate::card::ModelFacts;

/// What result files say about the run beyond the report.
#[derive(Debug, Clone, Default)]
pub struct MtebRun {
    /// Revision of the model: a hash of its weights.
    pub revision: String,
    /// Languages as MTEB writes them; `eng-Latn` when empty.
    pub languages: Vec<String>,
    /// When the evaluation ended, in seconds since 1970.
    pub date: Option<u64>,
}

/// The phase of a report's seconds in which the joint model predicted what its scores are of.
pub const EVALUATION: &str = "evaluation";

/// Writes a result file per task that MTEB has a shape for, and `model_meta.json`; gives the result files.
pub fn write(out: &Path, report: &RunReport, facts: &ModelFacts, run: &MtebRun) -> Result<Vec<PathBuf>> {
    let name = if facts.name.is_empty() { &report.name } else { &facts.name };
    let revision = if run.revision.is_empty() { "no_revision_available" } else { &run.revision };
    let folder = out.join(file_name(name)).join(file_name(revision));
    atomic::create_dir(&folder)?;
    atomic::write_json(&folder.join("model_meta.json"), &meta(name, revision, facts, run))?;
    let seconds = report.seconds.get(EVALUATION).copied().unwrap_or(0.0) / report.tasks.len().max(1) as f64;
    let mut written = Vec::new();
    for task in &report.tasks {
        let Some(scores) = scores(task) else { continue };
        let path = folder.join(format!("{}.json", file_name(&task.task)));
        atomic::write_json(&path, &result(report, task, scores, run, seconds))?;
        written.push(path);
    }
    Ok(written)
}

/// Seconds since 1970; none where the clock is before.
pub fn now() -> Option<u64> {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).ok()
}

fn languages(run: &MtebRun) -> Value {
    if run.languages.is_empty() { json!(["eng-Latn"]) } else { json!(run.languages) }
}

fn result(
    report: &RunReport,
    task: &TaskReport,
    scores: Map<String, Value>,
    run: &MtebRun,
    seconds: f64,
) -> Value {
    let mut scores = scores;
    scores.insert("hf_subset".into(), json!("default"));
    scores.insert("languages".into(), languages(run));
    scores.insert("mteb_version".into(), Value::Null);
    let mut splits = Map::new();
    splits.insert(task.split.clone(), json!([scores]));
    json!({
        "dataset_revision": revision_of(report, task),
        "task_name": task.task,
        "mteb_version": null,
        "scores": splits,
        "evaluation_time": rounded(seconds),
        "kg_co2_emissions": null,
        "date": run.date,
        "evaluation_phases": null,
    })
}

/// One hash over the hashes of the task's files, in their order.
fn revision_of(report: &RunReport, task: &TaskReport) -> String {
    let card = report.data.tasks.iter().find(|card| card.task == task.task);
    let hashes: Vec<&str> = card.iter().flat_map(|card| card.hashes.values()).map(String::as_str).collect();
    polytask_core::hash::sha256(hashes.join("\n").as_bytes())
}

fn meta(name: &str, revision: &str, facts: &ModelFacts, run: &MtebRun) -> Value {
    json!({
        "name": name,
        "revision": revision,
        "release_date": null,
        "languages": languages(run),
        "n_parameters": facts.parameters,
        "memory_usage_mb": null,
        "max_tokens": facts.max_length,
        "embed_dim": facts.dimensions,
        "license": facts.license,
        "open_weights": true,
        "public_training_code": null,
        "public_training_data": null,
        "framework": ["Sentence Transformers"],
        "reference": null,
        "similarity_fn_name": "cosine",
        "use_instructions": false,
        "training_datasets": null,
        "adapted_from": (!facts.encoder.is_empty()).then_some(&facts.encoder),
        "superseded_by": null,
        "loader": null,
    })
}

/// A task's scores under MTEB's names; `None` for kinds it has no shape for.
fn scores(task: &TaskReport) -> Option<Map<String, Value>> {
    let Mteb { main, prefix } = kind::find(&task.kind)?.mteb?;
    let mut scores = Map::new();
    for score in &task.joint {
        let name = name_of(&score.metric);
        if !prefix.is_empty() {
            scores.insert(format!("{prefix}{name}"), value(score));
        }
        scores.insert(name, value(score));
    }
    // The task's own main metric stands in when the usual one was not computed.
    let main = scores.get(main).cloned().or_else(|| task.joint.first().map(value)).unwrap_or(Value::Null);
    scores.insert("main_score".into(), main);
    Some(scores)
}

/// MTEB's name for a metric: `ndcg@10` → `ndcg_at_10`.
fn name_of(metric: &str) -> String {
    if metric == "macro_f1" { "f1".into() } else { metric.replace('@', "_at_") }
}

fn value(score: &Score) -> Value {
    rounded(score.interval.value)
}

/// A number with six decimals; null when it is not finite.
fn rounded(x: f64) -> Value {
    json!(x.is_finite().then_some((x * 1e6).round() / 1e6))
}

/// A name as one path component: `/` as `__`, a space as `_`, nothing that leaves the folder.
fn file_name(name: &str) -> String {
    let safe = |c: char| match c {
        '/' => "__".to_string(),
        ' ' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => "_".to_string(),
        c if c.is_control() => "_".to_string(),
        c => c.to_string(),
    };
    let name: String = name.chars().map(safe).collect();
    if name.trim_matches('.').is_empty() { "_".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::report;

    #[test]
    fn results_have_the_shape_and_the_names_of_mteb() {
        let out = tempfile::tempdir().unwrap();
        let facts = ModelFacts { name: "my org/my model".into(), ..ModelFacts::default() };
        let run = MtebRun { revision: "abc".into(), ..MtebRun::default() };
        let written = write(out.path(), &report(), &facts, &run).unwrap();
        let folder = out.path().join("my_org__my_model/abc");
        assert_eq!(written.len(), 4);
        assert!(
            folder.join("model_meta.json").exists() && written.iter().all(|path| path.starts_with(&folder))
        );
        let read = |task: &str| -> Value {
            serde_json::from_slice(&std::fs::read(folder.join(format!("{task}.json"))).unwrap()).unwrap()
        };
        let search = read("search");
        assert_eq!(search["task_name"], "search");
        assert_eq!(search["scores"]["test"][0]["ndcg_at_10"], 0.7712);
        assert_eq!(search["scores"]["test"][0]["main_score"], 0.7712);
        assert_eq!(search["scores"]["test"][0]["hf_subset"], "default");
        assert_eq!(read("sts")["scores"]["test"][0]["cosine_spearman"], 0.8312);
        assert_eq!(read("intent")["scores"]["test"][0]["f1"], 0.9123);
        assert_eq!(read("intent")["scores"]["test"][0]["main_score"], 0.8923);
    }

    #[test]
    fn names_stay_inside_the_folder() {
        assert_eq!(["a/b c", "..", "../x", ""].map(file_name), ["a__b_c", "_", "..__x", "_"]);
    }

    #[test]
    fn scores_are_rounded_and_undefined_ones_are_null() {
        assert_eq!(rounded(0.123_456_789), json!(0.123_457));
        assert_eq!(rounded(f64::NAN), Value::Null);
    }
}
