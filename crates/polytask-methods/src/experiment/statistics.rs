//! Means over seeds and their intervals.

/// Two-sided 95 % points of Student's t with 1 to 30 degrees of freedom.
const T95: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

fn t95(freedom: usize) -> f64 {
    // Beyond the table the first terms of the expansion in 1/freedom are exact to 0.001.
    T95.get(freedom - 1).copied().unwrap_or_else(|| 1.96 + 2.37 / freedom as f64)
}

/// The mean of some values; `None` without any.
pub(super) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The 95 % interval of the mean by Student's t; `None` with fewer than two values.
pub(super) fn interval(values: &[f64]) -> Option<[f64; 2]> {
    let (n, mean) = (values.len(), mean(values)?);
    if n < 2 {
        return None;
    }
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
    let half = t95(n - 1) * (variance / n as f64).sqrt();
    Some([mean - half, mean + half])
}

/// The middle value; 0 without any.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_students_t() {
        // By hand: mean 88.2, variance 0.34 / 4, t of 4 degrees 2.776, so 88.2 ± 2.776 · 0.1304.
        let [low, high] = interval(&[88.1, 88.4, 87.9, 88.6, 88.0]).unwrap();
        assert!((low - 87.838).abs() < 2e-3 && (high - 88.562).abs() < 2e-3, "{low} {high}");
        assert_eq!(interval(&[1.0]), None);
        assert_eq!((mean(&[]), median(vec![3.0, 1.0, 2.0])), (None, 2.0));
    }

    #[test]
    fn beyond_the_table_t_falls_on_smoothly_to_the_normal_point() {
        assert!((t95(40) - 2.021).abs() < 2e-3 && (t95(120) - 1.980).abs() < 1e-3 && t95(31) < t95(30));
    }
}
