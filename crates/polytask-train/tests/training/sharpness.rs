//! Sharpness on real networks: the formula spelt out, its slope, evaluation mode, models of one task and of views.

use std::fs;

use polytask_core::{Purpose, Rng, Split};
use polytask_nn::{Block, Mode, Params};
use polytask_train::assemble::StepBatch;
use polytask_train::engine::{Engine, Weights};
use polytask_train::observe::Silent;
use polytask_train::run::{RunOptions, run};
use polytask_train::sharpness::{Reach, Row, SharpnessOptions, Spot, of_model};
use polytask_train::vectors::unflatten;

use crate::common::{Data, NOTES, Rig, TWO};

/// The trunk a step of length `rho` up a gradient, spelt out.
fn ascended(trunk: &Params, shared: &[bool], gradient: &[f32], rho: f64) -> Params {
    let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
    let (mut moved, factor) = (trunk.clone(), (rho / norm) as f32);
    for (block, d) in moved.blocks.iter_mut().zip(unflatten(gradient, trunk, shared)) {
        block.values.iter_mut().zip(d).for_each(|(v, d)| *v += factor * d);
    }
    moved
}

/// The rows of all tasks of a batch at fresh weights.
fn rows(engine: &Engine, weights: Weights, batch: &StepBatch, mode: Mode, reach: Reach) -> Vec<Row> {
    let (rows, broken) = Spot { engine, weights, batch, mode }.rows(reach).unwrap();
    assert!(broken.is_empty(), "{broken:?}");
    rows
}

fn at<'a>(rig: &'a Rig, heads: &'a [Block]) -> (Engine<'a>, Weights<'a>) {
    let engine = Engine { dropout: 0.0, ..rig.engine() };
    (engine, Weights { trunk: &rig.prepared.encoder.params, heads })
}

#[test]
fn each_task_has_the_sharpness_of_the_formula_spelt_out() {
    let data = Data::new();
    let rows_of = |source| (source, vec![0, 1, 2, 3, 4, 5, 6, 7]);
    // Tasks that read the same rows, and tasks that read rows of their own.
    for (tasks, draws) in [(NOTES, vec![rows_of(0)]), (TWO, vec![rows_of(0), rows_of(1)])] {
        let rig = data.rig(tasks, &["model.freeze=[\"layer.0\"]"]);
        check_formula(&rig, &rig.batch_of(&draws));
    }
}

fn check_formula(rig: &Rig, batch: &StepBatch) {
    let heads = rig.blocks();
    let (engine, weights) = at(rig, &heads);
    let mode = engine.train_mode(0);
    let spot = Spot { engine: &engine, weights, batch, mode };
    let (rises, found) =
        (spot.rises(Reach::default()).unwrap(), rows(&engine, weights, batch, mode, Reach::default()));
    assert_eq!((rises.len(), found.len()), (heads.len(), heads.len()));
    let evaluation = engine.evaluate(weights, batch, 0).unwrap();
    for (row, rise) in found.iter().zip(rises) {
        let gradient = engine.rows(weights.trunk, &evaluation, &[row.task]).unwrap().values;
        let moved = ascended(weights.trunk, &engine.shared(), &gradient, 0.05);
        let there = Weights { trunk: &moved, heads: &heads };
        let expected = engine.losses(there, batch, 0).unwrap()[row.task] - evaluation.parts[row.task].loss;
        assert!(expected > 0.0 && (rise - expected).abs() < 1e-4 * expected + 2e-7, "{rise} {expected}");
        assert!((row.sharpness() - rise).abs() < 1e-6, "{row:?} {rise}");
        assert_eq!(row.loss, evaluation.parts[row.task].loss);
    }
}

#[test]
fn a_smaller_ball_has_a_rise_in_proportion_with_the_gradient_as_its_slope() {
    let data = Data::new();
    let rig = data.rig(NOTES, &[]);
    let heads = rig.blocks();
    let (engine, weights) = at(&rig, &heads);
    let (batch, mode) = (rig.batch(0, &[0, 1, 2, 3, 4, 5, 6, 7]), engine.train_mode(0));
    let rows = |rho| rows(&engine, weights, &batch, mode, Reach { rho, adaptive: false });
    let (small, large) = (rows(2e-3), rows(4e-3));
    for (small, large) in small.iter().zip(&large) {
        assert!((small.sharpness() / (2e-3 * small.gradient) - 1.0).abs() < 0.02, "{small:?}");
        assert!((large.sharpness() / small.sharpness() - 2.0).abs() < 0.04, "{small:?} {large:?}");
        assert!((large.flat / small.flat - 2.0).abs() < 0.2, "{small:?} {large:?}");
    }
    assert!(rows(1e-30).iter().all(|row| row.sharpness() == 0.0 && row.flat == 0.0));
}

/// A rig of a small ResNet on 16 images of two classes.
fn pictures(data: &Data) -> Rig {
    const SIDE: usize = 12;
    let folder = data.path().join("digits");
    fs::create_dir_all(&folder).unwrap();
    let mut rng = Rng::new(3, Purpose::Bench, &[]);
    for (stem, n) in [("train", 16_usize), ("t10k", 4)] {
        let header = |magic: u8, sizes: &[usize]| {
            let sizes = sizes.iter().flat_map(|&size| (size as u32).to_be_bytes());
            [0, 0, 8, magic].into_iter().chain(sizes).collect::<Vec<u8>>()
        };
        let pixels: Vec<u8> = (0..n * SIDE * SIDE).map(|_| rng.below(256) as u8).collect();
        let labels: Vec<u8> = (0..n).map(|i| (i % 2) as u8).collect();
        let images = [header(3, &[n, SIDE, SIDE]), pixels].concat();
        fs::write(folder.join(format!("{stem}-images-idx3-ubyte")), images).unwrap();
        fs::write(folder.join(format!("{stem}-labels-idx1-ubyte")), [header(1, &[n]), labels].concat())
            .unwrap();
    }
    let task = "[[task]]\nname = \"side\"\nkind = \"image-class\"\ndata = \"digits\"\n";
    data.rig(task, &["model.encoder=\"resnet18\"", "model.widths=[4, 4, 8, 8]"])
}

#[test]
fn in_evaluation_mode_images_do_not_see_each_other_and_the_gradient_is_still_the_slope() {
    let data = Data::new();
    let rig = pictures(&data);
    let heads = rig.blocks();
    let (engine, weights) = at(&rig, &heads);
    let mode = Mode { train: false, ..engine.train_mode(0) };
    let reach = Reach { rho: 1e-3, adaptive: false };
    let loss = |images: &[u32], mode| rows(&engine, weights, &rig.batch(0, images), mode, reach)[0].loss;
    let apart = |mode| (loss(&[0, 1], mode) - f64::midpoint(loss(&[0], mode), loss(&[1], mode))).abs();
    assert!(apart(mode) < 1e-5, "{}", apart(mode));
    assert!(apart(engine.train_mode(0)) > 1e-3, "{}", apart(engine.train_mode(0)));
    let row = rows(&engine, weights, &rig.batch(0, &[0, 1, 2, 3, 4, 5]), mode, reach)[0];
    assert!((row.sharpness() / (reach.rho * row.gradient) - 1.0).abs() < 0.05, "{row:?}");
}

const WANTED: SharpnessOptions = SharpnessOptions {
    split: Split::Train,
    batches: 3,
    rows: 6,
    reach: Reach { rho: 0.05, adaptive: false },
};

#[test]
fn a_stored_model_is_measured_as_its_tasks_share_it_also_with_views_or_one_task() {
    let data = Data::new();
    let one = &TWO[..TWO.rfind("[[task]]").unwrap()];
    for (name, tasks, set) in [
        ("hard", NOTES, "model.sharing=\"hard\""),
        ("views", NOTES, "model.sharing={ name = \"mmoe\", at = \"layer.0\", experts = 2 }"),
        ("one", one, "model.sharing=\"hard\""),
    ] {
        let prepared = data.prepare(tasks, &["train.steps=4", set]);
        let options = RunOptions { out: data.out(name), resume: false, baselines: None };
        run(&prepared, &options, &mut Silent).unwrap();
        let model = data.out(name).join("model");
        let look = |wanted| of_model(data.suite(tasks, &[set]), &model, wanted, &mut Silent).unwrap();
        let report = look(WANTED);
        assert_eq!(report.tasks.len(), prepared.suite.tasks.len(), "{name}");
        assert!(report.notes.is_empty() && report.parameters > 0, "{name} {report:?}");
        for task in &report.tasks {
            let sharpness = task.sharpness.unwrap();
            assert!(
                task.batches == 3 && sharpness.value > 0.0 && sharpness.low < sharpness.high,
                "{name} {task:?}"
            );
            assert!((task.worst.unwrap() - task.loss.unwrap() - sharpness.value).abs() < 1e-9, "{task:?}");
            assert!(task.flat.unwrap() > 0.0 && task.cosine.unwrap().abs() <= 1.0, "{name} {task:?}");
        }
        assert_eq!(look(WANTED), report, "{name}: the same again");
        let adaptive = SharpnessOptions {
            reach: Reach { rho: 0.5, adaptive: true },
            split: Split::Valid,
            batches: 1,
            ..WANTED
        };
        let adaptive = look(adaptive);
        assert!(adaptive.tasks.iter().all(|task| task.batches == 1 && task.sharpness.unwrap().low.is_nan()));
        assert!(adaptive.tasks.iter().all(|task| task.sharpness.unwrap().value > 0.0), "{name} {adaptive:?}");
    }
}

#[test]
fn frozen_blocks_stay_and_a_wholly_frozen_encoder_has_no_sharpness() {
    let data = Data::new();
    let prepared = data.prepare(NOTES, &["train.steps=2"]);
    let options = RunOptions { out: data.out("kept"), resume: false, baselines: None };
    run(&prepared, &options, &mut Silent).unwrap();
    let model = data.out("kept").join("model");
    let look = |set: &str| of_model(data.suite(NOTES, &[set]), &model, WANTED, &mut Silent);
    let (all, top) = (look("seed=7").unwrap(), look("model.freeze=[\"embeddings\", \"layer.0\"]").unwrap());
    assert!(top.parameters < all.parameters);
    let tone = |report: &polytask_core::sharpness::SharpnessReport| report.tasks[0].gradient.unwrap();
    assert!(tone(&top) < tone(&all));
    let error = look("model.freeze=[\"embeddings\", \"layer.0-1\"]").unwrap_err().to_string();
    assert!(
        error.contains("every block of the encoder is frozen") && error.contains("model.freeze"),
        "{error}"
    );
}
