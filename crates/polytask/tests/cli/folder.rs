//! Model folders that are broken or meant to harm: an error that names file, found, expected and remedy.

use std::fs;

use crate::support::{Place, copied_model, has};

#[track_caller]
fn refused(place: &Place, words: &[&str]) {
    place.write("in.jsonl", "{\"text\":\"a\"}\n");
    let embed = ["embed", "--model", "model", "--input", "in.jsonl", "--output", "out.npy"];
    has(&place.polytask(&embed).refused(), words);
    assert!(!place.path("out.npy").exists());
    has(&place.polytask(&["predict", "--model", "model", "--task", "topic", "--text", "a"]).refused(), words);
}

const WEIGHTS: &str = "model/model.safetensors";

fn weights(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

#[test]
fn truncated_weights_are_refused_wherever_they_end() {
    let place = copied_model();
    let bytes = fs::read(place.path(WEIGHTS)).unwrap();
    for length in [0, 7, 8, 100, bytes.len() / 2, bytes.len() - 1] {
        place.write(WEIGHTS, &bytes[..length]);
        refused(&place, &["model/model.safetensors"]);
    }
    place.write(WEIGHTS, [&bytes[..], &[0; 5]].concat());
    refused(&place, &["model/model.safetensors", "5 bytes"]);
}

#[test]
fn hostile_headers_are_refused() {
    let place = copied_model();
    place.write(WEIGHTS, [&u64::MAX.to_le_bytes()[..], b"{}"].concat());
    refused(&place, &["model/model.safetensors", "header"]);
    let two = |first: &str, second: &str| {
        format!(
            "{{\"a\":{{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":{first}}},\
             \"b\":{{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":{second}}}}}"
        )
    };
    place.write(WEIGHTS, weights(&two("[0,8]", "[4,12]"), 12));
    refused(&place, &["model/model.safetensors", "`b`", "overlaps"]);
    place.write(WEIGHTS, weights(&two("[0,8]", "[8,999999999999]"), 16));
    refused(&place, &["model/model.safetensors", "`b`"]);
    place.write(WEIGHTS, weights(&two("[8,0]", "[8,16]"), 16));
    refused(&place, &["model/model.safetensors", "`a`"]);
    let huge =
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967295,4294967295,4294967295],\"data_offsets\":[0,4]}}";
    place.write(WEIGHTS, weights(huge, 4));
    refused(&place, &["model/model.safetensors", "`a`"]);
    place.write(WEIGHTS, weights(&"[".repeat(100_000), 0));
    refused(&place, &["model/model.safetensors"]);
}

#[test]
fn weights_of_another_shape_are_refused_with_both_shapes() {
    let place = copied_model();
    let config =
        place.read("model/config.json").replace("\"intermediate_size\": ", "\"intermediate_size\": 1");
    place.write("model/config.json", config);
    refused(&place, &["model/model.safetensors", "config.json describes"]);
}

#[test]
fn missing_and_broken_parts_are_named() {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let place = copied_model();
        fs::remove_file(place.path("model").join(file)).unwrap();
        refused(&place, &[file]);
    }
    for file in ["config.json", "tokenizer.json", "modules.json", "polytask.json", "1_Pooling/config.json"] {
        for content in ["{\"x\":", "[]", "null", "{\"version\":\"y\"}"] {
            let place = copied_model();
            place.write(&format!("model/{file}"), content);
            let ran = place.polytask(&["predict", "--model", "model", "--task", "topic", "--text", "a"]);
            if ran.code != 0 {
                has(&ran.refused(), &[file]);
            } else {
                assert!(
                    file != "config.json" && file != "tokenizer.json" && file != "polytask.json",
                    "{file}: {content}"
                );
            }
        }
    }
}

#[test]
fn a_head_that_is_gone_or_cut_is_named() {
    let place = copied_model();
    let head = "model/heads/topic/model.safetensors";
    let bytes = fs::read(place.path(head)).unwrap();
    place.write(head, &bytes[..bytes.len() - 4]);
    let predict = ["predict", "--model", "model", "--task", "topic", "--text", "a"];
    has(&place.polytask(&predict).refused(), &["heads/topic/model.safetensors"]);
    fs::remove_file(place.path(head)).unwrap();
    has(&place.polytask(&predict).refused(), &["heads/topic/model.safetensors"]);
}

#[test]
fn a_tasks_name_cannot_lead_out_of_the_folder() {
    let place = copied_model();
    let text = place.read("model/polytask.json").replace("\"topic\"", "\"../../topic\"");
    place.write("model/polytask.json", text);
    has(
        &place.polytask(&["predict", "--model", "model", "--list"]).refused(),
        &["polytask.json", "../../topic"],
    );
}

#[test]
fn outputs_that_do_not_fit_the_labels_are_refused() {
    let place = copied_model();
    let text = place.read("model/polytask.json").replacen("\"n_outputs\": 2", "\"n_outputs\": 3", 1);
    place.write("model/polytask.json", text);
    has(&place.polytask(&["predict", "--model", "model", "--list"]).refused(), &["topic"]);
    let text =
        place.read("model/polytask.json").replacen("\"n_outputs\": 3", "\"n_outputs\": 99999999999999", 1);
    place.write("model/polytask.json", text);
    has(&place.polytask(&["predict", "--model", "model", "--list"]).refused(), &["topic"]);
}

#[test]
fn a_tokenizer_with_more_tokens_than_the_encoder_has_vectors_is_refused() {
    let place = copied_model();
    let mut tokenizer = place.json("model/tokenizer.json");
    let vocab = tokenizer["model"]["vocab"].as_object_mut().unwrap();
    let n = vocab.len();
    vocab.insert("surplus".into(), n.into());
    place.write("model/tokenizer.json", tokenizer.to_string());
    refused(&place, &["model", &(n + 1).to_string(), &n.to_string(), "tokenizer.json"]);
}

#[test]
fn something_that_is_no_folder_is_refused() {
    let place = Place::new();
    refused(&place, &["model", "folder"]);
    place.write("model", "a file");
    refused(&place, &["model", "folder"]);
}
