//! The loop's probe against direct computation.

use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use polytask_core::PackedBatch;
use polytask_core::suite::GradientSpace;
use polytask_nn::{Cotangent, GradSink, Mode, Params, SavedForward, States, Trunk};
use polytask_train::assemble::StepBatch;
use polytask_train::engine::{Engine, Weights};
use polytask_train::probe::{Seen, StepProbe};
use polytask_train::swept::Keeper;
use polytask_weighting::{At, Probe, dot};

use crate::common::{ALL, Data, NOTES, Rig, apart, size};

/// All that a probe of a rig's step borrows.
pub(crate) struct Bench<'a> {
    rig: &'a Rig,
    engine: Engine<'a>,
    heads: Vec<polytask_nn::Block>,
    batches: Vec<StepBatch>,
    tasks: Vec<usize>,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(rig: &'a Rig) -> Self {
        let n_sources = rig.prepared.suite.sources.len();
        let draws = |rows: std::ops::Range<u32>| {
            (0..n_sources).map(|source| (source, rows.clone().collect())).collect::<Vec<_>>()
        };
        // The second batch has rows of the first source only.
        let batches = vec![rig.batch_of(&draws(0..8)), rig.batch_of(&draws(8..14)[..1])];
        let tasks = (0..rig.heads.len()).collect();
        Self { rig, engine: rig.engine(), heads: rig.blocks(), batches, tasks }
    }

    pub(crate) fn probe(&self, space: GradientSpace, with_evaluation: bool) -> StepProbe<'_> {
        let weights = Weights { trunk: &self.rig.prepared.encoder.params, heads: &self.heads };
        let evaluate = || Rc::new(self.engine.evaluate(weights, &self.batches[0], 3).unwrap());
        StepProbe {
            engine: &self.engine,
            weights,
            batches: &self.batches,
            evaluation: with_evaluation.then(evaluate),
            tasks: &self.tasks,
            step: 3,
            epoch: 0,
            lr: 1e-3,
            space,
            seen: Seen::default(),
            keeper: Keeper::default(),
        }
    }
}

/// A trunk that counts the rows that go through it.
struct Counting<'a> {
    inner: &'a dyn Trunk,
    rows: AtomicUsize,
}

impl Trunk for Counting<'_> {
    fn d_hidden(&self) -> usize {
        self.inner.d_hidden()
    }
    fn max_positions(&self) -> usize {
        self.inner.max_positions()
    }
    fn vocab_size(&self) -> usize {
        self.inner.vocab_size()
    }
    fn n_blocks(&self) -> usize {
        self.inner.n_blocks()
    }
    fn forward(
        &self,
        params: &Params,
        batch: &PackedBatch,
        mode: Mode,
    ) -> polytask_nn::Result<(States, SavedForward)> {
        self.rows.fetch_add(batch.n_rows(), Ordering::Relaxed);
        self.inner.forward(params, batch, mode)
    }
    fn forward_below(
        &self,
        params: &Params,
        batch: &PackedBatch,
        lowest: usize,
    ) -> polytask_nn::Result<States> {
        self.inner.forward_below(params, batch, lowest)
    }
    fn forward_from(
        &self,
        params: &Params,
        batch: &PackedBatch,
        below: &States,
        mode: Mode,
    ) -> polytask_nn::Result<(States, SavedForward)> {
        self.inner.forward_from(params, batch, below, mode)
    }
    fn vjp(
        &self,
        params: &Params,
        saved: &SavedForward,
        cotangents: &[Cotangent],
        sink: &mut dyn GradSink,
    ) -> polytask_nn::Result<()> {
        self.inner.vjp(params, saved, cotangents, sink)
    }
}

#[test]
fn one_task_at_displaced_weights_runs_its_own_texts_only_and_gets_the_same_gradient() {
    let data = Data::new();
    for (dropout, is_alone) in [("model.dropout=0", true), ("model.dropout=0.2", false)] {
        let rig = data.rig(ALL, &[dropout]);
        let counting = Counting { inner: rig.engine().trunk, rows: AtomicUsize::new(0) };
        let mut bench = Bench::new(&rig);
        bench.engine.trunk = &counting;
        let mut probe = bench.probe(FULL, true);
        let d = along(&vec![1.0; probe.shared().len()], 0.1);
        let at = At { displacement: Some(&d), ..At::default() };
        let all = probe.gradients(at).unwrap();
        let whole = bench.batches[0].packed.n_rows();
        let mut ran = 0;
        for i in 0..bench.tasks.len() {
            let before = counting.rows.load(Ordering::Relaxed);
            let one = probe.task(at, i).unwrap();
            ran += counting.rows.load(Ordering::Relaxed) - before;
            let name = &rig.heads[i].name;
            assert!((one.loss - all.losses[i]).abs() < 1e-5 * all.losses[i].abs(), "{name}");
            assert!(apart(&one.row, all.rows.row(i)) < 1e-5 * size(&one.row), "{name}");
            assert!(apart(&one.head, &all.heads[i]) < 1e-5 * size(&one.head).max(1e-3), "{name}");
        }
        // Five sources; the rows of notes and of pairs are read by several tasks.
        let n = bench.tasks.len();
        assert!(if is_alone { ran < 3 * whole } else { ran == n * whole }, "{dropout}: {ran} of {whole}");
    }
}

const FULL: GradientSpace = GradientSpace::Full;
const STATES: GradientSpace = GradientSpace::Representation;

/// The slope of `losses` along a line, by central differences.
fn slope(mut losses: impl FnMut(f32) -> f64) -> f64 {
    let h = 2e-3;
    (losses(h) - losses(-h)) / (2.0 * f64::from(h))
}

fn along(direction: &[f32], h: f32) -> Vec<f32> {
    let norm = dot(direction, direction).sqrt() as f32;
    direction.iter().map(|d| d / norm * h).collect()
}

fn equal(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 0.02 * expected.abs() + 1e-3
}

#[test]
fn losses_at_displaced_weights_heads_and_states_move_as_their_gradients_say() {
    let data = Data::new();
    for dropout in ["model.dropout=0", "model.dropout=0.2"] {
        let rig = data.rig(ALL, &[dropout]);
        let bench = Bench::new(&rig);
        for with_evaluation in [true, false] {
            let (mut full, mut states) =
                (bench.probe(FULL, with_evaluation), bench.probe(STATES, with_evaluation));
            let (rows, at_states) = (full.rows(At::default()).unwrap(), states.rows(At::default()).unwrap());
            let heads = full.heads(At::default()).unwrap();
            for i in 0..bench.tasks.len() {
                let name = &rig.heads[i].name;
                let found = slope(|h| {
                    let d = along(rows.row(i), h);
                    full.losses(At { displacement: Some(&d), ..At::default() }).unwrap()[i]
                });
                let norm = dot(rows.row(i), rows.row(i)).sqrt();
                assert!(equal(found, norm), "{name} trunk {found} {norm}");
                let found = slope(|h| {
                    let d = along(at_states.row(i), h);
                    states.losses(At { states: Some(&d), ..At::default() }).unwrap()[i]
                });
                let norm = dot(at_states.row(i), at_states.row(i)).sqrt();
                assert!(equal(found, norm), "{name} states {found} {norm}");
                if heads[i].is_empty() {
                    continue;
                }
                let found = slope(|h| {
                    let mut d: Vec<Vec<f32>> = heads.iter().map(|head| vec![0.0; head.len()]).collect();
                    d[i] = along(&heads[i], h);
                    full.losses(At { heads: Some(&d), ..At::default() }).unwrap()[i]
                });
                let norm = dot(&heads[i], &heads[i]).sqrt();
                assert!(equal(found, norm), "{name} head {found} {norm}");
            }
        }
    }
}

#[test]
fn a_place_without_displacement_is_the_step_s_own_evaluation() {
    let data = Data::new();
    let rig = data.rig(NOTES, &[]);
    let bench = Bench::new(&rig);
    let (mut at_hand, mut anew) = (bench.probe(FULL, true), bench.probe(FULL, false));
    let zeros = vec![0.0; at_hand.shared().len()];
    let displaced = At { displacement: Some(&zeros), ..At::default() };
    for at in [At::default(), displaced] {
        assert_eq!(at_hand.losses(at).unwrap(), anew.losses(At::default()).unwrap());
        assert_eq!(at_hand.rows(at).unwrap(), anew.rows(At::default()).unwrap());
        assert_eq!(at_hand.heads(at).unwrap(), anew.heads(At::default()).unwrap());
    }
}

#[test]
fn gramian_gradient_products_blocks_and_single_tasks_are_those_of_the_rows() {
    let data = Data::new();
    let rig = data.rig(ALL, &["model.freeze=[\"layer.0\"]"]);
    let bench = Bench::new(&rig);
    for space in [FULL, STATES] {
        let mut probe = bench.probe(space, true);
        let rows = probe.rows(At::default()).unwrap();
        let (found, expected) = (probe.gramian(At::default()).unwrap(), rows.gramian(0..rows.width));
        let scale = expected.values.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let apart_by =
            found.values.iter().zip(&expected.values).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart_by < 1e-6 * scale, "{apart_by} {scale}");
        for i in 0..rows.n {
            let alone = probe.task(At::default(), i).unwrap();
            assert_eq!(alone.loss, probe.losses(At::default()).unwrap()[i]);
            assert_eq!(alone.row, rows.row(i));
            assert_eq!(alone.head, probe.heads(At::default()).unwrap()[i]);
            let d = vec![1e-3; probe.shared().len()];
            let displaced = At { displacement: Some(&d), ..At::default() };
            let alone = probe.task(displaced, i).unwrap();
            assert_eq!(alone.row, probe.rows(displaced).unwrap().row(i));
            assert_eq!(alone.loss, probe.losses(displaced).unwrap()[i]);
        }
    }
    let mut probe = bench.probe(FULL, true);
    let rows = probe.rows(At::default()).unwrap();
    let n_params: usize = probe.parts().iter().map(|part| part.range.len()).sum();
    assert_eq!((rows.width, probe.shared().len()), (n_params, n_params));
    let weights: Vec<f64> = (0..rows.n).map(|i| 0.5 + i as f64).collect();
    let found = probe.gradient(At::default(), &weights).unwrap();
    let column = |k: usize| (0..rows.n).map(|i| weights[i] * f64::from(rows.row(i)[k])).sum::<f64>() as f32;
    let expected: Vec<f32> = (0..rows.width).map(column).collect();
    assert!(apart(&found, &expected) < 1e-5 * size(&expected), "{}", apart(&found, &expected));
    let blocks = probe.block_gramians(At::default()).unwrap();
    assert_eq!(blocks.len(), 3);
    let whole = rows.gramian(0..rows.width);
    for k in 0..whole.values.len() {
        let sum: f64 = blocks.iter().map(|block| block.values[k]).sum();
        assert!((sum - whole.values[k]).abs() < 1e-9 * whole.values[k].abs().max(1.0));
    }
}

#[test]
fn questions_asked_together_have_the_answers_of_each() {
    let data = Data::new();
    let rig = data.rig(ALL, &[]);
    let bench = Bench::new(&rig);
    for space in [FULL, STATES] {
        let mut probe = bench.probe(space, true);
        let moved = vec![1e-3; probe.shared().len()];
        let displaced = At { displacement: Some(&moved), ..At::default() };
        for at in [At::default(), displaced, At { batch: 1, ..displaced }] {
            let weights: Vec<f64> = (0..bench.tasks.len()).map(|i| 0.5 + i as f64).collect();
            let (together, joint) = (probe.gradients(at).unwrap(), probe.joint(at, &weights).unwrap());
            // As bits: an absent task's loss is NaN.
            let losses = probe.losses(at).unwrap().iter().map(|l| l.to_bits()).collect::<Vec<_>>();
            for found in [&together.losses, &joint.losses] {
                assert_eq!(found.iter().map(|l| l.to_bits()).collect::<Vec<_>>(), losses);
            }
            let heads = probe.heads(at).unwrap();
            assert!(together.heads == heads && joint.heads == heads);
            assert_eq!(together.rows, probe.rows(at).unwrap());
            assert_eq!(joint.shared, probe.gradient(at, &weights).unwrap());
        }
    }
}

#[test]
fn in_an_extra_batch_a_task_without_targets_has_loss_nan_and_a_zero_row() {
    let data = Data::new();
    let rig = data.rig(ALL, &[]);
    let bench = Bench::new(&rig);
    for with_evaluation in [true, false] {
        let mut probe = bench.probe(FULL, with_evaluation);
        let at = At { batch: 1, ..At::default() };
        let (losses, rows, heads) =
            (probe.losses(at).unwrap(), probe.rows(at).unwrap(), probe.heads(at).unwrap());
        for i in 0..bench.tasks.len() {
            let absent = i >= 3;
            assert_eq!((losses[i].is_nan(), size(rows.row(i)) == 0.0), (absent, absent), "{i}");
            assert_eq!(size(&heads[i]) == 0.0, absent);
        }
        let ones = vec![1.0; rows.n];
        let sum = probe.gradient(at, &ones).unwrap();
        assert_eq!(sum.len(), rows.width);
        let later: Vec<f64> = ones.iter().enumerate().map(|(i, _)| f64::from(i >= 3)).collect();
        assert_eq!(size(&probe.gradient(at, &later).unwrap()), 0.0);
        let direct = bench.engine.losses(probe.weights, &bench.batches[1], 3).unwrap();
        assert_eq!(losses[..3], direct);
    }
}

#[test]
fn states_are_those_of_the_forward_with_a_start_per_text() {
    let data = Data::new();
    let rig = data.rig(NOTES, &["model.dropout=0"]);
    let bench = Bench::new(&rig);
    let mut probe = bench.probe(STATES, true);
    let states = probe.states(At::default()).unwrap();
    let packed = &bench.batches[0].packed;
    assert_eq!(states.values.len(), packed.n_rows() * states.width);
    assert_eq!(states.samples.len(), packed.n_sequences() + 1);
    let trunk = &rig.prepared.encoder.trunk;
    let (direct, _) = trunk.forward(&rig.prepared.encoder.params, packed, polytask_nn::Mode::EVAL).unwrap();
    assert!(apart(&states.values, &direct.values) < 1e-6);
}

#[test]
fn reported_cosines_are_those_of_the_rows() {
    let data = Data::new();
    let rig = data.rig(ALL, &["train.steps=1", "train.conflict_every=1"]);
    let names: Vec<String> = rig.heads.iter().map(|head| head.name.clone()).collect();
    let report = rig.trained().history.conflict_report(&names);
    let mut bench = Bench::new(&rig);
    bench.batches = vec![rig.batch_of(&rig.trainer().plan.step(0))];
    let mut probe = StepProbe { step: 1, evaluation: None, ..bench.probe(FULL, false) };
    let rows = probe.rows(At::default()).unwrap();
    for i in 0..rows.n {
        for j in 0..rows.n {
            let norm = (dot(rows.row(i), rows.row(i)) * dot(rows.row(j), rows.row(j))).sqrt();
            let cosine = dot(rows.row(i), rows.row(j)) / norm;
            assert!((report.cosine[i][j].unwrap() - cosine).abs() < 1e-5, "{i} {j}");
        }
    }
}
