//! `data` and `pull`.

use crate::support::{Place, has, suite, trained, write_data};

#[test]
fn data_counts_rows_labels_and_leaks() {
    let place = Place::new();
    write_data(&place);
    place.write("data/again/train.csv", "text,label\nthe cat sees a cat of test 0,x\nb,y\nb,y\n");
    place.write("data/again/valid.csv", "text,label\nb,x\nc,y\n");
    place.write("suite.toml", suite(&[("topic", "class"), ("again", "class")], ""));
    let out = place.polytask(&["data", "suite.toml"]).done();
    has(
        &out,
        &["topic (class)", "train        48 rows, 48 with a known target", "animal", "tokens per text"],
    );
    has(&out, &["duplicates in train: 1", "1 also in train"]);
    has(&out, &["1 text of topic's test split is trained on by again"]);
    let card = place.polytask(&["data", "suite.toml", "--json"]).object();
    assert_eq!(card["tasks"][0]["labels"]["animal"], 24);
    assert_eq!(card["leaks"][0]["trained_by"], "again");
}

#[test]
fn data_tells_mistakes_and_takes_settings() {
    let place = Place::new();
    write_data(&place);
    place.write("suite.toml", suite(&[("topic", "class")], ""));
    let card = place.polytask(&["data", "suite.toml", "--json", "--set", "task.topic.limit=5"]).object();
    assert_eq!(card["tasks"][0]["rows"]["train"], 5);
    place.write("data/topic/test.csv", "text,label\nx,stone\n");
    has(&place.polytask(&["data", "suite.toml"]).refused(), &["data/topic/test.csv:2", "stone"]);
}

#[test]
fn pull_finds_a_folder_and_tells_all_it_tried() {
    let place = trained();
    has(&place.polytask(&["pull", "run/model"]).done(), &["run/model", "a local folder"]);
    let found = place.polytask(&["pull", "run/model", "--json", "--offline"]).object();
    assert_eq!(found["folder"], "run/model");
    let error = place.polytask(&["pull", "no-such-encoder", "--offline"]).refused();
    has(&error, &["`no-such-encoder`", "cache", "hub", "offline"]);
    has(&place.polytask(&["pull", "../up/and/away", "--offline"]).refused(), &["neither a folder"]);
}

#[test]
fn a_suite_with_an_unknown_encoder_is_refused_before_anything_is_written() {
    let place = Place::new();
    write_data(&place);
    place.write("suite.toml", suite(&[("topic", "class")], "").replace("\"tiny\"", "\"no-such-encoder\""));
    has(&place.polytask(&["train", "suite.toml"]).refused(), &["no-such-encoder", "offline"]);
    assert!(!place.path("runs").exists());
}
