//! `predict`: every kind from arguments and lines.

use serde_json::Value;

use crate::support::{Place, Ran, has, suite, trained};

fn predict(args: &[&str]) -> Ran {
    trained().polytask(&[&["predict", "--model", "run/model"], args].concat())
}

#[test]
fn list_shows_every_task_with_its_inputs_and_labels() {
    let lines = predict(&["--list"]).lines();
    assert_eq!(lines.len(), 7);
    let of = |name: &str| lines.iter().find(|line| line["task"] == name).unwrap();
    assert_eq!(of("topic")["labels"], serde_json::json!(["animal", "tool"]));
    assert_eq!(of("pairs")["inputs"], serde_json::json!(["a", "b"]));
    assert_eq!(of("find")["kind"], "retrieval");
}

#[test]
fn every_kind_predicts_in_its_own_shape() {
    let one = |task: &str, texts: &[&str]| {
        let mut args = vec!["--task", task];
        texts.iter().for_each(|text| args.extend(["--text", text]));
        predict(&args).object()
    };
    let topic = one("topic", &["the cat sees a dog"]);
    assert!(["animal", "tool"].contains(&topic["label"].as_str().unwrap()), "{topic}");
    assert!((0.5..=1.0).contains(&topic["score"].as_f64().unwrap()));
    assert!(["no", "yes"].contains(&one("pairs", &["a cat", "a dog"])["label"].as_str().unwrap()));
    let sts = one("sts", &["a cat", "a cat"]);
    assert!((sts["cosine"].as_f64().unwrap() - 1.0).abs() < 1e-5, "{sts}");
    assert!((sts["score"].as_f64().unwrap() - 5.0).abs() < 1e-3, "on the scale of the data: {sts}");
    assert!(one("length", &["a cat"])["value"].is_f64());
    let marks = one("marks", &["a cat"]);
    let scores = marks["scores"].as_object().unwrap();
    assert_eq!(scores.keys().collect::<Vec<_>>(), ["animal", "odd0", "odd1", "odd2", "tool"]);
    let chosen: Vec<&String> =
        scores.iter().filter(|(_, s)| s.as_f64().unwrap() >= 0.5).map(|s| s.0).collect();
    assert_eq!(marks["labels"], serde_json::json!(chosen), "{marks}");
    let scores = topic["scores"].as_object().unwrap();
    assert_eq!(scores[topic["label"].as_str().unwrap()], topic["score"], "{topic}");
    assert!((scores.values().map(|s| s.as_f64().unwrap()).sum::<f64>() - 1.0).abs() < 1e-5, "{topic}");
    let names = one("names", &["the cat runs"]);
    assert_eq!(names["tags"].as_array().unwrap().len(), 3, "{names}");
}

#[test]
fn without_a_task_all_that_fit_answer() {
    let single = predict(&["--text", "the cat"]).object();
    let names: Vec<&String> = single.as_object().unwrap().keys().collect();
    assert_eq!(names, ["length", "marks", "names", "topic"]);
    let pair = predict(&["--text", "the cat", "--text", "the dog"]).object();
    assert_eq!(pair.as_object().unwrap().keys().collect::<Vec<_>>(), ["pairs", "sts"]);
    let error = predict(&["--text", "a", "--text", "b", "--text", "c"]).refused();
    has(&error, &["3 texts", "--list"]);
}

#[test]
fn several_tasks_answer_by_name_as_each_does_alone() {
    let both = predict(&["--task", "topic,names", "--text", "the cat runs"]).object();
    let repeated = predict(&["-t", "topic", "-t", "names", "--text", "the cat runs"]).object();
    assert_eq!(both, repeated);
    for task in ["topic", "names"] {
        assert_eq!(both[task], predict(&["--task", task, "--text", "the cat runs"]).object());
    }
    let mixed = predict(&["--task", "topic,pairs", "--text", "the cat"]).refused();
    has(&mixed, &["`pairs` reads 2 texts", "found 1"]);
    let prompted = predict(&["--task", "topic", "--prompt", "query", "--text", "a"]).refused();
    has(&prompted, &["no prompt `query`"]);
}

#[test]
fn words_with_blanks_inside_stay_words() {
    let row = predict_row(r#"{"tokens": ["New York", "", "38\u00a0000"]}"#, &["--task", "names"]);
    assert_eq!(row["words"], serde_json::json!(["New York", "", "38\u{a0}000"]));
    assert_eq!(row["tags"].as_array().unwrap().len(), 3);
}

#[test]
fn rows_without_a_text_are_told() {
    let place = trained();
    place.write("gaps.csv", "id,text\n1,the cat\n2,\n3,\n");
    let ran = predict(&["--task", "topic", "--input", "gaps.csv"]);
    has(&ran.err, &["2 rows without a text", "gaps.csv:3", "empty text"]);
    assert_eq!(ran.lines().len(), 3);
    let embedded = place.polytask(&["embed", "-m", "run/model", "-i", "gaps.csv"]);
    has(&embedded.err, &["2 rows without a text", "gaps.csv:3"]);
}

#[test]
fn wrong_arguments_are_explained() {
    has(&predict(&["--task", "topic", "--text", "a", "--text", "b"]).refused(), &["1 text", "found 2"]);
    has(&predict(&["--task", "pairs", "--text", "a"]).refused(), &["2 texts", "a, b", "found 1"]);
    has(&predict(&["--task", "topik", "--text", "a"]).refused(), &["`topik`", "topic", "--list"]);
    has(&predict(&["--task", "find", "--text", "a"]).refused(), &["find", "polytask search"]);
    has(&predict(&[]).refused(), &["--text", "--input"]);
    has(&predict(&["--task", "topic"]).refused(), &["--text", "--input"]);
}

/// The tasks that answered each line.
fn answered(lines: &[Value]) -> Vec<Vec<&String>> {
    lines.iter().map(|line| line.as_object().unwrap().keys().collect()).collect()
}

#[test]
fn a_file_without_a_task_is_answered_by_all_tasks_whose_inputs_it_has() {
    let place = trained();
    place.write("all.csv", "id,text\n1,the cat sees a dog\n2,\n");
    let lines = predict(&["--input", "all.csv"]).lines();
    assert_eq!(answered(&lines), [["length", "marks", "names", "topic"]; 2]);
    let alone = predict(&["--task", "topic", "--input", "all.csv"]).lines();
    assert_eq!([&lines[0]["topic"], &lines[1]["topic"]], [&alone[0], &alone[1]]);
    place.write("two.tsv", "a\tb\nthe cat\tthe dog\n");
    assert_eq!(answered(&predict(&["--input", "two.tsv"]).lines()), [["pairs", "sts"]]);
    place.write("other.csv", "message\nthe cat\n");
    has(&predict(&["--input", "other.csv"]).refused(), &["`message`", "--columns text=NAME", "--list"]);
    place.write("nothing.jsonl", "");
    assert_eq!(predict(&["--input", "nothing.jsonl"]).done(), "");
}

#[test]
fn columns_are_named_role_first_as_in_a_suite() {
    let place = trained();
    let texts = ["the cat sees a dog", "the saw takes a drill"];
    let expected: Vec<Value> =
        texts.map(|text| predict(&["--task", "topic", "--text", text]).object()).to_vec();
    let csv = format!("id,message\n1,{}\n2,{}\n", texts[0], texts[1]);
    let json = texts.map(|text| serde_json::json!({ "message": text }).to_string()).join("\n");
    place.write("named.csv", &csv);
    place.write("named.tsv", csv.replace(',', "\t"));
    place.write("named.jsonl", &json);
    let mut gzip = place.command("gzip", &["-k", "-f", "named.csv"]);
    assert!(gzip.status().unwrap().success());
    for file in ["named.csv", "named.tsv", "named.jsonl", "named.csv.gz"] {
        let named = ["--task", "topic", "--input", file, "--columns", "text=message"];
        assert_eq!(predict(&named).lines(), expected, "{file}");
        assert_eq!(predict(&["--input", file, "--columns=text=message"]).lines()[1]["topic"], expected[1]);
        has(&predict(&named[..4]).refused(), &["`text`", "`message`", "--columns"]);
    }
    let columns = |pair: &str| predict(&["-t", "topic", "-i", "named.csv", "--columns", pair]).refused();
    has(&columns("message=text"), &["`message`", "--columns text=message", "role comes first"]);
    has(&columns("a=message"), &["unknown role `a`", "text"]);
    has(&columns("text=nowhere"), &["`nowhere`", "`message`"]);
    let bare = predict(&["-t", "topic", "-i", "named.csv", "--columns", "message"]);
    assert_eq!(bare.code, 2);
    has(&bare.err, &["ROLE=COLUMN"]);
    place.write("synonym.csv", "utterance\nthe cat sees a dog\n");
    assert_eq!(predict(&["-t", "topic", "-i", "synonym.csv"]).lines(), expected[..1]);
}

#[test]
fn the_columns_of_the_suite_are_known_to_the_model_and_folders_without_them_still_load() {
    let place = Place::new();
    let rows = |n: usize| {
        let row =
            |i: usize| format!("the {} number {i},{}\n", ["cat", "saw"][i % 2], ["animal", "tool"][i % 2]);
        "message,what\n".to_owned() + &(0..n).map(row).collect::<String>()
    };
    place.write("mails/train.csv", rows(24));
    place.write("mails/test.csv", rows(8));
    let task = "[[task]]\nname = \"topic\"\nkind = \"class\"\ndata = \"mails\"\n\
                columns = { text = \"message\", label = \"what\" }\n";
    place.write("suite.toml", suite(&[], "baselines = false") + task);
    place.polytask(&["train", "suite.toml", "--out", "run"]).done();
    let predict = || place.polytask(&["predict", "-m", "run", "-t", "topic", "-i", "mails/test.csv"]);
    let lines = predict().lines();
    assert_eq!(lines.len(), 8);
    for verb in ["embed", "search"] {
        let more: &[&str] = if verb == "embed" {
            &["--input"]
        } else {
            &["--query", "the cat", "--columns=text=message", "--corpus"]
        };
        place.polytask(&[&[verb, "-m", "run"], more, &["mails/test.csv"]].concat()).done();
    }
    let mut old = place.json("run/model/polytask.json");
    assert_eq!(old["tasks"][0]["columns"], serde_json::json!({ "text": "message" }));
    old["tasks"][0].as_object_mut().unwrap().remove("columns");
    place.write("run/model/polytask.json", old.to_string());
    has(&predict().refused(), &["`text`", "`message`", "--columns"]);
    let named = ["predict", "-m", "run", "-t", "topic", "-i", "mails/test.csv", "--columns", "text=message"];
    assert_eq!(place.polytask(&named).lines(), lines);
}

#[test]
fn lines_in_lines_out_in_order() {
    let place = trained();
    let text = |text: &str| serde_json::json!({ "text": text }).to_string() + "\n";
    let input = text("the cat sees a dog") + &text("") + &text("the saw takes a drill");
    let ran = place.polytask_reading(&input, &["predict", "-m", "run/model", "-t", "topic", "-i", "-"]);
    let lines = ran.lines();
    assert_eq!(lines.len(), 3);
    let alone = predict(&["--task", "topic", "--text", "the saw takes a drill"]).object();
    assert_eq!(lines[2]["label"], alone["label"]);
    place.write("pairs.tsv", "a\tb\nthe cat\tthe dog\n");
    assert_eq!(predict(&["--task", "pairs", "--input", "pairs.tsv"]).lines().len(), 1);
    place.write("wrong.jsonl", "{\"a\":\"the cat\"}\n");
    has(&predict(&["--task", "pairs", "--input", "wrong.jsonl"]).refused(), &["wrong.jsonl:1", "`b`"]);
}

#[test]
fn words_are_tagged_as_given_whether_as_list_or_as_text() {
    let place = trained();
    let input = "{\"tokens\":[\"the\",\"cat\",\"runs\"]}\n{\"tokens\":\"the cat runs\"}\n";
    let args = ["predict", "-m", "run/model", "-t", "names", "-i", "-"];
    let lines: Vec<Value> = place.polytask_reading(input, &args).lines();
    assert_eq!(lines[0], lines[1]);
    assert_eq!(lines[0]["tags"].as_array().unwrap().len(), 3);
}

#[test]
fn words_are_the_text_of_a_sentence_task_as_they_were_in_training() {
    let words = predict_row(r#"{"tokens": ["the", "cat", "sees", "a", "dog"]}"#, &[]);
    let text = predict(&["--task", "topic", "--text", "the cat sees a dog"]).object();
    assert_eq!(words["topic"], text, "{words}");
    assert!(words["names"]["tags"].is_array(), "{words}");
    let named = predict_row(r#"{"toks": ["the", "cat", "sees", "a", "dog"]}"#, &["--columns", "tokens=toks"]);
    assert_eq!(named["topic"], text, "{named}");
}

/// All tasks on one line of standard input.
fn predict_row(row: &str, args: &[&str]) -> Value {
    let all = [&["predict", "--model", "run/model", "--input", "-"], args].concat();
    trained().polytask_reading(&format!("{row}\n"), &all).object()
}
