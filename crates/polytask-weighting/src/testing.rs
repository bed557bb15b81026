//! Property checks every method of the table is walked through, a probe without a network, and the golden values.

use std::collections::BTreeMap;

use polytask_core::method::Choice;
use polytask_core::{Family, Purpose, Rng};
use serde::Deserialize;

use super::WEIGHTINGS;
use super::table::{Claim, Entry, Setup, make};
use super::{At, Direction, Gramian, Heads, Jacobian, OutputStates, Part, Probe, Update, Weighting};
use crate::Result;

/// Names of the tasks of test suites.
pub(crate) const TASKS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// A model whose losses are linear in its parameters: gradients are the same everywhere.
#[derive(Debug, Clone)]
pub(crate) struct FakeProbe {
    rows: Jacobian,
    losses: Vec<f64>,
    tasks: Vec<usize>,
    step: u64,
    /// The tenth of the step where none is given.
    epoch: Option<u64>,
    seed: u64,
    /// Gradients on extra batches; those of the step where there are none.
    extra: Vec<Jacobian>,
}

impl FakeProbe {
    /// Normal gradients of `n` tasks and `width` parameters, losses around 1.
    pub(crate) fn random(seed: u64, n: usize, width: usize) -> Self {
        let mut rng = Rng::new(seed, Purpose::Bench, &[n as u64, width as u64]);
        let values = (0..n * width).map(|_| rng.normal() as f32).collect();
        let losses = (0..n).map(|_| 0.5 + rng.uniform()).collect();
        Self {
            rows: Jacobian { n, width, values },
            losses,
            tasks: (0..n).collect(),
            step: 1,
            epoch: None,
            seed,
            extra: Vec::new(),
        }
    }

    /// These gradients, losses 1.
    pub(crate) fn from_rows(rows: &[&[f32]]) -> Self {
        let values = rows.concat();
        let rows = Jacobian { n: rows.len(), width: rows[0].len(), values };
        let (losses, tasks) = (vec![1.0; rows.n], (0..rows.n).collect());
        Self { losses, tasks, rows, step: 1, epoch: None, seed: 0, extra: Vec::new() }
    }

    /// The gradients of a golden case.
    pub(crate) fn of(case: &Case) -> Self {
        Self::from_rows(&case.rows.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    /// The same with these suite indices.
    pub(crate) fn with_tasks(mut self, tasks: &[usize]) -> Self {
        self.tasks = tasks.to_vec();
        self
    }

    /// The same at this step.
    pub(crate) fn at_step(mut self, step: u64) -> Self {
        self.step = step;
        self
    }

    /// The same in this epoch.
    pub(crate) fn at_epoch(mut self, epoch: u64) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// The same with these gradients on extra batches.
    pub(crate) fn with_extra(self, extra: Vec<Jacobian>) -> Self {
        Self { extra, ..self }
    }

    /// The gradients on a batch.
    fn on(&self, at: At) -> &Jacobian {
        at.batch.checked_sub(1).and_then(|k| self.extra.get(k)).unwrap_or(&self.rows)
    }

    /// Sets the losses.
    pub(crate) fn set_losses(&mut self, losses: &[f64]) {
        self.losses = losses.to_vec();
    }

    /// The same tasks with these columns of their gradients only.
    pub(crate) fn columns(&self, span: std::ops::Range<usize>) -> Self {
        let values = (0..self.rows.n).flat_map(|i| self.rows.row(i)[span.clone()].to_vec()).collect();
        Self { rows: Jacobian { n: self.rows.n, width: span.len(), values }, ..self.clone() }
    }

    /// The tasks at `kept` in that order.
    fn select(&self, kept: &[usize]) -> Self {
        let pick = |i: &usize| (self.losses[*i], self.tasks[*i]);
        let (losses, tasks) = kept.iter().map(pick).unzip();
        Self { rows: self.rows.select(kept), losses, tasks, ..self.clone() }
    }

    /// Row `i` times `factor`.
    fn scaled(mut self, i: usize, factor: f32) -> Self {
        self.rows.values[i * self.rows.width..(i + 1) * self.rows.width]
            .iter_mut()
            .for_each(|v| *v *= factor);
        self
    }

    /// Every row times `factor`.
    fn all_scaled(self, factor: f32) -> Self {
        (0..self.rows.n).fold(self, |probe, i| probe.scaled(i, factor))
    }
}

impl Probe for FakeProbe {
    fn step(&self) -> u64 {
        self.step
    }
    fn epoch(&self) -> u64 {
        self.epoch.unwrap_or(self.step / 10)
    }
    fn tasks(&self) -> &[usize] {
        &self.tasks
    }
    fn lr(&self) -> f64 {
        3e-5
    }
    fn rng(&self) -> Rng {
        Rng::new(self.seed, Purpose::Method, &[self.step])
    }
    fn losses(&mut self, at: At) -> Result<Vec<f64>> {
        let gained = |i: usize| at.displacement.map_or(0.0, |d| super::dot(self.rows.row(i), d));
        Ok((0..self.rows.n).map(|i| self.losses[i] + gained(i)).collect())
    }
    fn gramian(&mut self, at: At) -> Result<Gramian> {
        Ok(self.on(at).gramian(0..self.rows.width))
    }
    fn rows(&mut self, at: At) -> Result<Jacobian> {
        Ok(self.on(at).clone())
    }
    fn gradient(&mut self, at: At, weights: &[f64]) -> Result<Vec<f32>> {
        Ok(self.on(at).weighted(weights, 0..self.rows.width))
    }
    fn heads(&mut self, _at: At) -> Result<Vec<Vec<f32>>> {
        Ok(vec![vec![1.0, -2.0]; self.rows.n])
    }
    fn states(&mut self, _at: At) -> Result<OutputStates> {
        Ok(OutputStates { values: vec![1.0; self.rows.width], width: self.rows.width, samples: vec![0, 1] })
    }
    fn parts(&self) -> Vec<Part> {
        let half = self.rows.width / 2;
        let part = |i: usize, range| Part {
            block: format!("layer.{i}"),
            tensor: format!("layer.{i}.weight"),
            range,
            matrix: true,
        };
        vec![part(0, 0..half), part(1, half..self.rows.width)]
    }
    fn shared(&self) -> Vec<f32> {
        vec![1.0; self.rows.width]
    }
    fn head(&self, _i: usize) -> Vec<f32> {
        vec![1.0, 1.0]
    }
}

/// One step of a method that answers with weights.
pub(crate) fn weights(method: &mut dyn Weighting, probe: &mut dyn Probe) -> Vec<f64> {
    match method.update(probe).unwrap().trunk {
        Direction::Weights(weights) => weights,
        other => panic!("expected weights, found {other:?}"),
    }
}

/// The direction of an update in the space of the rows.
fn direction(update: &Update, probe: &FakeProbe) -> Vec<f32> {
    match &update.trunk {
        Direction::Weights(weights) => probe.rows.weighted(weights, 0..probe.rows.width),
        Direction::BlockWeights(all) => {
            let spans = super::blocks(&probe.parts()).into_iter().zip(all);
            spans.flat_map(|(span, w)| probe.rows.weighted(w, span)).collect()
        }
        Direction::Vector(vector) | Direction::Gradient(vector) => vector.clone(),
    }
}

/// A fresh method at its defaults.
fn fresh(entry: &Entry) -> Box<dyn Weighting> {
    make(&Choice::named(entry.info.id), &Setup::of(&TASKS)).unwrap()
}

/// The direction of a fresh method's first step.
fn first(entry: &Entry, probe: &FakeProbe) -> Vec<f32> {
    let mut probe = probe.clone();
    let update = fresh(entry).update(&mut probe).unwrap();
    direction(&update, &probe)
}

fn head_factors(update: &Update, n: usize) -> Vec<f64> {
    match &update.heads {
        Heads::Factors(factors) => factors.clone(),
        Heads::Gradients(gradients) => {
            assert_eq!(gradients.len(), n);
            gradients.iter().map(|head| f64::from(head.iter().any(|v| *v != 0.0))).collect()
        }
    }
}

/// Asserts that two directions agree within `tolerance` times the larger one's largest entry.
fn same(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    let size = expected.iter().chain(found).fold(0.0_f32, |m, v| m.max(v.abs()));
    assert_eq!(found.len(), expected.len(), "{what}");
    let near = found.iter().zip(expected).all(|(f, e)| (f - e).abs() <= tolerance * size);
    assert!(near, "{what}: {found:?} is not {expected:?}");
}

/// A Jacobian and the direction an independent implementation finds for it.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Case {
    /// What is special about it.
    pub(crate) name: String,
    /// Task gradients, exact in f32.
    pub(crate) rows: Vec<Vec<f32>>,
    /// Order of projections of each task, where the method draws one.
    #[serde(default)]
    pub(crate) orders: Vec<Vec<usize>>,
    /// Losses of the step, where the method looks at them.
    #[serde(default)]
    pub(crate) losses: Vec<f64>,
    /// Factors of the heads, where the method has its own.
    #[serde(default)]
    pub(crate) heads: Vec<f64>,
    /// Draws of the standard normal distribution, where the method draws.
    #[serde(default)]
    pub(crate) draws: Vec<f64>,
    /// First column of each sample in a row, and the end, where the method splits a batch.
    #[serde(default)]
    pub(crate) samples: Vec<usize>,
    /// Number of parts a batch is split into.
    #[serde(default)]
    pub(crate) parts: usize,
    /// The direction.
    expected: Vec<f64>,
}

impl Case {
    /// The Gramian of its rows.
    pub(crate) fn gramian(&self) -> Gramian {
        FakeProbe::of(self).gramian(At::default()).unwrap()
    }

    /// Asserts that `weights` give the direction expected, within `tolerance` of its largest entry or of the
    /// shortest row, whichever is larger.
    pub(crate) fn check(&self, weights: &[f64], tolerance: f64) {
        let squares = self.rows.iter().map(|row| super::dot(row, row));
        let shortest = squares.fold(f64::INFINITY, f64::min).sqrt();
        let size = self.expected.iter().fold(shortest, |m, v| m.max(v.abs()));
        for (k, expected) in self.expected.iter().enumerate() {
            let found: f64 = weights.iter().zip(&self.rows).map(|(w, row)| w * f64::from(row[k])).sum();
            let name = &self.name;
            assert!(
                (found - expected).abs() <= tolerance * size,
                "{name}, entry {k}: {found} is not {expected}"
            );
        }
    }
}

/// The values `xtask/parity/weightings.py` made.
#[derive(Debug, Deserialize)]
pub(crate) struct Golden {
    /// PCGrad in given orders.
    pub(crate) pcgrad: Vec<Case>,
    /// PCGrad of two tasks, where the order does not matter.
    pub(crate) pcgrad_two: Vec<Case>,
    /// MGDA.
    pub(crate) mgda: Vec<Case>,
    /// Losses of successive steps and the weights of each.
    pub(crate) uw: Vec<(Vec<f64>, Vec<f64>)>,
}

/// The golden values.
pub(crate) fn golden() -> Golden {
    serde_json::from_str(include_str!("../tests/data/weightings.json")).unwrap()
}

/// The values `xtask/parity/gramian_weightings.py` made.
#[derive(Debug, Deserialize)]
struct GramianGolden {
    /// The Jacobians every weighting is asked about.
    jacobians: Vec<Jacobians>,
    /// Directions of each setting of each weighting, one per Jacobian; none where the reference has none.
    directions: Vec<Directions>,
    /// Successive steps of weightings that draw or remember.
    steps: BTreeMap<String, Vec<Case>>,
}

#[derive(Debug, Deserialize)]
struct Jacobians {
    name: String,
    rows: Vec<Vec<f32>>,
}

#[derive(Debug, Deserialize)]
struct Directions {
    choice: Choice,
    expected: Vec<Option<Vec<f64>>>,
}

fn all_gramian_golden() -> GramianGolden {
    serde_json::from_str(include_str!("../tests/data/gramian_weightings.json")).unwrap()
}

/// Golden directions of a weighting, with its parameters: at least 20 random and 10 degenerate Jacobians each.
pub(crate) fn gramian_golden(name: &str) -> Vec<(Choice, Case)> {
    let golden = all_gramian_golden();
    let mut all = Vec::new();
    for setting in golden.directions.into_iter().filter(|d| d.choice.name == name) {
        assert_eq!(setting.expected.len(), golden.jacobians.len());
        assert!(setting.expected.iter().flatten().count() >= 25, "{name}: few Jacobians");
        for (jacobian, expected) in golden.jacobians.iter().zip(setting.expected) {
            let Some(expected) = expected else { continue };
            let (name, rows) =
                (format!("{:?} {}", setting.choice.params, jacobian.name), jacobian.rows.clone());
            all.push((setting.choice.clone(), Case { name, rows, expected, ..Case::default() }));
        }
    }
    assert!(!all.is_empty(), "no golden values of {name}");
    all
}

/// Golden steps of a weighting that draws or remembers.
pub(crate) fn gramian_steps(name: &str) -> Vec<Case> {
    let steps = all_gramian_golden().steps.remove(name).unwrap();
    assert!(!steps.is_empty(), "no golden steps of {name}");
    steps
}

#[test]
fn every_method_gives_finite_numbers_of_the_right_shape() {
    for entry in WEIGHTINGS {
        for n in 1..=TASKS.len() {
            for width in [1, 2, 7, 40] {
                let mut probe = FakeProbe::random(7, n, width);
                let update = fresh(entry).update(&mut probe).unwrap();
                let found = direction(&update, &probe);
                assert_eq!(found.len(), width, "{}", entry.info.id);
                assert!(found.iter().all(|v| v.is_finite()), "{}", entry.info.id);
                let heads = head_factors(&update, n);
                assert!(
                    heads.len() == n && heads.iter().all(|f| f.is_finite() && *f >= 0.0),
                    "{}",
                    entry.info.id
                );
            }
        }
    }
}

#[test]
fn methods_that_claim_it_do_not_care_for_the_order_of_tasks() {
    for entry in WEIGHTINGS.iter().filter(|entry| entry.claims.contains(&Claim::Permutation)) {
        for seed in 0..20 {
            let probe = FakeProbe::random(seed, 5, 9);
            let mut order: Vec<usize> = (0..5).collect();
            Rng::new(seed, Purpose::Bench, &[1]).shuffle(&mut order);
            let permuted = first(entry, &probe.select(&order));
            same(&permuted, &first(entry, &probe), 1e-3, entry.info.id);
        }
    }
}

#[test]
fn methods_that_claim_it_scale_with_the_gradients() {
    for entry in WEIGHTINGS.iter().filter(|entry| entry.claims.contains(&Claim::Scaling)) {
        for factor in [2.0_f32.powi(-40), 0.5, 2.0_f32.powi(40)] {
            let probe = FakeProbe::random(3, 4, 11);
            let expected: Vec<f32> = first(entry, &probe).iter().map(|v| v * factor).collect();
            same(&first(entry, &probe.all_scaled(factor)), &expected, 1e-5, entry.info.id);
        }
    }
}

/// Whether the method weights losses: it need not know that a gradient is zero, and may scale a loss that is alone.
fn weights_losses(entry: &Entry) -> bool {
    entry.info.family == Family::LossWeighting
}

#[test]
fn a_task_with_zero_gradient_changes_nothing_for_the_others() {
    for entry in WEIGHTINGS {
        let probe = FakeProbe::random(5, 4, 6).scaled(1, 0.0);
        let (found, expected) = (first(entry, &probe), first(entry, &probe.select(&[0, 2, 3])));
        assert!(expected.iter().any(|v| *v != 0.0), "{}", entry.info.id);
        if !weights_losses(entry) || entry.claims.contains(&Claim::Separate) {
            assert_eq!(found, expected, "{}", entry.info.id);
        } else if entry.claims.contains(&Claim::Ratios) {
            // Nothing but the total that weights share can tell that the task is there.
            let factor = super::dot(&found, &expected) / super::dot(&expected, &expected);
            assert!(factor > 0.0, "{}", entry.info.id);
            let expected: Vec<f32> = expected.iter().map(|v| (factor * f64::from(*v)) as f32).collect();
            same(&found, &expected, 1e-6, entry.info.id);
        }
    }
}

#[test]
fn zero_gradients_everywhere_give_a_zero_direction() {
    for entry in WEIGHTINGS {
        let probe = FakeProbe::random(5, 3, 6).all_scaled(0.0);
        assert!(first(entry, &probe).iter().all(|v| *v == 0.0), "{}", entry.info.id);
    }
}

#[test]
fn one_task_is_plain_training() {
    for entry in WEIGHTINGS {
        // Shorter than the longest step, where one is allowed by default.
        let size = if entry.info.id == "nash-mtl" { 0.25 } else { 1.0 };
        let mut probe = FakeProbe::random(9, 1, 6).all_scaled(size).with_tasks(&[2]);
        let update = fresh(entry).update(&mut probe).unwrap();
        let found = direction(&update, &probe);
        if weights_losses(entry) {
            let factor = head_factors(&update, 1)[0];
            assert!(factor > 0.0, "{}", entry.info.id);
            assert_eq!(found, probe.rows.weighted(&[factor], 0..6), "{}", entry.info.id);
        } else {
            assert_eq!(found, probe.rows.values, "{}", entry.info.id);
            assert_eq!(head_factors(&update, 1), [1.0], "{}", entry.info.id);
        }
    }
}

#[test]
fn gradients_and_losses_of_any_size_give_finite_directions() {
    for entry in WEIGHTINGS {
        for power in (-15..=15).step_by(3) {
            let factor = 10.0_f32.powi(power);
            let mut probe = FakeProbe::random(2, 4, 8).all_scaled(factor);
            probe.set_losses(&[f64::from(factor); 4]);
            let found = first(entry, &probe);
            assert!(found.iter().all(|v| v.is_finite()), "{} 1e{power}", entry.info.id);
            let mixed = FakeProbe::random(2, 4, 8).scaled(0, factor).scaled(3, 1.0 / factor);
            assert!(first(entry, &mixed).iter().all(|v| v.is_finite()), "{} mixed 1e{power}", entry.info.id);
        }
    }
}

#[test]
fn two_identical_tasks_pull_along_their_gradient() {
    for entry in WEIGHTINGS {
        let probe = FakeProbe::random(4, 1, 6).select(&[0, 0]).with_tasks(&[0, 1]);
        let found = first(entry, &probe);
        let row = probe.rows.row(0);
        let factor = super::dot(&found, row) / super::dot(row, row);
        assert!(factor > 0.0, "{}", entry.info.id);
        let expected: Vec<f32> = row.iter().map(|v| (factor * f64::from(*v)) as f32).collect();
        same(&found, &expected, 1e-6, entry.info.id);
    }
}

#[test]
fn a_task_that_is_not_finite_is_left_out() {
    for entry in WEIGHTINGS {
        let clean = FakeProbe::random(6, 4, 5);
        let expected = first(entry, &clean.select(&[0, 1, 3]));
        let mut bad_loss = clean.clone();
        bad_loss.losses[2] = f64::NAN;
        let bad_row = clean.clone().scaled(2, f32::INFINITY);
        for (mut probe, is_seen) in [(bad_loss, true), (bad_row, false)] {
            let update = fresh(entry).update(&mut probe).unwrap();
            let found = direction(&update, &probe);
            // A method that did not look at the row answers with something not finite: the loop finds the task.
            if is_seen || found.iter().all(|v| v.is_finite()) {
                assert_eq!(found, expected, "{}", entry.info.id);
                assert_eq!(head_factors(&update, 4)[2], 0.0, "{}", entry.info.id);
            }
        }
    }
}

/// Five steps with changing gradients, losses and present tasks.
fn continue_from(method: &mut dyn Weighting, from: u64) -> Vec<Update> {
    let step = |step: u64| {
        let n = 2 + (step % 3) as usize;
        let mut probe = FakeProbe { step, ..FakeProbe::random(step, n, 6) };
        let update = method.update(&mut probe).unwrap();
        if method.needs().after_step {
            method.after_step(&mut probe).unwrap();
        }
        update
    };
    (from..from + 5).map(step).collect()
}

#[test]
fn a_restored_method_continues_as_if_never_stopped() {
    for entry in WEIGHTINGS {
        let mut whole = fresh(entry);
        continue_from(whole.as_mut(), 1);
        let mut resumed = fresh(entry);
        resumed.restore(&whole.state()).unwrap();
        assert_eq!(resumed.state(), whole.state(), "{}", entry.info.id);
        assert_eq!(continue_from(resumed.as_mut(), 6), continue_from(whole.as_mut(), 6), "{}", entry.info.id);
    }
}

#[test]
fn a_state_of_another_shape_is_refused() {
    for entry in WEIGHTINGS {
        let mut state = fresh(entry).state();
        state.push(0.0);
        let error = fresh(entry).restore(&state).unwrap_err().to_string();
        assert!(error.contains("expected"), "{}: {error}", entry.info.id);
    }
}

#[test]
fn the_same_seed_draws_the_same() {
    for entry in WEIGHTINGS {
        let (mut a, mut b) = (fresh(entry), fresh(entry));
        assert_eq!(continue_from(a.as_mut(), 1), continue_from(b.as_mut(), 1), "{}", entry.info.id);
    }
}

#[test]
fn block_gramians_of_a_probe_add_up_to_its_gramian() {
    let mut probe = FakeProbe::random(8, 3, 10);
    let blocks = probe.block_gramians(At::default()).unwrap();
    let whole = probe.gramian(At::default()).unwrap();
    assert_eq!(blocks.len(), 2);
    for k in 0..9 {
        assert!((blocks[0].values[k] + blocks[1].values[k] - whole.values[k]).abs() < 1e-12);
    }
}

#[test]
fn no_two_methods_train_alike_where_tasks_conflict() {
    // Constant weights are equal weights until the user says otherwise; the other two differ from `mgda` and `ntkmtl`
    // by the space of their gradients, which is the run's.
    let same = ["constant", "mgda-ub", "ntkmtl-sr"];
    let differing = WEIGHTINGS.iter().filter(|entry| !same.contains(&entry.info.id));
    let ends = differing.map(|entry| {
        let mut model = super::golden::golden().models[2].clone().with_lr(0.003);
        let mut method = fresh(entry);
        for step in 1..=30 {
            model.at_step(step, step / 4);
            let update = method.update(&mut model).unwrap();
            model.apply(&update);
            if method.needs().after_step {
                method.after_step(&mut model).unwrap();
            }
        }
        assert!(model.shared().iter().all(|v| v.is_finite()), "{}", entry.info.id);
        (entry.info.id, model.shared())
    });
    let ends: Vec<(&str, Vec<f32>)> = ends.collect();
    for (i, (a, end_a)) in ends.iter().enumerate() {
        for (b, end_b) in &ends[i + 1..] {
            let apart = end_a.iter().zip(end_b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
            assert!(apart > 1e-6, "{a} and {b} train alike");
        }
    }
}

/// The unit vector along the first step of a fresh method.
fn unit(id: &str, probe: &FakeProbe) -> Vec<f32> {
    let found = first(super::table::find(id).unwrap(), probe);
    let norm = super::dot(&found, &found).sqrt() as f32;
    assert!(norm > 0.0, "{id}");
    found.into_iter().map(|v| v / norm).collect()
}

#[test]
fn two_orthogonal_gradients_of_one_length_are_simply_added() {
    let probe = FakeProbe::from_rows(&[&[1.0, 1.0, 0.0], &[1.0, -1.0, 0.0]]);
    let ids = [
        "aligned-mtl",
        "cagrad",
        "dualproj",
        "fairgrad",
        "gradvac",
        "imtl",
        "imtl-g",
        "krum",
        "mgda",
        "nash-mtl",
        "ntkmtl",
        "pcgrad",
        "upgrad",
    ];
    for id in ids {
        same(&unit(id, &probe), &[1.0, 0.0, 0.0], 1e-5, id);
    }
}
