//! Suites of tables from files on disk to predictions.

use std::fmt::Write;

use crate::support::{Place, has};

/// Rows of a shop: what a customer does follows from age and country, with ages and targets that are not known.
fn rows(first: usize, n: usize) -> String {
    let mut text = String::from("id,age,country,visits,bought,spent\n");
    for i in first..first + n {
        let (age, visits) = (18 + i * 37 % 60, i * 13 % 29);
        let country = ["de", "fr", "it"][i % 3];
        let bought = if (age > 45) == (country == "it") { "no" } else { "yes" };
        let spent = 2.0 * visits as f64 + if country == "fr" { 30.0 } else { 0.0 };
        let age = if i % 17 == 0 { "unsaid".into() } else { age.to_string() };
        let spent = if i % 5 == 0 { String::new() } else { spent.to_string() };
        let _ = writeln!(text, "{i},{age},{country},{visits},{bought},{spent}");
    }
    text
}

const SUITE: &str = "name = \"shop\"\n[[source]]\nname = \"customers\"\ndata = \"shop\"\nmissing = [\"unsaid\"]\n\
    [[task]]\nname = \"bought\"\nkind = \"table-class\"\nfrom = \"customers\"\ncolumns = { label = \"bought\" }\n\
    [[task]]\nname = \"spent\"\nkind = \"table-regression\"\nfrom = \"customers\"\ncolumns = { value = \"spent\" }\n";

fn shop() -> Place {
    let place = Place::new();
    place.write("shop/train.csv", rows(0, 600));
    place.write("shop/test.csv", rows(600, 200));
    place.write("suite.toml", SUITE);
    place
}

#[test]
fn a_table_trains_one_network_for_all_its_targets_which_then_scores_and_predicts() {
    let place = shop();
    place.polytask(&["check", "suite.toml", "--data"]).done();
    place.polytask(&["train", "suite.toml", "--out", "run"]).done();
    let report = place.json("run/report.json");
    for (task, least) in [(0, 0.9), (1, 0.9)] {
        let value = report["tasks"][task]["joint"][0]["value"].as_f64().unwrap_or(0.0);
        assert!(value > least, "task {task}: {value}\n{report}");
    }
    let config = place.json("run/model/config.json");
    assert_eq!(
        (&config["model_type"], &config["columns"][1]["names"][1]),
        (&"table-mlp".into(), &"fr".into())
    );
    let scored = place.polytask(&["eval", "run/suite.toml", "--model", "run", "--json"]).object();
    for task in 0..2 {
        assert_eq!(scored["tasks"][task]["joint"], report["tasks"][task]["joint"]);
    }
    // Fields come in any order; a country that train lacks, and what is not there, are unknown.
    let line = r#"{"visits": 10, "country": "fr", "age": 30, "more": 1}"#;
    let strange = r#"{"visits": 10, "country": "at", "age": null}"#;
    let asked = format!("{line}\n{strange}\n");
    let answers = place.polytask_reading(&asked, &["predict", "--model", "run", "--input", "-"]).lines();
    assert_eq!((answers.len(), &answers[0]["bought"]["label"]), (2, &"no".into()));
    let spent = answers[0]["spent"]["value"].as_f64().unwrap();
    assert!((spent - 50.0).abs() < 8.0, "{spent}");
    assert!(answers[1]["spent"]["value"].is_number());
    place.write("new.csv", "age,country\n30,fr\nunsaid,it\n");
    let ran = place.polytask(&["predict", "--model", "run", "--task", "bought", "--input", "new.csv"]);
    has(&ran.err, &["`visits`", "unknown"]);
    assert_eq!(ran.lines().len(), 2);
    // A field by another name is given, once and for all tasks; what is not there under it is refused.
    place.write("other.csv", "visits,years,country\n10,30,fr\n11,31,at\n");
    let predict = |args: &[&str]| {
        place.polytask(&[&["predict", "--model", "run", "--input", "other.csv"], args].concat())
    };
    has(&predict(&[]).err, &["reads `age`", "unknown"]);
    let ran = predict(&["--columns", "age=years"]);
    has(&ran.err, &["column `country`: 1 cell with a category"]);
    assert_eq!(ran.lines()[0], answers[0]);
    has(&predict(&["--columns", "age=yaers"]).refused(), &["no column `yaers`", "`years`"]);
    place.write("other.csv", "visits,Age,country\n10,30,fr\n");
    has(&predict(&[]).refused(), &["no column `age`", "`Age`"]);
    place.write("shop/test.csv", place.read("shop/test.csv").replacen(",age,", ",years,", 1));
    let eval = |columns: &str| {
        place.polytask(&["eval", "run/suite.toml", "--model", "run", "--json", "--columns", columns])
    };
    assert_eq!(eval("age=years").object()["tasks"][0]["joint"], report["tasks"][0]["joint"]);
    has(&eval("row=years").refused(), &["unknown role `row`", "age"]);
    let listed = place.polytask(&["predict", "--model", "run", "--list"]).lines();
    assert_eq!(listed[0]["features"], serde_json::json!(["age", "country", "visits"]));
    has(
        &place.read("run/CARD.md"),
        &["pipeline_tag: tabular-classification", "type: tabular-regression", "rows of another kind"],
    );
}

#[test]
fn what_is_asked_of_a_table_and_cannot_be_is_told_with_its_remedy() {
    let place = shop();
    let with = |line: &str| {
        place.write("other.toml", SUITE.replace("missing = [\"unsaid\"]\n", line));
        place.polytask(&["check", "other.toml", "--data"]).refused()
    };
    has(&with(""), &["column `age`", "`unsaid` is none", "missing = [\"unsaid\"]", "categories = [\"age\"]"]);
    has(
        &with("missing = [\"?\"]\nignore = [\"ages\"]\nfeatures = [\"agee\"]\n"),
        &["no column `agee`", "`age`"],
    );
    place.write("other.toml", format!("[model]\nencoder = \"lenet\"\n{SUITE}"));
    has(
        &place.polytask(&["check", "other.toml"]).refused(),
        &["image network `lenet`", "columns of a table"],
    );
    place.write("other.toml", format!("[model]\nmax_length = 9\n{SUITE}"));
    has(&place.polytask(&["check", "other.toml"]).refused(), &["`max_length`", "about texts"]);
    let texts = "[[task]]\nname = \"t\"\nkind = \"class\"\ndata = \"shop\"\nignore = [\"age\"]\n";
    place.write("other.toml", texts);
    has(&place.polytask(&["check", "other.toml"]).refused(), &["`ignore`", "about columns of a table"]);

    place.polytask(&["train", "suite.toml", "--out", "run", "--set", "train.steps=5"]).done();
    let predict = |args: &[&str]| place.polytask(&[&["predict", "--model", "run"], args].concat()).refused();
    has(&predict(&["--text", "30"]), &["reads columns of a table", "--input FILE"]);
    place.write("odd.jsonl", "{\"age\": 3, \"country\": \"fr\", \"visits\": \"many\"}\n");
    has(&predict(&["--input", "odd.jsonl"]), &["odd.jsonl:1", "column `visits`", "`many`"]);
    place.write("odd.jsonl", "{\"text\": \"hello\"}\n");
    has(&predict(&["--input", "odd.jsonl"]), &["no task reads these columns", "`text`"]);
    place.write("texts.jsonl", "{\"text\": \"hello\"}\n");
    let embed = place.polytask(&["embed", "--model", "run", "--input", "texts.jsonl", "--output", "v.npy"]);
    has(&embed.refused(), &["reads columns of a table"]);
}

#[test]
fn init_proposes_the_targets_of_a_table_and_its_suite_is_right() {
    let place = shop();
    // `spent` is no usual name of a target, and stands last; `outcome` is one.
    place.write("shop/train.csv", place.read("shop/train.csv").replace(",bought,", ",outcome,"));
    place.write("shop/test.csv", place.read("shop/test.csv").replace(",bought,", ",outcome,"));
    place.polytask(&["init", "shop", "--out", "made.toml"]).done();
    let made = place.read("made.toml");
    has(
        &made,
        &[
            "encoder = \"table-mlp\"",
            "kind = \"table-class\"",
            "ignore = [\"id\"]",
            "[[source]]",
            "from = \"shop\"",
            "its name says that it is learned",
            "looks like an id",
        ],
    );
    place.polytask(&["check", "made.toml", "--data", "--set", "source.shop.missing=[\"unsaid\"]"]).done();
}
