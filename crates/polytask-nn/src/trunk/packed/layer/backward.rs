//! The hand-written backward of a layer, on the stacked rows of all tasks at once; weight gradients task by task.

use rayon::prelude::*;

use super::super::super::bert::LayerView;
use super::super::super::dropout::Site;
use super::super::super::elementwise::{activate_again, activate_backward, add};
use super::super::super::kernels::{Mat, MatMut, Threads, matmul};
use super::super::super::pool::Buf;
use super::super::super::simd::wide;
use super::super::attention::Attention;
use super::super::norm::norm_backward_rows;
use super::super::stack::{CHUNK, Group, Stack};
use super::{LayerContext, LayerSaved};

/// The gradient of a layer's wide states, before their activation.
pub(in crate::trunk) struct WideGrad {
    /// On the stacked rows, `[rows, d_ff]`.
    values: Buf,
    /// Sums over the rows of each chunk, `[chunks, d_ff]`.
    sums: Buf,
}

impl LayerContext<'_> {
    /// The narrowing product and the norm after it: `g` = dL/d output on the stacked rows becomes the gradient of the
    /// residual. With `keep` also what [`Self::widening_backward`] would compute again.
    ///
    /// # Shapes
    /// `params`: per group, one value per parameter of this part.
    pub(in crate::trunk) fn narrowing_backward(
        &self,
        view: &LayerView<&[f32]>,
        saved: &LayerSaved,
        stack: &Stack,
        (g, keep): (&mut Buf, bool),
        params: &mut [Buf],
    ) -> Option<WideGrad> {
        let (pool, d) = (self.pool, self.config.hidden_size);
        let mut branch = pool.take(stack.n_rows() * d);
        let drop = self.drop(Site::FeedForwardOut);
        let norm =
            norm_backward_rows(pool, stack, &saved.norm2, view.norm2_weight, drop, g, Some(&mut branch));
        let (active, wide) = if keep {
            let (active, wide) = self.wide_backward(view, saved, stack, &branch);
            (active, Some(wide))
        } else {
            (self.active_again(saved, stack), None)
        };
        for (group, grad) in stack.groups.iter().zip(params) {
            let grad = LayerView::parts(self.config, [&mut [], &mut [], &mut **grad]);
            outer(grad.down_weight, group, &branch, &active, d);
            Stack::reduce(group, &norm, 3 * d, 0, grad.norm2_weight);
            Stack::reduce(group, &norm, 3 * d, d, grad.norm2_bias);
            Stack::reduce(group, &norm, 3 * d, 2 * d, grad.down_bias);
        }
        wide
    }

    /// The widening product below: from the gradient of the residual to that of the feed-forward half's input.
    ///
    /// # Shapes
    /// `params`: per group, one value per parameter of this part.
    pub(in crate::trunk) fn widening_backward(
        &self,
        view: &LayerView<&[f32]>,
        saved: &LayerSaved,
        stack: &Stack,
        (g, kept): (Buf, Option<WideGrad>),
        params: &mut [Buf],
    ) -> Buf {
        let (d, f) = (self.config.hidden_size, self.config.intermediate_size);
        let wide =
            kept.unwrap_or_else(|| self.wide_backward(view, saved, stack, &self.branch_again(stack, &g)).1);
        let middle = stack.gather(self.pool, &saved.middle, d);
        for (group, grad) in stack.groups.iter().zip(params) {
            let grad = LayerView::parts(self.config, [&mut [], &mut **grad, &mut []]);
            outer(grad.up_weight, group, &wide.values, &middle, f);
            Stack::reduce(group, &wide.sums, f, 0, grad.up_bias);
        }
        self.back(&wide.values, view.up_weight, d, Some(g))
    }

    /// The attention half: gradient at the layer's input when there is something `below`, else of no meaning.
    ///
    /// # Shapes
    /// `params`: per group, one value per parameter of this half.
    pub(in crate::trunk) fn attention_backward(
        &self,
        view: &LayerView<&[f32]>,
        saved: &LayerSaved,
        stack: &Stack,
        mut g: Buf,
        below: bool,
        params: &mut [Buf],
    ) -> Buf {
        let (pool, d, n) = (self.pool, self.config.hidden_size, stack.n_rows());
        let mut branch = pool.take(n * d);
        let drop = self.drop(Site::AttentionOut);
        let norm =
            norm_backward_rows(pool, stack, &saved.norm1, view.norm1_weight, drop, &mut g, Some(&mut branch));
        let d_context = self.back(&branch, view.out_weight, d, None);
        let context = stack.gather(pool, &saved.context, d);
        let mut d_qkv = pool.take(n * 3 * d);
        let attention = Attention::new(self.config, self.batch, &saved.qkv, self.drop(Site::Attention));
        attention.backward(&saved.log_sums, stack, &d_context, &mut d_qkv);
        let qkv_bias = stack.sum_rows(pool, &d_qkv, 3 * d);
        let input = stack.gather(pool, &saved.input, d);
        for (group, grad) in stack.groups.iter().zip(params) {
            let grad = LayerView::parts(self.config, [&mut **grad, &mut [], &mut []]);
            outer(grad.out_weight, group, &branch, &context, d);
            outer(grad.qkv_weight, group, &d_qkv, &input, 3 * d);
            Stack::reduce(group, &norm, 3 * d, 0, grad.norm1_weight);
            Stack::reduce(group, &norm, 3 * d, d, grad.norm1_bias);
            Stack::reduce(group, &norm, 3 * d, 2 * d, grad.out_bias);
            Stack::reduce(group, &qkv_bias, 3 * d, 0, grad.qkv_bias);
        }
        if below { self.back(&d_qkv, view.qkv_weight, d, Some(g)) } else { g }
    }

    /// `g · weight` (+ `add`): gradient at a product's input, `[n, d_out]` → `[n, d_in]`.
    fn back(&self, g: &[f32], weight: &[f32], d_in: usize, add: Option<Buf>) -> Buf {
        let d_out = weight.len() / d_in;
        let n = g.len() / d_out;
        let adds = add.is_some();
        let mut out = add.unwrap_or_else(|| self.pool.take(n * d_in));
        let (g, weight) = (Mat::new(g, n, d_out), Mat::new(weight, d_out, d_in));
        matmul(MatMut::new(&mut out, n, d_in), adds, g, weight, 1.0, Threads::All);
        out
    }

    /// The activation of the wide states, and the gradient before it, from that at the narrowing product's output.
    fn wide_backward(
        &self,
        view: &LayerView<&[f32]>,
        saved: &LayerSaved,
        stack: &Stack,
        branch: &[f32],
    ) -> (Buf, WideGrad) {
        let f = self.config.intermediate_size;
        let mut values = self.back(branch, view.down_weight, f, None);
        let mut active = self.pool.take(values.len());
        let mut sums = self.pool.take(stack.chunks.len() * f);
        let chunks =
            stack.cut(&mut values, f).into_par_iter().zip(stack.cut(&mut active, f)).zip(&stack.chunks);
        chunks.zip(sums.par_chunks_mut(f)).for_each(|(((g, active), chunk), sums)| {
            sums.fill(0.0);
            let rows = g.chunks_exact_mut(f).zip(active.chunks_exact_mut(f)).zip(&stack.rows[chunk.clone()]);
            wide(
                #[inline(always)]
                || {
                    for ((g, active), &row) in rows {
                        let x = &saved.wide[row as usize * f..][..f];
                        activate_backward(self.config.hidden_act, x, g, active);
                        add(sums, g);
                    }
                },
            );
        });
        (active, WideGrad { values, sums })
    }

    /// The activation of the wide states once more, on the stacked rows.
    fn active_again(&self, saved: &LayerSaved, stack: &Stack) -> Buf {
        let f = self.config.intermediate_size;
        let mut active = self.pool.take(stack.n_rows() * f);
        active.par_chunks_mut(f).zip(&stack.rows).with_min_len(CHUNK).for_each(|(active, &row)| {
            wide(
                #[inline(always)]
                || activate_again(self.config.hidden_act, &saved.wide[row as usize * f..][..f], active),
            );
        });
        active
    }

    /// The gradient of the other branch once more, from that of the residual: the same dropout.
    fn branch_again(&self, stack: &Stack, g: &[f32]) -> Buf {
        let d = self.config.hidden_size;
        let mut branch = self.pool.take(g.len());
        branch.copy_from_slice(g);
        if let Some(drop) = self.drop(Site::FeedForwardOut) {
            branch.par_chunks_mut(d).zip(&stack.rows).with_min_len(CHUNK).for_each(|(branch, &row)| {
                wide(
                    #[inline(always)]
                    || drop.apply(u64::from(row), branch),
                );
            });
        }
        branch
    }
}

/// Weight gradient `gᵀ · x` over the rows of a group: `[d_out, d_in]`.
fn outer(out: &mut [f32], group: &Group, g: &[f32], x: &[f32], d_out: usize) {
    let d_in = out.len() / d_out;
    let (g, x) = (Mat::new(g, g.len() / d_out, d_out), Mat::new(x, x.len() / d_in, d_in));
    let (g, x) = (g.rows(group.rows.clone()), x.rows(group.rows.clone()));
    matmul(MatMut::new(out, d_out, d_in), false, g.t(), x, 1.0, Threads::All);
}
