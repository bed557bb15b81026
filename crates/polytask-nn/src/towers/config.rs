//! Which towers, over which columns.

use std::sync::Arc;

use polytask_core::image::{IMAGE, ImageSize};
use polytask_core::input::table::{ColumnForm, TableSpec};
use polytask_core::input::text::TEXT;
use polytask_core::{InputInfo, Problem};
use serde::{Deserialize, Serialize};

use super::join::Join;
use super::{Tower, TowersTrunk};
use crate::encoder::{Encoder, Network};
use crate::params::{Block, Params};
use crate::trunk::Blocks;
use crate::{Error, Result};

/// `model_type` in the configuration of a model of towers.
pub(crate) const TOWERS: &str = "towers";
/// Widths of the layers above all columns where a suite says nothing.
const WIDTHS: [usize; 1] = [256];
/// Widest layer, and most of them: beyond, a configuration file is broken.
const MOST: usize = 16_384;

/// The columns of a model of towers, and the layers above them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TowersConfig {
    /// `towers`.
    pub model_type: String,
    /// Its columns.
    #[serde(flatten)]
    pub table: TableSpec,
    /// Widths of the layers above all columns.
    pub widths: Vec<usize>,
}

/// A model of towers: its columns, and the encoders that read them.
#[derive(Debug, Clone)]
pub struct TowersNet {
    /// Columns and layers.
    pub config: TowersConfig,
    /// What reads texts; its weights lie with those of the whole.
    pub text: Option<Arc<Encoder>>,
    /// What reads images; its weights lie with those of the whole.
    pub image: Option<Arc<Encoder>>,
}

impl PartialEq for TowersNet {
    fn eq(&self, other: &Self) -> bool {
        let networks = |net: &Self| [&net.text, &net.image].map(|e| e.as_ref().map(|e| e.network.clone()));
        self.config == other.config && networks(self) == networks(other)
    }
}

impl TowersConfig {
    /// The layers above some columns; `widths` where the suite says them.
    pub fn new(table: &TableSpec, widths: Option<&[usize]>) -> Self {
        let widths = widths.unwrap_or(&WIDTHS).to_vec();
        Self { model_type: TOWERS.into(), table: table.clone(), widths }
    }

    fn check(&self) -> Result<()> {
        let in_range = |n: &usize| (1..=MOST).contains(n);
        if self.widths.len() > 64 || !self.widths.iter().all(in_range) {
            let what =
                format!("network `{TOWERS}`: widths {:?}, expected up to 64 of 1 to {MOST}", self.widths);
            return Err(Error::Core(Problem::new(what).try_this("`widths = [256]` in [model]").into()));
        }
        self.table.mistake().map_or(Ok(()), |what| Err(wrong(&what)))
    }

    /// The columns of a form, among those that encoders read.
    fn columns(&self, form: &ColumnForm) -> Vec<usize> {
        let encoded = self.table.encoded().iter().enumerate();
        encoded.filter(|(_, column)| column.form == *form).map(|(i, _)| i).collect()
    }

    /// The encoder of the columns of a form; none where there are no such columns.
    fn reader(
        &self,
        name: &str,
        (form, input): (&ColumnForm, &InputInfo),
        encoder: Option<Encoder>,
    ) -> Result<Option<Encoder>> {
        if self.columns(form).is_empty() {
            return Ok(None);
        }
        let Some(encoder) = encoder else {
            return Err(wrong(&format!("columns of {name}s, but no encoder of {name}s")));
        };
        encoder.check_tower(name, input)?;
        let size = self.table.image.filter(|_| *form == ColumnForm::Image);
        if *form == ColumnForm::Image && size.map(ImageSize::len) != Some(encoder.max_length) {
            let found =
                size.map_or_else(|| "images of no known size".to_owned(), |size| format!("images of {size}"));
            return Err(wrong(&format!(
                "{found}, but their encoder reads {} bytes of each",
                encoder.max_length
            )));
        }
        Ok(Some(encoder))
    }
}

impl TowersNet {
    /// The towers with their names, lowest first.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, &Arc<Encoder>)> {
        let image = self.image.as_ref().map(|encoder| ("image", encoder));
        self.text.as_ref().map(|encoder| ("text", encoder)).into_iter().chain(image)
    }
}

impl Encoder {
    /// A network on rows of a table whose columns have several types: `text` and `image` read theirs, and are trained with
    /// fresh layers above all columns. An encoder without columns is left out.
    ///
    /// # Errors
    /// A column that nothing reads, an encoder that is no plain one or reads something else, images of another size.
    pub fn towers(
        config: TowersConfig,
        (text, image): (Option<Self>, Option<Self>),
        seed: u64,
    ) -> Result<Self> {
        config.check()?;
        let text = config.reader("text", (&ColumnForm::Text, &TEXT), text)?;
        let image = config.reader("image", (&ColumnForm::Image, &IMAGE), image)?;
        let (mut params, mut towers) = (Params::default(), Vec::new());
        let forms = [("text", ColumnForm::Text, &text), ("image", ColumnForm::Image, &image)];
        for (name, form, encoder) in forms {
            let Some(encoder) = encoder else { continue };
            towers.push(Tower {
                trunk: encoder.trunk.clone(),
                pooling: encoder.pooling.clone(),
                columns: config.columns(&form),
                first: params.blocks.len(),
                is_fresh: matches!(encoder.network, Network::Net(_)),
            });
            params.blocks.extend(encoder.params.blocks.iter().map(|block| prefixed(name, block)));
        }
        let is_coupled = towers.iter().any(|tower| tower.trunk.is_coupled());
        if is_coupled && params.blocks.len() > Blocks::MOST {
            return Err(wrong(&format!(
                "{} blocks beside batch norms, expected at most {}",
                params.blocks.len(),
                Blocks::MOST
            )));
        }
        let d_wide = towers.iter().map(|tower| tower.width() * tower.columns.len()).sum::<usize>();
        let join = Join::new(params.blocks.len(), config.table.n_values() + d_wide, &config.widths);
        params.blocks.extend(join.init(seed));
        let trunk = TowersTrunk::new(&config.table, towers, &config.widths, &params);
        let max_length = text.as_ref().map_or(0, |text| text.max_length);
        let [text, image] = [text, image].map(|encoder| encoder.map(|encoder| Arc::new(encoder.emptied())));
        Ok(Self::fresh(
            Network::Towers(TowersNet { config, text, image }),
            (Arc::new(trunk), params),
            max_length,
        ))
    }

    /// Refuses an encoder that cannot be a tower.
    fn check_tower(&self, name: &str, input: &InputInfo) -> Result<()> {
        let what = if matches!(self.network, Network::Towers(_)) || self.network.input() != input {
            format!("reads {}, expected one of {}", self.network.input().plural, input.plural)
        } else if !self.dense.is_empty() {
            "has a Dense module after pooling, expected none".to_owned()
        } else if self.sharing.is_some() {
            "has versions for the tasks it was trained on, expected one for all".to_owned()
        } else if self.score.is_some() {
            "compares states of tokens, expected vectors".to_owned()
        } else if self.is_adapted() {
            "has adapters within its layers, expected none".to_owned()
        } else {
            return Ok(self.pooling.check(&*self.trunk)?);
        };
        let what = format!("the encoder of {name}s {what}");
        Err(Error::Core(Problem::new(what).try_this("a plain encoder that ends in pooling").into()))
    }

    /// The encoder with the names and shapes of its weights, without their values.
    fn emptied(mut self) -> Self {
        self.params.blocks.iter_mut().for_each(|block| block.values = Vec::new());
        self
    }
}

/// A tower's block under the tower's name.
fn prefixed(tower: &str, block: &Block) -> Block {
    let mut block = block.clone();
    block.name = format!("{tower}.{}", block.name);
    block.tensors.iter_mut().for_each(|tensor| tensor.name = format!("{tower}.{}", tensor.name));
    block
}

/// The error of a configuration that no network can be built of.
fn wrong(what: &str) -> Error {
    let problem = Problem::new(format!("network `{TOWERS}`: {what}"));
    Error::Core(problem.try_this("the config.json that a run of polytask wrote").into())
}
