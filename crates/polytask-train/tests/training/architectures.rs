//! Architectures between the tasks and the encoder: end to end on the tiny encoder.

use std::rc::Rc;

use polytask_core::method::Choice;
use polytask_core::suite::GradientSpace;
use polytask_model::{Model, Question};
use polytask_nn::sharing::{SHARINGS, SharingSetup};
use polytask_train::engine::Weights;
use polytask_train::observe::Silent;
use polytask_train::probe::{Seen, StepProbe};
use polytask_train::run::{RunOptions, run};
use polytask_train::swept::Keeper;
use polytask_weighting::{At, Probe};
use serde_json::{Value, json};

use crate::common::{ALL, Data, NOTES, Rig, TWO, apart, size, trunk};

/// A rig whose encoder is shared by an architecture.
pub(crate) fn rig(data: &Data, tasks: &str, sharing: &str, set: &[&str]) -> Rig {
    rig_with(data, tasks, (sharing, json!({"at": "layer.0"})), set)
}

/// As [`rig`], with parameters of the architecture.
pub(crate) fn rig_with(data: &Data, tasks: &str, (sharing, params): (&str, Value), set: &[&str]) -> Rig {
    let mut prepared = data.prepare(tasks, set);
    let names: Vec<String> = prepared.suite.tasks.iter().map(|task| task.name.clone()).collect();
    let setup = SharingSetup { tasks: &names, seed: 7, steps: 12, epochs: 2.0 };
    let params = serde_json::from_value(params).unwrap();
    let choice = Choice { name: sharing.into(), params };
    prepared.encoder = prepared.encoder.share(&choice, &setup).unwrap();
    Rig::new(prepared)
}

fn probe<'a>(
    engine: &'a polytask_train::engine::Engine<'a>,
    weights: Weights<'a>,
    batches: &'a [polytask_train::assemble::StepBatch],
    tasks: &'a [usize],
) -> StepProbe<'a> {
    let evaluation = Some(Rc::new(engine.evaluate(weights, &batches[0], 1).unwrap()));
    let space = GradientSpace::Full;
    StepProbe {
        engine,
        weights,
        batches,
        evaluation,
        tasks,
        step: 1,
        epoch: 0,
        lr: 1e-3,
        space,
        seen: Seen::default(),
        keeper: Keeper::default(),
    }
}

#[test]
fn every_architecture_trains_every_kind_of_task_and_writes_a_model_that_gives_the_same_predictions() {
    let data = Data::new();
    for sharing in SHARINGS {
        let id = sharing.info().id;
        let prepared = data.prepare(ALL, &[&format!("model.sharing={id}"), "train.epochs=1"]);
        let options = RunOptions { out: data.out(id), resume: false, baselines: None };
        let report = run(&prepared, &options, &mut Silent).unwrap();
        assert_eq!(report.tasks.len(), 7, "{id}");
        assert!(report.losses.values().flatten().all(|point| point.value.is_finite()), "{id}");
        let said = report.notes.iter().any(|note| note.contains(&format!("by `{id}`")));
        assert_eq!(said, id != "hard", "{id}: {:?}", report.notes);
        let folder = data.out(id).join("model");
        assert_eq!(folder.join("model.safetensors").exists(), id == "hard", "{id}");
        let judged = polytask_train::judge::judge(
            prepared.suite.clone(),
            polytask_train::judge::Side { name: id, folder: &folder },
            None,
            Some(polytask_core::Split::Test),
            &mut Silent,
        )
        .unwrap();
        for (a, b) in report.tasks.iter().zip(&judged.report.tasks) {
            assert_eq!(a.joint[0].interval.value, b.joint[0].interval.value, "{id} {}", a.task);
        }
    }
}

#[test]
fn a_model_with_views_embeds_for_a_task_and_says_so_without_one() {
    let data = Data::new();
    let prepared = data.prepare(TWO, &["model.sharing=mmoe", "train.epochs=1"]);
    run(&prepared, &RunOptions { out: data.out("a"), resume: false, baselines: None }, &mut Silent).unwrap();
    let model = Model::load(&data.out("a").join("model")).unwrap();
    let texts = ["red cup", "blue door", "a much longer text of seven words"];
    let [tone, alike] = ["tone", "alike"].map(|task| model.embed(&texts, Some(task), None).unwrap());
    assert_eq!((tone.n_rows(), tone.width), (3, 32));
    assert!(apart(&tone.values, &alike.values) > 1e-6, "views differ");
    let alone = model.embed(&texts[1..2], Some("alike"), None).unwrap();
    assert!(apart(&alone.values, alike.row(1)) < 1e-5);
    let missing = model.embed(&texts, None, None).unwrap_err().to_string();
    assert!(missing.contains("tone, alike") && missing.contains("--task"), "{missing}");
    assert!(model.embed(&texts, Some("ton"), None).is_err());
    let rows = vec![vec!["red cup".into()], vec!["blue door".into()]];
    let ask = |name: &str| {
        let task = model.task(name).unwrap();
        let rows = if name == "alike" { vec![rows.concat()] } else { rows.clone() };
        Question { task, rows }
    };
    let together = model.predict(&[ask("tone"), ask("alike")], None).unwrap();
    assert_eq!(together.encoded, 2, "one encoding answers both views");
    for (i, name) in ["tone", "alike"].iter().enumerate() {
        let alone = model.predict(&[ask(name)], None).unwrap();
        assert_eq!(alone.answers[0], together.answers[i]);
    }
}

#[test]
fn methods_see_the_shared_parameters_and_a_tasks_own_blocks_go_with_its_head() {
    let data = Data::new();
    let rig = rig(&data, NOTES, "cgc", &["model.dropout=0"]);
    let (engine, blocks) = (rig.engine(), rig.blocks());
    let params = &rig.prepared.encoder.params;
    let weights = Weights { trunk: params, heads: &blocks };
    let batches = [rig.batch(0, &(0..12).collect::<Vec<_>>())];
    let tasks = [0, 1, 2];
    let mut probe = probe(&engine, weights, &batches, &tasks);
    let shared: Vec<String> = probe.parts().into_iter().map(|part| part.block).collect();
    assert!(shared.contains(&"shared.0.layer.1".into()) && shared.contains(&"layer.0".into()), "{shared:?}");
    assert!(!shared.iter().any(|block| block.starts_with("own") || block.starts_with("gate")), "{shared:?}");
    let n_shared = probe.shared().len();
    let rows = probe.rows(At::default()).unwrap();
    assert_eq!((rows.n, rows.width), (3, n_shared));
    assert_eq!(probe.gradient(At::default(), &[1.0; 3]).unwrap().len(), n_shared);
    let gramian = probe.gramian(At::default()).unwrap();
    let product: f64 = rows.row(0).iter().zip(rows.row(1)).map(|(a, b)| f64::from(a * b)).sum();
    assert!((gramian.values[1] - product).abs() <= 1e-4 * gramian.values[0].abs());

    // The gradient of head and own blocks against finite differences, through displacements of both.
    let heads = probe.heads(At::default()).unwrap();
    let own: Vec<usize> = (0..3).map(|task| heads[task].len() - blocks[task].values.len()).collect();
    let layer = params.blocks[params.find("layer.0").unwrap()].values.len();
    assert!(own.iter().all(|&n| n > layer), "an expert and a gate: {own:?}");
    assert_eq!(probe.head(1).len(), heads[1].len());
    let h = 2e-3 / size(&heads[0]);
    let along = |sign: f32| heads.iter().map(|g| g.iter().map(|g| sign * h * g).collect()).collect();
    let (up, down): (Vec<Vec<f32>>, Vec<Vec<f32>>) = (along(1.0), along(-1.0));
    let mut losses = |heads: &[Vec<f32>]| probe.losses(At { heads: Some(heads), ..At::default() }).unwrap();
    let (up, down) = (losses(&up), losses(&down));
    for task in 0..3 {
        let found = (up[task] - down[task]) / (2.0 * f64::from(h));
        let expected: f64 = heads[task].iter().map(|g| f64::from(*g).powi(2)).sum();
        assert!((found - expected).abs() < 0.05 * expected, "task {task}: {found}, {expected}");
    }
}

#[test]
fn gradient_methods_train_the_gates_of_every_task() {
    let data = Data::new();
    for weighting in ["equal", "pcgrad", "mgda"] {
        let set = [format!("train.weighting={weighting}")];
        let rig = rig(&data, NOTES, "mmoe", &[&set[0]]);
        let (before, after) = (rig.state(), rig.trained());
        for (a, b) in before.trunk.blocks.iter().zip(&after.trunk.blocks) {
            assert_ne!(a.values, b.values, "{weighting}: {}", a.name);
        }
    }
}

#[test]
fn the_regulariser_of_dselect_k_is_part_of_training() {
    let data = Data::new();
    let trained = |entropy: f64| {
        let params = json!({"at": "layer.0", "experts": 4, "entropy": entropy});
        rig_with(&data, TWO, ("dselect-k", params), &[]).trained().trunk
    };
    let (with, without) = (trained(0.5), trained(0.0));
    for (a, b) in with.blocks.iter().zip(&without.blocks).filter(|(a, _)| a.name.starts_with("gate")) {
        assert!(apart(&a.values, &b.values) > 1e-3, "{}", a.name);
    }
}

#[test]
fn a_frozen_layer_freezes_all_its_copies_and_a_cached_prefix_changes_nothing() {
    let data = Data::new();
    let frozen = ["model.freeze=[\"embeddings\", \"layer.0\"]"];
    let cached = rig(&data, TWO, "mmoe", &frozen);
    let plain = rig(&data, TWO, "mmoe", &[frozen[0], "train.cache_mb=0"]);
    assert!(cached.cache.is_some() && plain.cache.is_none());
    let (a, b) = (cached.trained(), plain.trained());
    assert!(apart(&trunk(&a), &trunk(&b)) < 1e-4 * size(&trunk(&a)));
    let all = rig(&data, TWO, "cgc", &["model.freeze=[\"layer.1\"]"]);
    let after = all.trained();
    for (before, after) in all.prepared.encoder.params.blocks.iter().zip(&after.trunk.blocks) {
        let is_frozen = before.name.ends_with("layer.1");
        assert_eq!(before.values == after.values, is_frozen, "{}", before.name);
    }
}

#[test]
fn what_cannot_be_is_said_before_training_and_one_task_has_the_whole_encoder() {
    let data = Data::new();
    let refused = |sharing: &str| {
        let suite = data.suite(TWO, &[&format!("model.sharing={sharing}")]);
        polytask_train::prepare::prepare(suite, &mut Silent).map(drop).unwrap_err().to_string()
    };
    let nowhere = refused("{name=\"mmoe\",at=\"layer.9\"}");
    assert!(nowhere.contains("`layer.9`") && nowhere.contains("no block"), "{nowhere}");
    let top = refused("{name=\"mtan\",at=\"layer.1\"}");
    assert!(top.contains("nothing lies above"), "{top}");
    let attempt = |tasks: &str, sharing: &str| {
        let prepared = data.prepare(tasks, &[&format!("model.sharing={sharing}"), "train.epochs=1"]);
        let out = data.out(&format!("try{}", sharing.len()));
        run(&prepared, &RunOptions { out, resume: false, baselines: None }, &mut Silent)
    };
    let one = "[[task]]\nname = \"tone\"\nkind = \"class\"\ndata = \"notes\"\n";
    let report = attempt(one, "mmoe").unwrap();
    assert!(report.notes.iter().any(|note| note.contains("needs two tasks")), "{:?}", report.notes);
    assert!(data.out("try4").join("model/model.safetensors").exists());
    let again = data.prepare(TWO, &["model.sharing=mmoe", "train.epochs=1"]);
    run(&again, &RunOptions { out: data.out("b"), resume: false, baselines: None }, &mut Silent).unwrap();
    let encoder = format!("model.encoder={:?}", data.out("b").join("model").display().to_string());
    let set = [encoder];
    let suite = data.suite(TWO, &[&set[0]]);
    let error = polytask_train::prepare::prepare(suite, &mut Silent).map(drop).unwrap_err().to_string();
    assert!(error.contains("share it by `mmoe`"), "{error}");
}
