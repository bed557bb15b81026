//! A kind whose targets are read in a form of its own goes the whole way of a run: prior, probe, model folder, judge.

use polytask_core::Split;
use polytask_data::Targets;
use polytask_model::{Model, Question};
use polytask_train::judge::{Side, judge};
use polytask_train::observe::Silent;
use polytask_train::prepare::prepare;
use polytask_train::run::{RunOptions, run};
use serde_json::{Value, json};

use crate::common::Data;

const LEVELS: [&str; 3] = ["low", "medium", "high"];

const LEVEL: &str = r#"
[[task]]
name = "urgency"
kind = "ordinal"
data = "mails"
labels = ["low", "medium", "high"]
"#;

fn mails() -> Data {
    let data = Data::new();
    for split in Split::ALL {
        let rows = data.rows("notes", split).into_iter().enumerate();
        let level = |(i, mut row): (usize, Value)| {
            row["level"] = if i == 3 { Value::Null } else { json!(LEVELS[i % 3]) };
            row
        };
        let rows: Vec<Value> = rows.map(level).collect();
        data.write("mails", split, rows);
    }
    data
}

#[test]
fn an_ordinal_task_goes_the_whole_way() {
    let data = mails();
    let prepared = data.prepare(LEVEL, &["train.baselines=true", "train.steps=3"]);
    let Some(Targets::Numbers { width: 1, values }) = prepared.dataset.tasks[0].targets.get(&Split::Train)
    else {
        panic!("an order is read as numbers")
    };
    assert!(values[..3] == [0.0, 1.0, 2.0] && values[3].is_nan(), "{values:?}");
    let options = RunOptions { out: data.out("run"), resume: false, baselines: None };
    let report = run(&prepared, &options, &mut Silent).unwrap();
    let task = &report.tasks[0];
    assert_eq!((task.kind.as_str(), task.joint[0].metric.as_str()), ("ordinal", "spearman"));
    assert!(task.other("probe").is_some());
    let folder = data.out("run").join("model");
    let model = Model::load(&folder).unwrap();
    let rows = vec![vec!["red cup".into()], vec!["navy boat".into()]];
    let question = Question { task: &model.tasks[0], rows };
    let answers = model.predict(&[question], None).unwrap().answers.remove(0);
    for answer in answers {
        let place = answer["place"].as_f64().unwrap();
        assert!(
            (0.0..=2.0).contains(&place) && answer["label"] == LEVELS[place.round() as usize],
            "{answer}"
        );
    }
    let side = Side { name: "run", folder: &folder };
    let judged = judge(prepared.suite.clone(), side, None, Some(Split::Test), &mut Silent).unwrap().report;
    let apart = judged.tasks[0].joint[1].interval.value - task.joint[1].interval.value;
    assert!(apart.abs() < 1e-9, "{apart}");
    // Without its labels a place has no name.
    let file = folder.join("polytask.json");
    let mut written: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    written["tasks"][0]["labels"] = json!([]);
    std::fs::write(&file, written.to_string()).unwrap();
    let error = Model::load(&folder).err().unwrap().to_string();
    assert!(error.contains("polytask.json") && error.contains("no labels"), "{error}");
}

#[test]
fn a_level_outside_the_order_and_an_order_without_labels_are_told_with_their_place() {
    let data = mails();
    let error = |tasks: &str| prepare(data.suite(tasks, &[]), &mut Silent).err().unwrap().to_string();
    let unordered = error(&LEVEL.replace("labels = [\"low\", \"medium\", \"high\"]\n", ""));
    assert!(unordered.contains("train.jsonl:1") && unordered.contains("from low to high"), "{unordered}");
    let short = error(&LEVEL.replace(", \"high\"]", "]"));
    assert!(short.contains("train.jsonl:3") && short.contains("`high` is unknown"), "{short}");
}
