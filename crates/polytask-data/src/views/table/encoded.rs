//! Cells that encoders of their own read: texts as tokens, images as bytes.

use std::path::Path;
use std::sync::Arc;

use polytask_core::image::ImageSize;
use polytask_core::target::CellMistake;

use super::form::Form;
use crate::Tokenizer;
use crate::cells::CellSymbols;
use crate::images::Library;
use crate::readers::{Cell, text_of};
use crate::views::{Fault, image};

/// Reads cells of texts and images.
pub struct CellReader {
    tokenizer: Option<Arc<Tokenizer>>,
    library: Library,
}

impl CellReader {
    /// A reader that turns cells into such symbols.
    pub fn new(cells: &CellSymbols) -> Self {
        Self { tokenizer: cells.tokenizer.clone(), library: Library::new(cells.images) }
    }

    /// The size of all images so far.
    pub(super) fn image_size(&self) -> Option<ImageSize> {
        self.library.size()
    }

    /// Appends the number of symbols of a cell and these; 0 where it says nothing.
    pub(super) fn append(
        &mut self,
        form: Form,
        cell: Option<&Cell>,
        file: &Path,
        symbols: &mut Vec<u32>,
    ) -> Result<(), Fault> {
        let text = text_of(cell).filter(|text| !text.trim().is_empty());
        let found = match (form, text) {
            (_, None) => Vec::new(),
            (Form::Image, Some(name)) => image::bytes_of(&mut self.library, file, &name)?,
            (_, Some(text)) => self.tokens(&text)?,
        };
        symbols.push(found.len() as u32);
        symbols.extend(found);
        Ok(())
    }

    fn tokens(&self, text: &str) -> Result<Vec<u32>, Fault> {
        let Some(tokenizer) = &self.tokenizer else {
            let what = "a text, but the model has no encoder of texts";
            return Err(Fault::Cell(CellMistake::new(what, "a model with an encoder of texts")));
        };
        tokenizer.encode(text).map_err(Fault::Named)
    }
}
