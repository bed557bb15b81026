//! Folders of models of towers: each tower as the folder it would be by itself, and the layers above them.

use std::path::{Path, PathBuf};

use polytask_core::atomic::{create_dir, write_json};
use polytask_core::length::read_json;
use serde_json::Value;

use super::problem;
use crate::Result;
use crate::encoder::{Encoder, TowersNet};
use crate::params::{Block, Params};
use crate::towers::{TOWERS, TowersConfig};
use crate::weights::{self, WeightFiles};

/// Where the folders of towers lie.
const FOLDER: &str = "towers";

/// The folder of a tower in that of its model.
pub fn tower_folder(model: &Path, tower: &str) -> PathBuf {
    model.join(FOLDER).join(tower)
}

fn says_towers(json: &Value) -> bool {
    json.get("model_type").and_then(Value::as_str) == Some(TOWERS)
}

/// Whether a folder holds a model of towers.
pub(super) fn is_towers(folder: &Path) -> Result<bool> {
    Ok(read_json(folder, "config.json")?.is_some_and(|json| says_towers(&json)))
}

/// The model of towers in a folder; `None` where it is another one.
pub(crate) fn load_towers(folder: &Path) -> Result<Option<Encoder>> {
    let Some(json) = read_json(folder, "config.json")?.filter(says_towers) else { return Ok(None) };
    let file = folder.join("config.json");
    let config: TowersConfig = serde_json::from_value(json).map_err(|error| {
        problem(&file, &format!("not what a run writes: {error}"), "restore the file the run wrote")
    })?;
    let load = |tower: &str| {
        let place = tower_folder(folder, tower);
        if place.is_dir() { Encoder::load(&place).map(Some) } else { Ok(None) }
    };
    let mut encoder = Encoder::towers(config, (load("text")?, load("image")?), 0)
        .map_err(|error| super::in_file(error, &file))?;
    let is_own = |block: &Block| block.name.starts_with("join.");
    let first = encoder.params.blocks.iter().position(is_own).unwrap_or(encoder.params.blocks.len());
    let mut own = Params { blocks: encoder.params.blocks.split_off(first) };
    let weights = WeightFiles::open_folder(folder)?;
    weights.load_into(&mut own, ToString::to_string)?.require_all(weights.path())?;
    encoder.params.blocks.extend(own.blocks);
    Ok(Some(encoder))
}

/// Writes a model of towers; the tokenizer's files go to the tower of texts.
pub(super) fn write_towers(
    net: &TowersNet,
    params: &Params,
    folder: &Path,
    tokenizer: &[(String, Vec<u8>)],
) -> Result<()> {
    create_dir(folder)?;
    write_json(&folder.join("config.json"), &net.config)?;
    create_dir(&folder.join(FOLDER))?;
    let mut first = 0;
    for (name, encoder) in net.named() {
        let own = encoder.params.blocks.iter().zip(&params.blocks[first..]);
        let own = own.map(|(layout, block)| Block { values: block.values.clone(), ..layout.clone() });
        let own = Params { blocks: own.collect() };
        first += own.blocks.len();
        let files = if name == "text" { tokenizer } else { &[] };
        encoder.save(&own, &tower_folder(folder, name), files)?;
    }
    let own = Params { blocks: params.blocks[first..].to_vec() };
    weights::write(&folder.join(weights::FILE), &weights::tensors_of(&own), &[])
}
