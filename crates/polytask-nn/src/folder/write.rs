//! Writes an encoder as a folder every version of sentence-transformers reads.

use std::path::Path;

use polytask_core::atomic::{self, create_dir, write_json};
use serde_json::{Value, json};

use super::towers::write_towers;
use super::{AdaptedBy, pooling};
use crate::Result;
use crate::encoder::{Encoder, Network};
use crate::params::Params;
use crate::weights::{self, TensorOut, Values};

/// Writes all files; weights last, so that a folder with weights is whole.
pub(crate) fn write_folder(
    encoder: &Encoder,
    params: &Params,
    folder: &Path,
    tokenizer: &[(String, Vec<u8>)],
) -> Result<()> {
    if let Network::Towers(net) = &encoder.network {
        return write_towers(net, params, folder, tokenizer);
    }
    create_dir(folder)?;
    for (name, bytes) in tokenizer {
        atomic::write(&folder.join(name), bytes)?;
    }
    if let Network::Net(config) = &encoder.network {
        write_json(&folder.join("config.json"), config)?;
        write_sharing(encoder, folder)?;
        return write_weights(encoder, params, folder);
    }
    let notes = &encoder.notes;
    write_json(&folder.join("config.json"), &config(&encoder.network, &notes.config))?;
    if !notes.preprocessor.is_null() {
        write_json(&folder.join("preprocessor_config.json"), &notes.preprocessor)?;
        write_modules(encoder, folder)?;
        write_sharing(encoder, folder)?;
        return write_weights(encoder, params, folder);
    }
    let limit = json!({"max_seq_length": encoder.max_length, "do_lower_case": notes.lower_case});
    write_json(&folder.join("sentence_bert_config.json"), &limit)?;
    write_json(&folder.join("config_sentence_transformers.json"), &notes.sentence)?;
    write_modules(encoder, folder)?;
    write_sharing(encoder, folder)?;
    write_weights(encoder, params, folder)
}

/// How tasks share the encoder and texts are scored, when not plainly, and which adapters it has.
fn write_sharing(encoder: &Encoder, folder: &Path) -> Result<()> {
    if let Some(by) = &encoder.score {
        write_json(&folder.join(super::SCORE), by)?;
    }
    if let Some(adapted) = encoder.unmerged() {
        let by = AdaptedBy { choice: adapted.choice.clone(), base: adapted.base.clone() };
        write_json(&folder.join(super::ADAPTERS), &by)?;
    }
    match &encoder.sharing {
        Some(by) => Ok(write_json(&folder.join(super::SHARING), by)?),
        None => Ok(()),
    }
}

/// The network's own configuration, telling that weights are stored in f32.
fn config(network: &Network, original: &Value) -> Value {
    let mut config = original.clone();
    if let Network::Published { family, .. } = network {
        let model_type = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
        config["architectures"] = json!([family.architecture(model_type)]);
    }
    // Python files of the source's folder are not copied; those of another repository are named with it.
    let is_beside = |value: &Value| value.as_str().is_some_and(|name| !name.contains("--"));
    if config.get("auto_map").and_then(Value::as_object).is_some_and(|map| map.values().any(is_beside)) {
        config.as_object_mut().map(|fields| fields.remove("auto_map"));
    }
    for key in ["torch_dtype", "dtype"] {
        if config.get(key).is_some() {
            config[key] = "float32".into();
        }
    }
    config
}

/// How the states of an input become one vector.
fn write_pooling(encoder: &Encoder, folder: &Path) -> Result<()> {
    create_dir(&folder.join("1_Pooling"))?;
    let (d, include) = (encoder.trunk.d_hidden(), encoder.notes.include_prompt);
    Ok(write_json(&folder.join("1_Pooling/config.json"), &pooling::to_json(&encoder.pooling, d, include))?)
}

fn write_modules(encoder: &Encoder, folder: &Path) -> Result<()> {
    let mut modules = vec![module(0, "", "Transformer"), module(1, "1_Pooling", "Pooling")];
    write_pooling(encoder, folder)?;
    for dense in &encoder.dense {
        let path = format!("{}_Dense", modules.len());
        dense.save(&folder.join(&path))?;
        modules.push(module(modules.len(), &path, "Dense"));
    }
    if encoder.normalize {
        let path = format!("{}_Normalize", modules.len());
        create_dir(&folder.join(&path))?;
        modules.push(module(modules.len(), &path, "Normalize"));
    }
    Ok(write_json(&folder.join("modules.json"), &modules)?)
}

fn module(idx: usize, path: &str, kind: &str) -> Value {
    let name = idx.to_string();
    json!({"idx": idx, "name": name, "path": path, "type": format!("sentence_transformers.models.{kind}")})
}

fn write_weights(encoder: &Encoder, params: &Params, folder: &Path) -> Result<()> {
    let mut tensors = weights::tensors_of(params);
    tensors.extend(encoder.kept.iter().map(|raw| TensorOut {
        name: &raw.name,
        shape: &raw.shape,
        values: Values::Raw(raw.dtype, &raw.bytes),
    }));
    // Under another name: a reader that knows nothing of copies, gates and adapters must not take some of them for the
    // whole.
    let name = if encoder.sharing.is_some() {
        super::SHARED_WEIGHTS
    } else if encoder.unmerged().is_some() {
        super::ADAPTED_WEIGHTS
    } else {
        weights::FILE
    };
    weights::write(&folder.join(name), &tensors, &[])
}
