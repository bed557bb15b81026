//! What both trunks refuse: parameters of another shape, ids outside the vocabulary, sequences too long,
//! cotangents that do not fit the batch.

use polytask_core::{Layout, PackedBatch, token_id};

use super::graph::Graph;
use super::shape_error::shape;
use super::{Cotangent, Mode, States, Trunk};
use crate::Result;
use crate::params::{Block, Params, Real};

/// The sizes of all blocks of a configuration, computed once per trunk.
#[derive(Debug, Clone)]
pub(crate) struct Sizes(Vec<(String, usize)>);

impl Sizes {
    /// Sizes of the blocks of a network.
    pub(crate) fn new(graph: &Graph) -> Self {
        let names = graph.layout_names();
        Self(names.zip(graph.sizes()).collect())
    }

    /// Refuses blocks that cannot stand at `first` and above.
    pub(crate) fn blocks<T: Real>(&self, first: usize, blocks: &[&Block<T>]) -> Result<()> {
        let places = self.0.get(first..first + blocks.len()).unwrap_or_default();
        let fits = places.iter().zip(blocks).all(|((_, n), block)| block.values.len() == *n);
        if places.len() == blocks.len() && fits {
            return Ok(());
        }
        let found = format!("{} blocks from block {first} on", blocks.len());
        shape("trunk", found, "blocks of this configuration and their sizes")
    }

    /// Refuses parameters of another configuration.
    pub(crate) fn params<T: Real>(&self, params: &Params<T>) -> Result<()> {
        if params.blocks.len() != self.0.len() {
            let (found, expected) = (params.blocks.len(), self.0.len());
            return shape(
                "trunk",
                format!("{found} parameter blocks"),
                format!("{expected} of this configuration"),
            );
        }
        for (block, (name, n)) in params.blocks.iter().zip(&self.0) {
            if block.values.len() != *n {
                let found = format!("{} values", block.values.len());
                return shape(&format!("block `{name}`"), found, format!("{n} values of this configuration"));
            }
        }
        Ok(())
    }
}

/// Refuses batches the network cannot read.
pub(crate) fn batch(graph: &Graph, batch: &PackedBatch) -> Result<()> {
    let starts = &batch.starts;
    let ends_fit = starts.first() == Some(&0) && starts.last().map(|&n| n as usize) == Some(batch.ids.len());
    if !ends_fit || starts.windows(2).any(|w| w[0] > w[1]) {
        return shape(
            "packed batch",
            "starts that do not cover its rows",
            "ascending starts from 0 to the number of rows",
        );
    }
    let token = |&symbol: &u32| if graph.front.is_table() { token_id(symbol) } else { symbol };
    if let Some(id) = batch.ids.iter().map(token).find(|&id| id as usize >= graph.vocab_size()) {
        let expected =
            format!("ids below {}; does the tokenizer belong to this encoder?", graph.vocab_size());
        return shape("word embedding", format!("token id {id}"), expected);
    }
    if let Some(even) = graph.front.even() {
        return match (0..batch.n_sequences()).find(|&s| batch.length(s) != even.symbols) {
            Some(s) => {
                let found = format!("input {s} of {} symbols", batch.length(s));
                shape(graph.front.name(), found, format!("{} of each", even.symbols))
            }
            None => Ok(()),
        };
    }
    let max = graph.max_positions;
    match (0..batch.n_sequences()).find(|&s| batch.length(s) > max) {
        Some(s) => {
            let found = format!("sequence {s} of {} tokens", batch.length(s));
            shape("position embedding", found, format!("at most {max} tokens"))
        }
        None => Ok(()),
    }
}

/// Refuses modes outside the network.
pub(crate) fn mode(graph: &Graph, mode: Mode) -> Result<()> {
    if !(0.0..1.0).contains(&mode.dropout) {
        return shape("dropout", format!("rate {}", mode.dropout), "a rate in [0, 1)");
    }
    lowest(graph, mode.lowest)
}

/// Refuses a lowest block above the number of blocks.
pub(crate) fn lowest(graph: &Graph, lowest: usize) -> Result<()> {
    if lowest > graph.n_blocks() {
        return shape("trunk", format!("lowest block {lowest}"), format!("at most {}", graph.n_blocks()));
    }
    Ok(())
}

/// Refuses cached states that do not belong to the batch.
pub(crate) fn below<T>(graph: &Graph, batch: &PackedBatch, lowest: usize, below: &States<T>) -> Result<()> {
    let (rows, d) = (graph.rows(batch).n_rows(), graph.width_below(lowest));
    if lowest > 0 && below.values.len() != rows * d {
        let found = format!("{} cached values", below.values.len());
        return shape("trunk", found, format!("states [rows {rows}, d_hidden {d}]"));
    }
    Ok(())
}

/// Refuses cotangents whose sequences or values do not fit the batch.
pub(crate) fn cotangents<T>(d_hidden: usize, layout: &Layout, cotangents: &[Cotangent<T>]) -> Result<()> {
    for cotangent in cotangents {
        let part = format!("cotangent of task {}", cotangent.task);
        let sequences = &cotangent.sequences;
        if sequences.windows(2).any(|w| w[0] >= w[1]) {
            return shape(&part, "sequences out of order", "ascending sequences, each once");
        }
        let n = layout.n_sequences();
        if let Some(last) = sequences.last().filter(|&&s| s as usize >= n) {
            return shape(&part, format!("sequence {last}"), format!("sequences below {n}"));
        }
        let rows: usize = sequences.iter().map(|&s| layout.length(s as usize)).sum();
        if cotangent.values.len() != rows * d_hidden {
            let found = format!("{} values", cotangent.values.len());
            return shape(&part, found, format!("[rows {rows}, d_hidden {d_hidden}]"));
        }
    }
    Ok(())
}

/// Refuses to run some blocks of a trunk that only runs whole.
pub(crate) fn can_be_cut<T: Real>(trunk: &dyn Trunk<T>) -> Result<()> {
    if trunk.can_be_cut() {
        return Ok(());
    }
    shape("sharing", "a trunk that cannot be cut", "`sharing = \"hard\"` for this encoder")
}
