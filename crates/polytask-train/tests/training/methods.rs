//! Conflict methods in the real loop.

// The small methods below have the signature of `Method::update`.
#![allow(clippy::unnecessary_wraps)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use polytask_core::method::Choice;
use polytask_train::Result;
use polytask_train::trainer::State;
use polytask_weighting::table::{Setup, make};
use polytask_weighting::{At, Direction, Heads, Needs, Probe, Spaces, Update, WEIGHTINGS, Weighting, blocks};

use crate::common::{Data, NOTES, Rig, TWO, apart, heads, trunk};

const SOFT: &str = "train.eps=1e-2";

fn weighting(name: &str) -> String {
    format!("train.weighting={name}")
}

#[test]
fn constant_weights_of_one_are_equal_weights_byte_for_byte() {
    let data = Data::new();
    let constant = weighting("{ name = \"constant\", weights = { tone = 1.0, alike = 1.0 } }");
    assert!(data.rig(TWO, &[]).trained() == data.rig(TWO, &[&*constant]).trained());
    let other = weighting("{ name = \"constant\", weights = { tone = 0.2 } }");
    assert!(trunk(&data.rig(TWO, &[]).trained()) != trunk(&data.rig(TWO, &[&*other]).trained()));
}

#[test]
fn a_task_of_constant_weight_zero_keeps_its_head() {
    let data = Data::new();
    let rig = data.rig(NOTES, &[&*weighting("{ name = \"constant\", weights = { size = 0.0 } }")]);
    let state = rig.trained();
    assert!(state.heads[1] == rig.blocks()[1] && state.slots.heads[1].count == 0);
    assert!(state.heads[0] != rig.blocks()[0]);
}

/// Methods that scale a task's loss even when it is alone.
const SCALING: [&str; 4] = ["imtl-l", "si", "stch", "uw"];

/// Gradients a method works with.
pub(crate) fn spaces(method: &str) -> Vec<&'static str> {
    let made = make(&Choice::named(method), &Setup::of(&["a", "b", "c"])).unwrap();
    match made.needs().spaces {
        Spaces::Either => vec!["full", "representation"],
        Spaces::Parameters => vec!["full"],
        Spaces::Representation => vec!["representation"],
    }
}

#[test]
fn one_task_under_any_method_is_plain_training() {
    let data = Data::new();
    let task = TWO.split("[[task]]\nname = \"alike\"").next().unwrap();
    let plain = data.rig(task, &[]).trained();
    // Flat regions of one task are SAM.
    let displaces = |id: &str| make(&Choice::named(id), &Setup::of(&["a"])).unwrap().needs().displaced;
    let plainly = |id: &&str| !SCALING.contains(id) && !displaces(id);
    for method in WEIGHTINGS.iter().map(|entry| entry.info.id).filter(plainly) {
        for space in ["full", "layer", "representation"] {
            // The one that shortens its steps by default is plain without that.
            let chosen = match method {
                "nash-mtl" => "{ name = \"nash-mtl\", max_norm = 0.0 }".to_owned(),
                _ => format!("\"{method}\""),
            };
            let set = [&*weighting(&chosen), &*format!("train.gradients=\"{space}\"")];
            let mut state = data.rig(task, &set).trained();
            // Its own notes aside, every byte is that of plain training.
            state.method.clear();
            assert!(state == plain, "{method} {space}");
        }
    }
}

/// The method as two tasks can use it.
pub(crate) fn of_two(method: &str) -> String {
    match method {
        "trimmed-mean" => "\"trimmed-mean(trim=0)\"".into(),
        _ => format!("\"{method}\""),
    }
}

#[test]
fn every_method_trains_on_the_gradients_it_works_with() {
    let data = Data::new();
    let mut finals = BTreeMap::new();
    for method in WEIGHTINGS.iter().map(|entry| entry.info.id) {
        for space in spaces(method) {
            let set = [&*weighting(&of_two(method)), &*format!("train.gradients=\"{space}\"")];
            let state = data.rig(NOTES, &set).trained();
            assert!(trunk(&state).iter().chain(&heads(&state)).all(|v| v.is_finite()), "{method} {space}");
            assert!(state.history.isolated.is_empty(), "{method} {space}");
            finals.insert((method, space), trunk(&state));
        }
    }
    let at = |method, space| &finals[&(method, space)];
    for method in ["equal", "uw", "rlw", "gls", "famo"] {
        assert!(
            at(method, "full") == at(method, "representation"),
            "{method}: losses have no gradient space"
        );
    }
    for method in ["mgda", "pcgrad"] {
        assert!(at(method, "full") != at(method, "representation"), "{method}");
    }
    let plain = at("equal", "full");
    for method in ["auto-lambda", "famo", "forum", "gls", "mgda", "moml", "rlw", "si", "uw"] {
        assert!(at(method, "full") != plain, "{method} did nothing");
    }
}

type Answer = fn(&mut dyn Probe) -> Result<Update>;

/// A method that is a function.
struct By(Answer, Needs);

impl Weighting for By {
    fn needs(&self) -> Needs {
        self.1
    }

    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        (self.0)(probe)
    }
}

fn by(rig: &Rig, answer: Answer) -> State {
    rig.trained_by(Box::new(By(answer, Needs::NONE)))
}

fn ones(probe: &dyn Probe) -> Vec<f64> {
    vec![1.0; probe.tasks().len()]
}

fn plain(probe: &mut dyn Probe) -> Result<Update> {
    Ok(Update { trunk: Direction::Weights(ones(probe)), heads: Heads::Factors(ones(probe)) })
}

fn block_weights(probe: &mut dyn Probe) -> Result<Update> {
    let weights = vec![ones(probe); blocks(&probe.parts()).len()];
    Ok(Update { trunk: Direction::BlockWeights(weights), heads: Heads::Factors(ones(probe)) })
}

fn vector(probe: &mut dyn Probe) -> Result<Update> {
    let rows = probe.rows(At::default())?;
    let column = |k: usize| (0..rows.n).map(|i| rows.row(i)[k]).sum();
    let sum = (0..rows.width).map(column).collect();
    Ok(Update { trunk: Direction::Vector(sum), heads: Heads::Factors(ones(probe)) })
}

fn gradients(probe: &mut dyn Probe) -> Result<Update> {
    let weights = ones(probe);
    let sum = probe.gradient(At::default(), &weights)?;
    Ok(Update { trunk: Direction::Gradient(sum), heads: Heads::Gradients(probe.heads(At::default())?) })
}

#[test]
fn all_ways_to_say_the_sum_train_alike() {
    let data = Data::new();
    for freeze in ["[]", "[\"layer.0\"]"] {
        for space in ["full", "representation"] {
            let set = [SOFT, &*format!("train.gradients=\"{space}\""), &*format!("model.freeze={freeze}")];
            let rig = data.rig(NOTES, &set);
            let expected = by(&rig, plain);
            assert!(apart(&trunk(&expected), &trunk(&rig.state())) > 1e-3);
            for (name, answer) in
                [("block weights", block_weights as Answer), ("vector", vector), ("gradients", gradients)]
            {
                let found = by(&rig, answer);
                let (trunks, heads) =
                    (apart(&trunk(&found), &trunk(&expected)), apart(&heads(&found), &heads(&expected)));
                assert!(trunks < 1e-5 && heads < 1e-5, "{name} {space} {freeze} {trunks} {heads}");
            }
        }
    }
}

#[test]
fn block_weights_of_zero_leave_that_block_alone() {
    fn top_only(probe: &mut dyn Probe) -> Result<Update> {
        let mut weights = vec![vec![0.0; probe.tasks().len()]; blocks(&probe.parts()).len()];
        *weights.last_mut().unwrap() = ones(probe);
        Ok(Update { trunk: Direction::BlockWeights(weights), heads: Heads::Factors(ones(probe)) })
    }
    let data = Data::new();
    let rig = data.rig(NOTES, &[]);
    let (before, after) = (rig.state(), by(&rig, top_only));
    let moved: Vec<bool> =
        before.trunk.blocks.iter().zip(&after.trunk.blocks).map(|(a, b)| a.values != b.values).collect();
    assert_eq!(moved, [false, false, false, true]);
}

/// What a method saw at a step.
#[derive(Debug, Clone, Default)]
struct Seen {
    tasks: Vec<usize>,
    before: Vec<f64>,
    displaced: Vec<f64>,
    extra: Vec<Vec<f64>>,
    after: Vec<f64>,
    after_at_old: Vec<f64>,
}

/// Asks for everything: displaced weights, extra batches, the losses after the step.
struct Curious {
    seen: Arc<Mutex<Vec<Seen>>>,
    old: Vec<f32>,
}

impl Weighting for Curious {
    fn needs(&self) -> Needs {
        Needs { extra_batches: 2, displaced: true, after_step: true, ..Needs::NONE }
    }

    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        self.old = probe.shared();
        let zeros = vec![0.0; self.old.len()];
        let seen = Seen {
            tasks: probe.tasks().to_vec(),
            before: probe.losses(At::default())?,
            displaced: probe.losses(At { displacement: Some(&zeros), ..At::default() })?,
            extra: (1..=2).map(|batch| probe.losses(At { batch, ..At::default() })).collect::<Result<_>>()?,
            ..Seen::default()
        };
        self.seen.lock().unwrap().push(seen);
        assert_eq!(probe.shared(), self.old, "a displacement was not put back");
        plain(probe)
    }

    fn after_step(&mut self, probe: &mut dyn Probe) -> Result<()> {
        let new = probe.shared();
        let back: Vec<f32> = self.old.iter().zip(&new).map(|(old, new)| old - new).collect();
        let mut seen = self.seen.lock().unwrap();
        let last = seen.last_mut().unwrap();
        assert_eq!(probe.tasks(), last.tasks);
        last.after = probe.losses(At::default())?;
        last.after_at_old = probe.losses(At { displacement: Some(&back), ..At::default() })?;
        Ok(())
    }
}

#[test]
fn a_method_sees_extra_batches_displaced_weights_and_the_losses_after_the_step() {
    let data = Data::new();
    let set = ["train.head_lr_factor=1e-9", "train.warmup=0", "train.schedule=\"constant\""];
    let rig = data.rig(NOTES, &set);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let state = rig.trained_by(Box::new(Curious { seen: seen.clone(), old: Vec::new() }));
    assert!(state == by(&rig, plain), "looking changed the training");
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len() as u64, state.step);
    let total = |losses: &[f64]| losses.iter().sum::<f64>();
    for seen in seen.iter() {
        assert_eq!(seen.before, seen.displaced);
        assert!(
            seen.extra.iter().all(|losses| losses.iter().all(|l| l.is_finite()) && *losses != seen.before)
        );
        // The same batch and masks at the old weights: the heads hardly moved, so neither did the losses.
        for (old, before) in seen.after_at_old.iter().zip(&seen.before) {
            assert!((old - before).abs() < 1e-4, "{old} {before}");
        }
    }
    assert!(seen.iter().filter(|seen| total(&seen.after) < total(&seen.before)).count() * 2 > seen.len());
}
