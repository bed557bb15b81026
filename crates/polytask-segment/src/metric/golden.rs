//! Scores held against segeval and NLTK, numbers of `xtask/parity/segmentation.py`.

use serde_json::Value;

use super::*;
use crate::Boundaries;

fn golden() -> Value {
    serde_json::from_str(include_str!("golden.json")).unwrap()
}

fn marks(value: &Value) -> Boundaries {
    Boundaries::new(value.as_array().unwrap().iter().map(|mark| mark == 1).collect())
}

fn is_near(found: f64, expected: &Value) -> bool {
    (found - expected.as_f64().unwrap()).abs() < 1e-6
}

#[test]
fn pk_and_window_diff_equal_segeval_and_nltk() {
    let golden = golden();
    let (reference, found) = (marks(&golden["ref"]), marks(&golden["hyp"]));
    let n = reference.n_units();
    let hypotheses =
        [("hyp", found), ("none", Boundaries::new(vec![false; n])), ("all", Boundaries::new(vec![true; n]))];
    for (style, name) in [(WindowStyle::Segeval, "segeval"), (WindowStyle::Nltk, "nltk")] {
        for k in [2, 3] {
            for (which, hypothesis) in &hypotheses {
                let expected = &golden[format!("{name}_k{k}")][*which];
                let scores =
                    (pk(&reference, hypothesis, k, style), window_diff(&reference, hypothesis, k, style));
                assert!(is_near(scores.0.unwrap(), &expected[0]), "{name} {k} {which}: {scores:?}");
                assert!(is_near(scores.1.unwrap(), &expected[1]), "{name} {k} {which}: {scores:?}");
            }
        }
    }
}

#[test]
fn boundaries_are_hit_exactly_or_nearly() {
    let golden = golden();
    let (reference, found) = (marks(&golden["ref"]), marks(&golden["hyp"]));
    let none = Boundaries::new(vec![false; reference.n_units()]);
    let cases = [("f1_exact", &found, 0), ("f1_within1", &found, 1), ("f1_none", &none, 0)];
    for (name, found, tolerance) in cases {
        let counts = boundary_counts(&reference, found, tolerance);
        let scores = [counts.precision(), counts.recall(), counts.f1()];
        for (score, expected) in scores.iter().zip(golden[name].as_array().unwrap()) {
            assert!(is_near(*score, expected), "{name}: {counts:?}");
        }
    }
    assert_eq!(boundary_counts(&none, &none, 0).f1(), 1.0);
}

#[test]
fn a_joined_corpus_has_its_document_ends_for_nothing() {
    let golden = golden();
    let reference = [marks(&golden["ref"]), marks(&golden["none_two_documents"]["doc2"])];
    let none: Vec<Boundaries> =
        reference.iter().map(|document| Boundaries::new(vec![false; document.n_units()])).collect();
    let pairs: Vec<_> = reference.iter().zip(&none).collect();
    let score = |joined| {
        let convention = Convention { k: 2, windows: WindowStyle::Segeval, joined };
        SegmentScores::of(&pairs, convention).pk
    };
    assert!(is_near(score(false), &golden["none_two_documents"]["per_document_mean"]));
    assert!(is_near(score(true), &golden["none_two_documents"]["joined_then_scored"]));
}

#[test]
fn k_is_half_the_mean_segment_and_short_documents_are_skipped_and_counted() {
    let golden = golden();
    let reference = marks(&golden["ref"]);
    let mean = crate::boundaries::mean_segment([&reference]).unwrap();
    assert_eq!(half_segment(mean) as u64, golden["k_from_ref"].as_u64().unwrap());
    assert_eq!((half_segment(1.0), half_segment(84.938), half_segment(5.0)), (2, 42, 2));
    let short = Boundaries::new(vec![false; 2]);
    let convention = Convention { k: 2, windows: WindowStyle::Segeval, joined: false };
    let scores = SegmentScores::of(&[(&short, &short), (&reference, &reference)], convention);
    assert_eq!((scores.pk, scores.n_documents, scores.n_skipped), (0.0, 2, 1));
    assert!(SegmentScores::of(&[(&short, &short)], convention).pk.is_nan());
    assert_eq!(convention.to_string(), "k = 2, n-k windows (segeval), per-document");
}
