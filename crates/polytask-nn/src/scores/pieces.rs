//! Places in pieces that fit into memory.

use std::ops::Range;

/// Consecutive places whose lengths add up to at most `most`, at least one place each.
pub fn pieces(lengths: impl IntoIterator<Item = usize>, most: usize) -> Vec<Range<usize>> {
    let (mut pieces, mut start, mut sum, mut end) = (Vec::new(), 0, 0, 0);
    for length in lengths {
        if end > start && sum + length > most {
            pieces.push(start..end);
            (start, sum) = (end, 0);
        }
        sum += length;
        end += 1;
    }
    if end > start {
        pieces.push(start..end);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hold_all_places_within_the_limit_or_one_alone() {
        assert_eq!(pieces([3, 4, 9, 1, 0, 5], 7), [0..2, 2..3, 3..6]);
        assert!(pieces([], 7).is_empty());
    }
}
