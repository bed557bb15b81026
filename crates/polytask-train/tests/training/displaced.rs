//! Methods that look at displaced weights and other batches, in the real loop.

// The small methods below have the signature of `Method::update`.
#![allow(clippy::unnecessary_wraps)]

use polytask_train::log::Log;
use polytask_train::observe::Silent;
use polytask_train::run::{RunOptions, run};
use polytask_train::{Error, Result};
use polytask_weighting::{At, Direction, Heads, Needs, Probe, Update, WEIGHTINGS, Weighting};

use crate::common::{Data, NOTES, TWO, apart, heads, trunk};

fn weighting(short: &str) -> String {
    format!("train.weighting=\"{short}\"")
}

#[test]
fn every_method_of_the_table_trains() {
    let data = Data::new();
    let plain = data.rig(NOTES, &[]);
    for entry in WEIGHTINGS {
        // Methods that see representations only say so in their needs.
        let space = match plain.method(entry.info.id).needs().spaces {
            polytask_weighting::Spaces::Representation => "train.gradients=\"representation\"",
            _ => "train.gradients=\"full\"",
        };
        let state = data.rig(NOTES, &[&*weighting(entry.info.id), space]).trained();
        assert!(trunk(&state).iter().chain(&heads(&state)).all(|v| v.is_finite()), "{}", entry.info.id);
        assert!(state.history.isolated.is_empty(), "{}", entry.info.id);
        assert!(trunk(&state) != trunk(&plain.state()), "{}", entry.info.id);
    }
}

#[test]
fn in_a_ball_of_no_size_flat_is_the_inner_method_also_under_dropout() {
    let data = Data::new();
    let set = ["model.dropout=0.2", "train.eps=1e-2"];
    for tasks in [NOTES, TWO] {
        for of in ["equal", "uw", "mgda", "pcgrad"] {
            let train = |short: &str| data.rig(tasks, &[&*weighting(short), set[0], set[1]]).trained();
            let (base, flat) = (train(of), train(&format!("flat({of}, rho=1e-30)")));
            if ["equal", "uw"].contains(&of) {
                // No Gramian, whose sums have another order than those of kept rows: bit for bit.
                assert!(trunk(&flat) == trunk(&base) && heads(&flat) == heads(&base), "{of}");
            }
            let near = apart(&trunk(&flat), &trunk(&base)).max(apart(&heads(&flat), &heads(&base)));
            let far = apart(&trunk(&train(&format!("flat({of}, rho=0.1)"))), &trunk(&base));
            assert!(near < 1e-6 && far > 20.0 * near, "{of} {near} {far}");
        }
    }
}

#[test]
fn every_form_of_flat_trains_and_they_differ() {
    let data = Data::new();
    let mut finals = Vec::new();
    for form in [
        "flat(pcgrad, rho=0.05)",
        "flat(pcgrad, rho=0.05, variant=direct)",
        "flat(pcgrad, rho=0.05, variant=second)",
        "flat(pcgrad, rho=0.05, variant=each)",
        "flat(pcgrad, rho=0.05, norm=joint)",
        "flat(pcgrad, rho=0.05, rho_heads=0.5)",
        "flat(pcgrad, rho=0.05, skip_norms=true)",
        "flat(pcgrad, rho=0.05, every=2)",
        "flat(pcgrad, rho=2, adaptive=true)",
        "sam(rho=0.05)",
        "sam(rho=2, adaptive=true)",
        "samo(pcgrad, rho=0.05)",
    ] {
        let state = data.rig(NOTES, &[&*weighting(form), "model.freeze=[\"layer.0\"]"]).trained();
        assert!(trunk(&state).iter().chain(&heads(&state)).all(|v| v.is_finite()), "{form}");
        assert!(finals.iter().all(|other| *other != trunk(&state)), "{form}");
        finals.push(trunk(&state));
    }
}

#[test]
fn one_task_under_flat_is_sam_up_to_the_norm() {
    let data = Data::new();
    let task = TWO.split("[[task]]\nname = \"alike\"").next().unwrap();
    let flat = data.rig(task, &[&*weighting("flat(mgda, rho=0.1, norm=joint)"), "train.eps=1e-2"]).trained();
    let sam = data.rig(task, &[&*weighting("sam(rho=0.1)"), "train.eps=1e-2"]).trained();
    let far = data.rig(task, &["train.eps=1e-2"]).trained();
    let (near, far) = (apart(&trunk(&flat), &trunk(&sam)), apart(&trunk(&flat), &trunk(&far)));
    assert!(near < 1e-6 && far > 20.0 * near, "{near} {far}");
}

#[test]
fn a_ball_that_no_task_survives_ends_training_in_words_with_the_weights_as_they_were() {
    let data = Data::new();
    for form in ["flat(mgda, rho=1e30)", "sam(rho=1e30)", "samo(equal, rho=1e30)"] {
        let rig = data.rig(NOTES, &[&*weighting(form)]);
        let mut trainer = rig.trainer();
        let error = trainer.train("test", &mut Silent).unwrap_err();
        assert!(matches!(error, Error::Diverged { step: 1, .. }), "{form}: {error}");
        assert!(error.to_string().contains("at displaced weights"), "{form}: {error}");
        let before = rig.state();
        assert!(trunk(&trainer.state) == trunk(&before) && heads(&trainer.state) == heads(&before), "{form}");
    }
}

/// Plain training that looks at each task with the second one's head far out, where it is not finite.
struct Reckless;

impl Weighting for Reckless {
    fn needs(&self) -> Needs {
        Needs { displaced: true, ..Needs::NONE }
    }

    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        let far = |(i, &task): (usize, &usize)| vec![if task == 1 { 3e38 } else { 0.0 }; probe.head(i).len()];
        let displaced: Vec<Vec<f32>> = probe.tasks().iter().enumerate().map(far).collect();
        for i in 0..displaced.len() {
            probe.task(At { heads: Some(&displaced), ..At::default() }, i)?;
        }
        let ones = vec![1.0; displaced.len()];
        Ok(Update { trunk: Direction::Weights(ones.clone()), heads: Heads::Factors(ones) })
    }
}

#[test]
fn a_task_that_is_not_finite_at_displaced_weights_is_taken_out_and_named() {
    let data = Data::new();
    let rig = data.rig(NOTES, &[]);
    let state = rig.trained_by(Box::new(Reckless));
    let isolated = &state.history.isolated;
    assert_eq!((isolated.len(), &*isolated[0].task, isolated[0].steps), (1, "size", state.step));
    assert!(isolated[0].what.contains("not finite") && isolated[0].what.contains("at displaced weights"));
    assert!(state.heads[1] == rig.blocks()[1] && state.heads[0] != rig.blocks()[0]);
}

#[test]
fn what_a_method_does_and_measures_stands_in_log_and_report() {
    let data = Data::new();
    let prepared = data.prepare(NOTES, &[&*weighting("flat(mgda, rho=0.05)")]);
    let options = RunOptions { out: data.out("seen"), resume: false, baselines: None };
    std::fs::create_dir_all(data.out("log")).unwrap();
    let path = data.out("log").join("log.jsonl");
    let mut silent = Silent;
    let report = run(&prepared, &options, &mut Log::open(&path, &mut silent).unwrap()).unwrap();
    assert_eq!(report.weighting, "flat(mgda, rho=0.05)");
    for (name, tasks) in
        [("weight", 3), ("flat-weight", 3), ("sharpness", 3), ("flatness", 3), ("conflict", 1)]
    {
        assert_eq!(report.observed[name].len(), tasks, "{name}");
    }
    assert_eq!(report.observed["sharpness"]["size"].len() as u64, report.steps);
    let log = std::fs::read_to_string(path).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let steps: Vec<_> = lines.filter(|line| line["phase"] == "joint" && line["losses"].is_object()).collect();
    assert_eq!(steps.len() as u64, report.steps);
    for step in steps {
        let weights = step["observed"]["weight"].as_object().unwrap();
        let total: f64 = weights.values().map(|w| w.as_f64().unwrap()).sum();
        assert!((total - 1.0).abs() < 1e-9 && step["observed"]["conflict"].is_f64(), "{step}");
    }
}

#[test]
fn displaced_methods_refuse_representations_even_for_one_task() {
    let data = Data::new();
    let task = TWO.split("[[task]]\nname = \"alike\"").next().unwrap();
    let prepared = data.prepare(task, &[&*weighting("flat(mgda)"), "train.gradients=\"representation\""]);
    let options = RunOptions { out: data.out("refused"), resume: false, baselines: None };
    let error = run(&prepared, &options, &mut Silent).unwrap_err().to_string();
    assert!(error.contains("train.gradients = \"full\""), "{error}");
}
