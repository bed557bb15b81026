//! Every family against values of an independent implementation (`xtask/parity/families.py`, `image_families.py`), the packed form against
//! the plain one, and the plain one against finite differences.

use std::path::{Path, PathBuf};

use polytask_core::PackedBatch;
use polytask_core::rng::{Purpose, Rng};
use serde_json::Value;

use super::FAMILIES;
use crate::encoder::Encoder;
use crate::params::Params;
use crate::trunk::adapters::{Adapter, BottleneckPlace, BottleneckSpec, PromptSpec};
use crate::trunk::sinks::RowsSink;
use crate::trunk::{Activation, Composed, Cotangent, Graph, LoraSpec, Mode, Packed, Trunk};
use crate::weights::WeightFiles;

/// Folders of tiny models with random weights, and what was computed of them.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/families").join(name)
}

/// Those whose states are compared as they are.
const MODELS: [&str; 28] = [
    "albert",
    "albert-groups",
    "bert",
    "bert-relu",
    "camembert",
    "clip_text_model",
    "clip_vision_model",
    "dinov2",
    "dinov2-gated",
    "dinov2-registers",
    "distilbert",
    "electra",
    "electra-small",
    "eurobert",
    "llama",
    "llama-bias",
    "llama3-rope",
    "mistral",
    "modernbert",
    "modernbert-bias",
    "mpnet",
    "nomic_bert",
    "qwen2",
    "qwen3",
    "roberta",
    "vit",
    "vit-plain",
    "xlm-roberta",
];

/// As [`MODELS`], whose states grow so large that only their share of them is compared.
const UNSCALED: [&str; 2] = ["t5", "t5-gated"];

fn all() -> impl Iterator<Item = &'static str> {
    MODELS.into_iter().chain(UNSCALED)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A model's network and weights.
fn model(name: &str) -> (Graph, Params) {
    respelt(name, |_| {})
}

/// The same of a configuration that says it in other words.
fn respelt(name: &str, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> (Graph, Params) {
    let mut config = json(&folder(name).join("config.json"));
    change(config.as_object_mut().unwrap());
    let family = super::EncoderFamily::of(config["model_type"].as_str().unwrap()).unwrap();
    let preprocessor = folder(name).join("preprocessor_config.json");
    let preprocessor = if preprocessor.exists() { json(&preprocessor) } else { Value::Null };
    let graph = family.network(&config, &preprocessor).unwrap().graph;
    let mut params = graph.layout();
    let weights = WeightFiles::open_folder(&folder(name)).unwrap();
    let report = weights.load_into(&mut params, |tensor| family.canonical(tensor)).unwrap();
    report.require_all(weights.path()).unwrap();
    (graph, params)
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn sequences(expected: &Value) -> Vec<Vec<u32>> {
    let all = expected["sequences"].as_array().unwrap();
    all.iter().map(|ids| numbers(ids).iter().map(|id| *id as u32).collect()).collect()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, v| most.max(v.abs()))
}

/// A change of a configuration.
type Change<'a> = &'a dyn Fn(&mut serde_json::Map<String, Value>);

/// Writes a field under the name that files of before have it under.
fn rename(config: &mut serde_json::Map<String, Value>, from: &str, to: &str) {
    let first = from.split('.').next().unwrap().to_owned();
    let value = from.split('.').skip(1).fold(&config[&first], |value, part| &value[part]).clone();
    config.insert(to.into(), value);
    if first == from {
        config.remove(&first);
    }
}

#[test]
fn a_sequence_read_token_by_token_has_the_states_of_the_whole() {
    let mut read = Vec::new();
    for name in all() {
        let (graph, params) = model(name);
        let trunk = Packed::new(graph);
        let Ok(start) = trunk.decoding() else { continue };
        let tokens: Vec<u32> = (0..11).map(|i| (i * 7 + 3) % trunk.vocab_size() as u32).collect();
        let whole = trunk.forward(&params, &PackedBatch::pack([&tokens]), Mode::EVAL).unwrap().0;
        let laid_out = trunk.lay_out(&params).unwrap();
        // One by one, and in pieces of several.
        for piece in [1, 4] {
            let (mut decoding, mut values) = (start.clone(), Vec::new());
            for tokens in tokens.chunks(piece) {
                values.extend(trunk.next(&params, &laid_out, &mut decoding, tokens).unwrap().values);
            }
            assert_eq!(decoding.n_tokens(), tokens.len());
            for (a, b) in values.iter().zip(&whole.values) {
                assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{name}: {a} {b}");
            }
        }
        let mut long = start.clone();
        let most = vec![1; trunk.max_positions()];
        trunk.next(&params, &laid_out, &mut long, &most).unwrap();
        assert!(trunk.next(&params, &laid_out, &mut long, &[1]).is_err(), "{name} reads beyond its end");
        read.push(name);
    }
    assert_eq!(read, ["clip_text_model", "llama", "llama-bias", "llama3-rope", "mistral", "qwen2", "qwen3"]);
}

#[test]
fn files_of_before_say_the_same_in_other_words() {
    let llama = |config: &mut serde_json::Map<String, Value>| {
        rename(config, "rope_parameters.rope_theta", "rope_theta");
        let mut scaling = config.remove("rope_parameters").unwrap();
        scaling.as_object_mut().unwrap().remove("rope_theta");
        config.insert("rope_scaling".into(), scaling);
    };
    let modern = |config: &mut serde_json::Map<String, Value>| {
        rename(config, "rope_parameters.full_attention.rope_theta", "global_rope_theta");
        rename(config, "rope_parameters.sliding_attention.rope_theta", "local_rope_theta");
        config.remove("rope_parameters");
        config.remove("layer_types");
    };
    let nomic = |config: &mut serde_json::Map<String, Value>| {
        rename(config, "rope_parameters.rope_theta", "rotary_emb_base");
        config.remove("rope_parameters");
        for (new, old) in [
            ("hidden_size", "n_embd"),
            ("num_hidden_layers", "n_layer"),
            ("num_attention_heads", "n_head"),
            ("intermediate_size", "n_inner"),
            ("max_position_embeddings", "n_positions"),
            ("layer_norm_eps", "layer_norm_epsilon"),
        ] {
            rename(config, new, old);
        }
        config.remove("hidden_act");
        config.insert("activation_function".into(), "swiglu".into());
        config.insert("rotary_scaling_factor".into(), Value::Null);
    };
    let cases: [(&str, Change<'_>); 5] = [
        ("llama3-rope", &llama),
        ("qwen3", &llama),
        ("mistral", &llama),
        ("modernbert", &modern),
        ("nomic_bert", &nomic),
    ];
    for (name, change) in cases {
        let states = |(graph, params): (Graph, Params)| {
            Packed::new(graph).forward(&params, &batch(), Mode::EVAL).unwrap().0
        };
        assert_eq!(states(respelt(name, change)), states(model(name)), "{name}");
    }
}

#[test]
fn a_causal_family_sees_both_directions_where_its_file_says_so() {
    let states = |causal: Option<bool>| {
        let (graph, params) = respelt("qwen3", |config| {
            causal.map(|on| config.insert("is_causal".into(), on.into()));
        });
        Packed::new(graph).forward(&params, &batch(), Mode::EVAL).unwrap().0
    };
    assert_eq!(states(None), states(Some(true)));
    assert_ne!(states(None), states(Some(false)));
}

#[test]
fn a_pass_that_keeps_nothing_drops_what_adapters_drop_all_the_same() {
    for (name, graph, params) in all_merging() {
        let trunk = Packed::new(graph);
        let mode = Mode { seed: 3, step: 2, train: true, ..Mode::EVAL };
        let batch = inputs(&name, &trunk.graph);
        let states = |mode| trunk.forward(&params, &batch, mode).unwrap().0;
        assert_eq!(states(mode), states(Mode { save: true, ..mode }), "{name}");
        assert_ne!(states(mode), states(Mode::EVAL), "{name}");
    }
}

#[test]
fn states_of_every_family_are_those_of_the_published_code() {
    for name in all() {
        let (graph, params) = model(name);
        let expected = json(&folder(name).join("expected.json"));
        let batch = PackedBatch::pack(sequences(&expected));
        let states: Vec<f64> = expected["states"].as_array().unwrap().iter().flat_map(numbers).collect();
        let trunk = Packed::new(graph);
        let tolerance = if UNSCALED.contains(&name) { 2e-5 * largest(&states) } else { 2e-5 };
        let trained = Mode { save: true, ..Mode::EVAL };
        for mode in [Mode::EVAL, trained] {
            let (found, _) = trunk.forward(&params, &batch, mode).unwrap();
            assert_eq!(found.values.len(), states.len(), "{name}");
            for (i, (found, expected)) in found.values.iter().zip(&states).enumerate() {
                let error = (f64::from(*found) - expected).abs();
                assert!(error <= tolerance, "{name} value {i}: {found}, expected {expected}");
            }
        }
    }
}

/// Cotangents of three tasks on the sequences of a batch with these rows.
fn cotangents(rows: &PackedBatch, width: usize) -> Vec<Cotangent<f64>> {
    let sets: [(usize, &[u32]); 3] = [(0, &[0, 1, 2]), (1, &[1, 3]), (2, &[2, 3])];
    let make = |&(task, sequences): &(usize, &[u32])| {
        let rows: usize = sequences.iter().map(|&s| rows.length(s as usize)).sum();
        let mut rng = Rng::new(8, Purpose::Bench, &[task as u64]);
        let values: Vec<f64> = (0..rows * width).map(|_| f64::from(rng.normal() as f32)).collect();
        Cotangent { task, sequences: sequences.to_vec(), values: values.into(), lowest: 0 }
    };
    sets.iter().map(make).collect()
}

fn narrow(cotangents: &[Cotangent<f64>]) -> Vec<Cotangent> {
    let cast = |c: &Cotangent<f64>| Cotangent {
        task: c.task,
        sequences: c.sequences.clone(),
        values: c.values.iter().map(|&v| v as f32).collect::<Vec<_>>().into(),
        lowest: c.lowest,
    };
    cotangents.iter().map(cast).collect()
}

fn batch() -> PackedBatch {
    let ids = |n: u32| (0..n).map(move |i| 3 + (i * 7 + n) % 40).collect::<Vec<u32>>();
    PackedBatch::pack([ids(5), ids(1), ids(14), ids(9)])
}

/// Four inputs of a model: texts, or the images its states were computed of.
fn inputs(name: &str, graph: &Graph) -> PackedBatch {
    if graph.front.even().is_none() {
        batch()
    } else {
        let model = name.split(' ').next().unwrap();
        PackedBatch::pack(sequences(&json(&folder(model).join("expected.json"))))
    }
}

/// A model with adapters whose weights are random.
fn adapted(name: &str, spec: &dyn Adapter) -> (Graph, Params) {
    let (graph, base) = model(name);
    let graph = graph.adapt(spec).unwrap();
    let (mut params, mut rng) = (graph.init(4), Rng::new(5, Purpose::Bench, &[]));
    for (block, own) in params.blocks.iter_mut().zip(base.blocks) {
        *block = own;
    }
    let adapters = &mut params.blocks[graph.n_base()..];
    adapters.iter_mut().flat_map(|block| &mut block.values).for_each(|v| *v += 0.1 * rng.normal() as f32);
    (graph, params)
}

/// Models with adapters beside all matrices, some parts of joined ones, one alone.
fn all_merging() -> impl Iterator<Item = (String, Graph, Params)> {
    let cases: [(&str, &[&str]); 7] = [
        ("bert", &[]),
        ("bert", &["query", "value"]),
        ("llama", &["gate_proj", "down_proj", "v_proj"]),
        ("dinov2", &["query", "fc2"]),
        ("modernbert", &["Wqkv"]),
        ("mpnet", &[]),
        ("t5-gated", &["wi_1", "wo"]),
    ];
    cases.into_iter().map(|(name, targets)| {
        let own = targets.iter().map(|&target| target.to_owned()).collect();
        let (graph, params) = adapted(name, &LoraSpec { rank: 3, alpha: 6.0, dropout: 0.2, targets: own });
        (format!("{name} with adapters of {targets:?}"), graph, params)
    })
}

/// The same, and models with adapters that are layers or rows of their own.
fn all_adapted() -> impl Iterator<Item = (String, Graph, Params)> {
    let bottleneck = |place| BottleneckSpec { width: 3, act: Activation::Gelu, place };
    let (both, half) = (bottleneck(BottleneckPlace::Both), bottleneck(BottleneckPlace::FeedForward));
    let cases: [(&str, Box<dyn Adapter>); 7] = [
        ("bert", Box::new(both.clone())),
        ("modernbert", Box::new(both.clone())),
        ("t5", Box::new(half.clone())),
        ("vit", Box::new(half)),
        ("dinov2", Box::new(both)),
        ("bert", Box::new(PromptSpec { rows: 3 })),
        ("llama", Box::new(PromptSpec { rows: 1 })),
    ];
    let own = cases.into_iter().map(|(name, spec)| {
        let (graph, params) = adapted(name, &*spec);
        (format!("{name} with {spec:?}"), graph, params)
    });
    all_merging().chain(own)
}

#[test]
fn adapters_get_the_gradients_of_the_reference_and_nothing_else_does() {
    for (name, graph, params) in all_adapted() {
        let lowest = graph.n_base();
        gradients_equal(&name, graph, &params, lowest);
    }
}

#[test]
fn weights_that_adapters_are_merged_into_give_the_same_states() {
    for (name, graph, params) in all_merging() {
        let merged = graph.merged(&params);
        let (plain, _) = model(name.split(' ').next().unwrap());
        let (with, without) = (Packed::new(graph), Packed::new(plain));
        let batch = inputs(&name, &with.graph);
        let states = |trunk: &Packed, params| trunk.forward(params, &batch, Mode::EVAL).unwrap().0.values;
        let (with, without) = (states(&with, &params), states(&without, &merged));
        let most = with.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
        assert!(with.iter().zip(&without).all(|(a, b)| (a - b).abs() < 1e-5 * most.max(1.0)), "{name}");
    }
}

#[test]
fn fresh_adapters_change_nothing_and_what_fits_no_matrix_is_refused() {
    let spec = LoraSpec { rank: 2, alpha: 4.0, dropout: 0.0, targets: Vec::new() };
    let (graph, base) = model("qwen3");
    let plain = Packed::new(graph).forward(&base, &batch(), Mode::EVAL).unwrap().0;
    let graph = model("qwen3").0.adapt(&spec).unwrap();
    let mut params = graph.init(1);
    params.blocks.splice(..graph.n_base(), base.blocks);
    assert_eq!(Packed::new(graph).forward(&params, &batch(), Mode::EVAL).unwrap().0, plain);
    let told = |spec: LoraSpec| {
        let problems = model("qwen3").0.adapt(&spec).unwrap_err();
        problems.iter().map(ToString::to_string).collect::<String>()
    };
    let message = told(LoraSpec { targets: vec!["q_porj".into()], ..spec.clone() });
    assert!(message.contains("`q_porj`") && message.contains("`q_proj`"), "{message}");
    assert!(told(LoraSpec { rank: 99, ..spec }).contains("`rank` of lora is 99"));
}

#[test]
fn gradients_of_every_family_equal_those_of_the_reference() {
    for name in all() {
        let (graph, params) = model(name);
        gradients_equal(name, graph, &params, 0);
    }
}

/// Compares the packed form's gradients with the reference's, of the blocks from `lowest` on.
fn gradients_equal(name: &str, graph: Graph, params: &Params, lowest: usize) {
    let (batch, wide) = (inputs(name, &graph), params.cast::<f64>());
    let set = cotangents(&graph.state_rows(&batch), graph.d_hidden());
    let graph = std::sync::Arc::new(graph);
    let (packed, composed) = (Packed::new(graph.clone()), Composed::<f64>::new(graph));
    for recompute in [false, true] {
        let mode = Mode { dropout: 0.1, seed: 3, step: 2, save: true, train: true, ..Mode::EVAL };
        let mode = Mode { lowest, recompute, ..mode };
        let (_, saved) = packed.forward(params, &batch, mode).unwrap();
        let mut found = RowsSink::new(params, 3, lowest);
        packed.vjp(params, &saved, &narrow(&set), &mut found).unwrap();
        let (_, saved) = composed.forward(&wide, &batch, mode).unwrap();
        let mut expected = RowsSink::new(&wide, 3, lowest);
        composed.vjp(&wide, &saved, &set, &mut expected).unwrap();
        for task in 0..3 {
            let (found_row, expected_row) = (found.row(task), expected.row(task));
            let most = largest(expected_row);
            for (b, block) in params.blocks.iter().enumerate().skip(lowest) {
                let start = found.range(b).unwrap().start;
                for spec in &block.tensors {
                    let range = start + spec.offset..start + spec.offset + spec.len();
                    let (found, expected) = (&found_row[range.clone()], &expected_row[range]);
                    // A bias of keys has no gradient but rounding.
                    let scale = largest(expected).max(1e-2 * most);
                    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
                        let is_close = (f64::from(*f) - e).abs() <= 1e-4 * scale;
                        assert!(is_close, "{name} {} task {task} value {i}: {f} for {e}", spec.name);
                    }
                }
            }
        }
    }
}

#[test]
fn gradients_of_the_reference_are_those_of_finite_differences() {
    let plain = all().map(|name| {
        let (graph, params) = model(name);
        (name.to_owned(), graph, params)
    });
    for (name, graph, params) in plain.chain(all_adapted()) {
        let (batch, mut params, d) = (inputs(&name, &graph), params.cast::<f64>(), graph.d_hidden());
        let layout = graph.state_rows(&batch).into_owned();
        let trunk = Composed::<f64>::new(graph);
        let ct = &cotangents(&layout, d)[2];
        let mode = Mode { dropout: 0.1, seed: 3, step: 2, save: true, train: true, ..Mode::EVAL };
        let (_, saved) = trunk.forward(&params, &batch, mode).unwrap();
        let mut rows = RowsSink::new(&params, 3, 0);
        trunk.vjp(&params, &saved, std::slice::from_ref(ct), &mut rows).unwrap();
        let loss = |params: &Params<f64>| -> f64 {
            let (states, _) = trunk.forward(params, &batch, Mode { save: false, ..mode }).unwrap();
            let rows = ct.sequences.iter().flat_map(|&s| layout.rows(s as usize));
            rows.flat_map(|row| states.row(row).to_vec()).zip(ct.values.iter()).map(|(a, b)| a * b).sum()
        };
        for b in 0..params.blocks.len() {
            for spec in params.blocks[b].tensors.clone() {
                // One direction through each tensor.
                let mut rng = Rng::new(9, Purpose::Bench, &[b as u64, spec.offset as u64]);
                let direction: Vec<f64> = (0..spec.len()).map(|_| rng.normal()).collect();
                let gradient = &rows.row(2)[rows.range(b).unwrap()][spec.range()];
                let along: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
                let old = params.blocks[b].values[spec.range()].to_vec();
                let mut at = |step: f64| {
                    let values = old.iter().zip(&direction).map(|(v, d)| v + step * d);
                    params.blocks[b].values[spec.range()].copy_from_slice(&values.collect::<Vec<_>>());
                    loss(&params)
                };
                let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
                at(0.0);
                let error = (difference - along).abs();
                assert!(error <= 1e-4 * along.abs().max(1.0), "{name} {}: {along}, {difference}", spec.name);
            }
        }
    }
}

#[test]
fn cached_states_and_laid_out_weights_give_the_states_of_a_forward() {
    let plain = all().map(|name| {
        let (graph, params) = model(name);
        (name.to_owned(), graph, params)
    });
    for (name, graph, params) in plain.chain(all_adapted()) {
        let batch = inputs(&name, &graph);
        let trunk = Packed::new(graph);
        let (states, _) = trunk.forward(&params, &batch, Mode::EVAL).unwrap();
        let laid_out = trunk.lay_out(&params).unwrap();
        assert_eq!(trunk.infer(&params, &laid_out, &batch).unwrap(), states, "{name}");
        for lowest in 0..=trunk.n_blocks() {
            let below = trunk.forward_below(&params, &batch, lowest).unwrap();
            let mode = Mode { lowest, ..Mode::EVAL };
            assert_eq!(
                trunk.forward_from(&params, &batch, &below, mode).unwrap().0,
                states,
                "{name} {lowest}"
            );
        }
    }
}

#[test]
fn folders_of_every_family_are_read_and_written_with_the_published_names() {
    for name in all() {
        let encoder = Encoder::load(&folder(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let saved = tempfile::tempdir().unwrap();
        encoder.save(&encoder.params, saved.path(), &[]).unwrap();
        let again = Encoder::load(saved.path()).unwrap();
        assert_eq!(again.params, encoder.params, "{name}");
        let names = |folder: &Path| {
            let files = WeightFiles::open_folder(folder).unwrap();
            let mut names: Vec<String> = files.entries().map(|entry| entry.name.clone()).collect();
            names.sort();
            names
        };
        assert_eq!(names(saved.path()), names(&folder(name)), "{name}");
        assert_eq!(
            json(&saved.path().join("config.json")),
            json(&folder(name).join("config.json")),
            "{name}"
        );
    }
}

#[test]
fn every_family_has_a_model_among_those_compared() {
    for family in FAMILIES {
        let covered = all().any(|name| {
            let config = json(&folder(name).join("config.json"));
            family.types().any(|own| config["model_type"] == own)
        });
        assert!(covered, "{:?}", family.model_types);
    }
}
