//! Every architecture: finite differences, the packed trunk against the composed one, and what it must equal.

use std::sync::Arc;

use polytask_core::method::Choice;
use polytask_core::{PackedBatch, Purpose, Rng};
use serde_json::{Value, json};

use super::{Shared, SharingSetup, make};
use crate::Result;
use crate::params::{Params, Real};
use crate::trunk::sinks::{RowsSink, Sum};
use crate::trunk::{
    BertConfig, BlockGrad, Composed, Cotangent, GradSink, Mode, Packed, States, TaskGrad, Trunk,
};

fn config() -> BertConfig {
    BertConfig {
        vocab_size: 7,
        hidden_size: 6,
        num_hidden_layers: 3,
        num_attention_heads: 2,
        intermediate_size: 8,
        max_position_embeddings: 5,
        ..BertConfig::tiny()
    }
}

/// Weights large enough for everything to bend.
fn weights() -> Params<f64> {
    let mut params = config().graph().init::<f64>(5);
    let mut rng = Rng::new(6, Purpose::Bench, &[]);
    for block in &mut params.blocks {
        block.values.iter_mut().for_each(|v| *v += 0.25 * rng.normal());
    }
    params.cast::<f32>().cast::<f64>()
}

fn batch() -> PackedBatch {
    PackedBatch::pack([&[1, 4, 2][..], &[3], &[], &[0, 6, 5, 2, 1]])
}

fn choice(name: &str, params: &Value) -> Choice {
    let entries = params.as_object().unwrap().iter().map(|(key, value)| (key.clone(), value.clone()));
    Choice { name: name.into(), params: entries.collect() }
}

fn tasks(n: usize) -> Vec<String> {
    (0..n).map(|t| format!("t{t}")).collect()
}

/// An architecture over a trunk, new weights bent too.
fn shared<T: Real>(
    name: &str,
    params: &Value,
    n_tasks: usize,
    inner: Arc<dyn Trunk<T>>,
) -> Result<(Shared<T>, Params<T>)> {
    let (tasks, trunk) = (tasks(n_tasks), weights().cast());
    let setup = SharingSetup { tasks: &tasks, seed: 3, steps: 100, epochs: 10.0 };
    let (shared, mut params) = make(&choice(name, params), inner, &trunk, &setup)?;
    let mut rng = Rng::new(9, Purpose::Bench, &[]);
    for (b, block) in params.blocks.iter_mut().enumerate().filter(|(b, _)| shared.is_fresh(*b)) {
        let scale = if block.name.starts_with("route") { 1.0 } else { 0.1 };
        block.values.iter_mut().for_each(|v| *v = T::of(f64::from((v.f64() + scale * rng.normal()) as f32)));
        assert!(b >= shared.n_below);
    }
    Ok((shared, params))
}

fn composed(name: &str, params: &Value, n_tasks: usize) -> (Shared<f64>, Params<f64>) {
    shared(name, params, n_tasks, Arc::new(Composed::<f64>::new(config().graph()))).unwrap()
}

fn packed(name: &str, params: &Value, n_tasks: usize) -> (Shared<f32>, Params<f32>) {
    shared(name, params, n_tasks, Arc::new(Packed::new(config().graph()))).unwrap()
}

/// Every architecture with settings that use all its parts.
fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("cgc", json!({"at": "layer.0", "levels": 2, "own": 2, "noise": 0.3})),
        ("cross-stitch", json!({"at": "layer.0", "noise": 0.3})),
        ("dselect-k", json!({"at": "layer.0", "experts": 3, "noise": 0.3})),
        ("hard", json!({})),
        ("ltb", json!({"at": "layer.0", "noise": 0.3})),
        ("mmoe", json!({"at": "layer.1", "experts": 3, "noise": 0.3})),
        ("mtan", json!({"at": "layer.0", "reduction": 2})),
    ]
}

fn mode(lowest: usize) -> Mode {
    Mode { dropout: 0.2, seed: 3, step: 11, save: true, lowest, train: true, ..Mode::EVAL }
}

/// A cotangent of `task` on some sequences of its own view.
fn cotangent<T: Real>(trunk: &Shared<T>, task: usize, sequences: &[u32], lowest: usize) -> Cotangent<f64> {
    let (batch, view) = (batch(), task % trunk.n_views());
    let base = (view * batch.n_sequences()) as u32;
    let rows: usize = sequences.iter().map(|&s| batch.length(s as usize)).sum();
    let mut rng = Rng::new(8, Purpose::Bench, &[task as u64, sequences.len() as u64]);
    let values: Vec<f64> = (0..rows * 6).map(|_| f64::from(rng.normal() as f32)).collect();
    Cotangent { task, sequences: sequences.iter().map(|s| s + base).collect(), values: values.into(), lowest }
}

fn narrow(cotangents: &[Cotangent<f64>]) -> Vec<Cotangent<f32>> {
    let cast = |c: &Cotangent<f64>| Cotangent {
        task: c.task,
        sequences: c.sequences.clone(),
        values: c.values.iter().map(|&v| v as f32).collect::<Vec<_>>().into(),
        lowest: c.lowest,
    };
    cotangents.iter().map(cast).collect()
}

fn jacobian<T: Real>(
    trunk: &dyn Trunk<T>,
    params: &Params<T>,
    mode: Mode,
    cotangents: &[Cotangent<T>],
) -> (States<T>, RowsSink<T>) {
    let (states, saved) = trunk.forward(params, &batch(), mode).unwrap();
    let mut rows = RowsSink::new(params, 3, 0);
    trunk.vjp(params, &saved, cotangents, &mut rows).unwrap();
    (states, rows)
}

/// `Σ` of the states under a cotangent times its values.
fn product(states: &States<f64>, layout: &polytask_core::Layout, cotangent: &Cotangent<f64>) -> f64 {
    let rows = cotangent.sequences.iter().flat_map(|&s| layout.rows(s as usize));
    let values = rows.flat_map(|row| states.row(row).iter());
    values.zip(cotangent.values.iter()).map(|(a, b)| a * b).sum()
}

#[test]
fn every_parameter_of_every_architecture_has_the_gradient_of_finite_differences() {
    for (name, settings) in all() {
        let (trunk, mut params) = composed(name, &settings, 2);
        let cotangents = [cotangent(&trunk, 0, &[0, 1, 2, 3], 0), cotangent(&trunk, 1, &[0, 3], 0)];
        let (_, rows) = jacobian(&trunk, &params, mode(0), &cotangents);
        let layout = trunk.layout(&batch());
        let losses = |params: &Params<f64>| {
            let states = trunk.forward(params, &batch(), Mode { save: false, ..mode(0) }).unwrap().0;
            [0, 1].map(|t| product(&states, &layout, &cotangents[t]))
        };
        let mut reached = 0;
        for b in 0..params.blocks.len() {
            // A drawn branch is constant under small steps: its gradient is the estimator of `ltb`.
            if params.blocks[b].name.starts_with("route") {
                continue;
            }
            let range = rows.range(b).unwrap();
            for i in (0..params.blocks[b].values.len()).step_by(7) {
                let old = params.blocks[b].values[i];
                params.blocks[b].values[i] = old + 1e-5;
                let up = losses(&params);
                params.blocks[b].values[i] = old - 1e-5;
                let down = losses(&params);
                params.blocks[b].values[i] = old;
                for t in 0..2 {
                    let (difference, gradient) = ((up[t] - down[t]) / 2e-5, rows.row(t)[range.start + i]);
                    assert!(
                        (difference - gradient).abs() <= 1e-4 * gradient.abs() + 1e-6,
                        "{name} {} value {i} task {t}: {gradient}, {difference}",
                        params.blocks[b].name
                    );
                    reached += usize::from(gradient.abs() > 1e-6);
                }
            }
        }
        assert!(reached > 50, "{name}: {reached} gradients");
    }
}

#[test]
fn every_parameter_receives_a_gradient_from_some_task() {
    for (name, settings) in all().into_iter().filter(|(name, _)| *name != "ltb") {
        let (trunk, params) = composed(name, &settings, 2);
        let cotangents = [0, 1].map(|t| cotangent(&trunk, t, &[0, 1, 2, 3], 0));
        let (_, rows) = jacobian(&trunk, &params, Mode { dropout: 0.0, ..mode(0) }, &cotangents);
        for (b, block) in params.blocks.iter().enumerate() {
            for spec in block.tensors.iter().filter(|spec| !spec.name.ends_with("key.bias")) {
                let of = |t: usize| &rows.row(t)[rows.range(b).unwrap()][spec.range()];
                let is_reached = (0..2).any(|t| of(t).iter().any(|g| g.abs() > 1e-9));
                assert!(is_reached, "{name}: {} has no gradient", spec.name);
            }
        }
    }
}

#[test]
fn the_packed_trunk_gives_the_states_and_gradients_of_the_composed_one() {
    for (name, settings) in all() {
        let ((slow, wide), (fast, narrow_params)) =
            (composed(name, &settings, 2), packed(name, &settings, 2));
        let close = |a: &[f32], b: &[f64], what: &str| {
            let largest = b.iter().fold(1e-6_f64, |m, v| m.max(v.abs()));
            let off = a.iter().zip(b).fold(0.0_f64, |m, (a, b)| m.max((f64::from(*a) - b).abs()));
            assert!(off <= 2e-5 * largest, "{name} {what}: off by {off} of {largest}");
        };
        for (a, b) in narrow_params.blocks.iter().zip(&wide.blocks) {
            close(&a.values, &b.values, &a.name);
        }
        let wide = narrow_params.cast::<f64>();
        let cotangents = [cotangent(&slow, 0, &[0, 1, 3], 0), cotangent(&slow, 1, &[1, 2, 3], 0)];
        let (expected, jacobian_64) = jacobian(&slow, &wide, mode(0), &cotangents);
        let (found, jacobian_32) = jacobian(&fast, &narrow_params, mode(0), &narrow(&cotangents));
        close(&found.values, &expected.values, "states");
        for task in 0..2 {
            close(jacobian_32.row(task), jacobian_64.row(task), "gradient");
        }
    }
}

#[test]
fn one_expert_is_hard_sharing_bit_for_bit() {
    let (trunk, params) = packed("mmoe", &json!({"at": "layer.0", "experts": 1}), 2);
    let (hard, plain) = (Packed::new(config().graph()), weights().cast::<f32>());
    let cotangents = narrow(&[cotangent(&trunk, 0, &[0, 3], 0)]);
    let (states, rows) = jacobian(&trunk, &params, mode(0), &cotangents);
    let (expected, plain_rows) = jacobian(&hard, &plain, mode(0), &cotangents);
    assert_eq!(states.values[..expected.values.len()], expected.values);
    assert_eq!(states.values[expected.values.len()..], expected.values, "both views");
    for block in 0..plain.blocks.len() {
        let (a, b) = (rows.range(block).unwrap(), plain_rows.range(block).unwrap());
        assert_eq!(rows.row(0)[a], plain_rows.row(0)[b], "{}", plain.blocks[block].name);
    }
}

/// Runs the blocks `blocks` above the cut at `layer.0` as a plain trunk.
fn plain(params: &Params<f32>, label: &str) -> States<f32> {
    let named = |name: &str| params.blocks[params.find(name).unwrap()].clone();
    let mut blocks: Vec<_> = ["words", "embeddings", "layer.0"].map(named).to_vec();
    blocks.extend([1, 2].map(|layer| named(&format!("{label}layer.{layer}"))));
    Packed::new(config().graph()).forward(&Params { blocks }, &batch(), Mode::EVAL).unwrap().0
}

#[test]
fn stitching_with_the_identity_is_separate_trunks() {
    let (trunk, mut params) = packed("cross-stitch", &json!({"at": "layer.0", "noise": 0.5}), 2);
    for block in params.blocks.iter_mut().filter(|block| block.name.starts_with("stitch")) {
        let own = usize::from(block.name.ends_with("t1"));
        block.values = (0..2).map(|j| f32::from(u8::from(j == own))).collect();
    }
    let states = trunk.forward(&params, &batch(), Mode::EVAL).unwrap().0;
    let [a, b] = ["trunk.t0.", "trunk.t1."].map(|label| plain(&params, label));
    assert_ne!(a, b);
    assert_eq!(states.values, [a.values, b.values].concat());
}

#[test]
fn open_masks_are_hard_sharing() {
    let (trunk, mut params) = packed("mtan", &json!({"at": "layer.0"}), 3);
    for block in params.blocks.iter_mut().filter(|block| block.name.starts_with("mask")) {
        block.tensor_mut(2).fill(0.0);
        block.tensor_mut(3).fill(60.0);
    }
    let states = trunk.forward(&params, &batch(), Mode::EVAL).unwrap().0;
    assert_eq!(states.values, plain(&params, "").values.repeat(3));
}

#[test]
fn outside_training_a_branch_is_its_likeliest_parent() {
    let (trunk, mut params) = packed("ltb", &json!({"at": "layer.0", "noise": 0.5}), 2);
    for block in params.blocks.iter_mut().filter(|block| block.name.starts_with("route")) {
        block.values = vec![0.0, 0.1];
    }
    let states = trunk.forward(&params, &batch(), Mode::EVAL).unwrap().0;
    assert_eq!(states.values, plain(&params, "trunk.t1.").values.repeat(2));
    for block in params.blocks.iter_mut().filter(|block| block.name.starts_with("route")) {
        block.values.fill(1.0);
    }
    let states = trunk.forward(&params, &batch(), Mode::EVAL).unwrap().0;
    let [a, b] = ["trunk.t0.", "trunk.t1."].map(|label| plain(&params, label));
    assert_eq!(states.values, [a.values, b.values].concat(), "among equals the own one");
}

#[test]
fn a_block_of_one_task_is_reached_by_no_other_and_told_to_be_its_own() {
    for (name, settings) in all() {
        let (trunk, params) = composed(name, &settings, 2);
        let cotangents = [0, 1].map(|t| cotangent(&trunk, t, &[0, 1, 3], 0));
        let (_, rows) = jacobian(&trunk, &params, mode(0), &cotangents);
        for (b, block) in params.blocks.iter().enumerate() {
            let Some(owner) = trunk.owner(b) else { continue };
            let other = &rows.row(1 - owner)[rows.range(b).unwrap()];
            assert!(other.iter().all(|&g| g == 0.0), "{name}: {}", block.name);
            assert!(block.name.contains(&format!("t{owner}")), "{name}: {} of task {owner}", block.name);
        }
    }
    let names = |name: &str, settings: &Value| {
        let (trunk, params) = composed(name, settings, 2);
        let of = |owner: Option<usize>| {
            let own = params.blocks.iter().enumerate().filter(|(b, _)| trunk.owner(*b) == owner);
            own.map(|(_, block)| block.name.clone()).collect::<Vec<_>>()
        };
        (of(None), of(Some(1)))
    };
    let (free, own) = names("mmoe", &json!({"at": "layer.1", "experts": 2}));
    let lower = ["words", "embeddings", "layer.0", "layer.1"];
    assert_eq!(free, [&lower[..], &["expert.0.layer.2", "expert.1.layer.2"]].concat());
    assert_eq!(own, ["gate.t1"]);
    let (free, own) = names("cgc", &json!({"at": "layer.0", "levels": 2}));
    let first = ["shared.0.layer.1", "own.t0.0.layer.1", "own.t1.0.layer.1", "gate.0", "shared.0.layer.2"];
    assert_eq!(free, [&lower[..3], &first].concat());
    assert_eq!(own, ["gate.0.t1", "own.t1.0.layer.2", "gate.1.t1"]);
    let (_, own) = names("cross-stitch", &json!({"at": "layer.0"}));
    assert_eq!(own, ["stitch.layer.2.t1"]);
}

#[test]
fn a_merged_cotangent_gives_the_sum_of_those_it_merges() {
    for (name, settings) in all() {
        let (trunk, params) = composed(name, &settings, 2);
        let [a, b] = [cotangent(&trunk, 0, &[0, 3], 0), cotangent(&trunk, 1, &[0, 1], 0)];
        let (_, rows) = jacobian(&trunk, &params, mode(0), &[a.clone(), b.clone()]);
        let sequences = [a.sequences.clone(), b.sequences.clone()].concat();
        // `hard` too has two views, so the two lists of sequences do not overlap.
        let merged = Cotangent { sequences, values: [&a.values[..], &b.values].concat().into(), ..a };
        let (_, merged) = jacobian(&trunk, &params, mode(0), &[merged]);
        for (i, m) in merged.row(0).iter().enumerate() {
            let sum = rows.row(0)[i] + rows.row(1)[i];
            assert!((m - sum).abs() <= 1e-9 * sum.abs().max(1.0), "{name}: {m} {sum}");
        }
    }
}

/// Counts what reaches each block.
struct Reached(Vec<Vec<usize>>);

impl GradSink<f64> for Reached {
    fn block(&mut self, block: usize, grads: &[TaskGrad<'_, f64>]) -> Result<()> {
        assert!(self.0[block].is_empty(), "block {block} came twice");
        for grad in grads {
            assert!(matches!(grad.grad, BlockGrad::Dense(_)) || block == 0);
            self.0[block].push(grad.task);
        }
        Ok(())
    }
}

#[test]
fn a_gradient_stops_at_its_lowest_block_and_frozen_blocks_give_none() {
    for (name, settings) in all() {
        let (trunk, params) = composed(name, &settings, 2);
        let top = params.blocks.iter().position(|block| block.name.ends_with("layer.2")).unwrap();
        for lowest in [2, 3, top] {
            let cotangents = [cotangent(&trunk, 0, &[0, 3], 0), cotangent(&trunk, 1, &[1, 3], top)];
            let (states, saved) = trunk.forward(&params, &batch(), mode(lowest)).unwrap();
            let mut reached = Reached(vec![Vec::new(); params.blocks.len()]);
            trunk.vjp(&params, &saved, &cotangents, &mut reached).unwrap();
            for (block, tasks) in reached.0.iter().enumerate() {
                let expected = trunk.owner(block).map_or(vec![0, 1], |owner| vec![owner]);
                let is_above = |task: &usize| block >= lowest && (*task == 0 || block >= top);
                let expected: Vec<usize> = expected.into_iter().filter(is_above).collect();
                let is_routed = name == "ltb" && tasks.iter().all(|task| expected.contains(task));
                assert!(*tasks == expected || is_routed, "{name} {}: {tasks:?}", params.blocks[block].name);
            }
            let below = trunk.forward_below(&params, &batch(), lowest).unwrap();
            let (again, saved) = trunk.forward_from(&params, &batch(), &below, mode(lowest)).unwrap();
            assert_eq!(again, states, "{name} from block {lowest}");
            let (mut a, mut b) = (Sum::new(&params, &[1.0; 2]), Sum::new(&params, &[1.0; 2]));
            trunk.vjp(&params, &saved, &cotangents, &mut a).unwrap();
            let (_, saved) = trunk.forward(&params, &batch(), mode(lowest)).unwrap();
            trunk.vjp(&params, &saved, &cotangents, &mut b).unwrap();
            (0..params.blocks.len()).for_each(|block| assert_eq!(a.gradient(block), b.gradient(block)));
        }
    }
}

#[test]
fn copies_differ_by_noise_and_the_first_is_the_encoders_block() {
    let (_, params) = packed("mmoe", &json!({"at": "layer.1", "experts": 2}), 2);
    let plain = weights().cast::<f32>();
    let [first, second] =
        ["expert.0.layer.2", "expert.1.layer.2"].map(|name| &params.blocks[params.find(name).unwrap()]);
    assert_eq!(first.values, plain.blocks[4].values);
    let matrix = |block: &crate::Block| block.tensor(0).to_vec();
    let (a, b) = (matrix(first), matrix(second));
    let rms = |v: &[f32]| (v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / v.len() as f64).sqrt();
    let apart: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
    let share = rms(&apart) / rms(&a);
    assert!((0.005..0.02).contains(&share), "{share}");
    assert_eq!(second.tensor(3), first.tensor(3), "biases have no noise");
    assert_eq!(second.tensors[0].name, "expert.1.encoder.layer.2.attention.self.query.weight");
}

#[test]
fn the_regulariser_of_the_selectors_has_the_gradient_of_finite_differences() {
    let (trunk, mut params) =
        composed("dselect-k", &json!({"at": "layer.0", "experts": 3, "gamma": 2.0, "entropy": 0.1}), 2);
    let touched = [(0, vec![0, 1]), (1, vec![4, 7])];
    let penalty = |params: &Params<f64>| {
        let (_, saved) = trunk.forward(params, &batch(), Mode { dropout: 0.0, ..mode(0) }).unwrap();
        let mut sum = Sum::new(params, &[1.0]);
        let value = trunk.penalty(params, &saved, &touched, &mut sum).unwrap();
        (value, sum)
    };
    let (value, sum) = penalty(&params);
    assert!(value > 8.0, "two selectors on four sequences, 1 / Σ r above 1 each: {value}");
    for name in ["gate.t0", "gate.t1"] {
        let b = params.find(name).unwrap();
        let gradient = sum.gradient(b).unwrap().to_vec();
        assert!(gradient.iter().any(|g| g.abs() > 1e-3));
        for (i, gradient) in gradient.iter().enumerate() {
            let old = params.blocks[b].values[i];
            params.blocks[b].values[i] = old + 1e-5;
            let up = penalty(&params).0;
            params.blocks[b].values[i] = old - 1e-5;
            let down = penalty(&params).0;
            params.blocks[b].values[i] = old;
            let difference = (up - down) / 2e-5;
            assert!(
                (difference - gradient).abs() <= 1e-5 * gradient.abs() + 1e-7,
                "{name} {i}: {difference} {gradient}"
            );
        }
    }
    assert!(sum.gradient(2).is_none(), "nothing but the selectors");
}

#[test]
fn bad_settings_are_refused_with_what_to_try() {
    let error = |name: &str, settings: &Value| {
        let inner = Arc::new(Packed::new(config().graph()));
        shared::<f32>(name, settings, 2, inner).map(drop).unwrap_err().to_string()
    };
    let unknown = error("mmo", &json!({}));
    assert!(unknown.contains("unknown sharing `mmo`") && unknown.contains("mmoe"), "{unknown}");
    let nowhere = error("mmoe", &json!({"at": "layer.9"}));
    assert!(nowhere.contains("`layer.9`") && nowhere.contains("no block"), "{nowhere}");
    let top = error("mmoe", &json!({"at": "layer.2"}));
    assert!(top.contains("nothing lies above") && top.contains("layer.1"), "{top}");
    let range = error("mmoe", &json!({"experts": 0}));
    assert!(range.contains("`experts`") && range.contains("at least 1"), "{range}");
    let levels = error("cgc", &json!({"at": "layer.1", "levels": 2}));
    assert!(levels.contains("`levels`") && levels.contains("1 blocks"), "{levels}");
}

#[test]
fn the_table_is_sorted_and_every_default_lies_in_its_range() {
    let infos = super::infos();
    assert!(infos.windows(2).all(|pair| pair[0].id < pair[1].id));
    for info in infos {
        assert!(!info.about.is_empty() && !info.paper.is_empty() && !info.cost.is_empty(), "{}", info.id);
        for param in info.params.iter().filter(|param| param.default != "null") {
            let default: Value = serde_json::from_str(param.default).unwrap();
            assert!(param.range.contains(&default), "{}: {}", info.id, param.name);
        }
    }
}

#[test]
fn wanting_some_sequences_of_each_view_changes_nothing_there() {
    for (name, settings) in all() {
        let (trunk, params) = composed(name, &settings, 2);
        let mode = Mode { dropout: 0.0, ..mode(0) };
        let cotangents = [cotangent(&trunk, 0, &[0, 3], 0), cotangent(&trunk, 1, &[1], 0)];
        let (states, rows) = jacobian(&trunk, &params, mode, &cotangents);
        let wanted = [vec![0, 3], vec![1]];
        let (found, saved) = trunk.forward_for(&params, &batch(), None, mode, &wanted).unwrap();
        let layout = trunk.layout(&batch());
        for row in cotangents.iter().flat_map(|c| &c.sequences).flat_map(|&s| layout.rows(s as usize)) {
            let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12;
            assert!(found.row(row).iter().zip(states.row(row)).all(close), "{name} row {row}");
        }
        let mut some = RowsSink::new(&params, 3, 0);
        // What lies elsewhere is left out.
        let all = cotangent(&trunk, 1, &[0, 1, 2], 0);
        let mut wide = cotangents[1].clone();
        wide.sequences.clone_from(&all.sequences);
        wide.values = [&all.values[..18], &wide.values].concat().into();
        trunk.vjp(&params, &saved, &[cotangents[0].clone(), wide], &mut some).unwrap();
        for task in 0..2 {
            let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-10 * a.abs().max(1.0);
            assert!(rows.row(task).iter().zip(some.row(task)).all(close), "{name} task {task}");
        }
    }
}

/// `Σ softmax(W·mean + b)ₖ · xₖ` written out, for every sequence.
fn gated(params: &Params<f64>, name: &str, reads: &States<f64>, inputs: &[&States<f64>]) -> States<f64> {
    let block = &params.blocks[params.find(name).unwrap()];
    let (batch, mut out) = (batch(), States { values: vec![0.0; inputs[0].values.len()], width: 6 });
    for s in 0..batch.n_sequences() {
        let n = batch.length(s) as f64;
        let mean = |c: usize| batch.rows(s).map(|row| reads.row(row)[c]).sum::<f64>() / n;
        let logit = |k: usize| {
            let products = (0..6).map(|c| block.tensor(0)[k * 6 + c] * mean(c));
            products.sum::<f64>() + block.tensor(1)[k]
        };
        let powers: Vec<f64> = (0..inputs.len()).map(|k| logit(k).exp()).collect();
        let total: f64 = powers.iter().sum();
        for at in batch.rows(s).flat_map(|row| row * 6..(row + 1) * 6) {
            out.values[at] = powers.iter().zip(inputs).map(|(p, x)| p / total * x.values[at]).sum();
        }
    }
    out
}

#[test]
fn stacked_levels_are_wired_as_in_the_paper() {
    let (trunk, params) = composed("cgc", &json!({"at": "layer.0", "levels": 2, "noise": 0.3}), 2);
    let inner = Composed::<f64>::new(config().graph());
    let run = |name: &str, below: &States<f64>| {
        let block = &params.blocks[params.find(name).unwrap()];
        let layer = 2 + name.rsplit('.').next().unwrap().parse::<usize>().unwrap();
        let mode = Mode { lowest: layer, ..Mode::EVAL };
        inner.through((layer, &[block]), &batch(), below, mode).unwrap().0
    };
    let cut = trunk.forward_below(&params, &batch(), 3).unwrap();
    let [shared, own_0, own_1] =
        ["shared.0", "own.t0.0", "own.t1.0"].map(|e| run(&format!("{e}.layer.1"), &cut));
    let first_0 = gated(&params, "gate.0.t0", &cut, &[&shared, &own_0]);
    let first_1 = gated(&params, "gate.0.t1", &cut, &[&shared, &own_1]);
    let between = gated(&params, "gate.0", &cut, &[&shared, &own_0, &own_1]);
    let shared = run("shared.0.layer.2", &between);
    let views = [("t0", first_0), ("t1", first_1)].map(|(task, first)| {
        let own = run(&format!("own.{task}.0.layer.2"), &first);
        gated(&params, &format!("gate.1.{task}"), &first, &[&shared, &own])
    });
    let expected = views.map(|view| view.values).concat();
    let found = trunk.forward(&params, &batch(), Mode::EVAL).unwrap().0;
    assert!(found.values.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12));
}

#[test]
fn a_network_that_cannot_be_cut_has_hard_sharing_only() {
    let size = polytask_core::image::ImageSize { channels: 1, height: 36, width: 36 };
    let config = crate::trunk::ImageConfig::new("lenet", size);
    let encoder = crate::Encoder::net(crate::trunk::NetConfig::Image(config), 1).unwrap();
    let names = tasks(2);
    let setup = SharingSetup { tasks: &names, seed: 1, steps: 1, epochs: 1.0 };
    let refused = encoder.share(&Choice::named("mmoe"), &setup).unwrap_err().to_string();
    assert!(refused.contains("can be cut") && refused.contains("sharing = \"hard\""), "{refused}");
    super::check(&Choice::named("hard"), &*encoder.trunk, &encoder.params, &setup).unwrap();
}
