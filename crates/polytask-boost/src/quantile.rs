//! Quantiles of weighted values.

/// The smallest value at or below which a share `level` of the weight lies; the values are put in order. NaN of none.
pub(crate) fn weighted_quantile(values: &mut [(f64, f64)], level: f64) -> f64 {
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = values.iter().map(|(_, weight)| weight).sum();
    let mut below = 0.0;
    for (value, weight) in values.iter() {
        below += weight;
        if below >= level * total {
            return *value;
        }
    }
    values.last().map_or(f64::NAN, |(value, _)| *value)
}

/// The median of values that are there; NaN of none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_counts_weights() {
        let of = |level| weighted_quantile(&mut [(3.0, 1.0), (1.0, 1.0), (2.0, 2.0)], level);
        assert_eq!((of(0.25), of(0.5), of(0.75), of(0.99)), (1.0, 2.0, 2.0, 3.0));
        assert!(weighted_quantile(&mut [], 0.5).is_nan());
        assert_eq!((median([3.0, 1.0, 2.0]), median([4.0, 1.0])), (2.0, 2.5));
    }
}
