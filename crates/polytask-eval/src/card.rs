//! CARD.md: the model card that travels with a trained model.
//!
//! The header is the YAML of hub model cards; the body says what the model was trained for, how well it does,
//! on what data, how to use it, where its limits are, and where it comes from.

use std::path::Path;

use minijinja::Environment;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use polytask_core::input::is_net;
use polytask_core::input::text::TEXT;
use polytask_core::report::{RunReport, Score, TaskCard, TaskReport};
use polytask_core::{Error, InputInfo, Result, atomic, kind};
use serde::Serialize;

use crate::words::{self, Standing, count, signed_range, value};

/// What a card says about the model beyond the report.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ModelFacts {
    /// Name of the model, as `polytask/quickstart`; the suite's name when empty.
    pub name: String,
    /// Name of the encoder it was trained from.
    pub encoder: String,
    /// Folder of the model, as the reader would type it.
    pub folder: String,
    /// Licence id of the model, where the user gave one.
    pub license: Option<String>,
    /// Languages of its texts, as `en`; empty when unknown.
    pub languages: Vec<String>,
    /// Width of a sentence vector.
    pub dimensions: Option<usize>,
    /// Longest text in tokens.
    pub max_length: Option<usize>,
    /// Number of parameters.
    pub parameters: Option<usize>,
    /// What it reads; texts where nothing is said.
    pub input: Option<&'static InputInfo>,
    /// Name of the architecture, where the tasks do not share the encoder plainly.
    pub sharing: Option<String>,
    /// Name of the score of token states, where vectors are not compared.
    pub score: Option<String>,
}

#[derive(Serialize)]
struct View<'a> {
    name: &'a str,
    facts: &'a ModelFacts,
    input: &'static InputInfo,
    reads_texts: bool,
    is_fresh: bool,
    parameters: String,
    verdict: String,
    kept: String,
    compared: bool,
    metrics: Vec<&'a str>,
    tasks: Vec<TaskView<'a>>,
    data: Vec<DataView<'a>>,
    limits: Vec<String>,
    notes: &'a [String],
    report: &'a RunReport,
}

#[derive(Serialize)]
struct TaskView<'a> {
    task: &'a str,
    kind: &'a str,
    split: &'a str,
    pipeline: &'static str,
    metric: &'a str,
    joint: String,
    single: String,
    delta: String,
    standing: &'static str,
    results: Vec<(&'a str, String)>,
}

#[derive(Serialize)]
struct DataView<'a> {
    task: &'a str,
    rows: String,
    labels: String,
    leaked: String,
}

/// The model card as Markdown.
pub fn render(report: &RunReport, facts: &ModelFacts) -> Result<String> {
    let bug = |e: minijinja::Error| Error::Bug(format!("card template: {e:#}"));
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).build().map_err(bug)?);
    environment.add_filter("cell", |text: &str| cell(text));
    environment.add_filter("quoted", |text: &str| quoted(text));
    environment.add_template("card.md", include_str!("card.md")).map_err(bug)?;
    let template = environment.get_template("card.md").map_err(bug)?;
    template.render(Serde(View::new(report, facts))).map_err(bug)
}

/// Writes the model card to `path`.
pub fn write(report: &RunReport, facts: &ModelFacts, path: &Path) -> Result<()> {
    atomic::write(path, render(report, facts)?.as_bytes())
}

impl<'a> View<'a> {
    fn new(report: &'a RunReport, facts: &'a ModelFacts) -> Self {
        let mut metrics: Vec<&str> =
            report.tasks.iter().flat_map(|task| &task.joint).map(|score| score.metric.as_str()).collect();
        metrics.sort_unstable();
        metrics.dedup();
        Self {
            name: if facts.name.is_empty() { &report.name } else { &facts.name },
            facts,
            input: facts.input.unwrap_or(&TEXT),
            reads_texts: facts.input.is_none_or(|input| *input == TEXT),
            is_fresh: is_net(&facts.encoder),
            parameters: facts.parameters.map(count).unwrap_or_default(),
            verdict: words::verdict(report),
            kept: words::kept(report),
            compared: report.tasks.iter().any(|task| task.delta.is_some()),
            metrics,
            tasks: report.tasks.iter().map(TaskView::new).collect(),
            data: report.data.tasks.iter().map(DataView::new).collect(),
            limits: limits(report, facts),
            notes: &report.notes,
            report,
        }
    }
}

impl<'a> TaskView<'a> {
    fn new(task: &'a TaskReport) -> Self {
        let shown = |score: Option<&Score>| match score {
            Some(s) => format!("{} {}", value(&s.metric, s.interval.value), words::range(s)),
            None => "–".into(),
        };
        // YAML has no NaN that every reader knows: undefined values stay out.
        let finite = task.joint.iter().filter(|score| score.interval.value.is_finite());
        Self {
            task: &task.task,
            kind: &task.kind,
            split: &task.split,
            pipeline: kind::find(&task.kind).map_or("other", |kind| kind.hub_task),
            metric: task.joint.first().map_or("–", |score| score.metric.as_str()),
            joint: shown(task.joint.first()),
            single: shown(task.single.first()),
            delta: words::delta(task)
                + &task.delta.map_or_else(String::new, |d| format!(" {}", signed_range(d))),
            standing: Standing::of(task).words(),
            results: finite.map(|s| (s.metric.as_str(), format!("{:.6}", s.interval.value))).collect(),
        }
    }
}

impl<'a> DataView<'a> {
    fn new(card: &'a TaskCard) -> Self {
        let order = ["train", "valid", "test"].into_iter();
        let rows = order.filter_map(|split| Some(split_rows(split, *card.rows.get(split)?, card)));
        let leaked: usize = card.leaked.values().sum();
        Self {
            task: &card.task,
            rows: rows.collect::<Vec<_>>().join(", "),
            labels: if card.labels.is_empty() { "–".into() } else { count(card.labels.len()) },
            leaked: count(leaked),
        }
    }
}

/// The rows of a split; where not all have a target of the task, how many do.
fn split_rows(split: &str, rows: usize, card: &TaskCard) -> String {
    match card.labelled.get(split) {
        Some(&known) if known < rows => format!("{} of {} {split}", count(known), count(rows)),
        _ => format!("{} {split}", count(rows)),
    }
}

/// What a user of the model should not expect of it.
fn limits(report: &RunReport, facts: &ModelFacts) -> Vec<String> {
    let others = facts.input.unwrap_or(&TEXT).unlike;
    let mut limits = vec![format!("The scores hold for the data named above; {others} may do worse.")];
    if let Some(length) = facts.max_length {
        limits.push(format!("Texts longer than {length} tokens are cut."));
    }
    let below =
        report.tasks.iter().filter(|t| matches!(Standing::of(t), Standing::Regressed | Standing::Within));
    limits.extend(below.map(|task| {
        format!("\"{}\" is better served by a single-task model ({}).", task.task, Standing::of(task).words())
    }));
    limits.extend(report.data.leaks.iter().map(|leak| {
        let (n, split) = (leak.texts, &leak.split);
        format!(
            "{} of \"{}\" {} of train of \"{}\": its score may be too high.",
            words::plural(n, &format!("{split} text")),
            leak.task,
            if n == 1 { "was a text" } else { "were texts" },
            leak.trained_by
        )
    }));
    limits.extend(report.isolated.iter().map(|isolated| {
        format!(
            "\"{}\" was left out of {}: {}.",
            isolated.task,
            words::plural(isolated.steps as usize, "step"),
            isolated.what
        )
    }));
    limits
}

/// A text that cannot end a table cell, start markup or break a line.
fn cell(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '`' | '<' | '>' | '[' | ']' | '*' | '_' | '\\' => safe.extend(['\\', c]),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

/// A text as a double-quoted YAML scalar (a JSON string is one).
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use polytask_core::input::image::IMAGE;

    use super::*;

    #[test]
    fn a_model_of_images_is_called_one() {
        let mut report = report();
        report.tasks.truncate(1);
        report.tasks[0].kind = "image-class".into();
        let card = render(&report, &ModelFacts { input: Some(&IMAGE), ..ModelFacts::default() }).unwrap();
        assert!(
            card.starts_with("---\nlibrary_name: polytask\npipeline_tag: image-feature-extraction\n"),
            "{card}"
        );
        assert!(card.contains("type: image-classification") && card.contains("- image-feature-extraction"));
        for word in ["sentence-transformers", "SentenceTransformer", "texts.jsonl", "language may"] {
            assert!(!card.contains(word), "{word} is in\n{card}");
        }
    }
    use crate::sample::report;

    fn facts() -> ModelFacts {
        ModelFacts {
            encoder: "sentence-transformers/all-MiniLM-L6-v2".into(),
            folder: "runs/quickstart/model".into(),
            languages: vec!["en".into()],
            dimensions: Some(384),
            max_length: Some(256),
            parameters: Some(22_713_216),
            ..ModelFacts::default()
        }
    }

    #[test]
    fn the_card_holds_every_task_its_scores_and_how_to_use_it() {
        let text = render(&report(), &facts()).unwrap();
        assert!(text.starts_with("---\n") && text.matches("\n---\n").count() == 1);
        for part in ["sts", "entail", "情绪", "ndcg@10", "SentenceTransformer(\"runs/quickstart/model\")"] {
            assert!(text.contains(part), "{part}");
        }
        for command in ["polytask embed --model", "polytask predict", "22\u{202f}713\u{202f}216"] {
            assert!(text.contains(command), "{command}");
        }
        assert!(text.contains("\"intent\" is better served by a single-task model (regressed)"));
    }

    #[test]
    fn the_card_of_an_encoder_with_versions_per_task_promises_no_other_reader() {
        let shared = ModelFacts { sharing: Some("mmoe".into()), ..facts() };
        let text = render(&report(), &shared).unwrap();
        assert!(text.starts_with("---\nlibrary_name: polytask\npipeline_tag"), "{text}");
        assert!(
            text.contains("sentence-transformers cannot load the folder") && text.contains("--task TASK")
        );
        assert!(!text.contains("SentenceTransformer(") && !text.contains("- sentence-transformers"));
        let plain = render(&report(), &facts()).unwrap();
        assert!(plain.starts_with("---\nlibrary_name: sentence-transformers\npipeline_tag"), "{plain}");
        assert!(plain.contains("tags:\n- sentence-transformers\n- feature-extraction"), "{plain}");
    }

    #[test]
    fn names_cannot_break_the_table_or_the_header() {
        let mut evil = report();
        evil.tasks[0].task = "a|b\n---\nx: <b>".into();
        evil.data = polytask_core::report::DataCard::default();
        let text = render(&evil, &facts()).unwrap();
        assert_eq!(text.matches("\n---\n").count(), 1);
        assert!(text.contains("a\\|b --- x: \\<b\\>"));
        for line in text.lines().filter(|line| line.starts_with("| ") && line.contains("spearman")) {
            assert_eq!(line.replace("\\|", "").matches('|').count(), 8, "{line}");
        }
    }

    #[test]
    fn rows_without_a_target_of_the_task_are_told_apart() {
        let text = render(&report(), &facts()).unwrap();
        let rows = format!("{} of {} train, 450 of 500 valid", count(4500), count(5000));
        assert!(text.contains(&rows), "{text}");
        let mut whole = report();
        whole.data.tasks.iter_mut().for_each(|card| card.labelled = card.rows.clone());
        assert!(render(&whole, &facts()).unwrap().contains(&format!("| {} train, 500 valid", count(5000))));
    }

    #[test]
    fn cautions_and_the_weights_that_were_kept_stand_on_the_card() {
        let mut run = report();
        (run.cautions, run.share, run.steps, run.kept) = (vec!["mind the gap".into()], Some(0.75), 79, 79);
        let text = render(&run, &facts()).unwrap();
        assert!(
            text.contains("- mind the gap") && text.contains("weights 75 % of the way to step 79 kept"),
            "{text}"
        );
    }

    #[test]
    fn a_bare_run_still_has_a_card() {
        let text = render(&RunReport::default(), &ModelFacts::default()).unwrap();
        assert!(text.contains("without single-task baselines"));
    }
}
