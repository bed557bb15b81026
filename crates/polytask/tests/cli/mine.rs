//! `mine`: hard negatives, written piece by piece.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Place, has, trained};

/// Four passages about engines and one about soup; two queries, the second of which stands in the corpus.
fn place() -> Place {
    let place = Place::new();
    let corpus = [
        ("p0", "the engine needs oil"),
        ("p1", "oil for the old engine of a boat"),
        ("p2", "an engine without oil stops"),
        ("p3", "soup with leek"),
        ("p4", "who repairs an engine"),
    ];
    let lines: String =
        corpus.iter().map(|(id, text)| json!({"_id": id, "text": text}).to_string() + "\n").collect();
    place.write("corpus.jsonl", lines);
    place.write("queries.jsonl", "{\"_id\":\"q0\",\"text\":\"engine oil\"}\n{\"_id\":\"q1\",\"text\":\"who repairs an engine\"}\n{\"_id\":\"q2\",\"text\":\"unjudged\"}\n");
    place.write("qrels.tsv", "query-id\tcorpus-id\tscore\nq0\tp0\t1\nq1\tp2\t1\nq1\tnone\t1\n");
    place
}

const JUDGED: [&str; 7] =
    ["mine", "--queries", "queries.jsonl", "--corpus", "corpus.jsonl", "--qrels", "qrels.tsv"];

fn rows(place: &Place, name: &str) -> Vec<Value> {
    place.read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn negatives_share_words_and_are_no_answer_nor_the_query_itself() {
    let place = place();
    let ran = place.polytask(&[&JUDGED[..], &["--output", "out.jsonl", "--skip", "0", "-n", "2"]].concat());
    has(&ran.err, &["1 judgements name passages", "1 queries have no positive"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let rows = rows(&place, "out.jsonl");
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["query"], "engine oil");
    assert_eq!(rows[0]["positives"], json!(["the engine needs oil"]));
    assert_eq!(rows[0]["negatives"].as_array().unwrap().len(), 2);
    let of_second = rows[1]["negatives"].as_array().unwrap();
    assert!(
        of_second.iter().all(|text| text != "who repairs an engine" && text != "an engine without oil stops")
    );
    assert_eq!(place.names(".").iter().filter(|name| name.contains("progress")).count(), 0);
}

#[test]
fn pairs_alone_are_a_corpus_and_lines_have_the_shapes_people_train_on() {
    let place = Place::new();
    let pairs = "question,answer\noil for engines,the engine needs oil\noil for boats,the boat needs oil\nsoup,leek and oil\n";
    place.write("pairs.csv", pairs);
    let mine = |shape: &str, out: &str| {
        let args =
            ["mine", "--pairs", "pairs.csv", "--columns", "query=question,positive=answer", "--shape", shape];
        place.polytask(&[&args[..], &["--skip", "0", "-n", "1", "--output", out]].concat()).done();
        rows(&place, out)
    };
    let triplet = &mine("triplet", "triplet.jsonl")[0];
    assert_eq!(
        (&triplet["anchor"], &triplet["positive"]),
        (&json!("oil for engines"), &json!("the engine needs oil"))
    );
    assert!(triplet["negative"].is_string(), "{triplet}");
    assert!(mine("n-tuple", "tuple.jsonl")[1]["negative_1"].is_string());
    // A task reads what was mined.
    mine("rows", "search/train.jsonl");
    mine("rows", "search/valid.jsonl");
    place.write(
        "suite.toml",
        "[model]\nencoder = \"tiny\"\n[[task]]\nname = \"search\"\nkind = \"retrieval\"\ndata = \"search\"\n",
    );
    let out = place.polytask(&["data", "suite.toml"]).done();
    has(&out, &["search"]);
}

#[test]
fn a_model_ranks_by_cosine_and_its_limits_keep_near_answers_out() {
    let place = trained();
    place.write("mined/pairs.jsonl", "{\"query\":\"the cat sees a bird\",\"positive\":[\"the cat sees a bird today\",\"a cat\"]}\n{\"query\":\"who keeps a horse\",\"positive\":\"a horse\"}\n");
    let mine = |more: &[&str], out: &str| {
        let args = [
            "mine",
            "--pairs",
            "mined/pairs.jsonl",
            "--model",
            "run/model",
            "--by",
            "model",
            "--skip",
            "0",
            "-n",
            "1",
        ];
        place.polytask(&[&args[..], more, &["--output", out, "--json"]].concat()).object()
    };
    let open = mine(&["--share", "0"], "mined/open.jsonl");
    assert_eq!((&open["queries"], &open["negatives"], &open["guarded"]), (&json!(2), &json!(2), &json!(0)));
    let closed = mine(&["--share", "0", "--margin", "2"], "mined/closed.jsonl");
    assert_eq!((&closed["negatives"], &closed["short"]), (&json!(0), &json!(2)), "{closed}");
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_file() {
    let place = Place::new();
    let pairs: String = (0..60_000)
        .map(|i| json!({"query": format!("word{} of {}", i % 97, i), "positive": format!("text{} word{}", i, i % 97)}).to_string() + "\n")
        .collect();
    place.write("pairs.jsonl", pairs);
    let args = ["mine", "--pairs", "pairs.jsonl", "--output"];
    place.polytask(&[&args[..], &["whole.jsonl"]].concat()).done();
    let mut child = place
        .command(env!("CARGO_BIN_EXE_polytask"), &[&args[..], &["cut.jsonl"]].concat())
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let note = place.path("cut.jsonl.progress");
    let done = || {
        let note: Option<Value> =
            std::fs::read(&note).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        note.and_then(|note| note["queries"].as_u64()).unwrap_or(0)
    };
    while done() == 0 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(note.exists(), "60,000 queries are not done before the first thousand is seen");
    {
        let bytes = std::fs::read(&note).unwrap();
        std::fs::write(&note, "{").unwrap();
        let args = [&args[..], &["cut.jsonl", "--resume"]].concat();
        has(&place.polytask(&args).refused(), &["cut.jsonl.progress", "not what a run writes"]);
        std::fs::write(&note, bytes).unwrap();
        let whole = std::fs::read(place.path("cut.jsonl")).unwrap();
        std::fs::write(place.path("cut.jsonl"), &whole[..10]).unwrap();
        has(&place.polytask(&args).refused(), &["has 10 bytes"]);
        std::fs::write(place.path("cut.jsonl"), whole).unwrap();
    }
    {
        let refused = place.polytask(&[&args[..], &["cut.jsonl"]].concat()).refused();
        has(&refused, &["interrupted run", "--resume"]);
        let other = place.polytask(&[&args[..], &["cut.jsonl", "--resume", "-n", "2"]].concat()).refused();
        has(&other, &["other data or settings"]);
        let found = place.polytask(&[&args[..], &["cut.jsonl", "--resume", "--json"]].concat()).object();
        assert_eq!(found["queries"], 60_000, "of the whole file, not of what was left");
    }
    assert_eq!(place.read("cut.jsonl"), place.read("whole.jsonl"));
    let refused = place.polytask(&[&args[..], &["cut.jsonl", "--resume"]].concat()).refused();
    has(&refused, &["is whole", "leave out --resume"]);
    let refused = place.polytask(&[&args[..], &["cut.jsonl"]].concat()).refused();
    has(&refused, &["exists"]);
}

#[test]
fn a_beir_folder_is_mined_as_its_files_are() {
    let place = place();
    place.polytask(&[&JUDGED[..], &["--output", "files.jsonl"]].concat()).done();
    for (from, to) in [
        ("corpus.jsonl", "set/corpus.jsonl"),
        ("queries.jsonl", "set/queries.jsonl"),
        ("qrels.tsv", "set/qrels/train.tsv"),
    ] {
        place.write(to, place.read(from));
    }
    place.polytask(&["mine", "--beir", "set", "--output", "folder.jsonl"]).done();
    assert_eq!(place.read("folder.jsonl"), place.read("files.jsonl"));
    assert!(!rows(&place, "folder.jsonl").is_empty());
    let refused =
        |folder: &str| place.polytask(&["mine", "--beir", folder, "--output", "no.jsonl"]).refused();
    has(&refused("set/qrels"), &["set/qrels is no BEIR folder", "corpus.jsonl"]);
    has(&refused("nowhere"), &["nowhere is no BEIR folder", "no such folder"]);
    std::fs::rename(place.path("set/qrels/train.tsv"), place.path("set/qrels/test.tsv")).unwrap();
    has(&refused("set"), &["set has no qrels/train.tsv", "--qrels"]);
}

#[test]
fn what_cannot_be_mined_is_told() {
    let place = place();
    let refused = |args: &[&str]| place.polytask(args).refused();
    let judged = |more: &[&str]| refused(&[&JUDGED[..], &["--output", "no.jsonl"], more].concat());
    has(&judged(&["--by", "model"]), &["without a model", "--model"]);
    has(&judged(&["--share", "1.5"]), &["--share is 1.5"]);
    has(&judged(&["--share", "0.5"]), &["--share is of a model's cosines"]);
    has(&judged(&["--margin=-1"]), &["--margin is -1"]);
    has(&judged(&["--skip", "60"]), &["passes over all 50 ranks"]);
    has(&judged(&["--columns", "passage=text"]), &["unknown role `passage`"]);
    place.write("none.tsv", "q0\tp9\t1\n");
    let args = ["mine", "--queries", "queries.jsonl", "--corpus", "corpus.jsonl", "--qrels", "none.tsv"];
    has(&refused(&[&args[..], &["--output", "no.jsonl"]].concat()), &["no query with a positive"]);
    place.write("wrong.jsonl", "{\"query\":\"a\"}\n");
    has(
        &refused(&["mine", "--pairs", "wrong.jsonl", "--output", "no.jsonl"]),
        &["wrong.jsonl:1", "positives"],
    );
    assert!(!place.path("no.jsonl").exists());
}
