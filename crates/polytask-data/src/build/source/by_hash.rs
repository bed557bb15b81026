//! Which rows are kept, and which become valid: by hash, so that neither hangs on their order.

use polytask_core::rng;

use super::row::Row;

/// Keeps the rows of lowest hash, in the order of the file.
pub(super) fn keep_lowest(rows: &mut Vec<Row>, n: usize) {
    if rows.len() > n {
        // Not the hash that decides about valid: the two choices must be independent.
        rows.sort_by_cached_key(|row| (rng::at(row.hash, 1), row.line));
        rows.truncate(n);
        rows.sort_by_key(|row| row.line);
    }
}

/// Which rows of train stay there when a share becomes valid, by hash: the same for any order of the rows,
/// equal texts on one side. `None` when nothing can be cut.
pub(super) fn cut(hashes: &[u64], share: f64) -> Option<Vec<bool>> {
    let unit = |hash: u64| (rng::at(hash, 0) >> 11) as f64 / (1_u64 << 53) as f64;
    let lowest = hashes.iter().map(|&hash| unit(hash)).fold(f64::INFINITY, f64::min);
    let mut is_train: Vec<bool> = hashes.iter().map(|&hash| unit(hash) >= share).collect();
    if share > 0.0 && is_train.iter().all(|&stays| stays) {
        is_train = hashes.iter().map(|&hash| unit(hash) > lowest).collect();
    }
    let n_train = is_train.iter().filter(|stays| **stays).count();
    (n_train > 0 && n_train < hashes.len()).then_some(is_train)
}
