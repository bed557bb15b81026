//! Help: every verb says what it does, by example, and how it can end.

use crate::support::{Place, has};

/// The verbs as the help lists them.
fn verbs(place: &Place) -> Vec<String> {
    let help = place.polytask(&["--help"]).done();
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn without_arguments_the_help_is_shown() {
    let place = Place::new();
    let ran = place.polytask(&[]);
    assert_eq!(ran.code, 2);
    has(&(ran.out + &ran.err), &["demo", "train", "info"]);
    has(&place.polytask(&["--help"]).done(), &["Examples:", "polytask demo", "Exit codes:"]);
    has(&place.polytask(&["--version"]).done(), &["polytask 0."]);
}

#[test]
fn every_verb_has_an_example_of_its_own_and_says_how_it_ends() {
    let place = Place::new();
    let verbs = verbs(&place);
    assert!(verbs.len() >= 15, "{verbs:?}");
    for verb in verbs {
        let help = place.polytask(&[&verb, "--help"]).done();
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
