//! Scores of token states: the same in training, eval, search and predict, and kept with the model.

use serde_json::Value;

use crate::support::{Place, files, has};

const SUITE: &str = r#"
[model]
encoder = "tiny"
score = "SCORE"
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
loss = { name = "many-to-many", two_way = true }
files = { train = "find.tsv", valid = "find.tsv" }
columns = { right = "codes" }
[[task]]
name = "alike"
kind = "similarity"
files = { train = "alike.tsv", valid = "alike.tsv" }
"#;

/// Jobs, titles that name some, and pairs with scores, scored by the tokens of both.
fn place(score: &str) -> Place {
    let place = Place::new();
    place.write(
        "jobs.tsv",
        "code\ttitle\n1\ta cook of soup\n2\tpilot\n3\tmason and builder of walls\n4\tcook\n",
    );
    place.write("find.tsv", "query\tcodes\nsoup maker\t1|4\nflyer of a plane\t2\nwall builder\t3\n");
    place.write(
        "alike.tsv",
        "a\tb\tscore\na cook\ta chef of soups\t0.9\na wall\ta plane\t0.1\nsoup\tcook\t0.6\n",
    );
    place.write("suite.toml", SUITE.replace("\"SCORE\"", score));
    place
}

/// What each row of a task got, as `eval` wrote it.
fn predictions(place: &Place, task: &str) -> Value {
    place.polytask(&["eval", "suite.toml", "-m", "run", "--predictions", "said", "--json"]).object();
    place.json(&format!("said/{task}.json"))["predictions"].clone()
}

fn numbers(values: &Value) -> Vec<f64> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn near(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
}

#[test]
fn search_and_predict_score_as_training_did() {
    for score in ["\"soft-li\"", "{ name = \"maxsim\", reduce = \"sum\" }", "\"context-match\""] {
        let place = place(score);
        place.polytask(&["train", "suite.toml", "--out", "run", "-q"]).done();
        let kept = place.json("run/model/score.json");
        assert!(
            score.contains(kept["choice"]["name"].as_str().unwrap()) && kept["square"].as_f64() > Some(0.0)
        );
        place.write("queries.txt", "soup maker\nflyer of a plane\nwall builder\n");
        let search = [
            "search",
            "-m",
            "run",
            "--targets",
            "jobs.tsv",
            "--columns",
            "text=title,id=code",
            "-i",
            "queries.txt",
        ];
        let ranked = predictions(&place, "find")["Rankings"]["rankings"].clone();
        for (found, ranking) in place.polytask(&search).lines().iter().zip(ranked.as_array().unwrap()) {
            let hits = found["hits"].as_array().unwrap();
            let scores: Vec<f64> = hits.iter().map(|hit| hit["score"].as_f64().unwrap()).collect();
            let expected = ranking["retrieved"].as_array().unwrap();
            assert_eq!(hits.len(), 4);
            assert!(near(&scores, &expected.iter().map(|hit| hit[1].as_f64().unwrap()).collect::<Vec<_>>()));
            let ids: Vec<u64> = hits.iter().map(|hit| hit["id"].as_str().unwrap().parse().unwrap()).collect();
            assert_eq!(ids, expected.iter().map(|hit| hit[0].as_u64().unwrap() + 1).collect::<Vec<_>>());
        }
        let predict = ["predict", "-m", "run", "--task", "alike", "-i", "alike.tsv"];
        let answers = place.polytask(&predict).lines();
        let said: Vec<f64> = answers.iter().map(|line| line["score"].as_f64().unwrap()).collect();
        assert!(near(&said, &numbers(&predictions(&place, "alike")["Numbers"]["predicted"])), "{said:?}");
    }
}

#[test]
fn an_index_of_token_states_ranks_as_a_search_without_one() {
    for score in ["\"soft-li\"", "\"maxsim\""] {
        let place = place(score);
        place.polytask(&["train", "suite.toml", "--out", "run", "-q"]).done();
        let build = ["index", "build", "run", "jobs.tsv", "--out", "jobs.index", "--by", "whole", "-q"];
        let columns = ["--columns", "text=title,id=code"];
        place.polytask(&[&build[..], &columns].concat()).done();
        place.write("queries.txt", "soup maker\nflyer of a plane\nwall builder\n");
        let search = ["search", "-m", "run", "--targets", "jobs.tsv", "-i", "queries.txt"];
        let plain = place.polytask(&[&search[..], &columns].concat()).lines();
        for more in [&["--exact"][..], &[], &["--mode", "dense"]] {
            let found =
                place.polytask(&[&["search", "jobs.index", "-i", "queries.txt"], more].concat()).lines();
            for (found, plain) in found.iter().zip(&plain) {
                let of = |line: &Value, key: &str| -> Vec<Value> {
                    line["hits"].as_array().unwrap().iter().map(|hit| hit[key].clone()).collect()
                };
                assert_eq!(of(found, "id"), of(plain, "id"), "{score} {more:?}");
                for (a, b) in of(found, "score").iter().zip(of(plain, "score")) {
                    // States are kept in two bytes.
                    assert!((a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-2, "{a} {b}");
                }
            }
        }
        let told = place.polytask(&["index", "info", "jobs.index"]).done();
        has(&told, &["states of tokens compared by", score.trim_matches('"')]);
    }
}

#[test]
fn a_model_keeps_its_score_when_it_is_trained_again_and_a_suite_may_take_another() {
    let place = place("\"maxsim\"");
    place.polytask(&["train", "suite.toml", "--out", "run", "-q"]).done();
    let again = |name: &str, score: &str| {
        let encoder = "encoder = \"run/model\"";
        let text = place.read("suite.toml").replace("encoder = \"tiny\"", encoder);
        place.write("again.toml", text.replace("score = \"maxsim\"", score));
        place.polytask(&["train", "again.toml", "--out", name, "-q"]).done();
    };
    again("same", "");
    assert_eq!(place.json("same/model/score.json"), place.json("run/model/score.json"));
    again("other", "score = \"pooled\"");
    assert!(!place.path("other/model/score.json").exists());
}

#[test]
fn a_training_in_pieces_is_that_of_whole_batches() {
    let place = place("\"soft-li\"");
    let weights = |run: &str, micro: &str| -> Vec<f64> {
        let args = ["train", "suite.toml", "--out", run, "-q", "--set", "model.dropout=0", "--set", micro];
        place.polytask(&args).done();
        let files = files(&place.path(&format!("{run}/model")));
        let bytes = files.into_iter().find(|(name, _)| name == "model.safetensors").unwrap().1;
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        bytes[8 + header..].chunks(4).map(|v| f64::from(f32::from_le_bytes(v.try_into().unwrap()))).collect()
    };
    let (whole, pieces) =
        (weights("run", "train.micro_tokens=0"), weights("pieces", "train.micro_tokens=16"));
    // Adam's first steps make much of gradients that are almost zero.
    let far = whole.iter().zip(&pieces).filter(|(a, b)| (*a - *b).abs() > 1e-5).count();
    assert!(whole.len() > 1000 && far * 1000 < whole.len(), "{far} of {}", whole.len());
}

#[test]
fn a_score_that_fits_nothing_is_refused() {
    let refused = |score: &str, set: &str| {
        let place = place(score);
        place.polytask(&["train", "suite.toml", "--out", "run", "-q", "--set", set]).refused()
    };
    has(&refused("\"max-sim\"", "seed=1"), &["suite.toml:4", "unknown score `max-sim`", "maxsim"]);
    has(&refused("{ name = \"soft-li\", tau_a = 0 }", "seed=1"), &["suite.toml:4", "`tau_a`", "above 0"]);
    has(&refused("{ name = \"maxsim\", tau = 1 }", "seed=1"), &["unknown parameter `tau`"]);
    has(
        &refused("\"maxsim\"", "train.regularizer=rep-mtl"),
        &["regularizer `rep-mtl` needs second derivatives", "score = \"pooled\""],
    );
    let place = place("\"maxsim\"");
    let (start, _) = SUITE.split_once("[[nodes]]").unwrap();
    let class =
        "[[task]]\nname = \"c\"\nkind = \"class\"\nfiles = { train = \"c.csv\", valid = \"c.csv\" }\n";
    place.write("c.csv", "text,label\na,x\nb,y\n");
    place.write("suite.toml", start.replace("\"SCORE\"", "\"maxsim\"") + class);
    has(&place.polytask(&["train", "suite.toml", "--out", "run"]).refused(), &["no task compares texts"]);
}

#[test]
fn a_model_without_its_score_or_with_a_wrong_one_is_refused_and_a_suite_cannot_change_it() {
    let place = place("\"maxsim\"");
    place.polytask(&["train", "suite.toml", "--out", "run", "-q"]).done();
    let search = ["search", "-m", "run", "--targets", "jobs.tsv", "--columns", "text=title", "-q", "cook"];
    let kept = place.read("run/model/score.json");
    place.write("run/model/score.json", kept.replace("maxsim", "bogus"));
    has(&place.polytask(&search).refused(), &["run/model/score.json", "unknown score `bogus`"]);
    place.write("run/model/score.json", kept.replace("\"square\"", "\"more\": 1, \"square\""));
    has(&place.polytask(&search).refused(), &["run/model/score.json", "unknown field `more`"]);
    std::fs::remove_file(place.path("run/model/score.json")).unwrap();
    has(&place.polytask(&search).refused(), &["polytask.json", "`maxsim`", "score.json says `pooled`"]);
    place.write("run/model/score.json", kept);
    assert!(place.read("run/CARD.md").contains("score.json"));
    place.write("other.toml", place.read("suite.toml").replace("\"maxsim\"", "\"soft-li\""));
    let eval = place.polytask(&["eval", "other.toml", "-m", "run"]).refused();
    has(&eval, &["scores texts by `soft-li`", "trained by `maxsim`"]);
}

#[test]
fn an_encoder_is_judged_by_the_score_of_the_suite() {
    let place = place("\"maxsim\"");
    place.polytask(&["train", "suite.toml", "--out", "run", "-q"]).done();
    // The encoder of the model, without tasks and score.
    for file in ["polytask.json", "score.json"] {
        std::fs::remove_file(place.path(&format!("run/model/{file}"))).unwrap();
    }
    let score_of = |score: &str| {
        place.write("judge.toml", place.read("suite.toml").replace("score = \"maxsim\"", score));
        let report = place.polytask(&["eval", "judge.toml", "-m", "run/model", "--json"]).object();
        report["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|task| task["joint"][0]["value"].clone())
            .collect::<Vec<_>>()
    };
    let said = |score: &str| {
        place.write("judge.toml", place.read("suite.toml").replace("score = \"maxsim\"", score));
        place
            .polytask(&["eval", "judge.toml", "-m", "run/model", "--predictions", "said", "--json"])
            .object();
        place.json("said/alike.json")["predictions"]["Numbers"]["predicted"].clone()
    };
    assert_eq!(score_of("").len(), 2);
    assert_eq!(said(""), said("score = \"pooled\""));
    assert_ne!(said(""), said("score = \"maxsim\""));
}

#[test]
fn a_single_task_result_of_another_score_is_not_taken_for_this_one() {
    let place = place("\"soft-li\"");
    place.polytask(&["train", "suite.toml", "--out", "run", "-q"]).done();
    let text = place.read("suite.toml").replace("encoder = \"tiny\"", "encoder = \"encoder\"");
    let text = text.replace("score = \"soft-li\"", "").replace("[\"probe\"]", "[\"single\"]");
    place.write("again.toml", text.replace("steps = 3", "steps = 6"));
    let trained = |out: &str| place.polytask(&["train", "again.toml", "--out", out, "-q", "--json"]).object();
    for (name, bytes) in files(&place.path("run/model")) {
        place.write(&format!("encoder/{name}"), bytes);
    }
    std::fs::remove_file(place.path("encoder/polytask.json")).unwrap();
    trained("scored");
    std::fs::remove_file(place.path("encoder/score.json")).unwrap();
    let found = trained("pooled");
    std::fs::remove_dir_all(place.path("cache/baselines")).unwrap();
    let alone = trained("alone");
    let single = |report: &Value| {
        report["tasks"].as_array().unwrap().iter().map(|t| t["single"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(single(&found), single(&alone));
    assert!(!single(&alone).is_empty());
}
