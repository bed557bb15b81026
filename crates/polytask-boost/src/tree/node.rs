//! What sums of a node are worth.

use super::candidate::Parent;
use super::lanes::{Count, Lanes, NOTHING};
use crate::params::TreeParams;

fn soft(slope: f64, alpha: f64) -> f64 {
    if slope > alpha {
        slope - alpha
    } else if slope < -alpha {
        slope + alpha
    } else {
        0.0
    }
}

/// What sums of a margin take off the loss.
#[derive(Clone, Copy)]
pub(super) struct Worth {
    alpha: f64,
    lambda: f64,
}

impl Worth {
    pub(super) fn new(params: &TreeParams) -> Self {
        Self { alpha: params.alpha, lambda: params.lambda }
    }

    /// Of these sums, twice.
    #[inline(always)]
    #[allow(clippy::inline_always)] // A call for each cut would cost more than what is reckoned.
    pub(super) fn of(self, slope: f64, curvature: f64) -> f64 {
        // The square of the slope after the L1 penalty, without its sign.
        let slope = (slope.abs() - self.alpha).max(0.0);
        let worth = slope * slope / (curvature + self.lambda);
        if curvature <= NOTHING { 0.0 } else { worth }
    }
}

/// What a node with these sums takes off the loss, twice.
pub(super) fn score(sums: &[f64], lanes: Lanes, params: &TreeParams) -> f64 {
    let worth = Worth::new(params);
    lanes.margins(sums).map(|margin| worth.of(margin[0], margin[1])).sum()
}

/// The scores of two children, where both may be.
pub(super) fn score_of_both(left: &[f64], parent: Parent<'_>) -> Option<f64> {
    let Parent { sums, lanes, params, .. } = parent;
    let worth = Worth::new(params);
    let (mut score, mut below, mut above) = (0.0, 0.0, 0.0);
    for (l, p) in lanes.margins(left).zip(lanes.margins(sums)) {
        let (slope, curvature) = (p[0] - l[0], p[1] - l[1]);
        score += worth.of(l[0], l[1]) + worth.of(slope, curvature);
        below += l[1];
        above += curvature;
    }
    let (rows, all) = (lanes.rows(left), lanes.rows(sums));
    let others = if lanes.count == Count::Any { f64::from(u8::from(above > NOTHING)) } else { all - rows };
    Bars::new(parent).pass([rows, below], [others, above]).then_some(score)
}

/// What both children need.
#[derive(Clone, Copy)]
pub(super) struct Bars {
    rows: f64,
    curvature: f64,
}

impl Bars {
    pub(super) fn new(parent: Parent<'_>) -> Self {
        let Parent { lanes, params, .. } = parent;
        Self { rows: params.min_data_in_leaf as f64, curvature: params.min_child_weight * lanes.width as f64 }
    }

    /// Whether two children, rows and curvature of each, may be.
    #[inline]
    pub(super) fn pass(self, left: [f64; 2], right: [f64; 2]) -> bool {
        let may = |[rows, curvature]: [f64; 2]| rows >= self.rows && curvature >= self.curvature;
        may(left) && may(right)
    }
}

/// What a leaf with these sums adds to each margin.
pub(super) fn write_values(sums: &[f64], lanes: Lanes, params: &TreeParams, out: &mut Vec<f64>) {
    out.extend(lanes.margins(sums).map(|margin| {
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

    fn lanes(width: usize, count: Count) -> Lanes {
        Lanes { width, count }
    }

    #[test]
    fn both_children_of_vector_leaves_are_checked() {
        // Two margins with 200 rows each; 50 of them on one side.
        let (all, small) = ([3.0, 200.0, 3.0, 200.0, 200.0], [9.0, 50.0, 9.0, 50.0, 50.0]);
        let large = [-6.0, 150.0, -6.0, 150.0, 150.0];
        for count in [Count::Curvature, Count::Own, Count::Any] {
            let lanes = lanes(2, count);
            let score = |left: &[f64], params: &TreeParams| {
                let parent = Parent { sums: &all[..lanes.n()], lanes, score: 0.0, params };
                score_of_both(&left[..lanes.n()], parent)
            };
            let high = TreeParams { min_child_weight: 150.0, ..TreeParams::default() };
            assert!(score(&small, &high).is_none());
            assert!(score(&large, &high).is_none());
            let lower = TreeParams { min_child_weight: 50.0, ..high };
            assert!(score(&small, &lower).is_some());
            let rows = TreeParams { min_data_in_leaf: 51, ..lower };
            assert!(score(&small, &rows).is_none(), "{count:?}");
            // Nothing on one side, as subtraction leaves it.
            let nothing = [0.0, 1e-14, 0.0, 1e-14, 0.0];
            let least = TreeParams { min_child_weight: 0.0, ..TreeParams::default() };
            assert!(score(&nothing, &least).is_none(), "{count:?}");
        }
    }

    #[test]
    fn a_leaf_without_known_rows_of_a_margin_adds_nothing_to_it() {
        let params = TreeParams { lambda: 0.0, learning_rate: 1.0, ..TreeParams::default() };
        let (mut values, lanes) = (Vec::new(), lanes(2, Count::Any));
        write_values(&[0.0, 0.0, -6.0, 3.0], lanes, &params, &mut values);
        assert_eq!(values, [0.0, 2.0]);
        assert_eq!(score(&[1e-16, 1e-17, -6.0, 3.0], lanes, &params), 12.0);
    }

    #[test]
    fn penalties_shrink_and_cap_a_leaf() {
        let params = TreeParams { lambda: 1.0, alpha: 2.0, max_delta_step: 0.5, ..TreeParams::default() };
        let mut values = Vec::new();
        write_values(&[-6.0, 3.0, 1.0, 3.0, 2.8, 3.0], lanes(3, Count::Any), &params, &mut values);
        let expected = [0.1 * 0.5, 0.0, -0.1 * (2.8 - 2.0) / 4.0];
        assert!(
            values.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12),
            "{values:?}"
        );
    }
}
