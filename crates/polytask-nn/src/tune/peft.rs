//! Adapters as folders of the PEFT library: `adapter_config.json` and `adapter_model.safetensors`.

use std::path::Path;
use std::sync::Arc;

use polytask_core::Problem;
use polytask_core::atomic::{create_dir, write_json};
use polytask_core::error::Place;
use polytask_core::length::read_json;
use polytask_core::method::Choice;
use serde_json::Value;

use crate::Result;
use crate::encoder::{Adapted, Encoder};
use crate::params::Params;
use crate::trunk::LoraSpec;
use crate::trunk::adapters::{Adapter, PromptSpec};
use crate::weights::{self, TensorOut, WeightFiles};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// Key of ours: SHA-256 of the weights that the adapters were trained beside.
const BASE_HASH: &str = "polytask_base_sha256";
/// The tensor of the rows before every text.
const PROMPT: &str = "prompt_embeddings";
/// What stands before every other tensor's name.
const PREFIX: &str = "base_model.model.";

/// Writes the adapters of `params`; `hash` is that of the weights they were trained beside.
pub(crate) fn write_folder(adapted: &Adapted, params: &Params, hash: &str, folder: &Path) -> Result<()> {
    let Adapted { graph, spec, base, .. } = adapted;
    let adapters = Params { blocks: params.blocks[graph.n_base()..].to_vec() };
    let Some(mut config) = spec.peft() else { return Ok(()) };
    let tensors = weights::tensors_of(&adapters);
    let name = |tensor: &TensorOut<'_>| match tensor.name {
        PROMPT => PROMPT.to_owned(),
        other => format!("{PREFIX}{other}"),
    };
    let names: Vec<String> = tensors.iter().map(name).collect();
    let renamed: Vec<TensorOut<'_>> =
        tensors.iter().zip(&names).map(|(t, name)| TensorOut { name, ..*t }).collect();
    let mut targets: Vec<&str> = names.iter().filter_map(|name| module(name)).collect();
    targets.dedup();
    config.insert("task_type".into(), "FEATURE_EXTRACTION".into());
    config.insert("base_model_name_or_path".into(), base.as_str().into());
    config.insert("inference_mode".into(), true.into());
    config.insert(BASE_HASH.into(), hash.into());
    if targets.is_empty() {
        config.insert("token_dim".into(), graph.d_words().into());
        config.insert("num_layers".into(), graph.n_layers().into());
    } else {
        config.insert("target_modules".into(), targets.into());
    }
    create_dir(folder)?;
    write_json(&folder.join(CONFIG), &config)?;
    weights::write(&folder.join(WEIGHTS), &renamed, &[])
}

/// The module that a tensor of A belongs to.
fn module(name: &str) -> Option<&str> {
    name.strip_prefix(PREFIX)?.strip_suffix(".lora_A.weight")
}

/// The encoder with the adapters of a folder: added to its weights, or as rows before its own.
///
/// # Errors
/// Another kind of adapter, one of another encoder, missing tensors.
pub(crate) fn read_folder(encoder: &Encoder, folder: &Path) -> Result<Encoder> {
    let file = WeightFiles::open(&folder.join(WEIGHTS))?;
    let config = read_json(folder, CONFIG)?.unwrap_or(Value::Null);
    check_hash(&config, folder, encoder)?;
    let (spec, choice) = match config.get("peft_type").and_then(Value::as_str) {
        Some("PROMPT_TUNING") => prompt_spec(&config, folder)?,
        _ => {
            (Arc::new(read_spec(&config, folder, encoder, &file)?) as Arc<dyn Adapter>, Choice::named("lora"))
        }
    };
    let canonical = |name: &str| {
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        encoder
            .canonical(name)
            .replace(".lora_A.default.", ".lora_A.")
            .replace(".lora_B.default.", ".lora_B.")
    };
    let names: Vec<String> = file.entries().map(|entry| canonical(&entry.name)).collect();
    let mut adapted = encoder.clone().adapt(spec, &choice, ("", 0))?;
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

/// Keys that make an adapter something else than a plain LoRA.
const REFUSED: [&str; 6] =
    ["use_dora", "fan_in_fan_out", "rank_pattern", "alpha_pattern", "modules_to_save", "layer_replication"];

/// A larger `lora_alpha` comes from a broken file.
const MOST_ALPHA: f64 = 1e6;

/// What the folder's adapters are: which matrices have one is read from the tensors.
fn read_spec(config: &Value, folder: &Path, encoder: &Encoder, file: &WeightFiles) -> Result<LoraSpec> {
    if let Some(what) = not_plain(config) {
        return Err(wrong(folder, &what, "another adapter"));
    }
    let rank = config.get("r").and_then(Value::as_u64).filter(|rank| *rank > 0);
    let alpha = config.get("lora_alpha").and_then(Value::as_f64);
    let (Some(rank), Some(alpha)) = (rank, alpha.filter(|alpha| *alpha > 0.0 && *alpha <= MOST_ALPHA)) else {
        let what =
            format!("`r` and `lora_alpha` are not two numbers above 0, the latter at most {MOST_ALPHA}");
        return Err(wrong(folder, &what, "fetch the folder again"));
    };
    let modules = file.entries().filter_map(|entry| {
        let name = entry.name.replace(".lora_A.default.", ".lora_A.");
        module(&name).map(|module| encoder.canonical(module))
    });
    let targets: Vec<String> = modules.collect();
    if targets.is_empty() {
        let what = format!("there is no adapter in `{WEIGHTS}`");
        return Err(wrong(folder, &what, "fetch the folder again"));
    }
    let alpha = if is_set(config, "use_rslora") { alpha * (rank as f64).sqrt() } else { alpha };
    Ok(LoraSpec { rank: rank as usize, alpha, dropout: 0.0, targets })
}

/// Refuses adapters that were trained beside other weights.
fn check_hash(config: &Value, folder: &Path, encoder: &Encoder) -> Result<()> {
    let hash = config.get(BASE_HASH).and_then(Value::as_str);
    if hash.is_none_or(|hash| hash == encoder.hash_below(encoder.params.blocks.len())) {
        return Ok(());
    }
    let what = "these adapters were trained beside other weights than those of the encoder they name";
    Err(wrong(folder, what, "the encoder of that run"))
}

/// The rows before every text that a folder holds.
fn prompt_spec(config: &Value, folder: &Path) -> Result<(Arc<dyn Adapter>, Choice)> {
    let rows = config.get("num_virtual_tokens").and_then(Value::as_u64).filter(|rows| *rows > 0);
    let Some(rows) = rows else {
        return Err(wrong(folder, "`num_virtual_tokens` is no number above 0", "fetch the folder again"));
    };
    let choice =
        Choice { name: "prompt".into(), params: [("rows".into(), rows.into())].into_iter().collect() };
    Ok((Arc::new(PromptSpec { rows: rows as usize }), choice))
}

/// Whether a key says something: not null, false or empty.
fn is_set(config: &Value, key: &str) -> bool {
    match config.get(key) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(_) => true,
    }
}

/// Why an adapter is something else than products added to weights that stay as they are.
fn not_plain(config: &Value) -> Option<String> {
    let text = |key: &str| config.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("peft_type") != "LORA" {
        return Some(format!("`peft_type` is `{}`, expected `LORA` or `PROMPT_TUNING`", text("peft_type")));
    }
    if let Some(key) = REFUSED.iter().find(|key| is_set(config, key)) {
        return Some(format!("`{key}` is set, expected a plain LoRA adapter"));
    }
    if !matches!(text("bias"), "" | "none") {
        return Some(format!("`bias` is `{}`, expected `none`", text("bias")));
    }
    let start = config.get("init_lora_weights").unwrap_or(&Value::Null);
    let keeps_weights = matches!(start, Value::Null | Value::Bool(_)) || start == "gaussian";
    (!keeps_weights)
        .then(|| format!("`init_lora_weights` is {start}, which also changes the encoder's own weights"))
}

fn wrong(folder: &Path, what: &str, remedy: &str) -> crate::Error {
    let place = Place::file(&folder.join(CONFIG));
    polytask_core::Error::from(Problem::at(place, what).try_this(remedy)).into()
}
