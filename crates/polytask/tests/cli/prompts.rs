//! Prompts of tasks: what stands before texts in training stands before them in eval, search and predict.

use serde_json::Value;

use crate::support::{Place, files, has};

const SUITE: &str = r#"
[model]
encoder = "tiny"
[train]
steps = 3
lr = 1e-3
baselines = ["probe"]
[[nodes]]
name = "job"
file = "jobs.tsv"
text = "{title}"
[[task]]
name = "find"
kind = "ranking"
left = "query"
right = "job"
files = { train = "find.tsv", valid = "find.tsv" }
columns = { right = "codes" }
prompts = { left = "seek: ", right = "job: " }
[[task]]
name = "alike"
kind = "similarity"
files = { train = "alike.tsv", valid = "alike.tsv" }
prompts = { a = "is: ", b = "is: " }
"#;

/// Jobs, titles that name some, and pairs with scores; `before` stands before queries, jobs and texts of pairs.
fn place(suite: &str, before: [&str; 3]) -> Place {
    let ([query, job, pair], place) = (before, Place::new());
    place.write(
        "jobs.tsv",
        format!("code\ttitle\n1\t{job}a cook\n2\t{job}pilot\n3\t{job}mason\n4\t{job}cook\n"),
    );
    let find = format!("query\tcodes\n{query}soup maker\t1|4\n{query}flyer\t2\n{query}wall builder\t3\n");
    place.write("find.tsv", find);
    let rows = [("a cook", "a chef", 0.9), ("a wall", "a plane", 0.1), ("soup", "cook", 0.6)];
    let rows: String = rows.iter().map(|(a, b, score)| format!("{pair}{a}\t{pair}{b}\t{score}\n")).collect();
    place.write("alike.tsv", format!("a\tb\tscore\n{rows}"));
    place.write("suite.toml", suite);
    place.polytask(&["train", "suite.toml", "--out", "run", "-q"]).done();
    place
}

fn prompted() -> Place {
    place(SUITE, [""; 3])
}

/// What the task's rows got, as `eval` wrote it.
fn predictions(place: &Place, suite: &str, task: &str) -> Value {
    place.polytask(&["eval", suite, "-m", "run", "--predictions", "said", "--json"]).object();
    place.json(&format!("said/{task}.json"))["predictions"].clone()
}

fn weights(place: &Place) -> Vec<u8> {
    let all = files(&place.path("run/model"));
    all.into_iter().find(|(name, _)| name == "model.safetensors").unwrap().1
}

fn numbers<'a>(values: impl IntoIterator<Item = &'a Value>) -> Vec<f64> {
    values.into_iter().map(|value| value.as_f64().unwrap()).collect()
}

fn near(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
}

fn without_prompts() -> String {
    SUITE.lines().filter(|line| !line.starts_with("prompts")).collect::<Vec<_>>().join("\n")
}

#[test]
fn prompts_train_as_texts_with_the_words_written_into_them() {
    let (by_suite, by_hand) = (prompted(), place(&without_prompts(), ["seek: ", "job: ", "is: "]));
    assert_eq!(weights(&by_suite), weights(&by_hand));
    assert_ne!(weights(&by_suite), weights(&place(&without_prompts(), [""; 3])));
}

#[test]
fn eval_search_and_predict_read_as_training_did() {
    let place = prompted();
    place.write("bare.toml", without_prompts());
    let ranked = predictions(&place, "suite.toml", "find");
    assert_eq!(predictions(&place, "bare.toml", "find"), ranked, "the model knows its prompts");
    place.write("queries.txt", "soup maker\nflyer\nwall builder\n");
    let files = ["--targets", "jobs.tsv", "--columns", "text=title,id=code", "-i", "queries.txt"];
    let found = place.polytask(&[&["search", "-m", "run"][..], &files].concat()).lines();
    let rankings = ranked["Rankings"]["rankings"].as_array().unwrap();
    assert_eq!(found.len(), rankings.len());
    for (found, ranking) in found.iter().zip(rankings) {
        let hits = found["hits"].as_array().unwrap().iter().map(|hit| &hit["score"]);
        let expected = ranking["retrieved"].as_array().unwrap().iter().map(|hit| &hit[1]);
        assert!(near(&numbers(hits), &numbers(expected)), "{found} {ranking}");
    }
    let built = [
        "index",
        "build",
        "run",
        "jobs.tsv",
        "--columns",
        "text=title,id=code",
        "--by",
        "whole",
        "--out",
        "i",
    ];
    place.polytask(&built).done();
    let hits = place.polytask(&["search", "i", "--mode", "dense", "--exact", "-i", "queries.txt"]).lines();
    for (hits, found) in hits.iter().zip(&found) {
        let ids = |of: &Value| {
            of["hits"].as_array().unwrap().iter().map(|hit| hit["id"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(ids(hits), ids(found), "an index reads as `search` does");
    }
    let said = place.polytask(&["predict", "-m", "run", "--task", "alike", "-i", "alike.tsv"]).lines();
    let expected = predictions(&place, "bare.toml", "alike")["Numbers"]["predicted"].clone();
    assert!(near(&numbers(said.iter().map(|line| &line["score"])), &numbers(expected.as_array().unwrap())));
}

#[test]
fn the_folder_names_prompts_as_sentence_transformers_does() {
    let place = prompted();
    let named = place.json("run/model/config_sentence_transformers.json")["prompts"].clone();
    for (name, text) in
        [("query", "seek: "), ("document", "job: "), ("find-query", "seek: "), ("find-document", "job: ")]
    {
        assert_eq!(named[name], text, "{named}");
    }
    assert_eq!(named["alike"], "is: ");
    let embed = |more: &[&str]| {
        place.polytask_reading("{\"text\":\"pilot\"}\n", &[&["embed", "-m", "run", "-i", "-"], more].concat())
    };
    assert_ne!(embed(&["--prompt", "document"]).lines(), embed(&[]).lines());
}

/// Training with these prompts of pairs is refused before it begins.
fn refuses_without_room(prompts: &str) {
    let place = prompted();
    place.write("long.toml", SUITE.replace("prompts = { a = \"is: \", b = \"is: \" }", prompts));
    let refused = place.polytask(&["train", "long.toml", "--out", "long"]).refused();
    has(&refused, &["the prompt of `a` in source `alike` fills all", "max_length"]);
}

#[test]
fn a_prompt_for_texts_there_are_none_of_is_refused() {
    let refused = |prompts: &str, more: &str| {
        let place = prompted();
        let text = SUITE.replace("prompts = { a = \"is: \", b = \"is: \" }", prompts);
        place.write("wrong.toml", text + more);
        place.polytask(&["check", "wrong.toml"]).refused()
    };
    has(
        &refused("prompts = { quary = \"x\" }", ""),
        &["unknown role `quary` in prompts of task `alike`", "`a`"],
    );
    has(&refused("prompts = { a = 3 }", ""), &["`prompts` in task `alike`", "roles"]);
    let long = format!("prompts = {{ a = {:?}, b = \"\" }}", "word ".repeat(200));
    refuses_without_room(&long);
    let shared = "[[source]]\nname = \"rows\"\nfiles = { train = \"alike.tsv\" }\nprompts = { a = \"x\" }\n\
                  [[task]]\nname = \"one\"\nkind = \"similarity\"\nfrom = \"rows\"\n\
                  [[task]]\nname = \"two\"\nkind = \"regression\"\nfrom = \"rows\"\ncolumns = { value = \"score\" }\n";
    has(&refused("", shared), &["whose tasks call its texts", "`a`, `b`", "`text`"]);
    let tags = "[[task]]\nname = \"tags\"\nkind = \"tagging\"\nfiles = { train = \"find.tsv\" }\nprompts = { text = \"x\" }\n";
    has(&refused("", tags), &["`prompts` in task `tags`", "reads no running text"]);
}
