//! The weight of a row, as a cell says it.

use polytask_core::target::{CellMistake, number};

use crate::readers::Cell;

/// A row weight: a finite number of at least 0.
pub(super) fn weight(cell: Option<&Cell>) -> Result<f32, CellMistake> {
    let cell = cell.unwrap_or(&Cell::Null);
    // A share in per cent is no weight that anybody meant.
    let is_percent = matches!(cell, Cell::Text(text) if text.trim_end().ends_with('%'));
    number(cell)
        .ok()
        .filter(|_| !is_percent)
        .map(|weight| weight as f32)
        .filter(|weight| *weight >= 0.0)
        .ok_or_else(|| {
            let what = format!("weight is {}, expected a number of at least 0", cell.describe());
            CellMistake::new(what, "write 1 for an ordinary row and 0 to leave a row out")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Cell {
        Cell::Text(text.into())
    }

    #[test]
    fn weights_are_numbers_of_at_least_zero() {
        assert_eq!(weight(Some(&text("0.5"))), Ok(0.5));
        let percent = text("50%");
        let wrong = [
            None,
            Some(&Cell::Number(-1.0)),
            Some(&Cell::Number(f64::NAN)),
            Some(&Cell::Null),
            Some(&percent),
        ];
        for wrong in wrong {
            assert!(weight(wrong).is_err());
        }
    }
}
