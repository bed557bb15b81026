//! `search`: the nearest passages, exactly.

use serde_json::Value;

use crate::support::{Place, copied_model, copy, has, trained};

fn corpus(name: &str) -> &'static Place {
    let place = trained();
    let lines = "{\"_id\":\"c1\",\"title\":\"the cat\",\"text\":\"sees a bird\"}\n{\"text\":\"the saw takes a drill\"}\n\
                 {\"_id\":\"c3\",\"text\":\"who keeps a horse\"}\n";
    place.write(&format!("{name}.jsonl"), lines);
    place
}

const SEARCH: [&str; 3] = ["search", "--model", "run/model"];

#[test]
fn the_exact_text_comes_first_and_scores_fall() {
    let place = corpus("exact");
    let args =
        [&SEARCH[..], &["--corpus", "exact.jsonl", "--query", "the cat sees a bird", "--json"]].concat();
    let found = place.polytask(&args).object();
    let hits = found["hits"].as_array().unwrap();
    assert_eq!(hits.len(), 3, "k beyond the corpus gives all of it");
    assert_eq!(hits[0]["id"], "c1");
    let scores: Vec<f64> = hits.iter().map(|hit| hit["score"].as_f64().unwrap()).collect();
    assert!((scores[0] - 1.0).abs() < 1e-5 && scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    assert!(hits.iter().any(|hit| hit["id"] == "2"), "a passage without id has its number: {found}");
}

#[test]
fn queries_of_a_file_give_a_line_each_and_a_table_shows_texts() {
    let place = corpus("lines");
    let input = "{\"text\":\"the saw takes a drill\"}\n{\"text\":\"who keeps a horse\"}\n";
    let args = [&SEARCH[..], &["--corpus", "lines.jsonl", "--input", "-", "-k", "1"]].concat();
    let lines: Vec<Value> = place.polytask_reading(input, &args).lines();
    let ids: Vec<&Value> = lines.iter().map(|line| &line["hits"][0]["id"]).collect();
    assert_eq!(ids, ["2", "c3"]);
    let args =
        [&SEARCH[..], &["--corpus", "lines.jsonl", "--query", "the cat sees a bird", "-k", "1"]].concat();
    let out = place.polytask(&args).done();
    has(&out, &["1.0000", "c1", "the cat sees a bird"]);
}

#[test]
fn nothing_to_find_and_nothing_to_find_in_are_told() {
    let place = corpus("wrong");
    let search = |more: &[&str]| place.polytask(&[&SEARCH[..], more].concat()).refused();
    has(&search(&["--corpus", "wrong.jsonl"]), &["no query", "--query"]);
    has(&search(&["--corpus", "none.jsonl", "--query", "a"]), &["none.jsonl"]);
    place.write("empty.jsonl", "");
    has(&search(&["--corpus", "empty.jsonl", "--query", "a"]), &["empty.jsonl", "no passage"]);
    place.write("notext.jsonl", "{\"title\":\"a\"}\n");
    has(&search(&["--corpus", "notext.jsonl", "--query", "a"]), &["notext.jsonl:1", "`text`"]);
    let zero =
        place.polytask(&[&SEARCH[..], &["--corpus", "wrong.jsonl", "--query", "a", "-k", "0"]].concat());
    assert_eq!(zero.code, 2, "{zero:?}");
}

#[test]
fn corpus_and_queries_may_have_columns_of_any_name() {
    let place = corpus("columns");
    place.write("faq.csv", "number,heading,answer\n7,the cat,sees a bird\n8,,the saw takes a drill\n");
    place.write("asked.tsv", "question\nthe saw takes a drill\n");
    let columns = "text=answer,title=heading,id=number,query=question";
    let args = ["search", "-m", "run", "-c", "faq.csv", "-i", "asked.tsv", "-k", "1", "--columns", columns];
    let found = place.polytask(&args).lines();
    assert_eq!(found[0]["hits"][0]["id"], "8");
    assert_eq!(found[0]["query"], "the saw takes a drill");
    has(&place.polytask(&args[..9]).refused(), &["`question`", "--columns"]);
}

#[test]
fn a_model_that_is_no_folder_is_an_encoders_name_or_told() {
    let place = corpus("names");
    let search =
        |model: &str| place.polytask(&["search", "-m", model, "-c", "names.jsonl", "--query", "a"]).refused();
    // The network is not asked here: what was tried is told.
    has(&search("sentence-transformers/none-such"), &["none-such", "cache", "offline"]);
    has(&search("run/none"), &["run/none", "not there"]);
    has(&search("./none"), &["./none", "not there"]);
    has(&search("data"), &["data", "no model"]);
}

#[test]
fn an_encoder_in_the_cache_is_meant_by_its_name_as_in_a_suite() {
    let place = copied_model();
    copy(&place.path("model"), &place.path("cache/encoders/sentence-transformers--small-one"));
    place.write("corpus.jsonl", "{\"text\":\"the cat\"}\n{\"text\":\"the saw\"}\n");
    for name in ["sentence-transformers/small-one", "small-one"] {
        let args = ["search", "--model", name, "--corpus", "corpus.jsonl", "--query", "the saw", "--json"];
        assert_eq!(place.polytask(&args).object()["hits"][0]["id"], "2");
        let embed = |model| place.polytask(&["embed", "--model", model, "--input", "corpus.jsonl"]).done();
        assert_eq!(embed(name), embed("model"));
    }
}
