//! The cells of a row that its target is read from.

use super::{CellMistake, LabelTable};
use crate::cell::{Cell, is_shortened};

/// A judgement: how well a passage answers a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Qrel {
    /// Id of the query.
    pub query: String,
    /// Id of the passage.
    pub passage: String,
    /// Grade; at most 0 means that it does not answer.
    pub grade: f32,
    /// Line in the file of judgements, counted from 1.
    pub line: usize,
}

/// The cells of a row that its target is read from, and what is known beside them.
#[derive(Debug, Clone, Copy, Default)]
pub struct TargetRow<'a> {
    /// The cell of the target's column.
    pub cell: Option<&'a Cell>,
    /// The cell of wrong passages.
    pub negatives: Option<&'a Cell>,
    /// Judgements of the query, in the place of cells.
    pub judged: Option<&'a [Qrel]>,
    /// Whether passages are named by ids.
    pub are_ids: bool,
    /// Words of the row's text; `None` where it was not read as words, or could not be read.
    pub n_words: Option<usize>,
}

impl<'a> TargetRow<'a> {
    /// The cell, where it says something.
    ///
    /// # Errors
    /// When it is a list that was shortened when it was printed.
    pub fn known(&self, labels: &mut LabelTable) -> Result<Option<&'a Cell>, CellMistake> {
        let Some(cell) = self.cell.filter(|cell| !labels.is_missing(cell)) else { return Ok(None) };
        shortened(cell).map_or(Ok(Some(cell)), Err)
    }

    /// The same for a cell of labels. That train has no label is the mistake, not that this one is unknown.
    ///
    /// # Errors
    /// As [`TargetRow::known`].
    pub fn of_labels(&self, labels: &mut LabelTable) -> Result<Option<&'a Cell>, CellMistake> {
        if labels.knows_nothing() {
            return Ok(None);
        }
        self.known(labels)
    }
}

/// A list whose values were left out when it was printed holds less than the data it came from.
fn shortened(cell: &Cell) -> Option<CellMistake> {
    let Cell::Text(text) = cell else { return None };
    (is_shortened(text) && cell.to_items().is_none()).then(|| {
        let what = format!("list {} was shortened when it was printed, expected all of it", cell.describe());
        CellMistake::new(
            what,
            "write the column as JSON lists, or set numpy.set_printoptions(threshold=sys.maxsize)",
        )
    })
}
