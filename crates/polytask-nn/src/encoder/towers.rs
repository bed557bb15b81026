//! Encoders of columns of a table, and fresh layers above all columns, as one encoder of rows.

use std::sync::Arc;

use polytask_core::image::{IMAGE, ImageSize};
use polytask_core::input::table::ColumnForm;
use polytask_core::input::text::TEXT;
use polytask_core::{InputInfo, Problem};

use super::{Encoder, Network, TowersNet};
use crate::params::{Block, Params};
use crate::towers::{Tower, TowersConfig, TowersTrunk, wrong};
use crate::trunk::Blocks;
use crate::{Error, Result};

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
        let text = reader(&config, "text", (&ColumnForm::Text, &TEXT), text)?;
        let image = reader(&config, "image", (&ColumnForm::Image, &IMAGE), image)?;
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
        let (trunk, params) = TowersTrunk::fresh(&config, towers, params, seed);
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

/// The encoder of the columns of a form; none where there are no such columns.
fn reader(
    config: &TowersConfig,
    name: &str,
    (form, input): (&ColumnForm, &InputInfo),
    encoder: Option<Encoder>,
) -> Result<Option<Encoder>> {
    if config.columns(form).is_empty() {
        return Ok(None);
    }
    let Some(encoder) = encoder else {
        return Err(wrong(&format!("columns of {name}s, but no encoder of {name}s")));
    };
    encoder.check_tower(name, input)?;
    let size = config.table.image.filter(|_| *form == ColumnForm::Image);
    if *form == ColumnForm::Image && size.map(ImageSize::len) != Some(encoder.max_length) {
        let found =
            size.map_or_else(|| "images of no known size".to_owned(), |size| format!("images of {size}"));
        return Err(wrong(&format!("{found}, but their encoder reads {} bytes of each", encoder.max_length)));
    }
    Ok(Some(encoder))
}

/// A tower's block under the tower's name.
fn prefixed(tower: &str, block: &Block) -> Block {
    let mut block = block.clone();
    block.name = format!("{tower}.{}", block.name);
    block.tensors.iter_mut().for_each(|tensor| tensor.name = format!("{tower}.{}", tensor.name));
    block
}
