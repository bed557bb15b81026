//! Running statistics of batch norms in the loop: whose batch moves them, and that nothing else does.

use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;

use polytask_core::Split;
use polytask_nn::Mode;
use polytask_train::engine::{Forward, Weights};
use polytask_train::observe::Silent;
use polytask_train::saliency::{self, SaliencyOptions};
use polytask_train::trainer::State;

use crate::common::{Data, Rig, heads, trunk};
use crate::resume::resumed;

const SIDE: usize = 6;

/// Two tasks on the same images: which half is bright, and how bright.
pub(crate) const IMAGES: &str = r#"
[[source]]
name = "pictures"
files = { train = "train.csv", valid = "valid.csv" }
[[task]]
name = "half"
kind = "image-class"
from = "pictures"
[[task]]
name = "ink"
kind = "image-regression"
from = "pictures"
"#;

/// A small network with batch norms in every block; the rate of a network that starts anew.
const NET: [&str; 4] =
    ["model.encoder=\"resnet18\"", "model.widths=[3,3,4,4]", "model.dropout=0", "train.conflict_every=0"];

/// Writes 24 images of train and 12 of valid.
pub(crate) fn images() -> Data {
    let data = Data::new();
    for (split, n) in [(Split::Train, 24), (Split::Valid, 12)] {
        let (mut pixels, mut table) = (Vec::new(), String::from("image,label,value\n"));
        let file = format!("{}-pixels-images-idx3-ubyte", split.name());
        for i in 0..n {
            let bright = 120 + (i * 37 + split as usize) % 120;
            let half = |p: usize| (p % SIDE < SIDE / 2) == (i % 2 == 0);
            pixels.extend((0..SIDE * SIDE).map(|p| if half(p) { bright as u8 } else { (p * i) as u8 % 40 }));
            writeln!(table, "{file}#{i},{},{bright}", ["left", "right"][i % 2]).unwrap();
        }
        let sizes = [n, SIDE, SIDE].into_iter().flat_map(|size| (size as u32).to_be_bytes());
        let bytes: Vec<u8> = [0, 0, 8, 3].into_iter().chain(sizes).chain(pixels).collect();
        fs::write(data.path().join(file), bytes).unwrap();
        fs::write(data.path().join(format!("{}.csv", split.name())), table).unwrap();
    }
    data
}

/// A rig of the network on these images.
pub(crate) fn rig(data: &Data, set: &[&str]) -> Rig {
    data.rig(IMAGES, &[&NET, set].concat())
}

/// The running statistics, block by block.
fn statistics(state: &State) -> Vec<Vec<f32>> {
    let of_block = |block: &polytask_nn::Block| {
        let running = block.tensors.iter().filter(|tensor| tensor.name.contains(".running_"));
        running.flat_map(|tensor| block.values[tensor.range()].to_vec()).collect()
    };
    state.trunk.blocks.iter().map(of_block).collect()
}

#[test]
fn a_step_moves_statistics_by_its_own_batch_at_the_weights_before_it() {
    let data = images();
    let rig = rig(&data, &["train.steps=1"]);
    let mut trainer = rig.trainer();
    let rows = trainer.plan.step(0);
    trainer.train("test", &mut Silent).unwrap();
    let (engine, before) = (rig.engine(), rig.state());
    let weights = Weights { trunk: &before.trunk, heads: &before.heads };
    let evaluation = engine.evaluate(weights, &rig.batch_of(&rows), 1).unwrap();
    let mut expected = before.clone();
    engine.trunk.update_statistics(&mut expected.trunk, &evaluation.forward.saved);
    assert_eq!(statistics(&trainer.state), statistics(&expected));
    let moved = statistics(&before).iter().zip(statistics(&expected)).all(|(a, b)| *a != b);
    assert!(moved && statistics(&before).len() == 9);
}

#[test]
fn passes_at_displaced_weights_and_on_other_batches_move_no_statistics() {
    let data = images();
    let plain = rig(&data, &["train.steps=1"]).trained();
    for method in
        ["sam(rho=0.5)", "flat(mgda, rho=0.5)", "flat(equal, rho=0.5, variant=each)", "modo", "moml"]
    {
        let weighting = format!("train.weighting=\"{method}\"");
        let other = rig(&data, &["train.steps=1", &weighting]).trained();
        assert_eq!(statistics(&other), statistics(&plain), "{method}");
        let is_elsewhere = trunk(&other) != trunk(&plain);
        assert!(is_elsewhere || !method.contains("rho"), "{method} stepped as plain training");
    }
}

#[test]
fn frozen_blocks_keep_their_statistics_below_and_above_trained_ones() {
    let data = images();
    for frozen in ["[\"layer.0\"]", "[\"layer.2\", \"layer.5\"]", "[\"layer.0\", \"layer.8\"]"] {
        let rig = rig(&data, &[&format!("model.freeze={frozen}")]);
        let (before, after) = (rig.state(), rig.trained());
        for (i, (a, b)) in before.trunk.blocks.iter().zip(&after.trunk.blocks).enumerate() {
            assert_eq!(a.values == b.values, !rig.trainable[i], "{frozen}: {}", a.name);
        }
        let (a, b) = (statistics(&before), statistics(&after));
        for (block, trained) in rig.trainable.iter().enumerate() {
            assert_eq!(a[block] != b[block], *trained, "{frozen}: {block}");
        }
        assert!(heads(&before) != heads(&after));
    }
}

#[test]
fn statistics_are_resumed_and_kept_with_the_best_weights() {
    let data = images();
    for more in ["model.freeze=[]", "model.freeze=[\"layer.2\"]", "train.weighting=\"sam(rho=0.1)\""] {
        let set =
            [more, "train.checkpoint_every=1", "train.eval_every=2", "train.keep=\"best\"", "train.epochs=1"];
        assert_eq!(resumed(&data, &rig(&data, &set)), 3, "{more}");
    }
}

#[test]
fn saliencies_are_those_of_the_model_as_it_predicts() {
    let data = images();
    let rig = rig(&data, &[]);
    let (engine, heads) = (rig.engine(), rig.blocks());
    let trunk = &rig.prepared.encoder.params;
    let wanted = SaliencyOptions { split: Split::Train, rows: 24 };
    let report = saliency::of_suite(rig.prepared.suite.clone(), wanted, &mut Silent).unwrap();
    let batch = rig.batch(0, &(0..24).collect::<Vec<_>>());
    let sizes = |mode: Mode| {
        let (states, saved) = engine.trunk.forward(trunk, &batch.packed, mode).unwrap();
        let (forward, parts) = (Arc::new(Forward { states, saved }), batch.parts.iter().collect::<Vec<_>>());
        let evaluation = engine.run_heads(&heads, &batch, &parts, forward, None, 0).unwrap();
        let size = |values: &[f32]| 24.0 * values.iter().map(|v| f64::from(v.abs())).sum::<f64>();
        let mean = |values: &Vec<f32>| size(values) / values.len() as f64;
        evaluation.parts.iter().map(|part| mean(&part.cotangent.values)).collect::<Vec<_>>()
    };
    let (expected, training) = (sizes(Mode::EVAL), sizes(engine.train_mode(0)));
    for (task, expected) in report.tasks.iter().zip(&expected) {
        let found = task.size.unwrap();
        assert!((found - expected).abs() < 1e-5 * expected, "{}: {found} {expected}", task.task);
    }
    assert!((training[0] - expected[0]).abs() > 0.01 * expected[0], "{training:?} {expected:?}");
}
