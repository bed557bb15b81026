//! Which blocks names in a suite stand for.

use polytask_core::Problem;
use polytask_core::input::table::TOWERS;

use crate::Result;
use crate::params::{Block, Params};

/// Blocks below the first layer, whatever the encoder reads.
const LOWEST: [&str; 3] = ["words", "patches", "embeddings"];

/// Which blocks these freeze names cover, one flag per block.
///
/// # Errors
/// All names that fit no block, with those that do.
pub fn freeze_blocks(params: &Params, names: &[String]) -> Result<Vec<bool>> {
    let mut frozen = vec![false; params.blocks.len()];
    let mut problems = Vec::new();
    for name in names {
        match covered(params, name) {
            Some(blocks) => blocks.into_iter().for_each(|block| frozen[block] = true),
            None => problems.push(unknown_block(params, name)),
        }
    }
    if problems.is_empty() { Ok(frozen) } else { Err(polytask_core::Error::Invalid(problems).into()) }
}

/// Blocks one freeze name covers: a block's own name, `layer.0-3`, `embeddings` for all below the first layer, or a tower's
/// name (`text`) for all of its blocks; each with all its copies.
fn covered(params: &Params, name: &str) -> Option<Vec<usize>> {
    let is_of_tower = |block: &Block| block.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    if TOWERS.contains(&name) {
        return some(params, is_of_tower);
    }
    let is_tower = |tower: &&&str| name.strip_prefix(**tower).is_some_and(|rest| rest.starts_with('.'));
    let tower = TOWERS.iter().find(is_tower).map_or(0, |tower| tower.len() + 1);
    let (tower, name) = name.split_at(tower);
    if name == "embeddings" {
        let found = LOWEST.iter().filter_map(|name| copies(params, &format!("{tower}{name}")));
        return Some(found.flatten().collect()).filter(|found: &Vec<usize>| !found.is_empty());
    }
    let Some((first, last)) = name.strip_prefix("layer.").and_then(|range| range.split_once('-')) else {
        return copies(params, &format!("{tower}{name}"));
    };
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    if first > last || last >= params.blocks.len() {
        return None;
    }
    let layers = (first..=last).map(|i| copies(params, &format!("{tower}layer.{i}")));
    Some(layers.collect::<Option<Vec<_>>>()?.concat())
}

/// The blocks of this name: the block itself, or every copy of it.
fn copies(params: &Params, name: &str) -> Option<Vec<usize>> {
    let is_copy = |block: &str| block.strip_suffix(name).is_some_and(|label| label.ends_with('.'));
    some(params, |block| block.name == name || is_copy(&block.name))
}

/// The blocks that a condition holds for; `None` where there are none.
fn some(params: &Params, is_one: impl Fn(&Block) -> bool) -> Option<Vec<usize>> {
    let blocks = params.blocks.iter().enumerate().filter(|(_, block)| is_one(block));
    let found: Vec<usize> = blocks.map(|(i, _)| i).collect();
    (!found.is_empty()).then_some(found)
}

fn unknown_block(params: &Params, name: &str) -> Problem {
    let n_layers =
        (0..params.blocks.len()).take_while(|i| copies(params, &format!("layer.{i}")).is_some()).count();
    let towers = TOWERS.iter().filter(|tower| covered(params, tower).is_some());
    let towers: Vec<String> = towers.map(|tower| format!("`{tower}`, `{tower}.layer.0`")).collect();
    let Some(last) = n_layers.checked_sub(1) else {
        let names: Vec<String> = params.blocks.iter().map(|block| format!("`{}`", block.name)).collect();
        return Problem::new(format!("freeze names `{name}`, expected one of {}", names.join(", ")));
    };
    let is_known = |name: &&&str| **name == "embeddings" || copies(params, name).is_some();
    let names = LOWEST.iter().filter(is_known).map(|name| format!("`{name}`"));
    let names: Vec<String> = towers.into_iter().chain(names).collect();
    let what = format!(
        "freeze names `{name}`, expected {}, `layer.0` to `layer.{last}` or a range as `layer.0-{last}`",
        names.join(", ")
    );
    Problem::new(what).try_this("count layers from 0, the lowest")
}
