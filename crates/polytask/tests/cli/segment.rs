//! `polytask segment`, the kind `segmentation`, and indices whose passages end with topics.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::support::{Place, has, trained};

const BY_TILING: [&str; 4] = ["--model", "run/model", "--method", "texttiling"];

/// A place with the trained model of all tests in it.
fn place() -> Place {
    let place = Place::new();
    crate::support::copy(&trained().path("run/model"), &place.path("run/model"));
    place
}

fn segment(place: &Place, args: &[&str]) -> crate::support::Ran {
    place.polytask(&[&["segment"], args].concat())
}

#[test]
fn segments_cover_a_text_at_their_characters_and_a_heading_begins_one() {
    let place = place();
    let text =
        "# Tiere\nDie Käse-Katze schläft. Sie frißt.\n\n# Tools\nA saw cuts. A drill turns. A file files.\n";
    place.write("a.md", text);
    let lines = segment(&place, &[&["a.md", "--json"], &BY_TILING[..]].concat()).lines();
    let chars: Vec<char> = text.chars().collect();
    for line in &lines {
        let at = |key: &str| usize::try_from(line[key].as_u64().unwrap()).unwrap();
        let own: String = chars[at("start")..at("end")].iter().collect();
        assert_eq!(line["text"], own);
    }
    let n: u64 = lines.iter().map(|line| line["sentences"].as_u64().unwrap()).sum();
    assert_eq!(n, 5, "{lines:?}");
    let of = |title: &str| lines.iter().filter(|line| line["titles"] == json!([title])).count();
    assert!(of("Tiere") >= 1 && of("Tools") >= 1 && of("Tiere") + of("Tools") == lines.len(), "{lines:?}");
    assert!(lines.last().unwrap()["depth"].is_null() && lines[0]["depth"].is_number());
    has(&segment(&place, &[&["a.md"], &BY_TILING[..]].concat()).done(), &["a.md", "sentences", "end"]);
}

#[test]
fn documents_of_one_sentence_of_none_and_without_ends_are_told() {
    let place = place();
    place.write("none.txt", " \n");
    place.write("one.txt", "One sentence.");
    place.write("long.txt", "word ".repeat(100));
    let read = |file: &str| {
        let ran = segment(&place, &[&[file, "--json"], &BY_TILING[..]].concat());
        (ran.err.clone(), ran.lines())
    };
    let (said, lines) = read("none.txt");
    assert!(lines.is_empty() && said.contains("no segments"), "{said}");
    assert_eq!(read("one.txt").1.len(), 1);
    let (said, lines) = read("long.txt");
    assert!(lines.len() == 1 && said.contains("no sentence ends"), "{said}");
    place.write("latin.txt", b"gr\xfcn");
    let ran = segment(&place, &[&["latin.txt", "one.txt", "--json"], &BY_TILING[..]].concat());
    assert!(ran.err.contains("latin.txt") && ran.err.contains("iconv"), "{ran:?}");
    let refused = |args: &[&str]| segment(&place, args).refused();
    has(&refused(&[&["nowhere.txt"], &BY_TILING[..]].concat()), &["nowhere.txt does not exist"]);
    has(
        &refused(&["one.txt", "--model", "run/model", "--method", "learned"]),
        &["learnt no segmentation", "texttiling"],
    );
    has(&refused(&[&["none.txt", "--columns", "x=y"], &BY_TILING[..]].concat()), &["unknown role `x`"]);
}

/// Documents of two topics with a few sentences each: of animals, then of tools.
fn documents(split: &str, n: usize) -> String {
    (0..n).fold(String::new(), |mut text, i| {
        let sentence = |topic: &str, j: usize| format!("The {topic} number {j} of {split} {i} is here.");
        let animals = (0..2 + i % 3).map(|j| sentence(["cat", "dog", "horse"][j % 3], j));
        let tools = (0..3 + i % 2).map(|j| sentence(["saw", "drill", "hammer"][j % 3], j));
        let sentences: Vec<String> = animals.chain(tools).collect();
        let labels: Vec<&str> =
            (0..sentences.len()).map(|j| if j < 2 + i % 3 { "animal" } else { "tool" }).collect();
        let _ = writeln!(
            text,
            "{}",
            json!({ "id": format!("{split}{i}"), "sentences": sentences, "labels": labels })
        );
        text
    })
}

const TOPICS: &str = "name = \"topics\"\n[model]\nencoder = \"tiny\"\n[train]\nsteps = 40\nbatch_rows = 16\nlr = 2e-3\n\
                      [[task]]\nname = \"topics\"\nkind = \"segmentation\"\nmargin = 100\n\
                      files = { train = \"train.jsonl\", valid = \"dev.jsonl\", test = \"test.jsonl\" }\n";

fn with_documents() -> Place {
    let place = Place::new();
    for (file, split, n) in [("train", "one", 20), ("dev", "two", 8), ("test", "three", 8)] {
        place.write(&format!("{file}.jsonl"), documents(split, n));
    }
    place.write("topics.toml", TOPICS);
    place
}

#[test]
fn three_heads_are_trained_together_and_find_segments_with_their_classes() {
    let place = with_documents();
    let report = place.polytask(&["train", "topics.toml", "--out", "run", "--json"]).object();
    let tasks: Vec<&Value> = report["tasks"].as_array().unwrap().iter().map(|task| &task["task"]).collect();
    assert_eq!(tasks, ["topics-stp", "topics-tc", "topics-nsp"]);
    assert_eq!(report["conflict"]["tasks"].as_array().unwrap().len(), 3);
    let found = &report["segmentations"][0];
    assert!(found["convention"].as_str().unwrap().contains("n-k windows (segeval), per-document"));
    let names: Vec<&str> =
        found["rows"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(names[..3], ["topics", "none", "all"]);
    assert!(names.last() == Some(&"texttiling") && found["classes"]["macro_f1"].as_f64().unwrap() > 0.0);

    let again = place.polytask(&["eval", "run/suite.toml", "--model", "run", "--json"]).object();
    assert_eq!(again["segmentations"][0]["rows"][0], found["rows"][0]);
    let lines = segment(&place, &["test.jsonl", "--model", "run", "--json"]).lines();
    assert!(lines.iter().all(|line| ["animal", "tool"].contains(&line["class"]["label"].as_str().unwrap())));
    assert!(lines.iter().any(|line| line["probability"].is_number()));
    let score = ["test.jsonl", "--model", "run", "--score", "--train", "train.jsonl", "--json"];
    assert_eq!(segment(&place, &score).object()["rows"][0], found["rows"][0]);

    place.write("doc.txt", "A cat is here. A dog is here. A saw is here. A drill is here.");
    let build =
        ["index", "build", "run", "doc.txt", "--out", "d.index", "--by", "segments", "--segmenter", "run"];
    place.polytask(&build).done();
    let info = place.polytask(&["index", "info", "d.index", "--json"]).object();
    assert!(
        info["segmenter"].as_str().unwrap().ends_with("run/model")
            && info["settings"]["chunking"]["by"] == "segments"
    );
    place.write("more.txt", "A horse is here. A hammer is here.");
    place.polytask(&["index", "add", "d.index", "more.txt"]).done();
}

#[test]
fn a_segmentation_is_shown_as_the_tasks_of_its_heads_and_reads_back_the_same() {
    let place = with_documents();
    let shown = place.polytask(&["show", "topics.toml"]).done();
    has(&shown, &["name = \"topics-stp\"", "name = \"topics-pairs\"", "name = \"pairs\", of = \"topics\""]);
    place.write("shown.toml", &shown);
    assert_eq!(place.polytask(&["show", "shown.toml"]).done(), shown);
    let two =
        place.polytask(&["show", "topics.toml", "--set", "task.topics.heads=[\"stp\", \"nsp\"]"]).done();
    assert!(!two.contains("topics-tc") && !two.contains("topics-sentences"), "{two}");
}

#[test]
fn mistakes_of_a_segmentation_are_told_with_their_place() {
    let place = with_documents();
    let check = |more: &str| {
        place.write("wrong.toml", format!("{TOPICS}{more}"));
        place.polytask(&["check", "wrong.toml"]).err
    };
    has(&check("heads = [\"stp\", \"xyz\"]\n"), &["wrong.toml:13", "`heads`", "stp, tc, nsp"]);
    has(&check("loss = \"mse\"\n"), &["key `loss`", "topics-stp"]);
    has(&check("context = 0\n"), &["`context`", "at least 1"]);
    has(&check("columns = { words = \"x\" }\n"), &["unknown role `words`", "sentences"]);
    let train = |file: &str, line: &str| {
        place.write(file, line);
        place.polytask(&["train", "topics.toml", "--out", "wrong"]).refused()
    };
    let unknown = json!({ "sentences": ["a b.", "c d."], "labels": ["animal", "robot"] });
    has(&train("test.jsonl", &format!("{unknown}\n")), &["test.jsonl:1", "robot"]);
    let uneven = json!({ "id": "d7", "sentences": ["a b.", "c d."], "labels": ["animal"] });
    has(&train("dev.jsonl", &format!("{uneven}\n")), &["dev.jsonl:1", "`d7`", "1 value", "2 sentences"]);
    let null = json!({ "id": "d8", "sentences": ["a b.", null], "labels": ["animal", "tool"] });
    has(&train("dev.jsonl", &format!("{null}\n")), &["`d8`", "sentence 2 of 2 is null"]);
    let one = json!({ "sentences": ["a b.", "c d."], "labels": ["animal", "animal"] });
    has(&train("train.jsonl", &format!("{one}\n")), &["train.jsonl", "one section"]);
}

#[test]
fn the_heads_of_a_segmentation_are_tasks_whose_conflict_is_measured() {
    let place = with_documents();
    let told = place.polytask(&["conflict", "topics.toml", "--json"]).object();
    let tasks = told["tasks"].as_array().unwrap().iter();
    let names: Vec<&str> =
        tasks.map(|task| task["task"].as_str().unwrap_or_else(|| panic!("{task}"))).collect();
    assert_eq!(names, ["topics-stp", "topics-tc", "topics-nsp"]);
}

#[test]
fn which_pairs_decide_is_chosen_on_valid_or_fixed_to_neighbours() {
    let place = with_documents();
    let trained = |out: &str, across: &str| {
        let set = format!("task.topics.across=\"{across}\"");
        let report =
            place.polytask(&["train", "topics.toml", "--out", out, "--set", &set, "--json"]).object();
        (report["segmentations"][0].clone(), place.json(&format!("{out}/model/segmenters.json"))[0].clone())
    };
    let (report, kept) = trained("fixed", "neighbours");
    assert!(report["tried"].is_null(), "{report}");
    assert_eq!(kept["crossing"], json!({ "width": 1, "peaks": false }));
    let (report, kept) = trained("chosen", "auto");
    let tried = report["tried"].as_array().unwrap();
    let best = tried.iter().map(|one| one[1].as_f64().unwrap()).fold(0.0, f64::max);
    assert_eq!((tried.len(), report["f1_on_valid"].as_f64().unwrap()), (6, best), "{report}");
    let is_other = kept["crossing"] != json!({ "width": 1, "peaks": false });
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.iter().any(|row| row["name"] == "topics, neighbours"), is_other, "{report}");
    place.write("wrong.toml", format!("{TOPICS}across = \"all\"\n"));
    has(&place.polytask(&["check", "wrong.toml"]).err, &["`across`", "auto, neighbours"]);
    // A folder of an older version says nothing of pairs: neighbours decide.
    let mut old = place.json("chosen/model/segmenters.json");
    old[0].as_object_mut().unwrap().remove("crossing");
    place.write("chosen/model/segmenters.json", old.to_string());
    assert!(!segment(&place, &["test.jsonl", "--model", "chosen", "--json"]).lines().is_empty());
}
