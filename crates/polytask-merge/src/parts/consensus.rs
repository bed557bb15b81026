//! Consensus (TIES, Yadav et al. 2023): per entry, the sign most of the mass has; who has another sign stays out.

/// Whether the elected sign of an entry is positive: that of the sum, and of an even sum.
pub(crate) fn major(sum: f32) -> bool {
    sum >= 0.0
}

/// Whether a value has the elected sign; zero has none.
pub(crate) fn agrees(value: f32, is_positive: bool) -> bool {
    if is_positive { value > 0.0 } else { value < 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_sum_elects_plus_and_zero_agrees_with_nobody() {
        assert!(major(0.0) && major(-0.0) && !major(-1.0));
        assert!(agrees(1.0, true) && agrees(-1.0, false));
        assert!(!agrees(0.0, true) && !agrees(-0.0, false) && !agrees(1.0, false));
    }
}
