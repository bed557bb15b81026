//! Gramian weightings in the real loop: gradients by layer, and gradients kept instead of a weighted backward.

// The small method below has the signature of `Method::update`.
#![allow(clippy::unnecessary_wraps)]

use polytask_core::Family;
use polytask_core::suite::GradientSpace;
use polytask_train::Result;
use polytask_train::swept::Keeper;
use polytask_train::trainer::State;
use polytask_weighting::layers::ByLayer;
use polytask_weighting::table::{self, Setup};
use polytask_weighting::{At, Direction, Heads, Needs, Probe, Spaces, Update, WEIGHTINGS, Weighting, blocks};

use crate::architectures;
use crate::common::{Data, NOTES, Rig, apart, heads, size, trunk};
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
    let gramian = WEIGHTINGS.iter().filter(|entry| entry.info.family == Family::GramianWeighting);
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

#[test]
fn weights_by_layer_stand_in_the_history_as_their_means_over_the_blocks() {
    let data = Data::new();
    let rig = data.rig(NOTES, &["train.gradients=\"layer\"", "train.weighting=\"mgda\"", "train.steps=2"]);
    let state = rig.trained();
    let curves = state.history.observed_curves(&rig.heads);
    assert_eq!(curves["weight"].len(), 3);
    for step in 0..2 {
        let weights = curves["weight"].values().map(|curve| curve[step].value);
        assert!((weights.sum::<f64>() - 1.0).abs() < 1e-9, "weights of every block sum to 1: {curves:?}");
    }
}

/// Architectures in which tasks have trunk blocks of their own.
const WITH_OWN: [&str; 2] = ["mmoe", "cgc"];

fn shared_rig(data: &Data, sharing: &str, set: &[String]) -> Rig {
    let rig = architectures::rig(data, NOTES, sharing, &set.iter().map(String::as_str).collect::<Vec<_>>());
    let engine = rig.engine();
    assert!((0..3).all(|task| !engine.own(task).is_empty()), "{sharing}: no blocks of its own");
    rig
}

/// Asserts that two trainings ended alike in trunk and heads, and that every block of the first was trained.
fn same(rig: &Rig, a: &State, b: &State, what: &str) {
    let (trunks, heads) = (apart(&trunk(a), &trunk(b)), apart(&heads(a), &heads(b)));
    assert!(trunks < 1e-4 && heads < 1e-4, "{what}: {trunks} {heads}");
    for (before, after) in rig.state().trunk.blocks.iter().zip(&a.trunk.blocks) {
        assert!(before.values != after.values, "{what}: {}", before.name);
    }
}

#[test]
fn kept_gradients_and_a_weighted_backward_train_alike_where_tasks_have_blocks_of_their_own() {
    let data = Data::new();
    for sharing in WITH_OWN {
        for (method, space) in [("cagrad", "full"), ("cagrad", "layer"), ("mgda", "full")] {
            let rig = |rows: &str| shared_rig(&data, sharing, &settings(method, space, &[SOFT, rows]));
            let (kept, swept) = (rig("train.rows_mb=64"), rig("train.rows_mb=0"));
            same(&kept, &kept.trained(), &swept.trained(), &format!("{sharing} {method} {space}"));
        }
    }
}

/// The same weights at every step, asked of the Gramian all the same.
struct Fixed;

impl Fixed {
    const WEIGHTS: [f64; 3] = [0.5, 2.0, 1.0];
}

impl Weighting for Fixed {
    fn needs(&self) -> Needs {
        Needs { gramian: true, ..Needs::NONE }
    }

    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        assert_eq!(probe.gramian(At::default())?.n, 3);
        let weights = Self::WEIGHTS.to_vec();
        Ok(Update { trunk: Direction::Weights(weights.clone()), heads: Heads::Factors(weights) })
    }
}

#[test]
fn fixed_weights_train_alike_for_all_blocks_at_once_by_layer_and_of_kept_gradients() {
    let data = Data::new();
    for sharing in WITH_OWN {
        let rig =
            |space: &str, rows: &str| shared_rig(&data, sharing, &settings("cagrad", space, &[SOFT, rows]));
        let plain = rig("full", "train.rows_mb=0");
        let expected = plain.trained_by(Box::new(Fixed));
        let kept = rig("full", "train.rows_mb=64").trained_by(Box::new(Fixed));
        same(&plain, &expected, &kept, &format!("{sharing} kept"));
        for rows in ["train.rows_mb=0", "train.rows_mb=64"] {
            let rig = rig("layer", rows);
            let by_layer =
                ByLayer::new(rig.engine().n_trained(), || Ok(Box::new(Fixed) as Box<dyn Weighting>));
            let found = rig.trained_by(Box::new(by_layer.unwrap()));
            same(&plain, &expected, &found, &format!("{sharing} by layer {rows}"));
        }
    }
}
