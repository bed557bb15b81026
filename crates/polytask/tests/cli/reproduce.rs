//! `reproduce`: refusals that say what is missing, and an experiment on the digits of a small MNIST.

use crate::support::{Place, has};

#[test]
fn an_unknown_experiment_is_refused_with_the_nearest() {
    let error = Place::new().polytask(&["reproduce", "rep-mlt"]).refused();
    has(&error, &["`rep-mlt`", "try: `rep-mtl`"]);
}

#[test]
fn missing_digits_are_named_with_where_to_get_them() {
    let place = Place::new();
    place.write("sets/readme.txt", "");
    let error = place.polytask(&["reproduce", "31", "--quick", "--data", "sets"]).refused();
    has(&error, &["MNIST", "sets", "--data DIR", "train-images-idx3-ubyte.gz"]);
    let ran = place.polytask_where(("POLYTASK_DATA", "elsewhere"), &["reproduce", "31", "--quick"]);
    has(&ran.refused(), &["elsewhere"]);
    let error = place.polytask(&["reproduce", "31", "--quick"]).refused();
    has(&error, &["not in data"]);
}

#[test]
fn a_wrong_setting_is_refused_before_anything_is_trained() {
    let place = Place::new();
    let error = place.polytask(&["reproduce", "text-methods", "--quick", "--set", "train.stepz=1"]).refused();
    has(&error, &["stepz", "`steps`"]);
    let error = place.polytask(&["reproduce", "31", "--set", "method.sedes=1"]).refused();
    has(&error, &["`sedes`"]);
}
