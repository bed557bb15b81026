//! Boosted trees from a suite to predictions, gates, further groups and files of XGBoost.

use std::fmt::Write;

use crate::support::{Place, Ran, has};

/// Rows of shops: sales rise with the size, but in two of the shops they fall; some are not known.
fn rows(first: usize, n: usize, shops: &[&str]) -> String {
    let mut text = String::from("size,street,shop,sold,busy\n");
    for i in first..first + n {
        let shop = i % shops.len();
        let (size, street) = ((i * 37 % 101) as f64 / 10.0, ["main", "side", "park"][i % 3]);
        let f = if size > 5.0 { 1.0 } else { -1.0 } + if street == "main" { 0.5 } else { 0.0 };
        let sold = 10.0 + if shops[shop].starts_with("odd") { -f } else { f } + (i % 7) as f64 / 20.0;
        let busy = if f > 0.0 { "yes" } else { "no" };
        let sold = if i % 11 == 0 { String::new() } else { format!("{sold:.2}") };
        let busy = if i % 5 == 0 { "" } else { busy };
        let _ = writeln!(text, "{size},{street},{},{sold},{busy}", shops[shop]);
    }
    text
}

const SHOPS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "odd1", "odd2"];

const GATED: &str = "name = \"shops\"\n[model]\ntrees = { name = \"rmtgb\", shared = 10, gated = 40, own = 10 }\n\
    [[task]]\nname = \"sold\"\nkind = \"table-regression\"\ndata = \"shops\"\ngroup = \"shop\"\nignore = [\"busy\"]\n\
    columns = { value = \"sold\" }\nmetric = \"rmse\"\n";

const MIXED: &str = "name = \"mixed\"\n[model]\ntrees = { name = \"boost\", n_estimators = 30, eta = 0.3, num_leaves = 6 }\n\
    [[source]]\nname = \"rows\"\ndata = \"shops\"\n\
    [[task]]\nname = \"sold\"\nkind = \"table-regression\"\nfrom = \"rows\"\ncolumns = { value = \"sold\" }\n\
    [[task]]\nname = \"busy\"\nkind = \"table-class\"\nfrom = \"rows\"\ncolumns = { label = \"busy\" }\n";

fn shops() -> Place {
    let place = Place::new();
    place.write("shops/train.csv", rows(0, 640, &SHOPS));
    place.write("shops/test.csv", rows(640, 320, &SHOPS));
    place.write("gated.toml", GATED);
    place.write("mixed.toml", MIXED);
    place
}

fn train(place: &Place, suite: &str, out: &str) -> Ran {
    place.polytask(&["train", suite, "--out", out])
}

#[test]
fn gates_tell_which_groups_are_unlike_the_others() {
    let place = shops();
    place.polytask(&["check", "gated.toml", "--data"]).done();
    let out = train(&place, "gated.toml", "run").done();
    has(&out, &["Unlike the others, 2 of 8 groups", "odd1", "odd2", "pooling", "mtgb"]);
    let report = place.json("run/report.json");
    let groups = report["trees"]["groups"].as_array().unwrap();
    for group in groups {
        let is_odd = group["group"].as_str().unwrap().starts_with("odd");
        assert_eq!(group["flagged"].as_bool().unwrap(), is_odd, "{group}");
        assert!(
            group["joint"].is_number() && group["single"].is_number() && group["delta"].is_object(),
            "{group}"
        );
    }
    let task = &report["tasks"][0];
    let other =
        |id: &str| task["others"].as_array().unwrap().iter().find(|other| other["learner"] == id).unwrap();
    let rmse = |scores: &serde_json::Value| scores[0]["value"].as_f64().unwrap();
    assert!(rmse(&task["joint"]) < rmse(&other("pooling")["scores"]), "{task}");
    assert!(rmse(&task["joint"]) < rmse(&other("prior")["scores"]), "{task}");
    has(
        &place.polytask(&["boost", "explain", "run"]).done(),
        &["gain %", "size", "odd1", "Unlike the others"],
    );
    let found = place.polytask(&["boost", "explain", "run", "--json"]).object();
    assert_eq!(found["importance"][0]["column"], "size");
    has(
        &place.read("run/report.html"),
        &["<h2>Trees</h2>", "odd1", "Unlike the others", "Groups by their gate"],
    );
    // The same bytes for any number of threads.
    let again =
        place.polytask(&["train", "gated.toml", "--out", "again", "--set", "train.threads=1", "--quiet"]);
    again.done();
    assert_eq!(place.read("run/model/boost.json"), place.read("again/model/boost.json"));
    has(&train(&place, "gated.toml", "run").refused(), &["--force"]);
    place.polytask(&["train", "gated.toml", "--out", "run", "--resume"]).done();
}

#[test]
fn a_row_of_a_new_group_has_a_stated_answer_until_the_group_is_added() {
    let place = shops();
    train(&place, "gated.toml", "run").done();
    let predict = |model: &str, input: &str| place.polytask(&["predict", "--model", model, "--input", input]);
    place.write("new.csv", rows(1000, 80, &["odd-new"]));
    let before = predict("run", "new.csv");
    has(&before.err, &["80 rows of no `shop` that train had", "median gate"]);
    let before = before.lines();
    let add = |group: &str, target: &str, out: &str| {
        let args = [
            "boost", "extend", "run", "--input", "new.csv", "--group", group, "--target", target, "--out",
            out,
        ];
        place.polytask(&args)
    };
    has(&add("a", "sold", "more").refused(), &["task `a` already"]);
    has(&add("odd-new", "sodl", "more").refused(), &["no column `sodl`", "`sold`"]);
    has(&add(" ", "sold", "more").refused(), &["--group is empty"]);
    has(&add("odd-new", "shop", "more").refused(), &["`shop` is one the model reads"]);
    add("odd-new", "sold", "more").done();
    has(&add("odd-new", "sold", "more").refused(), &["--force"]);
    let after = predict("more", "new.csv");
    assert!(!after.err.contains("no `shop`"), "{}", after.err);
    let after = after.lines();
    let truth: Vec<Option<f64>> = place
        .read("new.csv")
        .lines()
        .skip(1)
        .map(|row| row.split(',').nth(3).unwrap().parse().ok())
        .collect();
    let error = |answers: &[serde_json::Value]| {
        let known = answers
            .iter()
            .zip(&truth)
            .filter_map(|(answer, truth)| Some((answer["sold"]["value"].as_f64()?, (*truth)?)));
        known.map(|(found, truth)| (found - truth).powi(2)).sum::<f64>()
    };
    assert!(error(&after) < 0.5 * error(&before), "{} {}", error(&after), error(&before));
    assert_eq!(predict("run", "shops/test.csv").done(), predict("more", "shops/test.csv").done());
    // A batch that lacks most groups is answered as the whole is.
    let whole = predict("run", "shops/test.csv").lines();
    let (head, rest) =
        place.read("shops/test.csv").split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let last = rest.lines().last().unwrap();
    place.write("last.csv", format!("{head}\n{last}\n"));
    assert_eq!(predict("run", "last.csv").lines()[0], whole[whole.len() - 1]);
}

#[test]
fn targets_of_two_kinds_with_gaps_are_one_model_and_those_of_one_are_a_file_of_xgboost() {
    let place = shops();
    train(&place, "mixed.toml", "run").done();
    let report = place.json("run/report.json");
    for task in 0..2 {
        let value = report["tasks"][task]["joint"][0]["value"].as_f64().unwrap();
        assert!(value > 0.6, "{task}: {value}");
        assert!(report["tasks"][task]["single"][0]["value"].is_number());
    }
    place.write(
        "row.jsonl",
        "{\"street\": \"main\", \"size\": 9, \"more\": 1}\n{\"size\": null, \"street\": \"moon\"}\n",
    );
    let ran = place.polytask(&["predict", "--model", "run", "--input", "row.jsonl"]);
    has(&ran.err, &["column `street`: 1 cell with a category that train did not have"]);
    let lines = ran.lines();
    assert_eq!((lines.len(), &lines[0]["busy"]["label"]), (2, &"yes".into()));
    assert!(lines[1]["sold"]["value"].is_number());
    let listed = place.polytask(&["predict", "--model", "run", "--list"]).lines();
    assert_eq!(listed[0]["features"], serde_json::json!(["size", "street", "shop"]));
    has(
        &place.polytask(&["boost", "export", "run", "--out", "x.json"]).refused(),
        &["`sold` is squared, `busy` is logistic"],
    );
    let one = MIXED
        .replace("from = \"rows\"\ncolumns = { label = \"busy\" }\n", "")
        .replace("[[task]]\nname = \"busy\"\nkind = \"table-class\"\n", "");
    place.write(
        "one.toml",
        one.replace(
            "data = \"shops\"
",
            "data = \"shops\"
ignore = [\"busy\"]
",
        ),
    );
    train(&place, "one.toml", "one").done();
    place.polytask(&["boost", "export", "one", "--out", "x.json"]).done();
    place.polytask(&["boost", "import", "x.json", "--out", "theirs"]).done();
    let ask =
        |model: &str| place.polytask(&["predict", "--model", model, "--input", "shops/test.csv"]).lines();
    for (ours, theirs) in ask("one").iter().zip(&ask("theirs")) {
        let (ours, theirs) =
            (ours["sold"]["value"].as_f64().unwrap(), theirs["target"]["value"].as_f64().unwrap());
        assert!((ours - theirs).abs() < 1e-5 * ours.abs().max(1.0), "{ours} {theirs}");
    }
    place.write("x.json", place.read("x.json").replace("\"version\":[3,2,0]", "\"version\":[9,0,0]"));
    let old = place.polytask(&["boost", "import", "x.json", "--out", "theirs", "--force"]).refused();
    has(&old, &["version 9 of XGBoost", "x.json"]);
}

#[test]
fn what_is_asked_of_trees_and_cannot_be_is_told_with_its_remedy() {
    let place = shops();
    let refused = |suite: String| {
        place.write("other.toml", suite);
        let message = train(&place, "other.toml", "nothing").refused();
        assert!(!place.path("nothing").exists(), "a folder was made");
        message
    };
    has(&refused(GATED.replace("\"shop\"", "\"shp\"")), &["no column `shp`", "`group`", "`shop`"]);
    has(&refused(GATED.replace("rmtgb", "rmtbg")), &["unknown trees `rmtbg`", "`rmtgb`"]);
    has(&refused(GATED.replace("own = 10", "owns = 10")), &["unknown parameter `owns`", "`own`"]);
    has(
        &refused(GATED.replace("shared = 10, gated = 40, own = 10", "shared = 0, gated = 0, own = 0")),
        &["0 rounds"],
    );
    has(
        &refused(MIXED.replace("eta = 0.3", "eta = 0.3, learning_rate = 0.1")),
        &["`learning_rate`", "given twice"],
    );
    has(
        &refused(
            MIXED
                .replace("\"boost\"", "\"rmtgb\"")
                .replace(", n_estimators = 30, eta = 0.3, num_leaves = 6", ""),
        ),
        &["task `busy` is learnt otherwise", "`group`"],
    );
    has(
        &refused(MIXED.replace("\"table-class\"\n", "\"table-class\"\nobjective = \"poisson\"\n")),
        &["objective `poisson` of task `busy`", "logistic"],
    );
    let texts = "[model]\ntrees = \"boost\"\n[[task]]\nname = \"t\"\nkind = \"class\"\ndata = \"shops\"\n";
    has(&refused(texts.into()), &["`trees`", "columns of a table"]);
    // One label, one group, nothing known, no rows.
    let with = |change: &dyn Fn(&str) -> String, suite: &str| {
        let place = shops();
        let text = place.read("shops/train.csv");
        let (head, body) = text.split_once('\n').unwrap();
        let lines: String = body.lines().map(|row| change(row) + "\n").collect();
        place.write("shops/train.csv", format!("{head}\n{lines}"));
        place.write("other.toml", suite);
        train(&place, "other.toml", "nothing")
    };
    let cell = |at: usize, text: &'static str| {
        move |row: &str| {
            let mut cells: Vec<&str> = row.split(',').collect();
            cells[at] = text;
            cells.join(",")
        }
    };
    has(&with(&cell(2, "a"), GATED).refused(), &["`shop`", "fewer than two groups"]);
    has(&with(&cell(3, ""), GATED).refused(), &["sold"]);
    let endless = |row: &str| row.strip_prefix("0,").map_or(row.to_owned(), |rest| format!("inf,{rest}"));
    has(&with(&endless, GATED).refused(), &["size"]);
    has(&with(&cell(4, "yes"), MIXED).refused(), &["busy", "label"]);
    let ran = with(&cell(0, ""), GATED);
    assert_eq!(ran.code, 0, "a column of which nothing is known is not read: {ran:#?}");
    place.write("shops/train.csv", "size,street,shop,sold,busy\n");
    has(&train(&place, "gated.toml", "nothing").refused(), &["train"]);
    has(&place.polytask(&["boost", "explain", "nowhere"]).refused(), &["no report.json"]);
    has(&place.polytask(&["boost", "export", "nowhere", "--out", "x"]).refused(), &["no boosted trees"]);
}

/// Notes of which the words tell the mood, beside a number that says nothing.
fn notes(first: usize, n: usize) -> String {
    let mut text = String::from("size,say,mood\n");
    for i in first..first + n {
        let is_good = i * 7 % 3 == 0;
        let say = match (i % 17, is_good) {
            (0, _) => String::new(),
            (_, true) => "good good good".into(),
            (_, false) => format!("awful day {}", i % 5),
        };
        let _ = writeln!(text, "{},{say},{}", i * 37 % 101, if is_good { "up" } else { "down" });
    }
    text
}

#[test]
fn a_column_of_texts_is_read_as_the_vector_of_an_encoder_in_one_suite() {
    let place = Place::new();
    place.write("notes/train.csv", notes(0, 300));
    place.write("notes/test.csv", notes(300, 120));
    let suite = "name = \"notes\"\n[model]\nencoder = \"tiny\"\ntrees = { name = \"boost\", rounds = 20 }\n[[task]]\n\
        name = \"mood\"\nkind = \"table-class\"\ndata = \"notes\"\ntexts = [\"say\"]\ncolumns = { label = \"mood\" }\n";
    place.write("notes.toml", suite);
    place.polytask(&["check", "notes.toml", "--data"]).done();
    train(&place, "notes.toml", "run").done();
    let report = place.json("run/report.json");
    let score = |report: &serde_json::Value| report["tasks"][0]["joint"][0]["value"].as_f64().unwrap();
    assert!(score(&report) > 0.9, "{report}");
    // The numbers of a text are one column to a reader.
    let columns: Vec<&str> = report["trees"]["importance"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["column"].as_str().unwrap())
        .collect();
    assert_eq!(columns, ["say", "size"]);
    assert!(report["trees"]["importance"][0]["permutation"].as_f64().unwrap() > 10.0);
    place.write("rows.jsonl", "{\"say\": \"good good good\", \"size\": 3}\n{\"size\": 3}\n");
    let ran = place.polytask(&["predict", "--model", "run", "--task", "mood", "--input", "rows.jsonl"]);
    let answers = ran.lines();
    assert_eq!((answers.len(), &answers[0]["label"]), (2, &"up".into()));
    let listed = place.polytask(&["predict", "--model", "run", "--list"]).lines();
    assert_eq!(listed[0]["features"], serde_json::json!(["size", "say"]));
    // A saved model says of a suite's data what the run said.
    let eval = place.polytask(&["eval", "notes.toml", "--model", "run", "--json"]).object();
    assert_eq!(score(&eval), score(&report));
    let both =
        place.polytask(&["eval", "notes.toml", "--model", "run", "--against", "run", "--names", "a,b"]);
    has(&both.done(), &["mood"]);
    let refused = |suite: String, words: &[&str]| {
        place.write("other.toml", suite);
        has(&train(&place, "other.toml", "nothing").refused(), words);
    };
    refused(suite.replace("[\"say\"]", "[\"sya\"]"), &["no column `sya`", "`texts`", "`say`"]);
    refused(suite.replace("\"tiny\"", "\"table-mlp\""), &["`table-mlp`", "columns that are texts"]);
    refused(suite.replace("texts =", "ignore = [\"say\"]\ntexts ="), &["stands in two of `texts`"]);
}

#[test]
fn trees_say_which_task_helps_which_and_are_scored_on_other_data() {
    let place = shops();
    let out = place.polytask(&["conflict", "mixed.toml", "--out", "found", "--verify"]).done();
    has(&out, &["sold", "busy"]);
    let found = place.json("found/conflict.json");
    assert_eq!(found["diagnosis"]["measurements"].as_array().unwrap().len(), 8);
    assert!(found["affinity"][0][1].is_object() && found["affinity"][1][0].is_object(), "{found}");
    assert_eq!(found["split"], "valid");
    assert!(place.path("found/conflict.html").exists());
    place.write("apart.toml", MIXED.replace("eta = 0.3", "eta = 0.3, leaves = \"apart\""));
    has(
        &place.polytask(&["conflict", "apart.toml", "--out", "no"]).refused(),
        &["`apart`", "leaves = \"vector\""],
    );
    has(&place.polytask(&["conflict", "mixed.toml", "--out", "no", "--steps", "5"]).refused(), &["rounds"]);
    let report = place.json("found/joint/report.json");
    let eval = place.polytask(&["eval", "mixed.toml", "--model", "found/joint", "--json"]).object();
    for task in 0..2 {
        assert_eq!(eval["tasks"][task]["joint"], report["tasks"][task]["joint"], "{eval}");
    }
    let network = place.polytask(&["eval", "mixed.toml", "--model", "found/joint", "--against", "shops"]);
    has(&network.refused(), &["no boosted trees"]);
}

#[test]
fn rows_of_libsvm_are_a_table_in_which_what_is_not_written_is_0() {
    let place = Place::new();
    let rows = |first: usize, n: usize, most: usize| {
        let row = |i: usize| {
            let label = if i.is_multiple_of(3) { "+1" } else { "-1" };
            let first = if i.is_multiple_of(3) { " 2:1.5" } else { "" };
            let last = if i.is_multiple_of(2) && most > 4 { format!(" {most}:1") } else { String::new() };
            format!("{label} 1:{}{first}{last} # row {i}\n", i * 37 % 11)
        };
        (first..first + n).map(row).collect::<String>()
    };
    place.write("rows/train.libsvm", rows(0, 200, 7));
    // The last columns are 0 in all rows of test, which has no sign of them.
    place.write("rows/test.svm", rows(200, 60, 4));
    let suite = "name = \"rows\"\n[model]\ntrees = { name = \"boost\", rounds = 10 }\n[[task]]\nname = \"sign\"\n\
        kind = \"table-class\"\ndata = \"rows\"\n";
    place.write("rows.toml", suite);
    let ran = train(&place, "rows.toml", "run");
    assert!(!ran.err.contains("unknown"), "{}", ran.err);
    ran.done();
    assert_eq!(place.json("run/report.json")["tasks"][0]["joint"][0]["value"], 1.0);
    let answers =
        place.polytask(&["predict", "--model", "run", "--task", "sign", "--input", "rows/test.svm"]).lines();
    assert_eq!((answers.len(), &answers[1]["label"]), (60, &"1".into()));
}
