//! Mixing, sampling, schedules, freezing, the cache of frozen states, early stopping.

use polytask_train::cache::FrozenStates;
use polytask_train::observe::{Event, Observer, Silent};
use polytask_train::run::{Finished, Prepared, RunOptions, run, train_alone};
use polytask_train::trainer::State;

use crate::common::{ALL, Data, NOTES, Rig, TWO, apart, heads, trunk};
use crate::statistics;

fn values<'a>(state: &'a State, block: &str) -> &'a [f32] {
    &state.trunk.blocks.iter().find(|b| b.name == block).unwrap().values
}

fn moved(rig: &Rig, state: &State) -> Vec<String> {
    let before = rig.state();
    let pairs = before.trunk.blocks.iter().zip(&state.trunk.blocks);
    pairs.filter(|(a, b)| a.values != b.values).map(|(a, _)| a.name.clone()).collect()
}

#[test]
fn every_mixing_sampling_and_schedule_trains() {
    let data = Data::new();
    let samplings = [
        "\"proportional\"",
        "\"uniform\"",
        "\"sqrt\"",
        "{ name = \"temperature\", t = 2.0 }",
        "\"annealed\"",
        "\"round-robin\"",
    ];
    let mut finals = Vec::new();
    for mixing in ["joint", "alternate"] {
        for sampling in samplings {
            let set = [
                &*format!("train.mixing=\"{mixing}\""),
                &*format!("train.sampling={sampling}"),
                "train.steps=8",
            ];
            let state = data.rig(TWO, &set).trained();
            assert_eq!(state.step, 8);
            let losses = &state.history.losses;
            let n: usize = losses.values().map(Vec::len).sum();
            assert_eq!(n, if mixing == "joint" { 16 } else { 8 });
            assert!(losses.values().flatten().all(|(_, loss)| loss.is_finite()));
        }
    }
    for schedule in ["linear", "cosine", "constant"] {
        let state = data.rig(TWO, &[&*format!("train.schedule=\"{schedule}\""), "train.steps=4"]).trained();
        finals.push(trunk(&state));
    }
    assert!(finals[0] != finals[1] && finals[1] != finals[2] && finals[0] != finals[2]);
}

#[test]
fn a_batch_in_pieces_trains_to_the_weights_of_the_whole_batch() {
    let data = Data::new();
    let trained = |micro: &str| {
        let set = [micro, "train.steps=4", "model.dropout=0", "train.keep=last", "train.conflict_every=0"];
        let out = data.out(&format!("run-{micro}"));
        let prepared = data.prepare(TWO, &set);
        let run = |prepared: &Prepared| {
            run(prepared, &RunOptions { out: out.clone(), resume: false, baselines: None }, &mut Silent)
        };
        run(&prepared).unwrap();
        polytask_model::Model::load(&out.join("model")).unwrap().encoder.params
    };
    let (whole, pieces) = (trained("train.micro_tokens=0"), trained("train.micro_tokens=12"));
    let values = |params: &polytask_nn::Params| {
        params.blocks.iter().flat_map(|block| block.values.clone()).collect::<Vec<f32>>()
    };
    let (whole, pieces) = (values(&whole), values(&pieces));
    let most = whole.iter().zip(&pieces).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(most < 1e-3, "{most}");
    let data = statistics::images();
    let suite = data.suite(statistics::IMAGES, &["model.encoder=\"resnet18\"", "train.micro_tokens=100"]);
    let prepared = polytask_train::prepare::prepare(suite, &mut Silent).unwrap();
    let options = RunOptions { out: data.out("net"), resume: false, baselines: None };
    let error = run(&prepared, &options, &mut Silent).err().unwrap().to_string();
    assert!(error.contains("micro_tokens"), "{error}");
}

#[test]
fn blocks_below_a_task_s_freeze_get_nothing_from_it() {
    let data = Data::new();
    let tasks = TWO.replace("data = \"notes\"", "data = \"notes\"\nfreeze = [\"embeddings\", \"layer.0\"]");
    let rig = data.rig(&tasks, &[]);
    let mut alone = rig.trainer_of(&[0]);
    alone.train("test", &mut Silent).unwrap();
    assert_eq!(moved(&rig, &alone.state), ["layer.1"]);
    assert!(alone.state.slots.trunk[..3].iter().all(|slot| slot.count == 0));
    let both = rig.trained();
    assert_eq!(moved(&rig, &both).len(), 4);
}

#[test]
fn a_vector_of_an_aggregator_leaves_blocks_alone_that_no_task_reaches() {
    let data = Data::new();
    let tasks = NOTES.replace("from = \"notes\"", "from = \"notes\"\nfreeze = [\"embeddings\"]");
    let rig = data.rig(&tasks, &["train.weighting=\"pcgrad\""]);
    assert_eq!(moved(&rig, &rig.trained()), ["layer.0", "layer.1"]);
}

#[test]
fn frozen_blocks_stay_byte_for_byte_and_the_cache_of_their_states_changes_nothing() {
    let data = Data::new();
    for frozen in [
        "[\"embeddings\"]",
        "[\"embeddings\", \"layer.0\"]",
        "[\"embeddings\", \"layer.0-1\"]",
        "[\"layer.0\"]",
    ] {
        let freeze = &*format!("model.freeze={frozen}");
        let (cached, plain) = (data.rig(TWO, &[freeze]), data.rig(TWO, &[freeze, "train.cache_mb=0"]));
        assert_eq!((cached.cache.is_some(), plain.cache.is_some()), (frozen.contains("emb"), false));
        let (a, b) = (cached.trained(), plain.trained());
        for (block, frozen) in a.trunk.blocks.iter().zip(cached.trainable.iter().map(|t| !t)) {
            assert_eq!(values(&cached.state(), &block.name) == block.values, frozen, "{}", block.name);
        }
        let (trunks, heads) = (apart(&trunk(&a), &trunk(&b)), apart(&heads(&a), &heads(&b)));
        assert!(trunks <= 1e-6 && heads <= 1e-6, "{frozen} {trunks} {heads}");
    }
}

#[test]
fn tokens_in_a_file_train_to_the_same_bytes_as_those_in_memory() {
    let data = Data::new();
    let (memory, file) = (data.rig(ALL, &[]), data.rig(ALL, &["train.data_mb=0"]));
    let texts = |rig: &Rig| rig.prepared.dataset.texts.clone();
    assert!(!texts(&memory).is_mapped() && texts(&file).is_mapped());
    assert_eq!(texts(&memory), texts(&file));
    let (a, b) = (memory.trained(), file.trained());
    assert!(a.trunk == b.trunk && a.heads == b.heads);
}

#[test]
fn training_stops_when_patience_is_over_and_keeps_the_best() {
    let data = Data::new();
    let rig = data.rig(TWO, &["train.lr=1e-12", "train.eval_every=1", "train.patience=2", "train.epochs=9"]);
    let mut trainer = rig.trainer();
    trainer.train("test", &mut Silent).unwrap();
    assert_eq!((trainer.state.step, trainer.kept().2), (3, 1));
    let last = data.rig(TWO, &["train.eval_every=1", "train.keep=\"last\""]);
    let mut trainer = last.trainer();
    trainer.train("test", &mut Silent).unwrap();
    assert_eq!(trainer.kept().2, trainer.state.step);
    assert!(trainer.kept().0 == trainer.state.trunk);
}

#[test]
fn the_best_weights_are_those_of_the_best_evaluation_of_what_is_watched() {
    let data = Data::new();
    for (watch, metric, sign) in [("tone", "macro_f1", 1.0), ("alike", "spearman", 1.0)] {
        let rig =
            data.rig(TWO, &["train.eval_every=1", &*format!("train.watch=\"{watch}\""), "train.epochs=4"]);
        assert_eq!(rig.heads[usize::from(watch == "alike")].metric, metric);
        let mut trainer = rig.trainer();
        trainer.train("test", &mut Silent).unwrap();
        let curve = &trainer.state.history.valid[&usize::from(watch == "alike")];
        let best = curve.iter().map(|p| sign * p.value).fold(f64::MIN, f64::max);
        let first = curve.iter().find(|p| sign * p.value == best).unwrap();
        assert_eq!(trainer.kept().2, first.step, "{curve:?}");
    }
}

#[test]
fn a_smaller_rmse_is_the_better_one() {
    let data = Data::new();
    let rig = data.rig(NOTES, &["train.eval_every=1", "train.watch=\"size.rmse\"", "train.epochs=4"]);
    let mut trainer = rig.trainer();
    trainer.train("test", &mut Silent).unwrap();
    // R² falls as RMSE rises.
    let curve = &trainer.state.history.valid[&1];
    let best = curve.iter().max_by(|a, b| a.value.total_cmp(&b.value)).unwrap();
    assert_eq!(trainer.kept().2, best.step, "{curve:?}");
}

#[test]
fn the_tiny_encoder_cuts_texts_where_the_suite_says() {
    let data = Data::new();
    let (whole, cut) = (data.prepare(TWO, &[]), data.prepare(TWO, &["model.max_length=6"]));
    assert_eq!((cut.symbols.text().unwrap().max_length(), cut.encoder.max_length), (6, 6));
    let longest = |prepared: &polytask_train::run::Prepared| {
        let texts = &prepared.dataset.texts;
        (0..texts.len()).map(|text| texts.tokens(text as u32).len()).max().unwrap()
    };
    assert!(longest(&whole) > 6);
    assert_eq!(longest(&cut), 6);
}

#[test]
fn heads_start_wide_on_an_image_network_that_starts_fresh_and_not_on_one_that_is_continued() {
    let data = statistics::images();
    let fresh = statistics::rig(&data, &["train.epochs=1"]);
    let options = RunOptions { out: data.out("first"), resume: false, baselines: None };
    run(&fresh.prepared, &options, &mut Silent).unwrap();
    let model = format!("model.encoder={:?}", data.out("first").join("model").display().to_string());
    let continued = data.rig(statistics::IMAGES, &[&model]);
    for (task, (wide, usual)) in fresh.blocks().iter().zip(&continued.blocks()).enumerate() {
        let plain = fresh.heads[task].head.block(&wide.name, fresh.prepared.suite.seed);
        assert!(plain == *usual && plain != *wide, "{}", wide.name);
    }
}

/// Counts how often the frozen part is run over all texts.
struct Fills(usize);

impl Observer for Fills {
    fn event(&mut self, event: Event) {
        self.0 += usize::from(matches!(event, Event::Phase { name: "frozen layers", .. }));
    }
}

#[test]
fn frozen_states_are_handed_on_to_trainings_of_the_same_encoder_and_texts() {
    let (data, kept) = (Data::new(), FrozenStates::default());
    let mut fills = Fills(0);
    let mut train = |tasks: &str, set: &[&str], kept: &FrozenStates| {
        let set = [&["model.freeze=[\"embeddings\", \"layer.0\"]"], set].concat();
        let prepared = Prepared { frozen: kept.clone(), ..data.prepare(tasks, &set) };
        let weights = |finished: &Finished| Ok(finished.weights.trunk.clone());
        let trunk = train_alone(&prepared, ("test", &[0]), &data.out("frozen"), &mut fills, weights).unwrap();
        (trunk, fills.0)
    };
    let (first, n) = train(NOTES, &[], &kept);
    assert_eq!(n, 1);
    assert_eq!(train(NOTES, &[], &kept), (first.clone(), 1), "another run on the same texts");
    assert_eq!(train(NOTES, &["train.lr=1e-3"], &kept).1, 1, "another learning rate");
    assert_eq!(train(NOTES, &["model.freeze=[\"embeddings\"]"], &kept).1, 2, "another boundary");
    assert_eq!(train(TWO, &[], &kept).1, 3, "other texts");
    assert_eq!(train(TWO, &["seed=8"], &kept).1, 4, "other weights");
    assert_eq!(train(NOTES, &[], &FrozenStates::default()), (first, 5), "nothing kept");
    let kept = FrozenStates::default();
    for (set, n) in [(7, 6), (8, 7), (7, 7), (9, 8), (7, 8), (8, 9)] {
        assert_eq!(train(NOTES, &[&format!("seed={set}")], &kept).1, n, "two are kept, the last used ones");
    }
}
