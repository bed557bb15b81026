//! `eval`: a saved model's scores are those its run reported.

use serde_json::Value;

use crate::support::{Place, copied_model, has, suite, trained, with_suite, write_data};

const EVAL: [&str; 4] = ["eval", "suite.toml", "--model", "run/model"];

#[test]
fn scores_equal_those_of_the_run() {
    let place = trained();
    let report = place.polytask(&[&EVAL[..], &["--json"]].concat()).object();
    let of_run = place.json("run/report.json");
    for (found, expected) in
        report["tasks"].as_array().unwrap().iter().zip(of_run["tasks"].as_array().unwrap())
    {
        assert_eq!((&found["task"], &found["joint"]), (&expected["task"], &expected["joint"]));
    }
    has(&place.polytask(&EVAL).done(), &["topic", "find"]);
}

#[test]
fn against_itself_no_task_differs() {
    let place = trained();
    let report = place.polytask(&[&EVAL[..], &["--against", "run/model", "--json"]].concat()).object();
    for task in report["tasks"].as_array().unwrap() {
        let delta = &task["delta"];
        assert_eq!([&delta["value"], &delta["low"], &delta["high"]], [&Value::from(0.0); 3], "{task}");
        assert_eq!(task["regressed"], false);
    }
}

#[test]
fn each_of_two_models_reads_texts_behind_its_own_prompt() {
    let (run, place) = (trained(), copied_model());
    let name = "model/config_sentence_transformers.json";
    let mut config = place.json(name);
    config["prompts"] = serde_json::json!({ "ask": "zzz zzz zzz zzz: " });
    config["default_prompt_name"] = "ask".into();
    place.write(name, config.to_string());
    let prompted = place.path("model").display().to_string();
    let alone = run.polytask(&["eval", "suite.toml", "--model", &prompted, "--json"]).object();
    let both = run.polytask(&[&EVAL[..], &["--against", &prompted, "--json"]].concat()).object();
    let scores = |report: &Value, of: &str| -> Vec<Value> {
        let tasks = report["tasks"].as_array().unwrap().iter();
        tasks.flat_map(|task| task[of].as_array().unwrap()).map(|score| score["value"].clone()).collect()
    };
    assert_eq!(scores(&both, "single"), scores(&alone, "joint"));
    assert_ne!(scores(&both, "single"), scores(&both, "joint"), "the prompt changes no score");
}

#[test]
fn test_rows_alone_are_enough_for_a_model_that_is_there() {
    let place = copied_model();
    write_data(&place);
    let kinds = [("topic", "class"), ("length", "regression"), ("names", "tagging"), ("find", "retrieval")];
    place.write("suite.toml", suite(&kinds, ""));
    let eval = ["eval", "suite.toml", "--model", "model", "--json"];
    let before = place.polytask(&eval).object();
    for (task, ending) in [("topic", "csv"), ("length", "csv"), ("names", "jsonl")] {
        for split in ["train", "valid"] {
            std::fs::remove_file(place.path(&format!("data/{task}/{split}.{ending}"))).unwrap();
        }
    }
    let after = place.polytask(&eval).object();
    for (before, after) in before["tasks"].as_array().unwrap().iter().zip(after["tasks"].as_array().unwrap())
    {
        assert_eq!((&before["joint"], &before["split"]), (&after["joint"], &after["split"]));
    }
    has(
        &place.polytask(&["check", "suite.toml"]).refused(),
        &["`topic` has no train file", "`names` has no train"],
    );
    place.write("data/length/test.csv", "text,value\na,\"[1, 2]\"\n");
    has(&place.polytask(&eval).refused(), &["task `length` has 2 numbers per row, expected 1"]);
    std::fs::remove_file(place.path("data/topic/test.csv")).unwrap();
    has(&place.polytask(&eval).refused(), &["`topic`", "no train file"]);
}

#[test]
fn valid_is_scored_on_request_and_results_are_written_in_the_benchmark_shape() {
    let place = trained();
    let report =
        place.polytask(&[&EVAL[..], &["--split", "valid", "--json", "--mteb", "results"]].concat()).object();
    assert_eq!(report["tasks"][0]["split"], "valid");
    assert!(!crate::support::files(&place.path("results")).is_empty());
}

#[test]
fn a_model_without_the_suites_tasks_is_refused() {
    let place = trained();
    place.write(
        "other.toml",
        suite(&[("topic", "class")], "").replace("name = \"topic\"", "name = \"other\""),
    );
    let error = place.polytask(&["eval", "other.toml", "--model", "run/model"]).refused();
    has(&error, &["`other`", "topic"]);
    place.write(
        "kind.toml",
        suite(&[("length", "regression")], "")
            .replace("regression", "class")
            .replace("data = \"data/length\"", "data = \"data/length\"\ncolumns = { label = \"value\" }"),
    );
    has(
        &place.polytask(&["eval", "kind.toml", "--model", "run/model"]).refused(),
        &["`length`", "regression", "class"],
    );
}

#[test]
fn a_task_that_compares_texts_can_be_asked_of_any_model() {
    let place = trained();
    let text = suite(&[("sts", "similarity")], "");
    let set = ["--json", "--split", "valid"];
    place.write("new.toml", text.replace("name = \"sts\"", "name = \"new\""));
    let known = place.polytask(&[&["eval", "suite.toml", "--model", "run"][..], &set].concat()).object();
    let new = place.polytask(&[&["eval", "new.toml", "--model", "run"][..], &set].concat()).object();
    let known = known["tasks"].as_array().unwrap().iter().find(|task| task["task"] == "sts").unwrap();
    assert_eq!(new["tasks"][0]["joint"], known["joint"]);
}

#[test]
fn a_model_that_is_nowhere_is_refused_without_asking_the_network() {
    let place = trained();
    let error = place.polytask(&["eval", "suite.toml", "--model", "rnu"]).refused();
    has(&error, &["`rnu` is neither a folder here nor an encoder that was pulled", "polytask pull"]);
}

#[test]
fn a_new_task_cannot_be_asked_of_a_model_with_a_view_per_task() {
    let place = with_suite("");
    let sharing = ["--set", "model.sharing=mmoe"];
    place.polytask(&[&["train", "suite.toml", "--out", "shared", "-q"][..], &sharing].concat()).done();
    place.write("new.toml", suite(&[("sts", "similarity")], "").replace("name = \"sts\"", "name = \"new\""));
    has(&place.polytask(&["eval", "new.toml", "--model", "shared"]).refused(), &["no task `new`"]);
}

#[test]
fn how_vectors_lie_is_shown_of_both_models() {
    let place = trained();
    let args =
        ["eval", "suite.toml", "-m", "run", "--against", "run", "--names", "a,b", "--geometry", "--json"];
    let report = place.polytask(&args).object();
    let tasks = report["geometry"].as_array().unwrap();
    let sts = tasks.iter().find(|task| task["task"] == "sts").unwrap();
    assert_eq!(sts["sides"][0], sts["sides"][1]);
    let side = &sts["sides"][0];
    assert!((-1.0..=1.0).contains(&side["mean_cosine"].as_f64().unwrap()));
    assert!(side["alignment"].as_f64().unwrap() >= 0.0 && side["effective_rank"].as_f64().unwrap() >= 1.0);
    has(&place.polytask(&args[..args.len() - 1]).done(), &["mean cosine", "uniformity", "alignment"]);
}

#[test]
fn a_worse_model_ends_with_exit_code_1() {
    let place = Place::new();
    write_data(&place);
    let text = suite(&[("topic", "class")], "").replace("margin = 100", "margin = 0");
    place.write("suite.toml", &text);
    let long = ["--set", "train.steps=60", "--set", "train.lr=3e-3"];
    place.polytask(&[&["train", "suite.toml", "--out", "good"][..], &long].concat()).done();
    let little = ["--set", "train.steps=1", "--set", "train.lr=1e-9"];
    place.polytask(&[&["train", "suite.toml", "--out", "run"][..], &little].concat()).done();
    let ran = place.polytask(&[&EVAL[..], &["--against", "good/model"]].concat());
    assert_eq!(ran.code, 1, "{ran:?}");
    has(&ran.out, &["regressed"]);
}

#[test]
fn a_split_that_is_not_there_is_told() {
    let place = with_suite("baselines = false");
    std::fs::remove_file(place.path("data/sts/test.tsv")).unwrap();
    let ran = place.polytask(&["train", "suite.toml", "--out", "run"]);
    has(&ran.err, &["no test split"]);
    ran.done();
    let ran = place.polytask(&EVAL);
    has(&(ran.out.clone() + &ran.err), &["sts", "no test split"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn numbers_come_out_in_the_units_the_model_was_trained_with_whatever_train_holds_now() {
    let place = Place::new();
    write_data(&place);
    place.write("suite.toml", suite(&[("length", "regression"), ("sts", "similarity")], "baselines = false"));
    place.polytask(&["train", "suite.toml", "--out", "run"]).done();
    let of_run = place.json("run/report.json");
    for line in ["data/length/train.csv", "data/sts/train.tsv"] {
        let text = place.read(line);
        // A thousandfold: a number at the end of each line gets three zeros.
        let scaled: Vec<String> = text.lines().map(|line| line.to_owned() + "000").collect();
        let (header, rows) = scaled.split_first().unwrap();
        place.write(line, format!("{}\n{}\n", header.trim_end_matches("000"), rows.join("\n")));
    }
    let report = place.polytask(&[&EVAL[..], &["--json"]].concat()).object();
    for (found, expected) in
        report["tasks"].as_array().unwrap().iter().zip(of_run["tasks"].as_array().unwrap())
    {
        assert_eq!((&found["task"], &found["joint"]), (&expected["task"], &expected["joint"]));
    }
}

#[test]
fn without_a_test_split_valid_is_scored_and_said_and_nothing_to_score_is_refused() {
    let place = with_suite("baselines = false");
    for file in ["data/sts/test.tsv", "data/topic/test.csv", "data/names/test.jsonl"] {
        std::fs::remove_file(place.path(file)).unwrap();
    }
    place.polytask(&["train", "suite.toml", "--out", "run"]).done();
    let ran = place.polytask(&["eval", "suite.toml", "--model", "run"]);
    has(&ran.err, &["no test split", "`sts`", "scores are of valid"]);
    has(&ran.done(), &["topic", "sts", "names"]);
    let report = place.polytask(&["eval", "suite.toml", "--model", "run", "--json"]).object();
    assert!(report["tasks"].as_array().unwrap().iter().all(|task| task["split"] == "valid"), "{report}");
    let error = place.polytask(&["eval", "suite.toml", "--model", "run", "--split", "test"]).refused();
    has(&error, &["no task has a known target in test", "topic", "--split"]);
}

#[test]
fn two_models_are_called_by_their_names() {
    let place = trained();
    for copy in ["spring", "autumn"] {
        crate::support::copy(&place.path("run"), &place.path(copy));
    }
    let eval = |more: &[&str]| place.polytask(&[&["eval", "suite.toml", "--model", "spring"], more].concat());
    let table = eval(&["--against", "autumn/model"]).done();
    has(&table, &["spring", "autumn", "Delta: spring minus autumn"]);
    let named = eval(&["--against", "autumn", "--names", "new,old"]).done();
    has(&named, &["new", "old", "Delta: new minus old"]);
    let alone = eval(&[]).done();
    has(&alone, &["spring: 7 tasks scored"]);
    for out in [&table, &named, &alone] {
        assert!(!out.contains("joint") && !out.contains("single"), "{out}");
    }
    assert!(!alone.contains("baseline") && !alone.contains("delta"), "{alone}");
    let report = eval(&["--against", "autumn", "--json"]).object();
    assert_eq!(report["sides"], serde_json::json!(["spring", "autumn"]));
    let itself = eval(&["--against", "spring/model"]).done();
    has(&itself, &["spring/model"]);
    for wrong in ["one", "a,a", "a,b,c", "a,"] {
        has(&eval(&["--against", "autumn", "--names", wrong]).refused(), &["--names", "two names"]);
    }
    has(&eval(&["--columns", "text=nowhere"]).refused(), &["nowhere"]);
    has(&eval(&["--columns", "txt=text"]).refused(), &["unknown role `txt`", "text"]);
}
