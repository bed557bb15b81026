//! From a head's outputs to shares and choices.

/// Index of the largest value; the first of equals.
pub fn largest(values: &[f32]) -> u32 {
    let mut best = 0;
    for (i, v) in values.iter().enumerate() {
        if *v > values[best] {
            best = i;
        }
    }
    best as u32
}

/// The logistic function.
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Shares that add up to 1.
pub fn softmax(scores: &[f32]) -> Vec<f32> {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = scores.iter().map(|s| (s - top).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.iter().map(|p| p / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_values_is_the_largest() {
        assert_eq!(largest(&[0.5, 2.0, 2.0]), 1);
        assert_eq!(largest(&[]), 0);
    }

    #[test]
    fn shares_add_up_to_one_for_any_size_of_scores() {
        let shares = softmax(&[1000.0, 1000.0, -1000.0]);
        assert_eq!(shares, [0.5, 0.5, 0.0]);
        assert_eq!(sigmoid(0.0), 0.5);
    }
}
