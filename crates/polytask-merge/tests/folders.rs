//! Merges from folders to folders: small encoders of one base, whole or in shards, and everything that may be wrong.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use polytask_merge::{Given, MergeConfig, MergeMethod, MergeOptions, MergeReport, inspect, merge};
use polytask_model::tasks_in;
use polytask_nn::weights::{self, Dtype, TensorOut, Values, WeightFiles};
use polytask_nn::{Encoder, Params};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A base and three models a little away from it.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        let encoder = Encoder::tiny(40, 1).unwrap();
        place.save("m0", &encoder, &encoder.params);
        for (i, name) in ["a", "b", "c"].into_iter().enumerate() {
            place.save(name, &encoder, &moved(&encoder.params, i as u64 + 1, 0.01));
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn save(&self, name: &str, encoder: &Encoder, params: &Params) {
        let tokenizer = [("vocab.txt".to_owned(), b"[PAD]\n[UNK]\n".to_vec())];
        encoder.save(params, &self.path(name), &tokenizer).unwrap();
    }

    fn options(&self, out: &str) -> MergeOptions {
        MergeOptions {
            out: self.path(out),
            compat: false,
            seed: 7,
            shard: 1 << 30,
            heads: Vec::new(),
            learned: None,
        }
    }

    fn run(&self, config: &MergeConfig, options: &MergeOptions) -> Result<MergeReport, String> {
        let resolve = |name: &str| Ok(self.path(name));
        merge(config, &resolve, options, &mut |_, _| {}).map_err(|error| error.to_string())
    }

    fn merge(&self, method: &str, models: &[&str], given: &Value, out: &str) -> Result<MergeReport, String> {
        self.run(&config(method, models, given), &self.options(out))
    }

    /// The same, to be refused; nothing is left behind.
    fn refused(&self, method: &str, models: &[&str], given: &Value) -> String {
        let before = self.names();
        let error = self.merge(method, models, given, "refused").unwrap_err();
        assert_eq!(self.names(), before, "nothing is written: {error}");
        error
    }

    fn names(&self) -> Vec<String> {
        polytask_core::files::names_in(self.folder.path())
    }

    fn weights(&self, name: &str) -> WeightFiles {
        WeightFiles::open_folder(&self.path(name)).unwrap()
    }

    /// Writes a model's tensors anew, each changed by `change`; `None` leaves one out.
    fn rewrite(&self, name: &str, change: impl Fn(&str, Vec<f32>) -> Option<Vec<f32>>) {
        let weights = self.weights(name);
        let tensors: Vec<(String, Vec<usize>, Vec<f32>)> = weights
            .entries()
            .filter_map(|entry| {
                Some((
                    entry.name.clone(),
                    entry.shape.clone(),
                    change(&entry.name, weights.f32(&entry.name).unwrap())?,
                ))
            })
            .collect();
        let out: Vec<TensorOut<'_>> = tensors
            .iter()
            .map(|(name, shape, values)| TensorOut { name, shape, values: Values::F32(values) })
            .collect();
        weights::write(&self.path(name).join(weights::FILE), &out, &[]).unwrap();
    }

    /// A head of a task beside a model.
    fn head(&self, model: &str, task: &str, value: f32) {
        let info = json!({"name": task, "kind": "similarity", "metric": "spearman", "labels": [], "scale": [[0.0, 1.0]],
            "n_outputs": 1});
        let folder = self.path(model).join("heads").join(task);
        fs::create_dir_all(&folder).unwrap();
        let tensor = TensorOut { name: "head.w", shape: &[1], values: Values::F32(&[value]) };
        weights::write(&folder.join(weights::FILE), &[tensor], &[]).unwrap();
        fs::write(folder.join("config.json"), info.to_string()).unwrap();
        let mut tasks = tasks_in(&self.path(model)).unwrap();
        tasks.push(serde_json::from_value(info).unwrap());
        polytask_model::write_tasks(&self.path(model), tasks, None).unwrap();
    }
}

fn moved(params: &Params, seed: u64, by: f64) -> Params {
    let mut params = params.clone();
    let mut rng = polytask_core::Rng::new(seed, polytask_core::Purpose::Bench, &[]);
    params
        .blocks
        .iter_mut()
        .flat_map(|block| &mut block.values)
        .for_each(|v| *v += (by * rng.normal()) as f32);
    params
}

fn config(method: &str, models: &[&str], given: &Value) -> MergeConfig {
    let models: Vec<String> = models.iter().map(ToString::to_string).collect();
    let mut given = given.as_object().unwrap().clone();
    let base = given.remove("base").map(|base| base.as_str().unwrap().to_owned());
    let given: Vec<Given> = given
        .into_iter()
        .map(|(name, value)| Given { name, values: value.as_array().cloned().unwrap_or_else(|| vec![value]) })
        .collect();
    MergeConfig::of_models(MergeMethod::find(method).unwrap(), &models, base.as_deref(), &given).unwrap()
}

const NAME: &str = "encoder.layer.1.attention.self.query.weight";

#[test]
fn the_mean_of_three_folders_is_a_folder_that_loads_and_says_where_it_comes_from() {
    let place = Place::new();
    let report = place.merge("linear", &["a", "b", "c"], &json!({"weight": [2, 1, 1]}), "d").unwrap();
    let (a, b, c, d) = (place.weights("a"), place.weights("b"), place.weights("c"), place.weights("d"));
    for entry in d.entries() {
        let of = |weights: &WeightFiles| weights.f32(&entry.name).unwrap();
        let (a, b, c, d) = (of(&a), of(&b), of(&c), of(&d));
        for i in 0..d.len() {
            assert!((d[i] - (2.0 * a[i] + b[i] + c[i]) / 4.0).abs() < 1e-6);
        }
    }
    let loaded = Encoder::load(&place.path("d")).unwrap();
    assert_eq!(loaded.pooling, Encoder::tiny(40, 1).unwrap().pooling);
    let told: Value = serde_json::from_slice(&fs::read(place.path("d/merge.json")).unwrap()).unwrap();
    assert_eq!(told["method"], "linear");
    assert_eq!(told["parameters"]["a weight"], json!(2));
    let hash = polytask_core::hash::sha256_file(&place.path("a/model.safetensors")).unwrap();
    assert_eq!(told["models"][0]["sha256"][0], hash);
    let card = fs::read_to_string(place.path("d/CARD.md")).unwrap();
    assert!(card.contains(&hash) && card.contains("`linear`"), "{card}");
    assert_eq!(report.n_copied, 0);
    assert_eq!(fs::read(place.path("d/vocab.txt")).unwrap(), b"[PAD]\n[UNK]\n");
}

#[test]
fn every_method_merges_folders_to_the_same_bytes_with_one_thread_and_with_more() {
    let place = Place::new();
    for method in polytask_merge::METHODS {
        let id = method.info.id;
        let n = method.models.1.min(3).max(method.models.0);
        let models = &["a", "b", "c"][..n];
        let mut given = json!({});
        if method.base == polytask_merge::BaseUse::Required || id == "slerp" {
            given["base"] = json!("m0");
        }
        if method.thins() {
            given["density"] = json!(0.4);
        }
        for (threads, out) in [(1, "one"), (3, "more")] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let merged = pool.install(|| place.merge(id, models, &given, &format!("{id}-{out}")));
            merged.unwrap_or_else(|error| panic!("{id}: {error}"));
        }
        let bytes = |out: &str| fs::read(place.path(&format!("{id}-{out}/model.safetensors"))).unwrap();
        assert!(bytes("one") == bytes("more"), "{id}");
        Encoder::load(&place.path(&format!("{id}-one"))).unwrap();
    }
}

#[test]
fn shards_go_in_and_out_and_give_the_same_values() {
    let place = Place::new();
    place.merge("linear", &["a", "b"], &json!({}), "whole").unwrap();
    let options = MergeOptions { shard: 20_000, ..place.options("shards") };
    place.run(&config("linear", &["a", "b"], &json!({})), &options).unwrap();
    let names = polytask_core::files::names_in(&place.path("shards"));
    assert!(names.iter().filter(|name| name.contains("-of-")).count() > 2, "{names:?}");
    let model = ["shards", "whole"];
    place.merge("linear", &model, &json!({}), "again").unwrap();
    let (whole, again) = (place.weights("whole"), place.weights("again"));
    for entry in whole.entries() {
        assert_eq!(whole.f32(&entry.name).unwrap(), again.f32(&entry.name).unwrap());
    }
    Encoder::load(&place.path("shards")).unwrap();
}

#[test]
fn halves_are_written_on_request_and_what_does_not_fit_them_is_refused() {
    let place = Place::new();
    let mut half = config("linear", &["a", "b"], &json!({}));
    half.set_out_dtype("bfloat16").unwrap();
    place.run(&half, &place.options("half")).unwrap();
    assert_eq!(place.weights("half").find(NAME).unwrap().dtype, Dtype::BF16);
    Encoder::load(&place.path("half")).unwrap();
    let mut huge = config("linear", &["a", "b"], &json!({"weight": [1e6, 1e6], "normalize": false}));
    huge.set_out_dtype("float16").unwrap();
    let error = place.run(&huge, &place.options("huge")).unwrap_err();
    assert!(error.contains("do not fit F16") && !place.path("huge").exists(), "{error}");
}

#[test]
fn heads_stay_with_their_tasks_and_a_task_of_two_models_wants_a_word() {
    let place = Place::new();
    place.head("a", "sts", 1.0);
    place.head("b", "intent", 2.0);
    place.merge("linear", &["a", "b"], &json!({}), "d").unwrap();
    let tasks = tasks_in(&place.path("d")).unwrap();
    assert_eq!(tasks.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["sts", "intent"]);
    let head = WeightFiles::open(&place.path("d/heads/intent/model.safetensors")).unwrap();
    assert_eq!(head.f32("head.w").unwrap(), [2.0]);
    place.head("b", "sts", 3.0);
    let error = place.refused("linear", &["a", "b"], &json!({}));
    assert!(error.contains("both have a task `sts`") && error.contains("--head sts=a"), "{error}");
    let heads = vec![("sts".to_owned(), "b".to_owned())];
    let options = MergeOptions { heads, ..place.options("e") };
    place.run(&config("linear", &["a", "b"], &json!({})), &options).unwrap();
    let head = WeightFiles::open(&place.path("e/heads/sts/model.safetensors")).unwrap();
    assert_eq!(head.f32("head.w").unwrap(), [3.0]);
    let wrong = MergeOptions {
        heads: vec![("sst".into(), "a".into()), ("sts".into(), "x".into())],
        ..place.options("f")
    };
    let error = place.run(&config("linear", &["a", "b"], &json!({})), &wrong).unwrap_err();
    assert!(error.contains("no task `sst`") && error.contains("`x` is not merged"), "{error}");
}

#[test]
fn everything_that_keeps_models_apart_is_told_at_once_and_nothing_is_written() {
    let place = Place::new();
    place.rewrite("a", |name, values| (name != NAME).then_some(values));
    fs::write(place.path("a/vocab.txt"), "[PAD]\nother\n").unwrap();
    let mut pooling: Value =
        serde_json::from_slice(&fs::read(place.path("b/1_Pooling/config.json")).unwrap()).unwrap();
    pooling["pooling_mode_mean_tokens"] = false.into();
    pooling["pooling_mode_cls_token"] = true.into();
    fs::write(place.path("b/1_Pooling/config.json"), pooling.to_string()).unwrap();
    place.save("other", &Encoder::tiny(41, 1).unwrap(), &Encoder::tiny(41, 1).unwrap().params);
    let error = place.refused("ties", &["a", "b", "other"], &json!({"base": "m0"}));
    for part in ["thins nothing", NAME, "tokenizers", "pooling cls", "`vocab_size` is 40", "[40, ", "[41, "] {
        assert!(error.contains(part), "{part}\n{error}");
    }
    let resolve = |name: &str| Ok(place.path(name));
    let names: Vec<String> = ["a", "b", "other"].map(str::to_owned).to_vec();
    let inspection = inspect(&names, Some("m0"), &resolve, &mut |_, _| {}).unwrap();
    assert!(inspection.problems.len() >= 5, "{:#?}", inspection.problems);
}

#[test]
fn values_that_are_no_numbers_and_models_that_add_nothing_are_named() {
    let place = Place::new();
    place.rewrite("a", |name, mut values| {
        if name == NAME {
            values[3] = f32::NAN;
        }
        Some(values)
    });
    let error = place.refused("ties", &["a", "b", "m0x"], &json!({"base": "m0", "density": 0.2}));
    assert!(error.contains("m0x"), "{error}");
    let encoder = Encoder::load(&place.path("m0")).unwrap();
    place.save("same", &encoder, &encoder.params);
    for method in ["ties", "task_arithmetic"] {
        let given =
            if method == "ties" { json!({"base": "m0", "density": 0.2}) } else { json!({"base": "m0"}) };
        let error = place.refused(method, &["a", "b", "same"], &given);
        assert!(error.contains(&format!("`a` has NaN or infinity in 1 tensor: {NAME}")), "{error}");
        assert!(error.contains("`same` adds nothing"), "{error}");
    }
}

#[test]
fn a_place_that_is_taken_and_a_file_that_is_cut_leave_everything_as_it_was() {
    let place = Place::new();
    fs::create_dir(place.path("d")).unwrap();
    place.merge("linear", &["a", "b"], &json!({}), "d").unwrap();
    let before = fs::read(place.path("d/model.safetensors")).unwrap();
    let error = place.merge("linear", &["a", "c"], &json!({}), "d").unwrap_err();
    assert!(error.contains("is there already"), "{error}");
    assert!(fs::read(place.path("d/model.safetensors")).unwrap() == before);
    let bytes = fs::read(place.path("b/model.safetensors")).unwrap();
    fs::write(place.path("b/model.safetensors"), &bytes[..bytes.len() / 2]).unwrap();
    let error = place.refused("linear", &["a", "b"], &json!({}));
    assert!(error.contains("truncated"), "{error}");
    fs::write(place.path("b/model.safetensors"), [0xff; 64]).unwrap();
    assert!(place.refused("linear", &["a", "b"], &json!({})).contains("header"));
    fs::write(place.path("b/sharing.json"), "{}").unwrap();
    fs::write(place.path("b/model.safetensors"), bytes).unwrap();
    assert!(place.refused("linear", &["a", "b"], &json!({})).contains("gates"));
}

#[test]
fn whole_numbers_are_copied_where_equal_and_refused_where_not() {
    let place = Place::new();
    let add = |name: &str, ids: [u8; 16]| {
        let weights = place.weights(name);
        let tensors: Vec<_> = weights
            .entries()
            .map(|e| (e.name.clone(), e.shape.clone(), weights.f32(&e.name).unwrap()))
            .collect();
        let mut out: Vec<TensorOut<'_>> = tensors
            .iter()
            .map(|(n, shape, values)| TensorOut { name: n, shape, values: Values::F32(values) })
            .collect();
        out.push(TensorOut {
            name: "embeddings.position_ids",
            shape: &[1, 2],
            values: Values::Raw(Dtype::I64, &ids),
        });
        weights::write(&place.path(name).join(weights::FILE), &out, &[]).unwrap();
    };
    add("a", [1; 16]);
    let report = place.merge("linear", &["a", "b"], &json!({}), "d").unwrap();
    assert_eq!(report.n_copied, 1);
    assert_eq!(place.weights("d").raw("embeddings.position_ids").unwrap().bytes, [1; 16]);
    add("b", [2; 16]);
    let error = place.refused("linear", &["a", "b"], &json!({}));
    assert!(error.contains("embeddings.position_ids holds other whole numbers"), "{error}");
}

#[test]
fn layers_are_stacked_as_the_file_says() {
    let place = Place::new();
    let text = "merge_method: passthrough\nslices:\n  - sources: [{model: a, layer_range: [0, 2]}]\n  - sources: [{model: b, layer_range: [1, 2]}]\n";
    let stacked = MergeConfig::read(text, Path::new("m.yaml")).unwrap();
    place.run(&stacked, &place.options("d")).unwrap();
    let (a, b, d) = (place.weights("a"), place.weights("b"), place.weights("d"));
    let third = NAME.replace("layer.1", "layer.2");
    assert_eq!(d.f32(&third).unwrap(), b.f32(NAME).unwrap());
    assert_eq!(d.f32(NAME).unwrap(), a.f32(NAME).unwrap());
    let words = "embeddings.word_embeddings.weight";
    assert_eq!(d.f32(words).unwrap(), a.f32(words).unwrap());
    let config: Value = serde_json::from_slice(&fs::read(place.path("d/config.json")).unwrap()).unwrap();
    assert_eq!(config["num_hidden_layers"], 3);
    Encoder::load(&place.path("d")).unwrap();
    let text = text.replace("[1, 2]", "[1, 9]");
    let error =
        place.run(&MergeConfig::read(&text, Path::new("m")).unwrap(), &place.options("e")).unwrap_err();
    assert!(error.contains("which has 2 layers"), "{error}");
}

#[test]
fn a_filter_that_fits_no_tensor_is_named() {
    let place = Place::new();
    let text = |filter: &str| {
        format!(
            "merge_method: linear\nmodels:\n- model: a\n  parameters:\n    weight:\n    - filter: {filter}\n      value: 0.5\n    - value: 1\n- model: b\n"
        )
    };
    let merged = |filter: &str, out: &str| {
        let config = MergeConfig::read(&text(filter), Path::new("merge.yaml")).unwrap();
        place.run(&config, &place.options(out))
    };
    merged("attention", "fits").unwrap();
    let error = merged("attenton", "idle").unwrap_err();
    assert!(error.contains("filter `attenton` fits no tensor"), "{error}");
}

#[test]
fn gradients_run_along_the_layers() {
    let place = Place::new();
    let text =
        "merge_method: task_arithmetic\nbase_model: m0\nmodels: [{model: a, parameters: {weight: [0, 1]}}]\n";
    place.run(&MergeConfig::read(text, Path::new("m")).unwrap(), &place.options("d")).unwrap();
    let (base, a, d) = (place.weights("m0"), place.weights("a"), place.weights("d"));
    let first = NAME.replace("layer.1", "layer.0");
    assert_eq!(d.f32(&first).unwrap(), base.f32(&first).unwrap());
    let close = d.f32(NAME).unwrap().iter().zip(a.f32(NAME).unwrap()).all(|(d, a)| (d - a).abs() < 1e-6);
    assert!(close);
}

#[test]
fn adapters_are_added_to_their_encoder_first() {
    let place = Place::new();
    let folder = place.path("lora");
    fs::create_dir(&folder).unwrap();
    let d = place.weights("m0").find(NAME).unwrap().shape[0];
    let (a, b) = (vec![0.5; d], (0..d).map(|i| i as f32).collect::<Vec<f32>>());
    let name =
        |which: &str| format!("base_model.model.{}.lora_{which}.weight", NAME.trim_end_matches(".weight"));
    let (first, second) = (name("A"), name("B"));
    let tensors = [
        TensorOut { name: &first, shape: &[1, d], values: Values::F32(&a) },
        TensorOut { name: &second, shape: &[d, 1], values: Values::F32(&b) },
    ];
    weights::write(&folder.join("adapter_model.safetensors"), &tensors, &[]).unwrap();
    let config = json!({"peft_type": "LORA", "base_model_name_or_path": place.path("m0"), "r": 1, "lora_alpha": 2,
        "target_modules": ["query"], "layers_to_transform": [1], "bias": "none", "fan_in_fan_out": false});
    fs::write(folder.join("adapter_config.json"), config.to_string()).unwrap();
    place
        .merge("task_arithmetic", &["lora", "a"], &json!({"base": "m0", "weight": [0.5, 0.0]}), "d")
        .unwrap();
    let (base, d_) = (place.weights("m0").f32(NAME).unwrap(), place.weights("d").f32(NAME).unwrap());
    for i in 0..d * d {
        let added = 0.5 * 2.0 * (i / d) as f32 * 0.5;
        assert!((d_[i] - base[i] - added).abs() < 1e-5, "{i}");
    }
}

#[test]
fn inspection_says_how_models_lie() {
    let place = Place::new();
    let encoder = Encoder::load(&place.path("m0")).unwrap();
    let mut away = encoder.params.clone();
    let a = Encoder::load(&place.path("a")).unwrap().params;
    for (block, (base, a)) in away.blocks.iter_mut().zip(encoder.params.blocks.iter().zip(&a.blocks)) {
        for (v, (b, a)) in block.values.iter_mut().zip(base.values.iter().zip(&a.values)) {
            *v = b - (a - b);
        }
    }
    place.save("away", &encoder, &away);
    let resolve = |name: &str| Ok(place.path(name));
    let names: Vec<String> = ["a", "b", "away"].map(str::to_owned).to_vec();
    let found = inspect(&names, Some("m0"), &resolve, &mut |_, _| {}).unwrap();
    assert!(found.problems.is_empty());
    assert!(found.cosines[0][1].abs() < 0.05 && found.cosines[0][2] < -0.999, "{:?}", found.cosines);
    assert!(found.sign_conflicts[0][2] > 0.999 && (found.sign_conflicts[0][1] - 0.5).abs() < 0.05);
    let n = found.models[0].n_values as f64;
    assert!((found.models[0].length / (0.01 * n.sqrt()) - 1.0).abs() < 0.05);
    // A normal distribution has about 0.68 of its energy in the largest fifth.
    assert!((found.models[0].energy_top - 0.68).abs() < 0.05, "{}", found.models[0].energy_top);
    assert!(found.says.iter().any(|line| line.contains("pull apart")), "{:?}", found.says);
    let text = polytask_merge::inspection_text(&found, 100);
    assert!(text.contains("|added|") && text.contains("left of each"), "{text}");
}
