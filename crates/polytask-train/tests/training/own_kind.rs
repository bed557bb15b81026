//! A kind with a form of targets of its own, as somebody else would write it: this file, and one line in a table.

use polytask_core::kind::{HeadForm, KindInfo};
use polytask_core::suite;
use polytask_core::target::{LabelTable, OutputMeaning, TargetCell, TargetForm, TargetRow, Wrong};
use polytask_core::{Split, TargetType};
use polytask_data::Targets;
use polytask_train::observe::Silent;
use polytask_train::prepare::prepare;
use polytask_train::run::{RunOptions, with_run};
use serde_json::{Value, json};

use crate::common::Data;

static KIND: KindInfo = KindInfo {
    name: "stars",
    about: "Stars out of five for a text.",
    inputs: &["text"],
    target: "stars",
    synonyms: &[],
    form: &Stars,
    head: HeadForm::Linear,
    losses: &["mse"],
    metrics: &["mae", "r2"],
    hub_task: "other",
    mteb: None,
};

/// Stars as people write them: `***`, from none to five.
#[derive(Debug)]
struct Stars;

impl TargetForm for Stars {
    fn name(&self) -> &'static str {
        "stars"
    }

    fn target_type(&self) -> TargetType {
        TargetType::Numbers
    }

    fn read(&self, row: &TargetRow<'_>, labels: &mut LabelTable) -> Result<TargetCell, Wrong> {
        let Some(cell) = row.known(labels)? else { return Ok(TargetCell::Unknown) };
        let text = cell.to_text().unwrap_or_default();
        match text.strip_suffix('-').unwrap_or(&text) {
            stars if stars.chars().all(|c| c == '*') => Ok(TargetCell::Numbers(vec![stars.len() as f64])),
            _ => Err(Wrong::new(format!("{} is no stars", cell.describe()), "write `***`, or `-` for none")),
        }
    }

    fn width(&self) -> Option<usize> {
        Some(1)
    }

    fn answer(&self, outputs: &[f32], meaning: OutputMeaning<'_>) -> Value {
        json!({ "stars": "*".repeat(meaning.numbers(outputs)[0].round().clamp(0.0, 5.0) as usize) })
    }
}

const REVIEWS: &str = "[[task]]\nname = \"review\"\nkind = \"stars\"\ndata = \"reviews\"\n";

/// The suite of a task of the kind, with it in the table.
fn reviews(data: &Data) -> Result<suite::Suite, polytask_core::Error> {
    let mut catalogue = polytask_train::catalogue();
    catalogue.kinds.push(&KIND);
    let text = format!("name = \"own\"\n[model]\nencoder = \"tiny\"\n[train]\nsteps = 3\n{REVIEWS}");
    suite::parse(&text, &data.path().join("suite.toml"), &catalogue, &[])
}

fn with_reviews() -> Data {
    let data = Data::new();
    data.change("notes", "reviews", |_, _| ());
    for split in Split::ALL {
        let rows = data.rows("reviews", split).into_iter().enumerate().map(|(i, mut row)| {
            row["stars"] = if i == 3 { Value::Null } else { json!(format!("{}-", "*".repeat(i % 6))) };
            row
        });
        let rows: Vec<Value> = rows.collect();
        data.write("reviews", split, rows);
    }
    data
}

#[test]
fn a_kind_with_targets_of_its_own_is_read_trained_compared_and_reported() {
    let data = with_reviews();
    let prepared = prepare(reviews(&data).unwrap(), &mut Silent).unwrap_or_else(|error| panic!("{error}"));
    let Some(Targets::Numbers { width: 1, values }) = prepared.dataset.tasks[0].targets.get(&Split::Train)
    else {
        panic!("stars are numbers")
    };
    assert!(values[5] == 5.0 && values[3].is_nan() && values[0] == 0.0, "{values:?}");
    let options = RunOptions { out: data.out("run"), resume: false, baselines: None };
    let report = with_run(&prepared, &options, &mut Silent, |run, observer| run.execute(observer)).unwrap();
    let task = &report.tasks[0];
    assert_eq!((task.kind.as_str(), task.joint[0].metric.as_str()), ("stars", "mae"));
    let prior = task.other("prior").expect("the floor is known for what is read into numbers");
    assert!(prior.scores[0].interval.value < 2.0 && task.other("probe").is_some());
}

#[test]
fn what_the_form_refuses_is_told_with_its_place() {
    let data = with_reviews();
    data.change("reviews", "reviews", |i, row| {
        if i == 1 {
            row["stars"] = json!("four");
        }
    });
    let error = prepare(reviews(&data).unwrap(), &mut Silent).err().unwrap().to_string();
    assert!(error.contains("train.jsonl:2") && error.contains("`four` is no stars"), "{error}");
}

#[test]
fn answers_are_written_as_the_form_has_them() {
    let meaning = OutputMeaning { labels: &[], scale: &[(2.5, 1.0)], bounds: &[] };
    assert_eq!(KIND.form.answer(&[1.4], meaning), json!({ "stars": "****" }));
}
