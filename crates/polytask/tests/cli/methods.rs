//! `methods`: the tables as a list for programs, as tables for people, and one method in full.

use serde_json::Value;

use crate::support::{Place, has};

fn list(args: &[&str]) -> Vec<Value> {
    let out = Place::new().polytask(&[&["methods", "--json"], args].concat()).done();
    serde_json::from_str(&out).unwrap()
}

#[test]
fn the_list_has_the_names_other_programs_rely_on() {
    let weightings = list(&["--kind", "weighting"]);
    assert!(weightings.len() >= 5, "{weightings:?}");
    for method in &weightings {
        for key in ["id", "title", "paper", "family", "cost"] {
            assert!(method[key].is_string(), "{key} of {method}");
        }
        assert!(method["parameters"].is_array(), "{method}");
    }
    let mgda = weightings.iter().find(|method| method["id"] == "mgda").unwrap();
    assert_eq!(mgda["family"], "gramian-weighting");
    assert!(mgda["paper"].as_str().unwrap().contains("Sener"));
    let tolerance = mgda["parameters"].as_array().unwrap().iter().find(|p| p["name"] == "tolerance").unwrap();
    assert_eq!(tolerance["default"], 1e-6);
    assert!(tolerance["range"].as_str().unwrap().contains("from 0 to 1"));
}

#[test]
fn without_a_kind_every_kind_is_listed() {
    let all = list(&[]);
    for kind in ["weighting", "loss", "metric", "sampling", "sharing", "paper"] {
        let of_kind = all.iter().filter(|method| method["kind"] == kind).count();
        assert_eq!(of_kind, list(&["--kind", kind]).len(), "{kind}");
        assert!(of_kind > 0, "{kind}");
    }
}

#[test]
fn people_get_a_table_per_family_that_fits_the_terminal() {
    let place = Place::new();
    let out = place.polytask(&["methods"]).done();
    has(
        &out,
        &["loss weighting (--kind weighting)", "gramian weighting", "mgda", "tolerance = 1e-6", "sqrt"],
    );
    let wide = out.lines().filter(|line| line.chars().count() > 110).collect::<Vec<_>>();
    assert!(wide.is_empty(), "{wide:?}");
}

#[test]
fn one_method_is_shown_in_full_and_an_unknown_one_refused_with_the_nearest() {
    let place = Place::new();
    let out = place.polytask(&["methods", "mgda"]).done();
    has(&out, &["Désidéri", "cost", "one of none, l2, loss, loss+", "weighting = { name = \"mgda\""]);
    has(&place.polytask(&["methods", "mdga"]).refused(), &["`mdga`", "try: `mgda`"]);
    let error = place.polytask(&["methods", "mgda", "--kind", "loss"]).refused();
    has(&error, &["`mgda`"]);
    assert_eq!(place.polytask(&["methods", "--kind", "wieghting"]).code, 2);
}

#[test]
fn papers_are_listed_with_the_command_that_reproduces_them() {
    let papers = list(&["--kind", "paper"]);
    let rep = papers.iter().find(|paper| paper["id"] == "13").unwrap();
    assert_eq!((&rep["name"], &rep["family"]), (&"rep-mtl".into(), &"paper".into()));
    assert!(rep["example"].as_str().unwrap().contains("polytask reproduce 13"));
    let out = Place::new().polytask(&["methods", "flat-mtl"]).done();
    has(&out, &["31: Task-based flat regions", "ICCV 2025", "polytask reproduce 31"]);
}

#[test]
fn on_a_narrow_terminal_every_family_says_what_its_methods_do() {
    let out = Place::new().polytask_where(("COLUMNS", "72"), &["methods"]).done();
    has(&out, &["serves the worst-off task best", "id", "about"]);
    let wide = out.lines().filter(|line| line.chars().count() > 72).collect::<Vec<_>>();
    assert!(wide.is_empty(), "{wide:?}");
}
