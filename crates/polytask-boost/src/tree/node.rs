//! Sums of a node and what they are worth.
//!
//! Sums of K margins are `[1 + 2 K]`: rows, then slope and curvature of each margin.

use crate::params::TreeParams;

/// Curvature at or below which a margin has no known row: subtraction leaves about as much.
const NOTHING: f64 = 1e-10;
/// Gain at or below which a split is noise.
pub(super) const LEAST_GAIN: f64 = 1e-6;

fn soft(slope: f64, alpha: f64) -> f64 {
    if slope > alpha {
        slope - alpha
    } else if slope < -alpha {
        slope + alpha
    } else {
        0.0
    }
}

#[inline]
fn worth(slope: f64, curvature: f64, params: &TreeParams) -> f64 {
    if curvature <= NOTHING {
        return 0.0;
    }
    let slope = soft(slope, params.alpha);
    slope * slope / (curvature + params.lambda)
}

/// What a node with these sums takes off the loss, twice.
pub(super) fn score(sums: &[f64], params: &TreeParams) -> f64 {
    sums[1..].chunks_exact(2).map(|margin| worth(margin[0], margin[1], params)).sum()
}

/// The scores of two children, where both may be.
#[inline]
pub(super) fn score_of_both(left: &[f64], parent: &[f64], params: &TreeParams) -> Option<f64> {
    let least_rows = params.min_data_in_leaf as f64;
    if left[0] < least_rows || parent[0] - left[0] < least_rows {
        return None;
    }
    let (mut score, mut below, mut above) = (0.0, 0.0, 0.0);
    for (l, p) in left[1..].chunks_exact(2).zip(parent[1..].chunks_exact(2)) {
        let (slope, curvature) = (p[0] - l[0], p[1] - l[1]);
        score += worth(l[0], l[1], params) + worth(slope, curvature, params);
        below += l[1];
        above += curvature;
    }
    let least = params.min_child_weight * (left.len() / 2) as f64;
    (below >= least && above >= least).then_some(score)
}

/// What a leaf with these sums adds to each margin.
pub(super) fn write_values(sums: &[f64], params: &TreeParams, out: &mut Vec<f64>) {
    out.extend(sums[1..].chunks_exact(2).map(|margin| {
        if margin[1] <= 0.0 {
            return 0.0;
        }
        let step = -soft(margin[0], params.alpha) / (margin[1] + params.lambda);
        let most = if params.max_delta_step > 0.0 { params.max_delta_step } else { f64::INFINITY };
        params.learning_rate * step.clamp(-most, most)
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_children_of_vector_leaves_are_checked() {
        let params = TreeParams { min_child_weight: 150.0, ..TreeParams::default() };
        // Two margins with 200 rows each; 50 of them on one side.
        let (parent, small) = ([200.0, 3.0, 200.0, 3.0, 200.0], [50.0, 9.0, 50.0, 9.0, 50.0]);
        let large = [150.0, -6.0, 150.0, -6.0, 150.0];
        assert!(score_of_both(&small, &parent, &params).is_none());
        assert!(score_of_both(&large, &parent, &params).is_none());
        let lower = TreeParams { min_child_weight: 50.0, ..params };
        assert!(score_of_both(&small, &parent, &lower).is_some());
    }

    #[test]
    fn a_leaf_without_known_rows_of_a_margin_adds_nothing_to_it() {
        let params = TreeParams { lambda: 0.0, learning_rate: 1.0, ..TreeParams::default() };
        let mut values = Vec::new();
        write_values(&[3.0, 0.0, 0.0, -6.0, 3.0], &params, &mut values);
        assert_eq!(values, [0.0, 2.0]);
        assert_eq!(score(&[3.0, 1e-16, 1e-17, -6.0, 3.0], &params), 12.0);
    }

    #[test]
    fn penalties_shrink_and_cap_a_leaf() {
        let params = TreeParams { lambda: 1.0, alpha: 2.0, max_delta_step: 0.5, ..TreeParams::default() };
        let mut values = Vec::new();
        write_values(&[3.0, -6.0, 3.0, 1.0, 3.0, 2.8, 3.0], &params, &mut values);
        let expected = [0.1 * 0.5, 0.0, -0.1 * (2.8 - 2.0) / 4.0];
        assert!(
            values.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12),
            "{values:?}"
        );
    }
}
