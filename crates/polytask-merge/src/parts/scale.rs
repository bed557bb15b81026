//! Scale: what the sum is divided by, and how much a thinned task vector is stretched again.

/// Absolute sums below this are nothing that could be stretched.
const NOTHING: f64 = 1e-7;
/// Sums of weights below this divide nothing.
const NO_WEIGHT: f32 = 1e-8;

/// Absolute sums of a task vector before and after it was thinned.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct L1 {
    pub(crate) before: f64,
    pub(crate) after: f64,
}

impl L1 {
    /// What brings the absolute sum back to what it was; 1 where there is nothing.
    pub(crate) fn factor(self) -> f32 {
        if self.before < NOTHING || self.after < NOTHING { 1.0 } else { (self.before / self.after) as f32 }
    }
}

/// What a sum is divided by, given the weights of who takes part.
pub(crate) fn divisor(weights: f32) -> f32 {
    if weights.abs() < NO_WEIGHT { 1.0 } else { weights }
}

/// Weights divided by their sum.
///
/// # Errors
/// A sum of 0, in words.
pub(crate) fn relative(weights: &[f64]) -> Result<Vec<f64>, String> {
    let sum: f64 = weights.iter().sum();
    if sum.abs() < f64::from(NO_WEIGHT) {
        return Err(format!("the weights {weights:?} sum to {sum}, so they cannot be normalised"));
    }
    Ok(weights.iter().map(|w| w / sum).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_not_stretched_and_weights_that_cancel_are_told() {
        assert_eq!(L1 { before: 3.0, after: 1.5 }.factor(), 2.0);
        assert_eq!(L1 { before: 3.0, after: 0.0 }.factor(), 1.0);
        assert_eq!((divisor(0.0), divisor(-2.0)), (1.0, -2.0));
        assert_eq!(relative(&[1.0, 3.0]).unwrap(), [0.25, 0.75]);
        assert!(relative(&[1.0, -1.0]).unwrap_err().contains("sum to 0"));
    }
}
