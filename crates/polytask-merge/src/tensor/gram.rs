//! Inner products of what models add, without holding them.

use super::{Tensor, dot};
use crate::Result;

/// `[n][n]` inner products of the models' deltas to the base, or of the models where there is none.
pub(crate) fn gram(tensor: &Tensor<'_>) -> Result<Vec<Vec<f64>>> {
    let n = tensor.n_models();
    let sums = tensor.sums(n * n, |block| {
        let deltas = block.deltas();
        let of = |at: usize| if at % n >= at / n { dot(&deltas[at / n], &deltas[at % n]) } else { 0.0 };
        (0..n * n).map(of).collect()
    })?;
    Ok((0..n).map(|i| (0..n).map(|j| sums[i.min(j) * n + i.max(j)]).collect()).collect())
}
