//! Which network, and what it reads.

use polytask_core::input::InputSpec;
use polytask_core::input::table::TableValues;
use polytask_core::suite::ModelSpec;
use polytask_core::{InputInfo, Problem, input};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::graph::Graph;
use super::image::ImageConfig;
use super::mistake::wrong;
use super::table::TableConfig;
use crate::trunk::shape_error::shape;
use crate::{Error, Result};

/// Most values of one input between two layers.
const MOST_VALUES: usize = 1 << 26;

/// Most parameters: beyond, a configuration file is broken.
const MOST_PARAMETERS: usize = 1 << 28;

/// Makes the values of inputs of their symbols, channels innermost.
#[derive(Debug)]
pub(super) enum NetValues {
    Image(ImageConfig),
    Table(TableValues),
}

impl NetValues {
    /// The values of an input.
    pub(super) fn write(&self, symbols: &[u32], values: &mut [f32]) {
        match self {
            Self::Image(config) => config.write_values(symbols, values),
            Self::Table(table) => table.write(symbols, values),
        }
    }
}

/// A network that starts from random weights: which one, what it reads, how wide it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum NetConfig {
    /// On images.
    Image(ImageConfig),
    /// On rows of a table.
    Table(TableConfig),
}

impl NetConfig {
    /// The network of a suite for the inputs its rows have.
    ///
    /// # Errors
    /// When there are none, or they are too small for it.
    pub fn new(model: &ModelSpec, input: &InputSpec) -> Result<Self> {
        let mut config = match input {
            InputSpec::Images(size) => Self::Image(ImageConfig::of_suite(model, *size)),
            InputSpec::Table(table) => Self::Table(TableConfig::new(&model.encoder, table)),
            InputSpec::Any => {
                let what = format!("the rows have no input for network `{}`", model.encoder);
                return Err(Error::Core(Problem::new(what).try_this("rows that have one").into()));
            }
        };
        let (widths, pooling) = match &mut config {
            Self::Image(config) => (&mut config.widths, &mut config.pooling),
            Self::Table(config) => (&mut config.widths, &mut config.pooling),
        };
        widths.clone_from(model.widths.as_ref().unwrap_or(&widths.clone()));
        pooling.clone_from(model.pooling.as_ref().unwrap_or(&pooling.clone()));
        config.checked()
    }

    /// The configuration in a folder's `config.json`; `None` where it is one of another family of networks.
    ///
    /// # Errors
    /// When the file is not what a run writes, or no network can be built of it.
    pub fn read(json: Value) -> Result<Option<Self>> {
        let name = json.get("model_type").and_then(Value::as_str);
        let Some(input) = name.and_then(input::of_net) else { return Ok(None) };
        let name = name.unwrap_or_default().to_owned();
        let read = if *input == input::table::TABLE {
            serde_json::from_value(json).map(Self::Table)
        } else {
            serde_json::from_value(json).map(Self::Image)
        };
        let wrong = |error| wrong(&name, &format!("not what a run writes: {error}"));
        read.map_err(wrong)?.checked().map(Some)
    }

    /// What it reads.
    pub fn input(&self) -> &'static InputInfo {
        match self {
            Self::Image(_) => &input::image::IMAGE,
            Self::Table(_) => &input::table::TABLE,
        }
    }

    /// The name of the network.
    pub fn name(&self) -> &str {
        match self {
            Self::Image(config) => &config.model_type,
            Self::Table(config) => &config.model_type,
        }
    }

    /// How an input's states become one vector.
    pub fn pooling(&self) -> &str {
        match self {
            Self::Image(config) => &config.pooling,
            Self::Table(config) => &config.pooling,
        }
    }

    /// Symbols of an input.
    pub fn n_symbols(&self) -> usize {
        match self {
            Self::Image(config) => config.size().len(),
            Self::Table(config) => config.table.columns.len(),
        }
    }

    /// The largest symbol there is.
    pub(super) fn last_symbol(&self) -> u32 {
        match self {
            Self::Image(_) => 255,
            Self::Table(_) => u32::MAX,
        }
    }

    /// The network; `None` where inputs are too small for it.
    pub(super) fn graph(&self) -> Option<Graph> {
        match self {
            Self::Image(config) => super::nets::build(config),
            Self::Table(config) => Some(config.graph()),
        }
    }

    /// Refuses symbols that are no input of it.
    pub(super) fn check(&self, symbols: &[u32]) -> Result<()> {
        let (found, expected) = (symbols.len(), self.n_symbols());
        if found != expected {
            let what = format!("an input of {found} symbols");
            return shape(self.name(), what, format!("{expected} ({})", self.describe()));
        }
        match symbols.iter().find(|&&symbol| symbol > self.last_symbol()) {
            Some(symbol) => shape(self.name(), format!("symbol {symbol}"), "bytes"),
            None => Ok(()),
        }
    }

    /// What makes the values of an input of its symbols.
    pub(super) fn values(&self) -> NetValues {
        match self {
            Self::Image(config) => NetValues::Image(config.clone()),
            Self::Table(config) => NetValues::Table(config.values()),
        }
    }

    /// Its inputs, in words.
    pub fn describe(&self) -> String {
        match self {
            Self::Image(config) => format!("images of {}", config.size()),
            Self::Table(config) => polytask_core::plural(config.table.columns.len(), "column"),
        }
    }

    /// The configuration, if a network can be built of it.
    ///
    /// # Errors
    /// What is wrong, found and expected.
    pub fn checked(self) -> Result<Self> {
        match &self {
            Self::Image(config) => config.check()?,
            Self::Table(config) => config.check()?,
        }
        let fits = |graph: &Graph| {
            graph.nodes.iter().all(|node| node.out.len() <= MOST_VALUES)
                && graph.n_parameters() <= MOST_PARAMETERS
        };
        match self.graph() {
            Some(graph) if fits(&graph) => Ok(self),
            Some(_) => Err(wrong(self.name(), &format!("{} need too much memory", self.describe()))),
            None => {
                let what = format!("{} are too small for network `{}`", self.describe(), self.name());
                let remedy = "larger images (`image_size` in [model]), or the network `mlp` or `convnet`";
                Err(Error::Core(Problem::new(what).try_this(remedy).into()))
            }
        }
    }
}
