//! Adapters as folders of the PEFT library: `adapter_config.json` and `adapter_model.safetensors`.

use std::path::Path;

use polytask_core::Problem;
use polytask_core::atomic::{create_dir, write_json};
use polytask_core::error::Place;
use polytask_core::length::read_json;
use serde_json::{Value, json};

use crate::Result;
use crate::encoder::{Adapted, Encoder};
use crate::params::Params;
use crate::trunk::LoraSpec;
use crate::weights::{self, TensorOut, WeightFiles};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// Key of ours: SHA-256 of the weights that the adapters were trained beside.
const BASE_HASH: &str = "polytask_base_sha256";
/// What stands before every tensor's name.
const PREFIX: &str = "base_model.model.";

/// Writes the adapters of `params`; `hash` is that of the weights they were trained beside.
pub(crate) fn write_folder(adapted: &Adapted, params: &Params, hash: &str, folder: &Path) -> Result<()> {
    let Adapted { graph, spec, base } = adapted;
    create_dir(folder)?;
    let adapters = Params { blocks: params.blocks[graph.n_base()..].to_vec() };
    let tensors = weights::tensors_of(&adapters);
    let name = |tensor: &TensorOut<'_>| format!("{PREFIX}{}", tensor.name);
    let names: Vec<String> = tensors.iter().map(name).collect();
    let renamed: Vec<TensorOut<'_>> =
        tensors.iter().zip(&names).map(|(t, name)| TensorOut { name, ..*t }).collect();
    let mut targets: Vec<&str> = names.iter().filter_map(|name| module(name)).collect();
    targets.dedup();
    let config = json!({
        "peft_type": "LORA",
        "task_type": "FEATURE_EXTRACTION",
        "base_model_name_or_path": base,
        "r": spec.rank,
        "lora_alpha": spec.alpha,
        "lora_dropout": spec.dropout,
        "target_modules": targets,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "use_rslora": false,
        "use_dora": false,
        (BASE_HASH): hash,
    });
    write_json(&folder.join(CONFIG), &config)?;
    weights::write(&folder.join(WEIGHTS), &renamed, &[])
}

/// The module that a tensor of A belongs to.
fn module(name: &str) -> Option<&str> {
    name.strip_prefix(PREFIX)?.strip_suffix(".lora_A.weight")
}

/// The encoder with the adapters of a folder added to its weights.
///
/// # Errors
/// Another kind of adapter, one of another encoder, missing tensors.
pub(crate) fn merge_folder(encoder: &Encoder, folder: &Path) -> Result<Encoder> {
    let file = WeightFiles::open(&folder.join(WEIGHTS))?;
    let spec = read_spec(folder, encoder, &file)?;
    let canonical = |name: &str| {
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        encoder
            .canonical(name)
            .replace(".lora_A.default.", ".lora_A.")
            .replace(".lora_B.default.", ".lora_B.")
    };
    let names: Vec<String> = file.entries().map(|entry| canonical(&entry.name)).collect();
    let mut adapted = encoder.clone().adapt(spec, ("", 0))?;
    let n_base = adapted.n_base();
    let mut adapters = Params { blocks: adapted.params.blocks.split_off(n_base) };
    let report = file.load_into(&mut adapters, canonical)?;
    report.require_all(file.path())?;
    if let Some(unknown) = names
        .iter()
        .find(|name| !adapters.blocks.iter().any(|block| block.tensors.iter().any(|t| t.name == **name)))
    {
        return Err(wrong(
            folder,
            &format!("tensor `{unknown}` fits no matrix of the encoder"),
            "the encoder it was trained beside",
        ));
    }
    adapted.params.blocks.extend(adapters.blocks);
    adapted.merged()
}

/// What the folder's adapters are: which matrices have one is read from the tensors.
fn read_spec(folder: &Path, encoder: &Encoder, file: &WeightFiles) -> Result<LoraSpec> {
    let config = read_json(folder, CONFIG)?.unwrap_or(Value::Null);
    let text = |key: &str| config.get(key).and_then(Value::as_str).unwrap_or_default();
    let on = |key: &str| {
        config.get(key).is_some_and(|value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::Object(map) => !map.is_empty(),
            Value::Array(list) => !list.is_empty(),
            _ => true,
        })
    };
    let hash = encoder.hash_below(encoder.params.blocks.len());
    if !text(BASE_HASH).is_empty() && text(BASE_HASH) != hash {
        return Err(wrong(
            folder,
            "these adapters were trained beside other weights than those of the encoder they name",
            "the encoder of that run",
        ));
    }
    if text("peft_type") != "LORA" {
        return Err(wrong(
            folder,
            &format!("`peft_type` is `{}`, expected `LORA`", text("peft_type")),
            "another adapter",
        ));
    }
    for key in [
        "use_dora",
        "fan_in_fan_out",
        "rank_pattern",
        "alpha_pattern",
        "modules_to_save",
        "layer_replication",
    ] {
        if on(key) {
            return Err(wrong(
                folder,
                &format!("`{key}` is set, expected a plain LoRA adapter"),
                "another adapter",
            ));
        }
    }
    if !matches!(text("bias"), "" | "none") {
        return Err(wrong(
            folder,
            &format!("`bias` is `{}`, expected `none`", text("bias")),
            "another adapter",
        ));
    }
    let (rank, alpha) =
        (config.get("r").and_then(Value::as_u64), config.get("lora_alpha").and_then(Value::as_f64));
    let (Some(rank), Some(alpha)) = (rank.filter(|rank| *rank > 0), alpha) else {
        return Err(wrong(
            folder,
            "`r` and `lora_alpha` are not two numbers above 0",
            "fetch the folder again",
        ));
    };
    let scaled = if on("use_rslora") { alpha * (rank as f64).sqrt() } else { alpha };
    let modules = file.entries().filter_map(|entry| {
        let name = entry.name.replace(".lora_A.default.", ".lora_A.");
        module(&name).map(|module| encoder.canonical(module))
    });
    let targets: Vec<String> = modules.collect();
    if targets.is_empty() {
        return Err(wrong(
            folder,
            "there is no adapter in `adapter_model.safetensors`",
            "fetch the folder again",
        ));
    }
    let start = config.get("init_lora_weights").unwrap_or(&Value::Null);
    if !matches!(start, Value::Null | Value::Bool(_)) && start != "gaussian" {
        let what = format!("`init_lora_weights` is {start}, which also changes the encoder's own weights");
        return Err(wrong(folder, &what, "an adapter that starts from zero"));
    }
    Ok(LoraSpec { rank: rank as usize, alpha: scaled, dropout: 0.0, targets })
}

fn wrong(folder: &Path, what: &str, remedy: &str) -> crate::Error {
    let place = Place::file(&folder.join(CONFIG));
    polytask_core::Error::from(Problem::at(place, what).try_this(remedy)).into()
}
