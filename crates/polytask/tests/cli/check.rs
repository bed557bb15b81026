//! `check`: every mistake of a suite file and of its data, each with place, found, expected and remedy.

use serde_json::Value;

use crate::support::{Place, has, suite, with_suite, write_data};

#[test]
fn five_mistakes_are_shown_at_once_with_line_and_remedy() {
    let place = Place::new();
    write_data(&place);
    let text = "\
name = \"five\"
seeds = 13
[model]
encoder = \"tiny\"
[train]
epochs = \"two\"
weighting = \"pcgrap\"
[[task]]
name = \"topic\"
kind = \"classs\"
data = \"data/topic\"
[[task]]
name = \"sts\"
kind = \"similarity\"
data = \"data/nowhere\"
";
    place.write("five.toml", text);
    let error = place.polytask(&["check", "five.toml"]).refused();
    let expected = [
        ("five.toml:2: ", "`seed`"),
        ("five.toml:6: ", "number"),
        ("five.toml:7: ", "pcgrad"),
        ("five.toml:10: ", "`class`"),
        ("five.toml:15: ", "nowhere"),
    ];
    for (place, word) in expected {
        let at = error.find(place).unwrap_or_else(|| panic!("{place} is not in {error}"));
        let end = error[at..].match_indices("five.toml:").nth(1).map_or(error.len(), |(next, _)| at + next);
        has(&error[at..end], &[word, "try: "]);
    }
    assert_eq!(error.matches("five.toml:").count(), 5, "{error}");

    let ran = place.polytask(&["check", "five.toml", "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (2, ""));
    let value: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(value["ok"], false);
    let problems = value["problems"].as_array().unwrap();
    let lines: Vec<u64> = problems.iter().map(|problem| problem["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [2, 6, 7, 10, 15]);
    for problem in problems {
        assert_eq!(problem["file"], "five.toml");
        assert!(problem["what"].is_string() && problem["try"].is_string(), "{problem}");
    }
}

#[test]
fn a_right_suite_is_said_to_be_right() {
    let place = with_suite("");
    has(&place.polytask(&["check", "suite.toml", "--data"]).done(), &["right; 3 tasks: topic, sts, names"]);
    let value = place.polytask(&["check", "suite.toml", "--json"]).object();
    assert_eq!((&value["ok"], &value["tasks"]), (&Value::Bool(true), &Value::from(3)));
    assert_eq!(value["data_read"], false);
}

#[test]
fn data_that_were_not_read_are_said_not_to_be() {
    let place = with_suite("");
    let not_read = "the data were not read";
    has(&place.polytask(&["check", "suite.toml"]).done(), &["right (the data were not read: `--data` reads"]);
    let right = place.polytask(&["check", "suite.toml", "--data"]).done();
    assert!(!right.contains(not_read), "{right}");
    place.write("broken.toml", place.read("suite.toml").replace("lr =", "lrr ="));
    let error = place.polytask(&["check", "broken.toml", "--data"]).refused();
    assert!(error.contains("`lr`") && error.lines().last().unwrap().starts_with(not_read), "{error}");
    let error = place.polytask(&["check", "broken.toml"]).refused();
    assert!(!error.contains(not_read), "nobody asked for the data: {error}");
    let ran = place.polytask(&["check", "broken.toml", "--data", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["data_read"], false);
}

#[test]
fn a_slip_in_the_encoder_s_name_hides_no_mistake_in_the_data() {
    let place = with_suite("");
    place.write("suite.toml", place.read("suite.toml").replace("\"tiny\"", "\"tinny\""));
    place.write("data/topic/train.csv", "text,label\na\n");
    let error = place.polytask(&["check", "suite.toml", "--data"]).refused();
    has(&error, &["`tiny`", "data/topic/train.csv:2"]);
    assert!(!error.contains("were not read"), "{error}");
}

/// A suite of one task whose data are written by the caller.
fn one(kind: &str, extra: &str) -> Place {
    let place = Place::new();
    place.write("suite.toml", suite(&[("t", kind)], "") + extra);
    place
}

/// Writes the files and gives what `check --data` says; `--json` must say as much.
#[track_caller]
fn mistakes(place: &Place, files: &[(&str, &[u8])]) -> String {
    for (file, content) in files {
        place.write(&format!("data/t/{file}"), content);
    }
    let ran = place.polytask(&["check", "suite.toml", "--data", "--json"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    let value: Value = serde_json::from_str(&ran.out).unwrap();
    assert!(!value["problems"].as_array().unwrap().is_empty(), "{value}");
    place.polytask(&["check", "suite.toml", "--data"]).refused()
}

const TRAIN: (&str, &[u8]) = ("train.csv", b"text,label\na,x\nb,y\nc,x\n");
const VALID: (&str, &[u8]) = ("valid.csv", b"text,label\nd,x\ne,y\n");

#[test]
fn a_missing_column_names_those_found() {
    let place = one("class", "columns = { label = \"topic\" }\n");
    let error = mistakes(&place, &[("train.csv", b"text,topix\na,x\n"), VALID]);
    has(&error, &["data/t/train.csv:1: ", "`topic` (named in suite.toml:", "label = \"topix\""]);
    let line = place.read("suite.toml").lines().position(|line| line.starts_with("columns")).unwrap() + 1;
    has(&error, &[&format!("suite.toml:{line})")]);
}

#[test]
fn mistakes_of_three_sources_are_told_in_one_round() {
    let place = with_suite("");
    place.write("data/topic/train.csv", "text,Label\na,x\nb,y\n");
    place.write("data/sts/train.tsv", "sentence1\tsentence2\tscore\na\tb\tclose\nb\tc\tfar\n");
    place.write("data/names/train.jsonl", "{\"words_\":[\"a\"],\"tags\":[\"O\"]}\n".repeat(150));
    let error = place.polytask(&["check", "suite.toml", "--data"]).refused();
    has(&error, &["data/topic/train.csv:1: ", "columns = { label = \"Label\" }"]);
    has(&error, &["data/sts/train.tsv: column `score`: 2 of 2 values are texts", "kind = \"pair-class\""]);
    has(
        &error,
        &["data/names/train.jsonl: no column for `tokens`", "in any of 150 rows: found `tags`, `words_`"],
    );
    assert_eq!(error.matches("try: ").count(), 3, "{error}");
}

#[test]
fn labels_that_differ_in_case_are_warned_of() {
    let place = one("class", "");
    place.write("data/t/train.csv", "text,label\na,Billing\nb,billing\nc,sales\n");
    place.write("data/t/test.csv", "text,label\nd,Billing\ne,billing\n");
    let out = place.polytask(&["check", "suite.toml", "--data"]).done();
    has(
        &out,
        &[
            "warning: task `t`: labels differ only in case, blanks or the form of letters: `Billing`, `billing`",
        ],
    );
}

#[test]
fn a_label_only_valid_has_and_one_outside_the_declared_set_have_lines() {
    let error = mistakes(&one("class", ""), &[TRAIN, ("valid.csv", b"text,label\nd,x\ne,z\n")]);
    has(&error, &["data/t/valid.csv:3", "`z`", "x, y"]);
    let declared = one("class", "labels = [\"x\", \"w\"]\n");
    let error = mistakes(&declared, &[TRAIN, VALID]);
    has(&error, &["data/t/train.csv:3", "`y`", "x, w"]);
}

#[test]
fn a_ragged_row_and_invalid_utf8_have_lines() {
    let error = mistakes(&one("class", ""), &[("train.csv", b"text,label\na,x\nb,y,z\n"), VALID]);
    has(&error, &["data/t/train.csv:3", "3 cells", "expected 2"]);
    let error = mistakes(&one("class", ""), &[("train.csv", b"text,label\na,x\nb\xff\xfe,y\n"), VALID]);
    has(&error, &["data/t/train.csv:3", "UTF-8"]);
    let broken: &[u8] = b"{\"text\":\"a\",\"label\":\"x\"}\n{\"text\":\"\xff\",\"label\":\"y\"}\n";
    has(&mistakes(&one("class", ""), &[("train.jsonl", broken)]), &["data/t/train.jsonl:2", "UTF-8"]);
}

#[test]
fn an_empty_split_and_a_valid_of_one_class_are_told() {
    let error = mistakes(&one("class", ""), &[TRAIN, ("valid.csv", b"text,label\n")]);
    has(&error, &["data/t/valid.csv", "no row"]);
    let error = mistakes(&one("class", ""), &[("train.csv", b""), VALID]);
    has(&error, &["data/t/train.csv"]);
    let error = mistakes(&one("class", ""), &[TRAIN, ("valid.csv", b"text,label\nd,x\ne,x\n")]);
    has(&error, &["data/t/valid.csv", "at least two labels"]);
}

#[test]
fn tags_that_do_not_match_their_words_have_a_line() {
    let train =
        b"{\"tokens\":[\"a\",\"b\"],\"tags\":[\"O\",\"B-X\"]}\n{\"tokens\":[\"a\",\"b\"],\"tags\":[\"O\"]}\n";
    let error = mistakes(&one("tagging", ""), &[("train.jsonl", train)]);
    has(&error, &["data/t/train.jsonl:2", "1 tag", "2"]);
}

#[test]
fn a_negative_weight_and_a_value_that_is_no_number_have_lines() {
    let weights = one("class", "columns = { weight = \"w\" }\n");
    let error = mistakes(&weights, &[("train.csv", b"text,label,w\na,x,1\nb,y,-2\n")]);
    has(&error, &["data/t/train.csv:3", "-2"]);
    let error = mistakes(&one("regression", ""), &[("train.csv", b"text,value\na,1\nb,high\n")]);
    has(&error, &["data/t/train.csv:3", "`high`", "number"]);
}

#[test]
fn a_judgement_of_a_passage_that_is_not_there_has_a_line() {
    let place = one("retrieval", "");
    let files: [(&str, &[u8]); 3] = [
        ("corpus.jsonl", b"{\"_id\":\"d1\",\"title\":\"\",\"text\":\"a\"}\n"),
        ("queries.jsonl", b"{\"_id\":\"q1\",\"text\":\"b\"}\n"),
        ("qrels/train.tsv", b"query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td9\t1\n"),
    ];
    has(&mistakes(&place, &files), &["data/t/qrels/train.tsv:3", "`d9`", "corpus"]);
}

#[test]
fn two_tasks_of_one_name_and_a_missing_file_have_lines() {
    let place = Place::new();
    write_data(&place);
    place.write("suite.toml", suite(&[("topic", "class"), ("topic", "class")], ""));
    has(&place.polytask(&["check", "suite.toml"]).refused(), &["suite.toml:", "`topic`", "two"]);
    let error = place.polytask(&["check", "none.toml"]).refused();
    has(&error, &["none.toml"]);
    place.write("broken.toml", "name = \"x\"\n[model\n");
    has(&place.polytask(&["check", "broken.toml"]).refused(), &["broken.toml:2"]);
    place.write("latin.toml", b"name = \"\xe9\"\n");
    has(&place.polytask(&["check", "latin.toml"]).refused(), &["latin.toml", "UTF-8"]);
}

#[test]
fn a_suite_that_cannot_be_read_is_told_in_json_too() {
    let ran = Place::new().polytask(&["check", "none.toml", "--json"]);
    assert_eq!(ran.code, 2);
    let value: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(value["ok"], false);
    assert!(value["problems"][0]["what"].as_str().unwrap().contains("none.toml"), "{value}");
}

#[test]
fn judgements_beside_files_of_queries_pass_the_check_and_can_be_read() {
    let place = Place::new();
    place.write("c.jsonl", "{\"_id\":\"1\",\"text\":\"the cat\"}\n{\"_id\":\"2\",\"text\":\"the saw\"}\n");
    for split in ["train", "valid"] {
        let rows = "{\"id\":\"q\",\"query\":\"who purrs\"}\n{\"id\":\"r\",\"query\":\"what cuts\"}\n";
        place.write(&format!("{split}.jsonl"), rows);
        place.write(&format!("{split}.tsv"), "query-id\tcorpus-id\tscore\nq\t1\t1\nr\t2\t1\n");
    }
    let suite = "name = \"small\"\n[model]\nencoder = \"tiny\"\n[[task]]\nname = \"find\"\nkind = \"retrieval\"\n\
                 corpus = \"c.jsonl\"\nfiles = { train = \"train.jsonl\", valid = \"valid.jsonl\" }\n\
                 qrels = { train = \"train.tsv\", valid = \"valid.tsv\" }\n";
    place.write("suite.toml", suite);
    place.polytask(&["check", "suite.toml", "--data"]).done();
}

#[test]
fn words_of_other_tools_are_answered_with_ours() {
    let place = Place::new();
    write_data(&place);
    let task = |kind: &str, line: &str| {
        format!("[model]\nencoder = \"tiny\"\n[[task]]\nname = \"t\"\nkind = \"{kind}\"\n{line}\n")
    };
    let own = "data = \"data/topic\"";
    let cases = [
        (task("classification", own), "`class`"),
        (task("multi-label", own), "`multilabel`"),
        (task("ner", own), "`tagging`"),
        (task("nli", own), "`pair-class`"),
        (task("class", &format!("{own}\nlabel_column = \"y\"")), "columns = { label = \"...\" }"),
        (task("pair-class", &format!("{own}\ncolumns = {{ text = \"x\" }}")), "`a` and `b`"),
        (task("class", own) + "[train]\nlearning_rate = 1e-3\n", "`lr`"),
        (task("class", own) + "[train]\nbatch_size = 8\n", "`batch_rows`"),
        (task("class", own) + "[train]\nnum_epochs = 8\n", "`epochs`"),
        (task("class", "data = { train = \"data/topic/train.csv\" }"), "files = { train = "),
        (task("class", own).replace("\"tiny\"", "\"tinny\""), "`tiny`"),
        (task("class", own).replace("\"tiny\"", "\"all-MiniLM-L6-v3\""), "`all-MiniLM-L6-v2`"),
    ];
    for (text, advice) in cases {
        place.write("other.toml", &text);
        let error = place.polytask(&["check", "other.toml"]).refused();
        has(&error, &[advice]);
        assert_eq!(error.matches("try: ").count(), 1, "one mistake: {error}");
    }
}

#[test]
fn equal_mistakes_of_many_rows_are_one_line_with_their_number() {
    let rows: String = (0..500).map(|i| format!("text {i},{}\n", ["x", "z"][i % 2])).collect();
    let declared = one("class", "labels = [\"x\", \"y\"]\n");
    let error = mistakes(&declared, &[("train.csv", format!("text,label\n{rows}").as_bytes())]);
    has(&error, &["train.csv:3", "249 rows more"]);
    assert_eq!(error.matches("label `z`").count(), 1, "{error}");
}

#[test]
fn a_csv_with_semicolons_is_read_and_one_with_bars_is_refused_by_their_name() {
    let place = one("class", "");
    let rows: String = (0..40).map(|i| format!("\"text; {i}\";{}\n", ["x", "y"][i % 2])).collect();
    place.write("data/t/train.csv", format!("text;label\n{rows}"));
    has(&place.polytask(&["check", "suite.toml", "--data"]).done(), &["read with semicolons between cells"]);
    let error = mistakes(&one("class", ""), &[("train.csv", b"text|label\na|x\nb|y\n")]);
    has(&error, &["train.csv:1: ", "separated by bars", "sep='|'"]);
}

#[test]
fn numbers_of_which_an_outlier_makes_one_are_warned_of() {
    let place = one("regression", "");
    let row = |i: u64| format!("{{\"text\":\"text {i}\",\"value\":{i}}}\n");
    let rows: String = (0..40).map(row).collect();
    place.write("data/t/train.jsonl", format!("{rows}{}", row(1_000_000_000_000)));
    place.write("data/t/test.jsonl", &rows);
    has(&place.polytask(&["check", "suite.toml", "--data"]).done(), &["warning: task `t`", "become one"]);
    let value = place.polytask(&["check", "suite.toml", "--data", "--json"]).object();
    assert!(value["warnings"].to_string().contains("become one"), "{value}");
}

#[test]
fn targets_moved_by_a_large_constant_train_and_are_scored_alike() {
    let scores = [0_u64, 1_700_000_000].map(|base| {
        let place = one("regression", "");
        let rows = |from: u64, to: u64| -> String {
            (from..to)
                .map(|i| format!("{{\"text\":\"text {i}\",\"value\":{}}}\n", base + i * 7 % 60))
                .collect()
        };
        for (split, from, to) in [("train", 0, 60), ("valid", 60, 80), ("test", 80, 100)] {
            place.write(&format!("data/t/{split}.jsonl"), rows(from, to));
        }
        let data = place.polytask(&["check", "suite.toml", "--data"]).done();
        assert!(!data.contains("warning"), "{data}");
        place.polytask(&["train", "suite.toml", "--out", "run", "-q"]).done();
        place.json("run/report.json")["tasks"][0].clone()
    });
    let r2 = |task: &Value| task["joint"][0]["value"].as_f64();
    let (small, large) = (r2(&scores[0]), r2(&scores[1]));
    let (Some(small), Some(large)) = (small, large) else { panic!("{scores:#?}") };
    assert!((small - large).abs() < 1e-6 * small.abs() && small != 0.0, "{small} {large}");
}
