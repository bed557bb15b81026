//! Help: every verb says what it does, by example, and how it can end.

use crate::support::{Place, has};

const VERBS: [&str; 12] =
    ["demo", "init", "check", "show", "pull", "data", "train", "eval", "embed", "predict", "search", "bench"];

#[test]
fn without_arguments_the_help_is_shown() {
    let place = Place::new();
    let ran = place.polytask(&[]);
    assert_eq!(ran.code, 2);
    has(&(ran.out + &ran.err), &VERBS);
    has(&place.polytask(&["--help"]).done(), &["Examples:", "polytask demo", "Exit codes:"]);
    has(&place.polytask(&["--version"]).done(), &["polytask 0."]);
}

#[test]
fn every_verb_has_an_example_of_its_own_and_says_how_it_ends() {
    let place = Place::new();
    for verb in VERBS {
        let help = place.polytask(&[verb, "--help"]).done();
        has(&help, &["Example", &format!("polytask {verb}"), "Exit codes: 0"]);
    }
    for bench in ["train-step", "embed"] {
        has(&place.polytask(&["bench", bench, "--help"]).done(), &["--runs", "--threads"]);
    }
}

#[test]
fn an_unknown_verb_or_flag_is_refused_with_the_nearest() {
    let place = Place::new();
    let ran = place.polytask(&["trian"]);
    assert_eq!(ran.code, 2);
    has(&ran.err, &["trian", "train"]);
    let ran = place.polytask(&["train", "s.toml", "--resum"]);
    assert_eq!(ran.code, 2);
    has(&ran.err, &["--resume"]);
}
