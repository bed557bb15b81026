//! Published cross-encoders give the logits that transformers gives, and come back from a folder as they were written.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use polytask_model::{Input, Model, Question, SearchOptions};
use serde_json::Value;

const FAMILIES: [&str; 3] = ["bert", "roberta", "mpnet"];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cross").join(name)
}

fn expected(name: &str) -> Value {
    let text = std::fs::read_to_string(folder(name).join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn logits(model: &Model, pairs: &Value) -> Vec<Vec<f32>> {
    let text = |pair: &Value, i: usize| Input::from(pair[i].as_str().unwrap());
    let rows = pairs.as_array().unwrap().iter().map(|pair| vec![text(pair, 0), text(pair, 1)]).collect();
    model.head_outputs(&Question { task: &model.tasks[0], rows }).unwrap()
}

#[test]
fn logits_are_those_of_transformers() {
    for name in FAMILIES {
        let (model, expected) = (Model::load(&folder(name)).unwrap(), expected(name));
        let found = logits(&model, &expected["pairs"]);
        for (row, of) in found.iter().zip(expected["logits"].as_array().unwrap()) {
            let of: Vec<f64> = of.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
            assert_eq!(row.len(), of.len());
            for (a, b) in row.iter().zip(&of) {
                assert!((f64::from(*a) - b).abs() < 2e-6, "{name}: {found:?}");
            }
        }
    }
    let labels = &Model::load(&folder("roberta")).unwrap().tasks[0].info.labels;
    assert_eq!(labels[..], ["contradiction", "entailment", "neutral"]);
}

#[test]
fn what_is_written_as_a_cross_encoder_is_read_as_one() {
    for name in FAMILIES {
        let model = Model::load(&folder(name)).unwrap();
        let out = tempfile::tempdir().unwrap();
        model.save(&model.encoder.params, out.path()).unwrap();
        let pairs = &expected(name)["pairs"];
        let task = &model.tasks[0].info;
        for place in [out.path().to_path_buf(), out.path().join("cross-encoder").join(&task.name)] {
            let again = Model::load(&place).unwrap();
            assert_eq!(logits(&again, pairs), logits(&model, pairs), "{name} {}", place.display());
            assert_eq!(again.tasks[0].info.labels, task.labels);
        }
    }
}

#[test]
fn texts_are_ranked_by_what_the_head_says_of_each_with_the_query() {
    let model = Model::load(&folder("bert")).unwrap();
    let texts = ["a cat", "dogs", "the same"];
    let ranked = model.rank("a dog", &texts, SearchOptions { k: 2, ..SearchOptions::default() }).unwrap();
    let rows = texts.iter().map(|text| vec![Input::from("a dog"), Input::from(*text)]).collect();
    let outputs = model.head_outputs(&Question { task: &model.tasks[0], rows }).unwrap();
    let share = |i: u32| 1.0 / (1.0 + (-outputs[i as usize][0]).exp());
    assert_eq!(ranked.len(), 2);
    assert!(ranked[0].1 >= ranked[1].1);
    assert!(ranked.iter().all(|&(i, score)| score == share(i)), "{ranked:?} {outputs:?}");
    // It has no other task, so a search asks it, too.
    let options = SearchOptions { k: 2, ..SearchOptions::default() };
    assert_eq!(model.search(&["a dog"], &texts, options).unwrap(), [ranked]);
}

#[test]
fn a_head_that_is_not_read_is_named() {
    let out = tempfile::tempdir().unwrap();
    for file in ["model.safetensors", "tokenizer.json", "config.json"] {
        std::fs::copy(folder("bert").join(file), out.path().join(file)).unwrap();
    }
    let config = std::fs::read_to_string(out.path().join("config.json")).unwrap();
    let other = config.replace("BertForSequence", "ElectraForSequence").replace("\"bert\"", "\"electra\"");
    std::fs::write(out.path().join("config.json"), other).unwrap();
    let error = Model::load(out.path()).err().unwrap().to_string();
    assert!(error.contains("ElectraForSequenceClassification") && error.contains("try: "), "{error}");
}
