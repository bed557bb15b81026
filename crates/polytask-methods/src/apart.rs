//! How well a number tells some things from others.

/// Area under the ROC curve: how often a marked thing has a larger score than another one, equal scores counted half;
/// one half where either kind is missing.
pub(crate) fn auc(scores: &[f64], is_marked: &[bool]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let n_marked = is_marked.iter().filter(|marked| **marked).count() as f64;
    let n_others = scores.len() as f64 - n_marked;
    if n_marked == 0.0 || n_others == 0.0 {
        return 0.5;
    }
    let (mut below, mut wins) = (0.0, 0.0);
    for equal in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let marked = equal.iter().filter(|&&at| is_marked[at]).count() as f64;
        let others = equal.len() as f64 - marked;
        wins += marked * (below + others / 2.0);
        below += others;
    }
    wins / (n_marked * n_others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_counts_pairs_in_the_right_order_and_ties_half() {
        let marked = [false, true, false, true];
        assert_eq!(auc(&[0.1, 0.2, 0.3, 0.4], &marked), 0.75);
        assert_eq!(auc(&[0.1, 0.2, 0.2, 0.4], &marked), 0.875);
        assert_eq!(auc(&[1.0; 4], &marked), 0.5);
        assert_eq!(auc(&[1.0; 4], &[true; 4]), 0.5);
    }
}
