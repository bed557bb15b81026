//! Gramian weightings in the real loop: gradients by layer, and gradients kept instead of a weighted backward.

use polytask_core::Family;
use polytask_core::suite::GradientSpace;
use polytask_train::method::layers::ByLayer;
use polytask_train::method::table::{self, Setup};
use polytask_train::method::{At, METHODS, Probe, Spaces, blocks};
use polytask_train::swept::Keeper;

use crate::common::{Data, NOTES, apart, heads, size, trunk};
use crate::probe::Bench;

/// Steps a little softer than AdamW's first ones, which divide rounding by rounding.
const SOFT: &str = "train.eps=1e-2";

fn settings(method: &str, space: &str, more: &[&str]) -> Vec<String> {
    let own = [format!("train.weighting=\"{method}\""), format!("train.gradients=\"{space}\"")];
    own.into_iter().chain(more.iter().map(ToString::to_string)).collect()
}

#[test]
fn every_gramian_weighting_trains_on_every_gradient_space_it_can() {
    let data = Data::new();
    let gramian = METHODS.iter().filter(|entry| entry.info.family == Family::GramianWeighting);
    for id in gramian.map(|entry| entry.info.id) {
        let choice = polytask_core::method::Choice::named(id);
        let needs = table::make(&choice, &Setup::of(&["a"])).unwrap().needs();
        let mut spaces = Vec::new();
        spaces.extend((needs.spaces != Spaces::Representation).then_some("full"));
        spaces.extend(ByLayer::can(needs).then_some("layer"));
        spaces.extend((needs.spaces != Spaces::Parameters).then_some("representation"));
        let mut finals: Vec<Vec<f32>> = Vec::new();
        for space in spaces {
            let set = settings(id, space, &[]);
            let state = data.rig(NOTES, &set.iter().map(String::as_str).collect::<Vec<_>>()).trained();
            assert!(trunk(&state).iter().chain(&heads(&state)).all(|v| v.is_finite()), "{id} {space}");
            assert!(state.history.isolated.is_empty(), "{id} {space}");
            // Random weights do not look at gradients.
            let differs = id == "random" || finals.iter().all(|other| *other != trunk(&state));
            assert!(differs, "{id} {space} is as another space");
            finals.push(trunk(&state));
        }
    }
}

#[test]
fn kept_gradients_and_a_weighted_backward_train_alike() {
    let data = Data::new();
    for freeze in ["model.freeze=[]", "model.freeze=[\"layer.0\"]"] {
        for method in ["cagrad", "mgda", "nash-mtl"] {
            for space in ["full", "layer"] {
                let train = |rows: &str| {
                    let set = settings(method, space, &[SOFT, freeze, rows]);
                    data.rig(NOTES, &set.iter().map(String::as_str).collect::<Vec<_>>()).trained()
                };
                let (kept, swept) = (train("train.rows_mb=64"), train("train.rows_mb=0"));
                let apart = apart(&trunk(&kept), &trunk(&swept));
                assert!(apart < 1e-4, "{method} {space} {freeze} {apart}");
            }
        }
    }
}

#[test]
fn a_probe_keeps_the_gradients_its_gramian_was_made_from_when_they_fit() {
    let data = Data::new();
    for set in [&[][..], &["model.freeze=[\"layer.0\"]"]] {
        let rig = data.rig(NOTES, set);
        let bench = Bench::new(&rig);
        let mut probe = bench.probe(GradientSpace::Full, true);
        probe.keeper = Keeper::of(64, None);
        let weights: Vec<f64> = (0..probe.tasks().len()).map(|i| 0.5 + i as f64).collect();
        let expected = probe.gradient(At::default(), &weights).unwrap();
        let gramian = probe.gramian(At::default()).unwrap();
        let sum = probe.keeper.swept.as_ref().unwrap().sum(&rig.trainable, |_| &weights).unwrap();
        let found: Vec<f32> = sum.concat();
        let error = apart(&found, &expected) / size(&expected);
        assert!(error < 1e-5, "{error}");
        let mut small = bench.probe(GradientSpace::Full, true);
        assert_eq!(small.gramian(At::default()).unwrap(), gramian, "the budget changed the products");
        assert!(small.keeper.swept.unwrap().sum(&rig.trainable, |_| &weights).is_none());
    }
}

#[test]
fn gramians_of_blocks_are_those_of_the_rows_columns() {
    let data = Data::new();
    for set in [&[][..], &["model.freeze=[\"layer.0\"]"]] {
        let rig = data.rig(NOTES, set);
        let bench = Bench::new(&rig);
        for at in [At::default(), At { batch: 1, ..At::default() }] {
            let mut probe = bench.probe(GradientSpace::Layer, true);
            let rows = probe.rows(at).unwrap();
            let found = probe.block_gramians(at).unwrap();
            let spans = blocks(&probe.parts());
            assert_eq!(found.len(), spans.len());
            for (found, span) in found.iter().zip(spans) {
                let expected = rows.gramian(span);
                let size = expected.values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
                let near = |(f, e): (&f64, &f64)| (f - e).abs() <= 1e-9 * size;
                assert!(found.values.iter().zip(&expected.values).all(near), "{found:?} {expected:?}");
            }
        }
    }
}
