//! Regularizers in the real loop.

use std::sync::Arc;

use polytask_core::Family;
use polytask_core::method::Choice;
use polytask_nn::States;
use polytask_train::assemble::StepBatch;
use polytask_train::engine::{Engine, Evaluation, Weights};
use polytask_train::observe::{Event, Observer};
use polytask_train::regularizer::{Regularizer, Saliencies, regularize, table};
use polytask_train::trainer::State;
use polytask_weighting::table::infos;

use crate::common::{ALL, Data, NOTES, Rig, TWO, apart, heads, size, trunk};

const OFF: &str = "train.regularizer={ name = \"rep-mtl\", tsr = 0, csa = 0, log_losses = false }";
const ON: &str = "train.regularizer={ name = \"rep-mtl\", tsr = 0.5, csa = 0.1 }";

fn same_weights(a: &State, b: &State) -> bool {
    trunk(a) == trunk(b) && heads(a) == heads(b) && a.slots == b.slots
}

#[test]
fn factors_of_zero_on_plain_losses_are_plain_training_bit_for_bit() {
    let data = Data::new();
    let (plain, off) = (data.rig(NOTES, &[]).trained(), data.rig(NOTES, &[OFF]).trained());
    assert!(same_weights(&plain, &off));
    assert!(!same_weights(&plain, &data.rig(NOTES, &[ON]).trained()));
}

/// The task `tone` alone.
fn alone() -> &'static str {
    TWO.split("[[task]]\nname = \"alike\"").next().unwrap_or_default()
}

#[test]
fn one_task_is_plain_training_bit_for_bit() {
    let data = Data::new();
    assert!(data.rig(alone(), &[ON]).trained() == data.rig(alone(), &[]).trained());
}

#[test]
fn tasks_that_share_no_sample_train_as_without_and_are_told_so_once() {
    struct Notes(Vec<String>);
    impl Observer for Notes {
        fn event(&mut self, event: Event) {
            if let Event::Note(note) = event {
                self.0.push(note.into());
            }
        }
    }
    let data = Data::new();
    let apart = format!("{}[[task]]\nname = \"find\"\nkind = \"retrieval\"\ndata = \"finds\"\n", alone());
    let plain_losses = "train.regularizer={ name = \"rep-mtl\", log_losses = false }";
    let rig = data.rig(&apart, &[plain_losses]);
    let (mut trainer, mut notes) = (rig.trainer(), Notes(Vec::new()));
    trainer.train("test", &mut notes).unwrap();
    assert_eq!(notes.0.iter().filter(|note| note.contains("no sample with two tasks")).count(), 1);
    assert!(same_weights(&trainer.state, &data.rig(&apart, &[]).trained()));
}

#[test]
fn tasks_of_every_kind_train_and_every_step_is_recorded() {
    let data = Data::new();
    let rig = data.rig(ALL, &[ON]);
    let state = rig.trained();
    assert!(trunk(&state).iter().chain(&heads(&state)).all(|v| v.is_finite()));
    assert!(state.history.isolated.is_empty());
    let curves = state.history.observed_curves(&rig.heads);
    for name in ["tsr", "csa", "entropy", "similarity", "saliency"] {
        let points = &curves[&format!("rep-mtl {name}")][""];
        assert_eq!(points.len() as u64, state.step, "{name}");
    }
    let evenness = &curves["rep-mtl entropy"][""];
    assert!(evenness.iter().all(|point| (0.0..=1.0).contains(&point.value)));
}

#[test]
fn every_loss_weighting_carries_it_and_every_other_method_is_refused_before_training() {
    let data = Data::new();
    let mut carried = 0;
    for info in infos() {
        let mut suite = data.prepare(NOTES, &[ON, "train.steps=2"]).suite;
        suite.train.weighting = Choice::named(info.id);
        match table::check(&suite) {
            Ok(()) => {
                assert_eq!(info.family, Family::LossWeighting, "{}", info.id);
                let weighting = format!("train.weighting={}", info.id);
                let state = data.rig(NOTES, &[ON, "train.steps=2", &*weighting]).trained();
                assert!(trunk(&state).iter().all(|v| v.is_finite()), "{}", info.id);
                carried += 1;
            }
            Err(error) => assert!(error.to_string().contains("try: `train.weighting"), "{error}"),
        }
    }
    assert!(carried >= 3, "{carried}");
}

/// Mean of a recorded value over the second half of a training on log losses.
fn later(data: &Data, params: &str, name: &str) -> f64 {
    let regularizer =
        format!("train.regularizer={{ name = \"rep-mtl\", channel_mean = \"absolute\", {params} }}");
    let rig = data.rig(NOTES, &[&*regularizer, "train.epochs=12", "model.dropout=0"]);
    let curves = rig.trained().history.observed_curves(&rig.heads);
    let points = &curves[&format!("rep-mtl {name}")][""];
    let half = &points[points.len() / 2..];
    half.iter().map(|point| point.value).sum::<f64>() / half.len() as f64
}

#[test]
fn entropy_falls_under_its_term_and_similarity_rises_under_the_contrast() {
    let data = Data::new();
    let (plain, tsr) =
        (later(&data, "tsr = 0, csa = 0", "entropy"), later(&data, "tsr = 5, csa = 0", "entropy"));
    assert!(tsr < plain - 0.01, "{tsr} {plain}");
    let contrast = "tsr = 0, csa = 1, tau = 0.5, positive_in_denominator = true";
    let (plain, csa) = (later(&data, "tsr = 0, csa = 0", "similarity"), later(&data, contrast, "similarity"));
    assert!(csa > plain + 0.01, "{csa} {plain}");
}

/// A step of a rig and the whole objective at displaced states and heads.
struct Step<'a> {
    rig: &'a Rig,
    engine: Engine<'a>,
    batch: StepBatch,
    regularizer: Box<dyn Regularizer>,
    factors: (f64, f64),
}

impl<'a> Step<'a> {
    fn new(rig: &'a Rig, tsr: f64, csa: f64) -> Self {
        let mut choice = Choice::named("rep-mtl");
        choice.params.extend([
            ("tsr".into(), tsr.into()),
            ("csa".into(), csa.into()),
            ("tau".into(), 0.5.into()),
        ]);
        choice.params.insert("channel_mean".into(), "absolute".into());
        let batch = rig.batch(0, &(0..8).collect::<Vec<_>>());
        let regularizer = table::make(&choice).unwrap().unwrap();
        Self { rig, engine: rig.engine(), batch, regularizer, factors: (tsr, csa) }
    }

    fn evaluation(&self) -> Evaluation {
        let heads = self.rig.blocks();
        let weights = Weights { trunk: &self.rig.prepared.encoder.params, heads: &heads };
        self.engine.evaluate(weights, &self.batch, 1).unwrap()
    }

    /// Σ log L + tsr R₁ + csa R₂ with the states moved.
    fn objective(&self, main: &Evaluation, states: &States) -> f64 {
        let parts: Vec<_> = self.batch.parts.iter().collect();
        let forward = Arc::clone(&main.forward);
        let mut moved =
            self.engine.run_heads(&self.rig.blocks(), &self.batch, &parts, forward, Some(states), 1).unwrap();
        let logs: f64 = moved.parts.iter().map(|part| part.loss.ln()).sum();
        for part in &mut moved.parts {
            let factor = (1.0 / part.loss) as f32;
            std::sync::Arc::make_mut(&mut part.cotangent.values).iter_mut().for_each(|v| *v *= factor);
        }
        let saliencies = Saliencies::gather(&self.batch, &moved.parts, states.width);
        let observed = self.regularizer.penalty(&saliencies, 0).observed;
        let value = |name: &str| observed.iter().find(|(n, _)| *n == name).unwrap().1;
        logs + self.factors.0 * value("rep-mtl tsr") + self.factors.1 * value("rep-mtl csa")
    }

    /// The whole gradient by the states, all tasks together.
    fn gradient(&self, main: &mut Evaluation) -> Vec<f32> {
        let heads = self.rig.blocks();
        regularize(&*self.regularizer, &self.engine, &heads, &self.batch, main, (1, 0)).unwrap();
        let n_tasks = main.parts.len();
        let tasks: Vec<usize> = main.parts.iter().map(|part| part.task).collect();
        let rows = self.engine.representation_rows(&self.batch, main, &tasks);
        (0..rows.width).map(|k| (0..n_tasks).map(|i| rows.row(i)[k]).sum()).collect()
    }
}

#[test]
fn the_whole_gradient_by_the_states_is_the_slope_of_the_whole_objective() {
    let data = Data::new();
    for dropout in ["model.dropout=0", "model.dropout=0.2"] {
        let rig = data.rig(NOTES, &[dropout]);
        for (tsr, csa) in [(0.9, 0.0), (0.0, 0.9), (0.9, 0.9)] {
            let step = Step::new(&rig, tsr, csa);
            let plain = step.evaluation();
            let mut whole = step.evaluation();
            let gradient = step.gradient(&mut whole);
            let norm = f64::from(gradient.iter().map(|g| g * g).sum::<f32>()).sqrt();
            let at = |h: f64| {
                let mut states = plain.forward.states.clone();
                let moved = states.values.iter_mut().zip(&gradient);
                moved.for_each(|(z, g)| *z += (h * f64::from(*g) / norm) as f32);
                step.objective(&plain, &states)
            };
            let h = 2e-2;
            let slope = (at(h) - at(-h)) / (2.0 * h);
            assert!((slope - norm).abs() < 0.03 * norm, "{dropout} {tsr} {csa}: {slope} {norm}");
        }
    }
}

#[test]
fn with_log_losses_a_gradient_is_divided_by_its_loss_and_keeps_the_suite_s_factor() {
    let data = Data::new();
    let tasks = NOTES.replace("name = \"size\"\n", "name = \"size\"\nloss_weight = 3.0\n");
    let rig = data.rig(&tasks, &[]);
    let step = Step::new(&rig, 0.0, 0.0);
    let (plain, mut logs) = (step.evaluation(), step.evaluation());
    step.gradient(&mut logs);
    for (plain, log) in plain.parts.iter().zip(&logs.parts) {
        let weight = rig.heads[plain.task].loss_weight;
        let expected: Vec<f32> =
            plain.d_head.iter().map(|g| (f64::from(*g) / (plain.loss / weight)) as f32).collect();
        assert!(apart(&log.d_head, &expected) < 1e-5 * size(&expected), "{}", plain.task);
        assert_eq!(plain.loss, log.loss);
    }
}
