//! Work on rows one by one, in fixed chunks that threads share.
#![allow(clippy::inline_always)] // code must land in the caller that was compiled for wide vectors

use rayon::prelude::*;

use crate::trunk::kernels::Threads;
use crate::trunk::simd::wide;
use crate::trunk::stack::CHUNK;

/// Runs `f` on every row of `width` values, with its number.
pub(in crate::trunk) fn each_row(
    threads: Threads,
    x: &mut [f32],
    width: usize,
    f: impl Fn(usize, &mut [f32]) + Sync,
) {
    x.par_chunks_mut(CHUNK * width).enumerate().with_min_len(threads.least()).for_each(|(c, rows)| {
        wide(
            #[inline(always)]
            || {
                for (i, row) in rows.chunks_exact_mut(width).enumerate() {
                    f(c * CHUNK + i, row);
                }
            },
        );
    });
}
