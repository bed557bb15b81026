//! Layer norms of rows: what they keep, and their backward in chunks of rows.

use rayon::prelude::*;

use super::super::dropout::Dropout;
use super::super::elementwise::{add, add_product, norm_backward};
use super::super::pool::{Buf, Pool};
use super::super::simd::wide;
use super::stack::Stack;

/// What a norm keeps for its backward.
#[derive(Debug)]
pub(super) struct NormSaved {
    /// x̂, `[rows, d_hidden]`.
    pub(super) hat: Buf,
    /// 1/σ, `[rows]`.
    pub(super) inverse: Buf,
}

/// Backward of residual, dropout and norm on the stacked rows: `g` becomes the gradient of the residual branch,
/// `branch` that of the other one (before dropout).
///
/// Returns per-chunk sums `[chunks, 3, d_hidden]`: of g·x̂ (norm weight), g (norm bias) and of the other branch's
/// gradient (its bias), or of the residual's when there is no other branch.
pub(super) fn norm_backward_rows(
    pool: &Pool,
    stack: &Stack,
    saved: &NormSaved,
    weight: &[f32],
    drop: Option<Dropout>,
    g: &mut [f32],
    branch: Option<&mut [f32]>,
) -> Buf {
    let d = weight.len();
    let mut sums = pool.take(stack.chunks.len() * 3 * d);
    let branches = match branch {
        Some(branch) => stack.cut(branch, d),
        None => stack.chunks.iter().map(|_| <&mut [f32]>::default()).collect(),
    };
    let chunks =
        stack.cut(g, d).into_par_iter().zip(branches).zip(&stack.chunks).zip(sums.par_chunks_mut(3 * d));
    chunks.for_each(|(((g, branch), chunk), sums)| {
        sums.fill(0.0);
        let (for_weight, rest) = sums.split_at_mut(d);
        let (for_bias, for_branch) = rest.split_at_mut(d);
        wide(
            #[inline(always)]
            || {
                for (i, (g, &row)) in g.chunks_exact_mut(d).zip(&stack.rows[chunk.clone()]).enumerate() {
                    let hat = &saved.hat[row as usize * d..][..d];
                    add_product(for_weight, g, hat);
                    add(for_bias, g);
                    norm_backward(g, weight, hat, saved.inverse[row as usize]);
                    let Some(branch) = branch.get_mut(i * d..(i + 1) * d) else {
                        add(for_branch, g);
                        continue;
                    };
                    branch.copy_from_slice(g);
                    if let Some(drop) = &drop {
                        drop.apply(u64::from(row), branch);
                    }
                    add(for_branch, branch);
                }
            },
        );
    });
    sums
}
