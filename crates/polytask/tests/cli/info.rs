//! `info`: what this build is, and instructions chosen by the environment.

use crate::support::{Place, has};

const SIMD: &str = "POLYTASK_SIMD";

#[test]
fn the_build_and_what_it_uses_are_one_object() {
    let place = Place::new();
    let info = place.polytask(&["info", "--json"]).object();
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&info["threads"], &info["precision"]), (&2.into(), &"f32".into()));
    let available = info["available"].as_array().unwrap();
    assert_eq!(
        (available.first(), available.last()),
        (Some(&"portable".into()), Some(&info["instructions"]))
    );
    assert!(info["cache"].as_str().unwrap().ends_with("cache"), "{info}");
    has(&place.polytask(&["info"]).done(), &["polytask", "instructions", "threads       2", "cache"]);
}

#[test]
fn instructions_are_chosen_by_the_environment_and_unknown_ones_refused() {
    let place = Place::new();
    let chosen = |value: &str| place.polytask_where((SIMD, value), &["info", "--json"]);
    assert_eq!(chosen("portable").object()["instructions"], "portable");
    assert_eq!(chosen("").object(), place.polytask(&["info", "--json"]).object());
    let ran = chosen("nonsense");
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    has(&ran.err, &["error: ", SIMD, "nonsense", "portable", "try: unset it"]);
}
