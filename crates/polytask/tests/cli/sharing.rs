//! `model.sharing`: a model with a version of every vector for each task, trained, used and judged.

use serde_json::Value;

use crate::support::{has, with_suite};

#[test]
fn a_model_that_tasks_share_by_experts_is_used_task_by_task() {
    let place = with_suite("baselines = false");
    let set = "model.sharing={name=\"mmoe\",at=\"layer.0\",experts=2}";
    place.polytask(&["train", "suite.toml", "--out", "run", "--set", set]).done();
    let model = place.names("run/model");
    assert!(model.contains(&"shared.safetensors".to_string()), "{model:?}");
    assert!(
        !model.contains(&"model.safetensors".to_string()),
        "no other program may take it for a plain encoder"
    );
    has(&place.read("run/CARD.md"), &["mmoe", "sentence-transformers cannot load", "--task TASK"]);
    assert_eq!(place.json("run/model/sharing.json")["choice"]["experts"], 2);

    place.write("texts.jsonl", "{\"text\": \"the cat\"}\n{\"text\": \"a dog runs\"}\n");
    let embed = ["embed", "--model", "run/model", "--input", "texts.jsonl"];
    has(&place.polytask(&embed).refused(), &["mmoe", "topic, sts, names", "--task"]);
    has(&place.polytask(&[&embed[..], &["--task", "topics"]].concat()).refused(), &["`topics`", "topic"]);
    let vectors = |task: &str| place.polytask(&[&embed[..], &["--task", task]].concat()).lines();
    let (topic, sts) = (vectors("topic"), vectors("sts"));
    assert_eq!((topic.len(), topic[0]["embedding"].as_array().map(Vec::len)), (2, Some(32)));
    assert_ne!(topic, sts);
    let label =
        place.polytask(&["predict", "--model", "run/model", "--task", "topic", "--text", "the cat"]).object();
    assert!(label["label"].is_string(), "{label}");

    let eval = place.polytask(&["eval", "run/suite.toml", "--model", "run/model", "--json"]).object();
    let score = |report: &Value, i: usize| report["tasks"][i]["joint"][0]["interval"]["value"].clone();
    let report = place.json("run/report.json");
    (0..3).for_each(|i| assert_eq!(score(&eval, i), score(&report, i)));
}

#[test]
fn an_architecture_that_does_not_fit_is_refused_before_anything_is_written() {
    let place = with_suite("baselines = false");
    let attempt = |sharing: &str| {
        let set = format!("model.sharing={sharing}");
        place.polytask(&["train", "suite.toml", "--out", "run", "--set", &set]).refused()
    };
    has(&attempt("mmo"), &["unknown sharing `mmo`", "mmoe"]);
    has(&attempt("{name=\"mtan\",at=\"layer.7\"}"), &["`layer.7`", "no block of the encoder"]);
    has(&attempt("{name=\"cgc\",at=\"layer.0\",levels=2}"), &["`levels`", "1 blocks lie above"]);
    assert!(!place.path("run").exists());
}
