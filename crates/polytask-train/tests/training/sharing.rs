//! Rows of one source carry targets of many tasks and are encoded once.

use std::rc::Rc;

use polytask_core::suite::GradientSpace;
use polytask_train::engine::Weights;
use polytask_train::probe::{Seen, StepProbe};
use polytask_train::swept::Keeper;
use polytask_weighting::{At, Probe};

use crate::common::{Data, NOTES, Rig, apart, size};

/// The gradient of the sum of all tasks' losses on the rows, `[params]`, and each head's.
fn gradients(rig: &Rig, draws: &[(usize, Vec<u32>)]) -> (Vec<f32>, Vec<Vec<f32>>) {
    let (engine, blocks) = (rig.engine(), rig.blocks());
    let weights = Weights { trunk: &rig.prepared.encoder.params, heads: &blocks };
    let batches = [rig.batch_of(draws)];
    let evaluation = Rc::new(engine.evaluate(weights, &batches[0], 1).unwrap());
    let tasks: Vec<usize> = (0..rig.heads.len()).collect();
    let space = GradientSpace::Full;
    let mut probe = StepProbe {
        engine: &engine,
        weights,
        batches: &batches,
        evaluation: Some(evaluation),
        tasks: &tasks,
        step: 1,
        epoch: 0,
        lr: 1e-3,
        space,
        seen: Seen::default(),
        keeper: Keeper::default(),
    };
    let ones = vec![1.0; tasks.len()];
    (probe.gradient(At::default(), &ones).unwrap(), probe.heads(At::default()).unwrap())
}

#[test]
fn tasks_of_one_source_encode_each_text_once_and_pull_as_from_sources_of_their_own() {
    let data = Data::new();
    let set = ["model.dropout=0"];
    let own = NOTES
        .replace("[[source]]\nname = \"notes\"\ndata = \"notes\"\n", "")
        .replace("from = \"notes\"", "data = \"notes\"");
    let (shared, own) = (data.rig(NOTES, &set), data.rig(&own, &set));
    let rows: Vec<u32> = (0..24).collect();
    let batch = shared.batch(0, &rows);
    let mut texts = batch.texts.clone();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), batch.texts.len());
    assert_eq!((batch.parts.len(), batch.packed.n_sequences()), (3, texts.len()));
    assert!(batch.texts.len() <= 24);
    let from_own: Vec<_> = (0..3).map(|source| (source, rows.clone())).collect();
    // Equal texts of different sources are one sequence too.
    assert_eq!(own.batch_of(&from_own).texts.len(), texts.len());
    let ((a, a_heads), (b, b_heads)) = (gradients(&shared, &[(0, rows.clone())]), gradients(&own, &from_own));
    assert!(size(&a) > 1e-3);
    assert!(apart(&a, &b) < 1e-6 * size(&a), "{}", apart(&a, &b));
    assert_eq!(a_heads, b_heads);
}

#[test]
fn the_gradient_of_many_tasks_is_the_sum_of_those_of_batches_of_their_own() {
    let data = Data::new();
    let rig = data.rig(crate::common::ALL, &["model.dropout=0"]);
    let rows: Vec<u32> = (0..24).collect();
    let draws: Vec<_> = (0..rig.prepared.suite.sources.len()).map(|source| (source, rows.clone())).collect();
    let (whole, _) = gradients(&rig, &draws);
    let mut sum = vec![0.0; whole.len()];
    for draw in draws {
        let (part, _) = gradients(&rig, &[draw]);
        sum.iter_mut().zip(part).for_each(|(s, p)| *s += p);
    }
    assert!(apart(&whole, &sum) < 1e-5 * size(&whole), "{} of {}", apart(&whole, &sum), size(&whole));
}
