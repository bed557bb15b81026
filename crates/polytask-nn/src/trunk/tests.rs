//! The packed trunk against the composed one, and the composed one against finite differences.

use polytask_core::PackedBatch;
use polytask_core::rng::{Purpose, Rng};

use super::sinks::{GramianSink, RowsSink};
use super::{
    Activation, BertConfig, BlockGrad, Composed, Cotangent, GradSink, Mode, Packed, States, TaskGrad, Trunk,
};
use crate::Result;
use crate::params::{Params, Real};

/// Odd sizes, so that no kernel sees only whole vectors.
fn small() -> BertConfig {
    BertConfig {
        vocab_size: 19,
        hidden_size: 21,
        num_attention_heads: 3,
        intermediate_size: 37,
        max_position_embeddings: 40,
        ..BertConfig::tiny()
    }
}

/// Weights large enough for attention and activations to bend.
fn weights(config: &BertConfig) -> Params<f64> {
    let mut params = config.graph().init::<f64>(5);
    let mut rng = Rng::new(6, Purpose::Bench, &[]);
    for block in &mut params.blocks {
        block.values.iter_mut().for_each(|v| *v += 0.25 * rng.normal());
    }
    // Both precisions start from the same numbers.
    params.cast::<f32>().cast::<f64>()
}

fn batch(config: &BertConfig, lengths: &[usize]) -> PackedBatch {
    let mut rng = Rng::new(7, Purpose::Bench, &[]);
    let mut ids = |len| (0..len).map(|_| rng.below(config.vocab_size) as u32).collect::<Vec<u32>>();
    PackedBatch::pack(lengths.iter().map(|&len| ids(len)))
}

fn cotangent(
    batch: &PackedBatch,
    width: usize,
    task: usize,
    sequences: &[u32],
    lowest: usize,
) -> Cotangent<f64> {
    let rows: usize = sequences.iter().map(|&s| batch.length(s as usize)).sum();
    let mut rng = Rng::new(8, Purpose::Bench, &[task as u64, sequences.len() as u64]);
    let values: Vec<f64> = (0..rows * width).map(|_| f64::from(rng.normal() as f32)).collect();
    Cotangent { task, sequences: sequences.to_vec(), values: values.into(), lowest }
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

fn mode(dropout: f64, lowest: usize) -> Mode {
    Mode { dropout, seed: 3, step: 11, save: true, lowest, train: true, ..Mode::EVAL }
}

/// Jacobian of a trunk, with the states of its forward.
fn jacobian<T: Real>(
    trunk: &dyn Trunk<T>,
    params: &Params<T>,
    batch: &PackedBatch,
    mode: Mode,
    cotangents: &[Cotangent<T>],
) -> (States<T>, RowsSink<T>) {
    let (states, saved) = trunk.forward(params, batch, mode).unwrap();
    let mut rows = RowsSink::new(params, 5, 0);
    trunk.vjp(params, &saved, cotangents, &mut rows).unwrap();
    (states, rows)
}

/// Asserts closeness to 1e-5 of the largest entry.
fn assert_close(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!(
            (f64::from(*f) - e).abs() <= 1e-5 * largest.max(1e-6),
            "{what} entry {i}: {f} for {e} of {largest}"
        );
    }
}

#[test]
fn every_parameter_has_the_gradient_of_finite_differences() {
    let config = BertConfig {
        vocab_size: 7,
        hidden_size: 6,
        num_attention_heads: 2,
        intermediate_size: 8,
        max_position_embeddings: 5,
        ..BertConfig::tiny()
    };
    for act in [Activation::Gelu, Activation::GeluTanh] {
        let config = BertConfig { hidden_act: act, ..config.clone() };
        let (trunk, mut params) = (Composed::<f64>::new(config.graph()), weights(&config));
        let batch = batch(&config, &[3, 1, 0, 5]);
        let ct = cotangent(&batch, 6, 0, &[0, 1, 2, 3], 0);
        let mode = mode(0.2, 0);
        let (_, rows) = jacobian(&trunk, &params, &batch, mode, std::slice::from_ref(&ct));
        let loss = |params: &Params<f64>| -> f64 {
            let (states, _) = trunk.forward(params, &batch, Mode { save: false, ..mode }).unwrap();
            states.values.iter().zip(ct.values.iter()).map(|(a, b)| a * b).sum()
        };
        let mut at = 0;
        for b in 0..params.blocks.len() {
            for i in 0..params.blocks[b].values.len() {
                let old = params.blocks[b].values[i];
                params.blocks[b].values[i] = old + 1e-5;
                let up = loss(&params);
                params.blocks[b].values[i] = old - 1e-5;
                let down = loss(&params);
                params.blocks[b].values[i] = old;
                let (difference, gradient) = ((up - down) / 2e-5, rows.row(0)[at]);
                let error = (difference - gradient).abs();
                assert!(
                    error <= 1e-4 * gradient.abs() + 1e-7,
                    "block {b} value {i}: {gradient}, {difference}"
                );
                at += 1;
            }
        }
        assert_eq!(at, rows.width());
        for (b, block) in params.blocks.iter().enumerate() {
            for spec in block.tensors.iter().filter(|spec| !spec.name.ends_with("key.bias")) {
                let gradient = &rows.row(0)[rows.range(b).unwrap()][spec.range()];
                assert!(gradient.iter().any(|g| g.abs() > 1e-6), "{} has no gradient", spec.name);
            }
        }
    }
}

#[test]
fn packed_states_and_gradients_equal_the_reference() {
    let config = small();
    let d = config.hidden_size;
    let wide = weights(&config);
    let params = wide.cast::<f32>();
    let batch = batch(&config, &[5, 1, 9, 0, 36, 2, 33]);
    let sets = [
        vec![cotangent(&batch, d, 0, &[0, 1, 2, 3, 4, 5, 6], 0)],
        vec![cotangent(&batch, d, 3, &[1, 4], 0), cotangent(&batch, d, 0, &[0, 2, 6], 0)],
        vec![
            cotangent(&batch, d, 2, &[0, 4], 2),
            cotangent(&batch, d, 1, &[0, 1, 4], 0),
            cotangent(&batch, d, 4, &[3], 1),
            cotangent(&batch, d, 2, &[5], 0),
            cotangent(&batch, d, 0, &[2, 6], 3),
        ],
    ];
    for act in [Activation::Gelu, Activation::GeluTanh, Activation::Relu] {
        let config = BertConfig { hidden_act: act, ..config.clone() };
        let packed = Packed::new(config.graph());
        let composed = Composed::<f64>::new(config.graph());
        for (dropout, lowest) in [(0.0, 0), (0.2, 0), (0.2, 1), (0.1, 2), (0.3, 3)] {
            for (s, set) in sets.iter().enumerate() {
                let mode = mode(dropout, lowest);
                let (z, expected) = jacobian(&composed, &wide, &batch, mode, set);
                let (found_z, found) = jacobian(&packed, &params, &batch, mode, &narrow(set));
                assert_close(&found_z.values, &z.values, "states");
                for block in 0..params.blocks.len() {
                    for task in 0..5 {
                        let range = found.range(block).unwrap();
                        let what = format!("{act:?} {mode:?} set {s} block {block} task {task}");
                        assert_close(&found.row(task)[range.clone()], &expected.row(task)[range], &what);
                    }
                }
            }
        }
    }
}

#[test]
fn states_from_cached_ones_below_are_the_same_in_forward_and_backward() {
    let config = small();
    let (packed, params) = (Packed::new(config.graph()), weights(&config).cast::<f32>());
    let batch = batch(&config, &[5, 1, 9]);
    let ct = narrow(&[cotangent(&batch, config.hidden_size, 1, &[0, 2], 0)]);
    for lowest in 0..=packed.n_blocks() {
        let mode = mode(0.1, lowest);
        let below = packed.forward_below(&params, &batch, lowest).unwrap();
        let (states, saved) = packed.forward_from(&params, &batch, &below, mode).unwrap();
        let mut rows = RowsSink::new(&params, 5, 0);
        packed.vjp(&params, &saved, &ct, &mut rows).unwrap();
        let (expected, expected_rows) = jacobian(&packed, &params, &batch, mode, &ct);
        assert_eq!(states, expected);
        assert_eq!(rows, expected_rows);
    }
    let wide = weights(&config);
    let composed = Composed::<f64>::new(config.graph());
    for lowest in 0..=composed.n_blocks() {
        let below = composed.forward_below(&wide, &batch, lowest).unwrap();
        let (states, _) = composed.forward_from(&wide, &batch, &below, mode(0.1, lowest)).unwrap();
        assert_eq!(states, composed.forward(&wide, &batch, mode(0.1, lowest)).unwrap().0);
    }
}

/// Records which tasks reach which block, in order.
#[derive(Default)]
struct Calls(Vec<(usize, Vec<usize>)>);

impl<T: Real> GradSink<T> for Calls {
    fn block(&mut self, block: usize, grads: &[TaskGrad<'_, T>]) -> Result<()> {
        for grad in grads {
            if let BlockGrad::Sparse { rows, width, values } = grad.grad {
                assert!(rows.windows(2).all(|w| w[0] < w[1]));
                assert_eq!(values.len(), rows.len() * width);
            }
            assert_eq!(matches!(grad.grad, BlockGrad::Sparse { .. }), block == 0);
        }
        let tasks: Vec<usize> = grads.iter().map(|grad| grad.task).collect();
        // A block may come in parts, one after the other, of the same tasks.
        let is_part = matches!(grads.first().map(|grad| grad.grad), Some(BlockGrad::Part { .. }));
        match self.0.last() {
            Some((last, of)) if is_part && *last == block => assert_eq!(*of, tasks),
            _ => self.0.push((block, tasks)),
        }
        Ok(())
    }
}

#[test]
fn each_block_comes_once_from_the_top_down_with_the_tasks_that_reach_it() {
    let config = small();
    let (d, wide) = (config.hidden_size, weights(&config));
    let batch = batch(&config, &[4, 2, 3]);
    let set = [
        cotangent(&batch, d, 4, &[0], 3),
        cotangent(&batch, d, 1, &[1, 2], 0),
        cotangent(&batch, d, 0, &[0, 1], 2),
        cotangent(&batch, d, 4, &[2], 2),
    ];
    let expected = [(3, vec![0, 1, 4]), (2, vec![0, 1, 4]), (1, vec![1]), (0, vec![1])];
    let mut calls = Calls::default();
    let packed = Packed::new(config.graph());
    let (_, saved) = packed.forward(&wide.cast(), &batch, mode(0.1, 0)).unwrap();
    packed.vjp(&wide.cast(), &saved, &narrow(&set), &mut calls).unwrap();
    assert_eq!(calls.0, expected);
    let mut calls = Calls::default();
    let composed = Composed::<f64>::new(config.graph());
    let (_, saved) = composed.forward(&wide, &batch, mode(0.1, 0)).unwrap();
    composed.vjp(&wide, &saved, &set, &mut calls).unwrap();
    assert_eq!(calls.0, expected);
}

#[test]
fn the_gramian_of_a_sweep_is_that_of_its_jacobian() {
    let config = small();
    let (packed, params) = (Packed::new(config.graph()), weights(&config).cast::<f32>());
    let batch = batch(&config, &[5, 1, 9, 4]);
    let d = config.hidden_size;
    let set = narrow(&[
        cotangent(&batch, d, 0, &[0, 1], 0),
        cotangent(&batch, d, 1, &[1, 2], 1),
        cotangent(&batch, d, 2, &[0, 3], 0),
    ]);
    let (_, saved) = packed.forward(&params, &batch, mode(0.1, 0)).unwrap();
    let (mut rows, mut gramian) = (RowsSink::new(&params, 3, 0), GramianSink::new(3, packed.n_blocks()));
    packed.vjp(&params, &saved, &set, &mut rows).unwrap();
    packed.vjp(&params, &saved, &set, &mut gramian).unwrap();
    let total = gramian.total();
    for i in 0..3 {
        for j in 0..3 {
            let product: f64 =
                rows.row(i).iter().zip(rows.row(j)).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            let scale = (total[i * 3 + i] * total[j * 3 + j]).sqrt();
            assert!((total[i * 3 + j] - product).abs() <= 1e-10 * scale, "{i} {j}");
        }
    }
}

#[test]
fn a_sequence_alone_or_elsewhere_in_the_batch_has_the_same_states() {
    let config = small();
    let (packed, params) = (Packed::new(config.graph()), weights(&config).cast::<f32>());
    let batch = batch(&config, &[5, 1, 40, 0, 12, 3]);
    let (together, _) = packed.forward(&params, &batch, Mode::EVAL).unwrap();
    let sequences: Vec<&[u32]> = (0..batch.n_sequences()).map(|s| &batch.ids[batch.rows(s)]).collect();
    let reversed = PackedBatch::pack(sequences.iter().rev());
    let (backwards, _) = packed.forward(&params, &reversed, Mode::EVAL).unwrap();
    for (s, sequence) in sequences.iter().enumerate() {
        let (alone, _) = packed.forward(&params, &PackedBatch::pack([sequence]), Mode::EVAL).unwrap();
        let elsewhere = reversed.rows(batch.n_sequences() - 1 - s);
        for (i, row) in batch.rows(s).enumerate() {
            let expected: Vec<f64> = together.row(row).iter().map(|&v| f64::from(v)).collect();
            assert_close(alone.row(i), &expected, "alone");
            assert_close(backwards.row(elsewhere.start + i), &expected, "elsewhere");
        }
    }
}

#[test]
fn repeated_passes_drop_the_same_values_and_other_steps_others() {
    let config = small();
    let (packed, params) = (Packed::new(config.graph()), weights(&config).cast::<f32>());
    let batch = batch(&config, &[5, 7]);
    let states = |mode| packed.forward(&params, &batch, mode).unwrap().0;
    assert_eq!(states(mode(0.1, 0)), states(mode(0.1, 0)));
    assert_ne!(states(mode(0.1, 0)), states(Mode { step: 12, ..mode(0.1, 0) }));
    assert_ne!(states(mode(0.1, 0)), states(Mode::EVAL));
}

#[test]
fn activations_computed_again_give_the_same_bits() {
    let config = small();
    let (packed, params) = (Packed::new(config.graph()), weights(&config).cast::<f32>());
    let batch = batch(&config, &[5, 7, 40]);
    let set = narrow(&[cotangent(&batch, 21, 0, &[0, 2], 0), cotangent(&batch, 21, 1, &[1], 0)]);
    for lowest in [0, 2, 3] {
        let kept = jacobian(&packed, &params, &batch, mode(0.1, lowest), &set);
        let again = Mode { recompute: true, ..mode(0.1, lowest) };
        assert!(jacobian(&packed, &params, &batch, again, &set) == kept, "from block {lowest}");
    }
}

#[test]
fn laid_out_weights_give_the_states_of_a_forward() {
    let config = small();
    let (packed, params) = (Packed::new(config.graph()), weights(&config).cast::<f32>());
    let laid_out = packed.lay_out(&params).unwrap();
    for lengths in [&[1][..], &[9, 0, 4], &[40; 12]] {
        let batch = batch(&config, lengths);
        let (states, _) = packed.forward(&params, &batch, Mode::EVAL).unwrap();
        assert_eq!(packed.infer(&params, &laid_out, &batch).unwrap(), states);
    }
    let foreign: super::LaidOut = Box::new(());
    let error = packed.infer(&params, &foreign, &batch(&config, &[2])).unwrap_err().to_string();
    assert!(error.contains("another trunk"), "{error}");
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let config = BertConfig { hidden_size: 96, num_attention_heads: 4, intermediate_size: 384, ..small() };
    let (packed, params) = (Packed::new(config.graph()), weights(&config).cast::<f32>());
    let lengths: Vec<usize> = (0..24).map(|i| 10 + i).collect();
    let batch = batch(&config, &lengths);
    let all: Vec<u32> = (0..24).collect();
    let set = narrow(&[cotangent(&batch, 96, 0, &all[..15], 0), cotangent(&batch, 96, 1, &all[10..], 0)]);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let single = PackedBatch::pack([&batch.ids[..30]]);
        pool.install(|| {
            let states = [&batch, &single].map(|batch| packed.forward(&params, batch, Mode::EVAL).unwrap().0);
            (jacobian(&packed, &params, &batch, mode(0.1, 0), &set), states)
        })
    };
    let one = on(1);
    for threads in [2, 3, 7] {
        assert!(on(threads) == one, "{threads} threads");
    }
}

#[test]
fn empty_batches_and_empty_sequences_pass_through() {
    let config = small();
    let (packed, composed) = (Packed::new(config.graph()), Composed::<f64>::new(config.graph()));
    let wide = weights(&config);
    for batch in [PackedBatch::default(), PackedBatch::pack([&[][..], &[]])] {
        let sequences: Vec<u32> = (0..batch.n_sequences() as u32).collect();
        let set = [cotangent(&batch, config.hidden_size, 0, &sequences, 0)];
        let (states, rows) = jacobian(&packed, &wide.cast(), &batch, mode(0.1, 0), &narrow(&set));
        assert_eq!((states.n_rows(), states.width), (0, config.hidden_size));
        assert!(rows.values().iter().all(|&v| v == 0.0));
        let (states, rows) = jacobian(&composed, &wide, &batch, mode(0.1, 0), &set);
        assert_eq!(states.n_rows(), 0);
        assert!(rows.values().iter().all(|&v| v == 0.0));
    }
}

#[test]
fn a_backward_without_cotangents_feeds_nothing() {
    let config = small();
    let (packed, params) = (Packed::new(config.graph()), weights(&config).cast::<f32>());
    let (_, saved) = packed.forward(&params, &batch(&config, &[3]), mode(0.0, 0)).unwrap();
    let mut calls = Calls::default();
    packed.vjp(&params, &saved, &[], &mut calls).unwrap();
    assert!(calls.0.is_empty());
}

#[test]
fn what_does_not_fit_is_refused_with_found_and_expected() {
    let config = small();
    let (packed, params) = (Packed::new(config.graph()), weights(&config).cast::<f32>());
    let says = |result: Result<()>, part: &str| {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    let forward = |batch: &PackedBatch, mode| packed.forward(&params, batch, mode).map(|_| ());
    says(forward(&PackedBatch::pack([[19]]), Mode::EVAL), "token id 19, expected ids below 19");
    says(forward(&PackedBatch::pack([[1; 41]]), Mode::EVAL), "sequence 0 of 41 tokens, expected at most 40");
    let broken = PackedBatch { ids: vec![1, 2], starts: vec![0, 3, 2] };
    says(forward(&broken, Mode::EVAL), "starts");
    let good = batch(&config, &[3, 2]);
    says(forward(&good, mode(1.0, 0)), "rate 1");
    says(forward(&good, mode(0.0, 9)), "lowest block 9");
    let (_, saved) = packed.forward(&params, &good, mode(0.0, 0)).unwrap();
    let vjp = |saved, ct: Cotangent| packed.vjp(&params, saved, &[ct], &mut Calls::default());
    let ct = |sequences: &[u32], n| Cotangent {
        task: 2,
        sequences: sequences.to_vec(),
        values: vec![0.0; n].into(),
        lowest: 0,
    };
    says(vjp(&saved, ct(&[0], 5)), "cotangent of task 2 received 5 values, expected [rows 3, d_hidden 21]");
    says(vjp(&saved, ct(&[1, 0], 105)), "ascending");
    says(vjp(&saved, ct(&[2], 0)), "sequences below 2");
    let (_, unsaved) = packed.forward(&params, &good, Mode::EVAL).unwrap();
    says(vjp(&unsaved, ct(&[0], 63)), "forward with `save`");
    let mut short = params.clone();
    short.blocks[2].values.pop();
    says(packed.forward(&short, &good, Mode::EVAL).map(|_| ()), "block `layer.0`");
}
