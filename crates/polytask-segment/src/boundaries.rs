//! Where segments end among the units of a document.

use serde::{Deserialize, Serialize};

/// Whether each unit (a sentence, a turn) ends a segment; the last one always does and counts as no boundary.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Boundaries {
    /// One mark per unit; that of the last is never set.
    marks: Vec<bool>,
}

impl Boundaries {
    /// The boundaries of some marks, one per unit.
    pub fn new(mut marks: Vec<bool>) -> Self {
        if let Some(last) = marks.last_mut() {
            *last = false;
        }
        Self { marks }
    }

    /// A boundary wherever the section changes.
    pub fn of_sections<T: PartialEq>(sections: &[T]) -> Self {
        let n = sections.len();
        Self { marks: (0..n).map(|i| i + 1 < n && sections[i] != sections[i + 1]).collect() }
    }

    /// Those of a document with `gaps[i]` between the units `i` and `i + 1`.
    pub fn of_gaps(mut gaps: Vec<bool>) -> Self {
        gaps.push(false);
        Self { marks: gaps }
    }

    /// Number of units.
    pub fn n_units(&self) -> usize {
        self.marks.len()
    }

    /// Number of boundaries.
    pub fn count(&self) -> usize {
        self.marks.iter().filter(|mark| **mark).count()
    }

    /// The marks of all units, the last one's not set.
    pub fn marks(&self) -> &[bool] {
        &self.marks
    }

    /// The units that end a segment, without the last one.
    pub fn places(&self) -> Vec<usize> {
        (0..self.marks.len()).filter(|&unit| self.marks[unit]).collect()
    }

    /// The units of each segment, in order.
    pub fn segments(&self) -> Vec<std::ops::Range<usize>> {
        let ends = self.places().into_iter().map(|unit| unit + 1);
        let ends: Vec<usize> = ends.chain((!self.marks.is_empty()).then_some(self.marks.len())).collect();
        let starts = std::iter::once(0).chain(ends.iter().copied());
        starts.zip(&ends).map(|(start, &end)| start..end).collect()
    }

    /// The number of each unit's segment, counted from 0.
    pub fn sections(&self) -> Vec<usize> {
        let before = |section: &mut usize, mark: &bool| {
            let own = *section;
            *section += usize::from(*mark);
            Some(own)
        };
        self.marks.iter().scan(0, before).collect()
    }

    /// Several documents as one: the end of each but the last is a boundary.
    pub fn joined<'a>(documents: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut marks = Vec::new();
        for document in documents {
            marks.extend_from_slice(&document.marks);
            if let Some(last) = marks.last_mut() {
                *last = true;
            }
        }
        Self::new(marks)
    }
}

/// Mean length of the segments of some documents; `None` without any unit.
pub fn mean_segment<'a>(documents: impl IntoIterator<Item = &'a Boundaries>) -> Option<f64> {
    let count = |(units, segments): (usize, usize), document: &Boundaries| {
        (units + document.n_units(), segments + document.segments().len())
    };
    let (units, segments) = documents.into_iter().fold((0, 0), count);
    (segments > 0).then(|| units as f64 / segments as f64)
}

/// Share of the places between two units of one document that are boundaries; `None` without any place.
pub fn rate<'a>(documents: impl IntoIterator<Item = &'a Boundaries>) -> Option<f64> {
    let count = |(places, boundaries): (usize, usize), document: &Boundaries| {
        (places + document.n_units().saturating_sub(1), boundaries + document.count())
    };
    let (places, boundaries) = documents.into_iter().fold((0, 0), count);
    (places > 0).then(|| boundaries as f64 / places as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_cover_all_units_and_the_last_unit_is_no_boundary() {
        let boundaries = Boundaries::of_sections(&[0, 0, 1, 1, 1, 0]);
        assert_eq!(boundaries.segments(), [0..2, 2..5, 5..6]);
        assert_eq!(boundaries.sections(), [0, 0, 1, 1, 1, 2]);
        assert_eq!(Boundaries::new(vec![false, true]).count(), 0);
        assert!(Boundaries::default().segments().is_empty());
        assert_eq!(Boundaries::of_gaps(vec![true]).segments(), [0..1, 1..2]);
        assert_eq!(mean_segment([&boundaries]), Some(2.0));
        assert_eq!((rate([&boundaries]), rate([&Boundaries::default()])), (Some(0.4), None));
    }

    #[test]
    fn the_end_of_every_joined_document_is_a_boundary_but_that_of_the_last() {
        let parts = [Boundaries::of_sections(&[0, 1]), Boundaries::default(), Boundaries::of_sections(&[0])];
        assert_eq!(Boundaries::joined(&parts).marks(), [true, true, false]);
    }
}
