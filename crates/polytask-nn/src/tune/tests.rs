//! Adapters as folders: those of the PEFT library are read, and those written here are read again.

use std::path::{Path, PathBuf};

use polytask_core::PackedBatch;
use polytask_core::method::Choice;
use polytask_core::rng::{Purpose, Rng};
use serde_json::{Value, json};

use super::{FULL, apply};
use crate::encoder::Encoder;
use crate::trunk::Mode;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

#[test]
fn adapters_of_the_peft_library_give_the_states_it_computes() {
    for name in ["bert", "bottleneck-bert", "modernbert", "prompt-bert", "prompt-qwen3", "qwen3"] {
        let folder = data("adapters").join(name);
        let encoder = Encoder::load(&folder).unwrap();
        let expected: Value =
            serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
        let ids = |ids: &Value| numbers(ids).iter().map(|id| *id as u32).collect::<Vec<u32>>();
        let batch = PackedBatch::pack(expected["sequences"].as_array().unwrap().iter().map(ids));
        let (states, _) = encoder.trunk.forward(&encoder.params, &batch, Mode::EVAL).unwrap();
        let expected: Vec<f64> = expected["states"].as_array().unwrap().iter().flat_map(numbers).collect();
        assert_eq!(states.values.len(), expected.len());
        for (i, (found, expected)) in states.values.iter().zip(&expected).enumerate() {
            assert!(
                (f64::from(*found) - expected).abs() <= 3e-5,
                "{name} value {i}: {found}, expected {expected}"
            );
        }
    }
}

/// An encoder with adapters that say something, and its batch.
fn adapted() -> (Encoder, PackedBatch) {
    let choice = Choice { name: "lora".into(), params: [("rank".into(), json!(2))].into_iter().collect() };
    let mut encoder = apply(&choice, Encoder::load(&data("families/bert")).unwrap(), ("bert", 3)).unwrap();
    let (n_base, mut rng) = (encoder.n_base(), Rng::new(1, Purpose::Bench, &[]));
    let adapters = &mut encoder.params.blocks[n_base..];
    adapters.iter_mut().flat_map(|block| &mut block.values).for_each(|v| *v += 0.1 * rng.normal() as f32);
    (encoder, PackedBatch::pack([&[5, 9, 12, 7][..], &[8]]))
}

#[test]
fn a_saved_model_has_the_adapters_added_and_beside_it_as_a_folder() {
    let (encoder, batch) = adapted();
    let close = |a: &Encoder, b: &Encoder| {
        let (a, b) = (a.embed(&batch).unwrap().values, b.embed(&batch).unwrap().values);
        a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5)
    };
    let saved = tempfile::tempdir().unwrap();
    encoder.save(&encoder.params, saved.path(), &[]).unwrap();
    let whole = Encoder::load(saved.path()).unwrap();
    assert!(close(&whole, &encoder));
    let adapter = saved.path().join("adapter");
    let config = adapter.join("adapter_config.json");
    let with = |change: &dyn Fn(&mut Value)| {
        let mut json: Value = serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
        change(&mut json);
        std::fs::write(&config, json.to_string()).unwrap();
        Encoder::load(&adapter).map_err(|error| error.to_string())
    };
    let base = data("families/bert");
    let refused = with(&|_| {}).unwrap_err();
    assert!(
        refused.contains("adapters of `bert`") && refused.contains("base_model_name_or_path"),
        "{refused}"
    );
    let read = with(&|json| json["base_model_name_or_path"] = json!(base)).unwrap();
    assert!(close(&read, &encoder));
    for (key, value) in [
        ("use_dora", json!(true)),
        ("init_lora_weights", json!("pissa")),
        ("bias", json!("all")),
        ("peft_type", json!("IA3")),
        ("lora_alpha", json!(0.0)),
        ("lora_alpha", json!(1e300)),
        ("r", json!(0)),
    ] {
        let before = std::fs::read(&config).unwrap();
        let refused = with(&|json| json[key] = value.clone()).unwrap_err();
        assert!(refused.contains(&format!("`{key}`")), "{key}: {refused}");
        std::fs::write(&config, before).unwrap();
    }
    let other = data("families/bert-relu");
    let refused = with(&|json| {
        json["base_model_name_or_path"] = json!(other);
    });
    assert!(refused.unwrap_err().contains("other weights"));
}

#[test]
fn adapters_that_cannot_be_added_are_written_beside_the_weights_and_read_again() {
    let batch = PackedBatch::pack([&[5, 9, 12, 7][..], &[8]]);
    for (name, of) in [("bottleneck", ""), ("prompt", "adapter")] {
        let plain = Encoder::load(&data("families/bert")).unwrap();
        let choice = Choice { name: name.into(), params: [].into_iter().collect() };
        let base = data("families/bert");
        let encoder = apply(&choice, plain.clone(), (base.to_str().unwrap(), 3)).unwrap();
        assert!(encoder.frozen(&[]).unwrap()[..4].iter().all(|frozen| *frozen), "{name}");
        let saved = tempfile::tempdir().unwrap();
        encoder.save(&encoder.params, saved.path(), &[]).unwrap();
        let vectors = |encoder: &Encoder| encoder.embed(&batch).unwrap();
        let again = Encoder::load(saved.path()).unwrap();
        assert_eq!((&again.params, vectors(&again)), (&encoder.params, vectors(&encoder)), "{name}");
        assert!(again.is_adapted() && !saved.path().join("model.safetensors").exists(), "{name}");
        if !of.is_empty() {
            assert_eq!(vectors(&Encoder::load(&saved.path().join(of)).unwrap()), vectors(&encoder), "{name}");
        }
        std::fs::write(saved.path().join("adapters.json"), "{}").unwrap();
        let error = Encoder::load(saved.path()).unwrap_err().to_string();
        assert!(error.contains("adapters.json") && error.contains("not what a run writes"), "{error}");
    }
}

#[test]
fn settings_of_adapters_that_do_not_fit_are_refused() {
    let told = |name: &str, param: &str, value: Value, model: &str| {
        let choice = Choice { name: name.into(), params: [(param.to_owned(), value)].into_iter().collect() };
        apply(&choice, Encoder::load(&data(model)).unwrap(), ("", 1)).unwrap_err().to_string()
    };
    assert!(told("bottleneck", "width", json!(99), "families/bert").contains("`width` of bottleneck is 99"));
    assert!(told("bottleneck", "place", json!("all"), "families/bert").contains("feed-forward"));
    assert!(told("prompt", "rows", json!(40), "families/bert").contains("at most 40 rows"));
    assert!(told("prompt", "rows", json!(2), "families/vit").contains("reads images"));
}

#[test]
fn beside_adapters_all_other_blocks_are_frozen_and_full_tuning_changes_nothing() {
    let (encoder, _) = adapted();
    let frozen = encoder.frozen(&[]).unwrap();
    assert_eq!(frozen, [true, true, true, true, false, false]);
    assert_eq!(encoder.frozen(&["layer.0".into()]).unwrap(), [true, true, true, true, true, false]);
    let plain = Encoder::load(&data("families/bert")).unwrap();
    let same = apply(&Choice::named(FULL), plain.clone(), ("bert", 1)).unwrap();
    assert_eq!((&same.params, same.frozen(&[]).unwrap()), (&plain.params, vec![false; 4]));
    let error = apply(&Choice::named("lora"), encoder, ("bert", 1)).unwrap_err().to_string();
    assert!(error.contains("adapters already"), "{error}");
}
