//! `compare`: two runs by what was kept of them, without models or a suite.

use serde_json::Value;

use crate::support::{Place, has, suite, trained, with_suite};

/// Two runs of one suite that differ in their rate.
fn two_runs() -> Place {
    let place = with_suite("baselines = false");
    place.polytask(&["train", "suite.toml", "--out", "runs/first"]).done();
    place.polytask(&["train", "suite.toml", "--out", "runs/second", "--set", "train.lr=1e-2"]).done();
    place
}

#[test]
fn two_runs_give_what_eval_says_of_their_models_without_models_or_suite() {
    let place = two_runs();
    let against = ["eval", "suite.toml", "--model", "runs/first", "--against", "runs/second", "--json"];
    let judged = place.polytask(&against).object();
    for folder in ["runs/first/model", "runs/second/model"] {
        std::fs::remove_dir_all(place.path(folder)).unwrap();
    }
    let found = place.polytask(&["compare", "runs/first", "runs/second", "--json"]).object();
    assert_eq!(found["sides"], serde_json::json!(["first", "second"]));
    let tasks = found["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), judged["tasks"].as_array().unwrap().len());
    for judged in judged["tasks"].as_array().unwrap() {
        let found = tasks.iter().find(|found| found["task"] == judged["task"]).unwrap();
        assert_eq!((&found["task"], &found["split"]), (&judged["task"], &judged["split"]));
        assert_eq!(found["metrics"][0]["delta"], judged["delta"], "{found}");
        for (metric, score) in
            found["metrics"].as_array().unwrap().iter().zip(judged["joint"].as_array().unwrap())
        {
            let value = |of: &Value| of["value"].as_f64().unwrap_or(f64::NAN);
            let (ours, theirs) = (value(&metric["first"]), value(score));
            assert!(ours == theirs || ours.is_nan() && theirs.is_nan(), "{metric} {score}");
        }
    }
    let text = place.polytask(&["compare", "runs/first", "runs/second", "--names", "old,new"]).done();
    has(&text, &["old", "new", "topic", "macro_f1", "accuracy", "Difference: old minus new"]);
    let one = ["compare", "runs/first", "runs/second", "--task", "topic", "--json"];
    assert_eq!(place.polytask(&one).object()["tasks"].as_array().unwrap().len(), 1);
    has(
        &place.polytask(&["compare", "runs/first", "runs/second", "--task", "topik"]).refused(),
        &["`topik`"],
    );
}

#[test]
fn the_order_of_labels_in_train_does_not_matter_but_other_rows_are_refused() {
    let place = two_runs();
    let train = place.read("data/topic/train.csv");
    let (head, rows) = train.split_once('\n').unwrap();
    let turned: Vec<&str> = rows.lines().rev().collect();
    place.write("data/topic/train.csv", format!("{head}\n{}\n", turned.join("\n")));
    place.polytask(&["train", "suite.toml", "--out", "runs/turned"]).done();
    place.polytask(&["compare", "runs/turned", "runs/first"]).done();
    let test = place.read("data/topic/test.csv");
    let shorter: Vec<&str> = test.lines().take(10).collect();
    place.write("data/topic/test.csv", shorter.join("\n") + "\n");
    place.polytask(&["train", "suite.toml", "--out", "runs/other"]).done();
    let error = place.polytask(&["compare", "runs/other", "runs/first"]).refused();
    has(&error, &["task `topic`", "test rows differ", "9 rows in other", "eval SUITE"]);
}

#[test]
fn eval_writes_what_a_run_writes_and_a_folder_without_it_is_told_so() {
    let place = trained();
    let eval = ["eval", "suite.toml", "--model", "run/model", "--predictions", "judged"];
    place.polytask(&eval).done();
    let found = place.polytask(&["compare", "run", "judged", "--json"]).object();
    for metric in
        found["tasks"].as_array().unwrap().iter().flat_map(|task| task["metrics"].as_array().unwrap())
    {
        let delta = metric["delta"]["value"].as_f64();
        assert!(delta.is_none_or(|delta| delta == 0.0), "{metric}");
    }
    let single = ["compare", "run/predictions/topic.json", "judged/topic.json"];
    has(&place.polytask(&single).done(), &["No task differs clearly"]);
    let none = Place::new();
    none.write("suite.toml", suite(&[], ""));
    none.write("empty/report.json", "{}");
    has(
        &none.polytask(&["compare", "empty", "empty"]).refused(),
        &["no predictions of a run", "--predictions DIR"],
    );
    has(&none.polytask(&["compare", "nowhere", "empty"]).refused(), &["nowhere"]);
}

/// A corpus, three judged queries of which one has two answers, and a suite about them.
fn judged() -> &'static Place {
    let place = trained();
    place.write("trec/corpus.jsonl", "{\"_id\":\"c1\",\"text\":\"the cat sees a bird\"}\n{\"_id\":\"c2\",\"text\":\"the saw takes a drill\"}\n{\"_id\":\"c3\",\"text\":\"who keeps a horse\"}\n");
    place.write(
        "trec/queries.jsonl",
        "{\"_id\":\"q1\",\"text\":\"a bird\"}\n{\"_id\":\"q2\",\"text\":\"a drill\"}\n{\"_id\":\"q3\",\"text\":\"horse\"}\n",
    );
    place.write(
        "trec/qrels.tsv",
        "query-id\tcorpus-id\tscore\nq1\tc1\t1\nq2\tc2\t2\nq2\tc3\t1\nq3\tc3\t1\nq3\tc1\t0\n",
    );
    place.write("trec/suite.toml", "[[task]]\nname = \"ask\"\nkind = \"retrieval\"\ncorpus = \"corpus.jsonl\"\nqueries = \"queries.jsonl\"\nqrels = { test = \"qrels.tsv\" }\n");
    place
}

#[test]
fn a_run_of_trec_is_scored_as_eval_scored_the_model() {
    let place = judged();
    let eval = ["eval", "trec/suite.toml", "-m", "run", "--trec", "trec/found", "--json"];
    let scores = place.polytask(&eval).object();
    let run = place.read("trec/found/ask.test.run");
    assert_eq!(run.lines().count(), 9, "{run}");
    assert!(run.starts_with("q1 Q0 c"), "{run}");
    // Another tool found less, and ranks by scores on another scale.
    place.write(
        "trec/other.run",
        "q1 Q0 c1 1 12.5 bm25\nq1 Q0 c9 2 11 bm25\nq2 0 c3 1 9 bm25\nq9 Q0 c1 1 1 bm25\n",
    );
    let compare = ["compare", "trec/found/ask.test.run", "trec/other.run", "--qrels", "trec/qrels.tsv"];
    let found = place.polytask(&[&compare[..], &["--json"]].concat());
    has(&found.err, &["nothing for 1 of 3 judged queries", "1 query is left out"]);
    let found = found.object();
    let metrics = found["tasks"][0]["metrics"].as_array().unwrap();
    for (metric, score) in metrics.iter().zip(scores["tasks"][0]["joint"].as_array().unwrap()) {
        assert_eq!((&metric["metric"], &metric["first"]["value"]), (&score["metric"], &score["value"]));
    }
    // ndcg@10 of the other run: 1 and, of q2, grade 1 found where 2 and 1 would be best; q3 is not in it.
    let (found_q2, best_q2) = (1.0, 2.0 + 1.0 / 3.0_f64.log2());
    let ndcg = metrics[0]["second"]["value"].as_f64().unwrap();
    assert!((ndcg - (1.0 + found_q2 / best_q2) / 3.0).abs() < 1e-9, "{ndcg}");
    let one = place.polytask(&[&compare[..], &["--metric", "recall@5", "--json"]].concat()).object();
    assert_eq!(one["tasks"][0]["metrics"].as_array().unwrap().len(), 1);
}

#[test]
fn runs_and_judgements_that_do_not_fit_are_told() {
    let place = judged();
    let refused = |run: &str, more: &[&str]| {
        place.write("trec/wrong.run", run);
        let compare = ["compare", "trec/wrong.run", "trec/wrong.run", "--qrels", "trec/qrels.tsv"];
        place.polytask(&[&compare[..], more].concat()).refused()
    };
    has(&refused("q1 c1 0.5\n", &[]), &["trec/wrong.run:1", "3 fields, expected 6"]);
    has(&refused("x Q0 c1 1 0.5 t\n", &[]), &["answers none of 3 judged queries", "same ids"]);
    has(
        &refused("q1 Q0 c1 1 0.5 t\n", &["--metric", "accuracy"]),
        &["`accuracy` is no metric of a ranking", "ndcg@10"],
    );
}
