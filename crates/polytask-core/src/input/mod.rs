//! What tasks read: texts, images, rows of a table. One file for each: its name in messages, the networks that start from random
//! weights on it, the settings that are about it alone.
//!
//! How a cell becomes what a network reads is the views' (`polytask_data::views`); the kinds of tasks name the input
//! they read ([`crate::KindInfo::input`]).

pub mod image;
pub mod table;
pub mod text;

use serde::Serialize;

use image::{ImageSize, ImageSpec};
use table::TableSpec;

/// All inputs, sorted by name.
pub static INPUTS: &[&InputInfo] = &[&image::IMAGE, &table::TABLE, &text::TEXT];

/// An input of tasks.
#[derive(Debug, Serialize)]
pub struct InputInfo {
    /// Its name: what one is called.
    pub name: &'static str,
    /// What several are called.
    pub plural: &'static str,
    /// What a model may do worse on, on its card.
    pub unlike: &'static str,
    /// Networks that read it and start from random weights, sorted by name.
    pub nets: &'static [&'static str],
    /// What a suite trains with that says nothing of it; `None`: what the table of keys says.
    pub fresh: Option<FreshTraining>,
    /// Keys of `[model]` that are about it and not about every input.
    pub model_keys: &'static [&'static str],
    /// Keys of rows (a source, or a task with data of its own) that are about it and not about every input.
    pub row_keys: &'static [&'static str],
    /// Whether every input has as many states, so that they can be laid end to end.
    pub even_states: bool,
    /// Whether it is made of all columns that no task reads otherwise, not of one column for each role.
    pub whole_row: bool,
    /// How one is given on the command line.
    pub flag: &'static str,
    /// What one is in a line of JSON, as an example.
    pub example: &'static str,
    /// What model hubs call a model of its vectors.
    pub hub_pipeline: &'static str,
    /// The tag that hubs find such models by.
    pub hub_tag: &'static str,
}

/// Settings of a network that starts from random weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FreshTraining {
    /// The network.
    pub encoder: &'static str,
    /// Rows of a step.
    pub batch_rows: usize,
    /// Learning rate: the usual start for Adam.
    pub lr: f64,
    /// Rows of the largest source that training wants to see in all.
    pub visits: f64,
    /// How often it sees each at most.
    pub most_epochs: f64,
}

impl PartialEq for InputInfo {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for InputInfo {}

/// What a network must be made for, once the rows of a suite are read.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum InputSpec {
    /// Nothing of its own: symbols of a tokenizer.
    #[default]
    Any,
    /// Images of a size.
    Images(ImageSize),
    /// Columns of a table.
    Table(TableSpec),
}

/// What a reader of rows knows of their inputs before it reads the first.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum KnownInput {
    /// Nothing but what the suite says.
    #[default]
    Nothing,
    /// What images must be.
    Images(ImageSpec),
    /// The columns a network was trained on.
    Table(TableSpec),
}

/// The input whose networks include one of this name.
pub fn of_net(name: &str) -> Option<&'static InputInfo> {
    INPUTS.iter().copied().find(|input| input.nets.contains(&name))
}

/// Whether a network of this name starts from random weights.
pub fn is_net(name: &str) -> bool {
    of_net(name).is_some()
}

/// All networks that start from random weights, sorted by name.
pub fn nets() -> Vec<&'static str> {
    let mut nets: Vec<&str> = INPUTS.iter().flat_map(|input| input.nets.iter().copied()).collect();
    nets.sort_unstable();
    nets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::keys;

    #[test]
    fn inputs_are_sorted_and_their_networks_and_keys_are_known() {
        assert!(INPUTS.windows(2).all(|pair| pair[0].name < pair[1].name));
        let nets = nets();
        assert!(nets.windows(2).all(|pair| pair[0] < pair[1]), "a network reads one input: {nets:?}");
        for input in INPUTS {
            assert!(input.nets.is_sorted());
            assert!(input.fresh.is_none_or(|fresh| input.nets.contains(&fresh.encoder)), "{}", input.name);
            for key in input.model_keys.iter().chain(input.row_keys) {
                assert!(keys().iter().any(|known| known.name == *key), "{key}");
            }
        }
    }
}
