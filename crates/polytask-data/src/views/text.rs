//! Texts: a cell's text, or its words where tasks tag them.

use polytask_core::Suite;
use polytask_core::target::CellMistake;

use super::{Content, Fault, InputCells, View};
use crate::Tokenize;
use crate::readers::Cell;

/// The view of texts.
pub(super) fn open(_suite: &Suite, _tokenizer: &dyn Tokenize) -> Box<dyn View> {
    Box::new(Texts)
}

struct Texts;

impl View for Texts {
    fn read(&mut self, row: &InputCells<'_>, wrong: &mut dyn FnMut(usize, Fault)) -> Vec<Content> {
        let mut read = |(i, cell): (usize, Option<&Cell>)| {
            content(cell, row.as_words).map_err(|mistake| wrong(i, Fault::Cell(mistake))).ok()
        };
        row.cells.iter().copied().enumerate().filter_map(&mut read).collect()
    }
}

/// A cell as an input text.
fn content(cell: Option<&Cell>, as_words: bool) -> Result<Content, CellMistake> {
    let remedy = "write an empty text if the text is meant to be empty";
    let cell = cell.ok_or_else(|| CellMistake::new("absent, expected a text", remedy))?;
    let content =
        if as_words { cell.to_words().map(Content::Words) } else { cell.to_text().map(Content::Text) };
    content.ok_or_else(|| CellMistake::new("null, expected a text", remedy))
}
