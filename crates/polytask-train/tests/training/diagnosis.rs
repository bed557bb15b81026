//! What tasks do to each other: measured without changing a weight, planted structure found, resumed as begun.

use std::path::Path;

use polytask_core::report::Measurement;
use polytask_core::{Split, report::Diagnosis};
use polytask_nn::Params;
use polytask_nn::optim::AdamW;
use polytask_train::engine::Weights;
use polytask_train::observe::{Event, Observer, Silent};
use polytask_train::optimise::Gradients;
use polytask_train::run::{self, RunOptions, check_shared};
use polytask_train::trainer::Trainer;
use polytask_train::vectors::unflatten;
use serde_json::json;

use crate::architectures;
use crate::common::{Data, NOTES, Rig, TWO, heads, trunk};

/// The measurements of a training that measures every `every` steps.
fn measured(rig: &Rig, every: u64) -> Vec<Measurement> {
    let mut trainer = rig.trainer();
    trainer.state.history.diagnose_every = every;
    trainer.train("test", &mut Silent).unwrap();
    trainer.state.history.measurements
}

/// Four tasks without heads on the same pairs: a score, the same, one of other rows, the reversed one.
const PLANTED: &str = r#"
[[source]]
name = "pairs"
data = "planted"
[[task]]
name = "sts"
kind = "similarity"
from = "pairs"
columns = { score = "sts" }
[[task]]
name = "twin"
kind = "similarity"
from = "pairs"
columns = { score = "sts" }
[[task]]
name = "opposite"
kind = "similarity"
from = "pairs"
columns = { score = "opposite" }
"#;

fn planted() -> Data {
    let data = Data::new();
    for split in Split::ALL {
        let rows = data.rows("pairs", split);
        let row = |row: &serde_json::Value| {
            let score = row["score"].as_f64().unwrap();
            json!({ "a": row["a"], "b": row["b"], "sts": score, "opposite": 5.0 - score })
        };
        data.write("planted", split, rows.iter().map(row));
    }
    data
}

fn mean(measurements: &[Measurement], cell: impl Fn(&Measurement) -> Option<f64>) -> f64 {
    let values: Vec<f64> = measurements.iter().filter_map(cell).collect();
    assert!(!values.is_empty());
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn a_step_on_the_same_task_helps_and_one_on_the_reversed_task_hurts() {
    let data = planted();
    let measurements = measured(&data.rig(PLANTED, &["train.steps=12", "model.dropout=0.0"]), 2);
    assert!(measurements.len() >= 5);
    let affinity = |i: usize, j: usize| mean(&measurements, |m| m.affinity[i][j]);
    let cosine = |i: usize, j: usize| mean(&measurements, |m| m.cosine[i][j]);
    assert!((cosine(0, 1) - 1.0).abs() < 1e-5 && cosine(0, 2) < -0.5);
    assert!(affinity(0, 1) > 0.0 && affinity(0, 2) < 0.0 && affinity(2, 0) < 0.0);
    assert!(affinity(2, 2) > 0.0);
    for m in &measurements {
        assert!((m.affinity[0][1].unwrap() - m.affinity[0][0].unwrap()).abs() < 1e-6);
        assert_eq!(m.affinity[0], m.affinity[1]);
        assert!(m.sharpness.iter().all(|rise| rise.unwrap() > 0.0));
    }
}

#[test]
fn a_look_ahead_is_the_step_training_would_take_in_fresh_shared_blocks_too() {
    let data = Data::new();
    let rig = |steps: &str| {
        let set = [
            steps,
            "model.dropout=0",
            "train.betas=[0.0, 0.999]",
            "train.weight_decay=0",
            "train.warmup=0",
            "train.schedule=\"constant\"",
            "train.clip=0",
            "train.head_lr_factor=100",
        ];
        architectures::rig_with(&data, NOTES, ("cross-stitch", json!({"at": "embeddings"})), &set)
    };
    let (one, rig) = (rig("train.steps=1"), rig("train.steps=4"));
    let (engine, shared, spec) = (rig.engine(), rig.engine().shared(), &rig.prepared.suite.train);
    let factor = |block: usize| if engine.trunk.is_fresh(block) { spec.head_lr_factor } else { 1.0 };
    assert!((0..shared.len()).any(|block| shared[block] && factor(block) > 1.0), "no fresh shared block");
    let flat = |trunk: &Params| {
        let blocks = trunk.blocks.iter().zip(&shared).filter(|(_, shared)| **shared);
        blocks.flat_map(|(block, _)| block.values.clone()).collect::<Vec<f32>>()
    };
    let minus = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f32>>();
    let norm = |v: &[f32]| v.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();

    let state = one.trained();
    let length = norm(&minus(&flat(&state.trunk), &flat(&one.state().trunk)));
    let mut trainer = Trainer { state: state.clone(), ..rig.trainer() };
    trainer.state.history.diagnose_every = 2;
    let batch = rig.batch_of(&trainer.plan.step(1));
    trainer.train("test", &mut Silent).unwrap();
    let measured = &trainer.state.history.measurements[0];

    let weights = Weights { trunk: &state.trunk, heads: &state.heads };
    let (evaluation, before) =
        (engine.evaluate(weights, &batch, 2).unwrap(), engine.losses(weights, &batch, 2).unwrap());
    for i in 0..3 {
        let gradient = engine.rows(&state.trunk, &evaluation, &[i]).unwrap().values;
        let gradients =
            Gradients { trunk: unflatten(&gradient, &state.trunk, &shared), heads: vec![None; 3] };
        let adamw = AdamW { betas: spec.betas, eps: spec.eps, weight_decay: 0.0 };
        let (mut trunk, mut heads, mut slots) =
            (state.trunk.clone(), state.heads.clone(), state.slots.clone());
        let factors: Vec<f64> = (0..shared.len()).map(factor).collect();
        slots.step(&adamw, &mut trunk, &mut heads, &gradients, spec.lr, (&factors, &[1.0; 3]));
        let step = minus(&flat(&trunk), &flat(&state.trunk));
        let scale = (length / norm(&step)) as f32;
        let step: Vec<f32> = step.iter().map(|d| scale * d).collect();
        let mut ahead = state.trunk.clone();
        for (block, d) in ahead.blocks.iter_mut().zip(unflatten(&step, &state.trunk, &shared)) {
            block.values.iter_mut().zip(d).for_each(|(v, d)| *v += d);
        }
        let after = engine.losses(Weights { trunk: &ahead, ..weights }, &batch, 2).unwrap();
        for j in 0..3 {
            let (found, expected) = (measured.affinity[i][j].unwrap(), 1.0 - after[j] / before[j]);
            assert!((found - expected).abs() < 1e-3 * (1.0 + expected.abs()), "{i} {j}: {found} {expected}");
        }
    }
}

#[test]
fn measuring_changes_no_weight() {
    let data = Data::new();
    for mixing in ["joint", "alternate"] {
        let rig = data.rig(TWO, &[&format!("train.mixing=\"{mixing}\""), "train.steps=8"]);
        let plain = rig.trained();
        let mut trainer = rig.trainer();
        trainer.state.history.diagnose_every = 1;
        trainer.train("test", &mut Silent).unwrap();
        assert!(trunk(&plain) == trunk(&trainer.state) && heads(&plain) == heads(&trainer.state), "{mixing}");
        assert!(!trainer.state.history.measurements.is_empty());
    }
}

#[test]
fn tasks_meet_even_where_a_step_draws_one_source() {
    let data = Data::new();
    let measurements = measured(&data.rig(TWO, &["train.mixing=\"alternate\"", "train.steps=8"]), 2);
    assert!(measurements.len() >= 2);
    assert!(measurements.iter().all(|m| m.affinity[0][1].is_some() && m.cosine[1][0].is_some()));
}

#[test]
fn a_resumed_training_measures_as_it_began() {
    let data = Data::new();
    let rig = data.rig(NOTES, &["train.steps=8", "train.checkpoint_every=3"]);
    let folder = data.out("kept");
    let mut whole = rig.saving(&folder, "x");
    whole.state.history.diagnose_every = 2;
    whole.train("test", &mut Silent).unwrap();
    let mut resumed = rig.saving(&folder, "x");
    let checkpoints = resumed.checkpoints.clone().unwrap();
    assert!(checkpoints.load(&mut resumed.state, &rig.trainable).unwrap());
    assert_eq!(resumed.state.history.measurements, whole.state.history.measurements);
    assert_eq!(resumed.state.history.diagnose_every, 2);
}

/// Copies the joint training's checkpoint away when this step is told.
struct CopyAt<'a> {
    step: u64,
    from: &'a Path,
    to: &'a Path,
}

impl Observer for CopyAt<'_> {
    fn event(&mut self, event: Event) {
        if matches!(event, Event::Step { done, .. } if done == self.step) {
            let place = |out: &Path| out.join("checkpoint/joint/state.safetensors");
            std::fs::create_dir_all(place(self.to).parent().unwrap()).unwrap();
            std::fs::copy(place(self.from), place(self.to)).unwrap();
        }
    }
}

#[test]
fn a_resumed_run_measures_as_often_as_is_asked_now_or_as_it_began() {
    let data = Data::new();
    let prepared = data.prepare(NOTES, &["train.steps=12", "train.checkpoint_every=1"]);
    let (whole, killed, again) = (data.out("whole"), data.out("killed"), data.out("again"));
    let measured = |out: &Path, resume: bool, every: u64, observer: &mut dyn Observer| {
        let options = RunOptions { out: out.into(), resume, baselines: None };
        let report = run::diagnose(&prepared, &options, every, observer).unwrap();
        report.diagnosis.unwrap().measurements.iter().map(|m| m.step).collect::<Vec<_>>()
    };
    let steps = measured(&whole, false, 2, &mut CopyAt { step: 8, from: &whole, to: &killed });
    assert_eq!(steps, [2, 4, 6, 8, 10, 12]);
    measured(&data.out("other"), false, 2, &mut CopyAt { step: 8, from: &data.out("other"), to: &again });
    // Step 8 was told, its checkpoint not yet written.
    assert_eq!(measured(&killed, true, 3, &mut Silent), [2, 4, 6, 9, 12]);
    assert_eq!(measured(&again, true, 0, &mut Silent), steps);
}

#[test]
fn a_run_reports_its_measurements_and_a_group_is_paired_with_the_same_single_task_models() {
    let data = Data::new();
    let prepared = data.prepare(NOTES, &["train.baselines=true", "train.steps=6"]);
    let options = RunOptions { out: data.out("joint"), resume: false, baselines: Some(data.out("kept")) };
    let joint = run::diagnose(&prepared, &options, 0, &mut Silent).unwrap();
    let Diagnosis { tasks, measurements, .. } = joint.diagnosis.unwrap();
    assert_eq!(tasks, ["tone", "size", "topics"]);
    assert!(measurements.len() >= 4 && measurements[0].step >= 2);

    let options = RunOptions { out: data.out("groups"), ..options };
    let groups = run::groups(&prepared, &options, &[vec![0, 2], vec![0, 1, 2]], &mut Silent).unwrap();
    let names = |i: usize| groups[i].tasks.iter().map(|task| task.task.as_str()).collect::<Vec<_>>();
    assert_eq!((names(0), names(1)), (vec!["tone", "topics"], vec!["tone", "size", "topics"]));
    // The group of all tasks is the joint model.
    assert_eq!(groups[1].tasks[1].joint, joint.tasks[1].joint);
    assert_eq!(groups[0].tasks[0].single, joint.tasks[0].single);
    let model = polytask_model::Model::load(&data.out("groups").join("tone+topics/model")).unwrap();
    assert_eq!(
        model.tasks.iter().map(|task| task.info.name.as_str()).collect::<Vec<_>>(),
        ["tone", "topics"]
    );
    let again = run::groups(&prepared, &options, &[vec![0, 2]], &mut Silent).unwrap();
    assert_eq!(again[0], groups[0]);
}

#[test]
fn a_group_of_one_task_is_its_single_task_model_whatever_the_weighting() {
    let data = Data::new();
    for weighting in ["uw", "sam(rho=0.5)"] {
        let weighting = format!("train.weighting=\"{weighting}\"");
        let prepared = data.prepare(NOTES, &["train.baselines=true", "train.steps=6", &weighting]);
        let options = RunOptions { out: data.out(&weighting), resume: false, baselines: None };
        let groups = run::groups(&prepared, &options, &[vec![1]], &mut Silent).unwrap();
        let task = &groups[0].tasks[0];
        assert!(!task.single.is_empty());
        assert_eq!(task.joint, task.single, "{weighting}");
    }
}

#[test]
fn tasks_that_share_nothing_trained_are_refused() {
    let data = Data::new();
    let frozen = data.prepare(NOTES, &["model.freeze=[\"embeddings\", \"layer.0-1\"]"]);
    let error = check_shared(&frozen).unwrap_err().to_string();
    assert!(
        error.contains("every block of the encoder is frozen") && error.contains("model.freeze"),
        "{error}"
    );
    check_shared(&data.prepare(NOTES, &[])).unwrap();
}
