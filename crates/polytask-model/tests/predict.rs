//! Several tasks answered from one encoding, as each would be alone.
#![allow(clippy::unwrap_used)]

use polytask_core::kind;
use polytask_data::{TINY_VOCAB, Tokenizer};
use polytask_model::{Input, Model, ModelTask, Question, TaskInfo};
use polytask_nn::Encoder;
use polytask_nn::heads;
use serde_json::Value;

/// A task with a random head on the tiny encoder.
fn task(name: &str, kind: &str, labels: &[&str], encoder: &Encoder) -> ModelTask {
    let kind = kind::find(kind).unwrap();
    let n_outputs = labels.len().max(1);
    let head =
        heads::build_with(kind.head, encoder.trunk.d_hidden(), n_outputs, heads::HeadOptions::default());
    let block = head.block(&format!("head.{name}"), 7);
    let info = TaskInfo {
        prompts: std::collections::BTreeMap::new(),
        name: name.into(),
        kind: kind.name.into(),
        metric: kind.metrics[0].into(),
        labels: labels.iter().map(ToString::to_string).collect(),
        scale: Vec::new(),
        bounds: Vec::new(),
        n_outputs,
        hidden: None,
        is_pooler: false,
        columns: std::collections::BTreeMap::new(),
        reads_words: false,
    };
    ModelTask { info, kind, head, block }
}

/// Tasks of one text, of its words and of two texts.
fn model() -> Model {
    let encoder = Encoder::tiny(TINY_VOCAB, 3).unwrap();
    let tasks = vec![
        task("mood", "class", &["good", "bad", "neither"], &encoder),
        task("topics", "multilabel", &["money", "time"], &encoder),
        task("length", "regression", &[], &encoder),
        task("names", "tagging", &["O", "B-PER", "B-LOC"], &encoder),
        task("alike", "similarity", &[], &encoder),
    ];
    Model::new(encoder, Tokenizer::tiny().into(), tasks)
}

/// Texts of several lengths, one of them twice.
fn texts() -> Vec<String> {
    let text = |i: usize| format!("text {} {}", i, "more ".repeat(i % 7)).trim().to_owned();
    (0..40).map(text).chain([text(3)]).collect()
}

/// The rows of a task: each text, for pairs beside the first one.
fn rows(task: &ModelTask) -> Vec<Vec<Input>> {
    let first = texts()[0].as_str().into();
    let row = |text: &String| match task.kind.inputs.len() {
        1 => vec![text.as_str().into()],
        _ => vec![text.as_str().into(), Input::clone(&first)],
    };
    texts().iter().map(row).collect()
}

fn questions(model: &Model) -> Vec<Question<'_>> {
    model.tasks.iter().map(|task| Question { task, rows: rows(task) }).collect()
}

/// Whether two answers are the same up to rounding.
fn agree(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-5,
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| agree(a, b)),
        (Value::Object(a), Value::Object(b)) => a.len() == b.len() && a.iter().all(|(k, a)| agree(a, &b[k])),
        _ => a == b,
    }
}

#[test]
fn five_tasks_cost_one_encoding_of_each_distinct_text() {
    let model = model();
    let together = model.predict(&questions(&model), None).unwrap();
    assert_eq!(together.answers.len(), 5);
    assert_eq!(together.encoded, 40, "one of the 41 texts stands twice");
}

#[test]
fn a_task_says_the_same_alone_and_beside_others_and_row_by_row() {
    let model = model();
    let together = model.predict(&questions(&model), None).unwrap();
    for (question, together) in questions(&model).into_iter().zip(&together.answers) {
        let (task, rows) = (question.task, question.rows.clone());
        let alone = model.predict(&[question], None).unwrap().answers.remove(0);
        assert_eq!(alone.len(), together.len());
        for (i, row) in rows.into_iter().enumerate() {
            let single = model.predict(&[Question { task, rows: vec![row] }], None).unwrap();
            assert!(agree(&alone[i], &together[i]), "{} {i}", task.info.name);
            assert!(agree(&single.answers[0][0], &together[i]), "{} {i}", task.info.name);
        }
        assert!(
            alone.iter().any(|answer| !agree(answer, &alone[0])),
            "{} says different things",
            task.info.name
        );
    }
}

#[test]
fn words_keep_what_stands_in_them_and_those_cut_off_have_no_tag() {
    let model = model();
    let names = model.task("names").unwrap();
    let long = Input::Words(vec!["ab".into(); 100]);
    let blanks = Input::Words(vec!["New York".into(), String::new(), "is".into()]);
    let rows = vec![vec![blanks], vec![long], vec![Input::Words(Vec::new())]];
    let answers = model.predict(&[Question { task: names, rows }], None).unwrap().answers.remove(0);
    assert_eq!(answers[0]["words"], serde_json::json!(["New York", "", "is"]));
    assert!(answers[0]["tags"][0].is_string() && answers[0]["tags"][1].is_null());
    assert!(answers[1]["tags"][0].is_string() && answers[1]["tags"][99].is_null());
    assert_eq!(answers[2]["tags"], serde_json::json!([]));
}

#[test]
fn no_rows_give_no_answers_and_a_wrong_number_of_inputs_is_refused() {
    let model = model();
    let (mood, alike) = (model.task("mood").unwrap(), model.task("alike").unwrap());
    let none = model.predict(&[Question { task: mood, rows: Vec::new() }], None).unwrap();
    assert_eq!((none.answers[0].len(), none.encoded), (0, 0));
    let error = model.predict(&[Question { task: alike, rows: vec![vec!["one".into()]] }], None).unwrap_err();
    assert!(error.to_string().contains("`alike` reads 2 inputs (a, b), found 1"), "{error}");
    let error = model.predict(&[], Some("query")).unwrap_err().to_string();
    assert!(error.contains("no prompt `query`"), "{error}");
}

#[test]
fn a_saved_model_is_read_back_and_says_the_same() {
    let (model, folder) = (model(), tempfile::tempdir().unwrap());
    model.save(&model.encoder.params, folder.path()).unwrap();
    let again = Model::load(folder.path()).unwrap();
    let (first, second) = (model.predict(&questions(&model), None), again.predict(&questions(&again), None));
    assert_eq!(first.unwrap().answers, second.unwrap().answers);
    assert_eq!(again.tasks[0].info, model.tasks[0].info);
}

#[test]
fn bounds_that_are_none_are_refused_when_the_folder_is_read() {
    let (model, folder) = (model(), tempfile::tempdir().unwrap());
    model.save(&model.encoder.params, folder.path()).unwrap();
    let file = folder.path().join("polytask.json");
    let mut written: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for bounds in
        [serde_json::json!([[5.0, 1.0]]), serde_json::json!([null, null]), serde_json::json!([[null, 1.0]])]
    {
        written["tasks"][2]["scale"] = serde_json::json!([[3.0, 1.0]]);
        written["tasks"][2]["bounds"] = bounds.clone();
        std::fs::write(&file, written.to_string()).unwrap();
        let error = Model::load(folder.path()).err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("polytask.json")), "{bounds}");
    }
    written["tasks"][2]["bounds"] = serde_json::json!([[2.9, 3.1]]);
    std::fs::write(&file, written.to_string()).unwrap();
    let model = Model::load(folder.path()).unwrap();
    let found = model.predict(&questions(&model)[2..3], None).unwrap().answers.remove(0);
    assert!(found.iter().all(|answer| (2.9..=3.1).contains(&answer["value"].as_f64().unwrap())), "{found:?}");
}
