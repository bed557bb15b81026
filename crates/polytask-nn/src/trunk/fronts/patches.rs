//! Patches of images (Dosovitskiy et al. 2021, <https://arxiv.org/abs/2010.11929>): an image becomes a row for each of
//! its patches, an affine map of the patch's pixels, behind rows of its own for the whole image.

use candle_core::{DType, Device, Tensor};
use polytask_core::PackedBatch;
use polytask_core::image::ImageSize;
use rayon::prelude::*;

use super::{Even, Front, FrontPass, FrontShare};
use crate::Result;
use crate::trunk::elementwise::add;
use crate::trunk::kernels::{Mat, MatMut, Threads, matmul};
use crate::trunk::layers::{Start, TensorShape};
use crate::trunk::pool::{Buf, Pool};
use crate::trunk::stack::Group;
use crate::trunk::{BlockGrad, GradSink, TaskGrad};

/// Number of different bytes.
const BYTES: usize = 256;

/// Images of bytes as values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pixels {
    pub(crate) size: ImageSize,
    /// Per channel: subtracted after the pixel was divided by 255.
    pub(crate) mean: Vec<f32>,
    /// Per channel: what it is divided by then.
    pub(crate) std: Vec<f32>,
}

/// Rows of an image: its tokens, then its patches, row by row.
#[derive(Debug)]
pub(in crate::trunk) struct Patches {
    pub(in crate::trunk) pixels: Pixels,
    /// Side of a patch, in pixels.
    pub(in crate::trunk) side: usize,
    pub(in crate::trunk) width: usize,
    /// Rows that every image begins with, one or several in a tensor.
    pub(in crate::trunk) tokens: Vec<TensorShape>,
    /// Name of the map, without `.weight`.
    pub(in crate::trunk) map: String,
    /// Whether the map has a bias.
    pub(in crate::trunk) has_bias: bool,
}

impl Patches {
    fn n_tokens(&self) -> usize {
        self.tokens.iter().map(|tokens| tokens.len() / self.width).sum()
    }

    /// Patches down and across.
    pub(in crate::trunk) fn grid(&self) -> (usize, usize) {
        (self.pixels.size.height / self.side, self.pixels.size.width / self.side)
    }

    fn n_patches(&self) -> usize {
        self.grid().0 * self.grid().1
    }

    /// Pixels of a patch, all channels.
    fn d_patch(&self) -> usize {
        self.pixels.size.channels * self.side * self.side
    }

    fn n_rows(&self) -> usize {
        self.n_tokens() + self.n_patches()
    }

    /// The values of a patch, channel by channel, row by row.
    fn write_patch(&self, bytes: &[u32], patch: usize, values: &mut [f32]) {
        let (ImageSize { height, width, .. }, side) = (self.pixels.size, self.side);
        let (top, left) = (patch / self.grid().1 * side, patch % self.grid().1 * side);
        for (i, row) in values.chunks_exact_mut(side).enumerate() {
            let (channel, y) = (i / side, top + i % side);
            let first = (channel * height + y) * width + left;
            let (mean, std) = (self.pixels.mean[channel], self.pixels.std[channel]);
            let pixels = &bytes[first..first + side];
            row.iter_mut().zip(pixels).for_each(|(to, &byte)| *to = (byte as f32 / 255.0 - mean) / std);
        }
    }

    /// The patches of some images, `[images · patches, d_patch]`.
    fn patches(&self, pool: &Pool, symbols: &PackedBatch, images: &[usize]) -> Buf {
        let (n, d) = (self.n_patches(), self.d_patch());
        let mut values = pool.take(images.len() * n * d);
        values.par_chunks_mut(d.max(1)).enumerate().for_each(|(row, values)| {
            self.write_patch(&symbols.ids[symbols.rows(images[row / n])], row % n, values);
        });
        values
    }

    /// Number of values of the tokens, which lie before the map.
    fn tokens_len(&self) -> usize {
        self.n_tokens() * self.width
    }

    /// The gradient of a task: of tokens, map and bias.
    fn group_grad(&self, pass: &FrontPass<'_>, share: &FrontShare<'_>, group: &Group) -> Buf {
        let (n_rows, n_tokens, d) = (self.n_rows(), self.n_tokens(), self.width);
        let mut grad = pass.pool.zeros(self.tensors().iter().map(TensorShape::len).sum());
        let starts: Vec<usize> = group.rows.clone().step_by(n_rows).collect();
        let image = |&row: &usize| share.stack.rows[row] as usize / n_rows;
        let x = self.patches(pass.pool, pass.symbols, &starts.iter().map(image).collect::<Vec<_>>());
        let mut g = pass.pool.take(starts.len() * self.n_patches() * d);
        let (tokens, map) = grad.split_at_mut(self.tokens_len());
        let (weight, bias) = map.split_at_mut(d * self.d_patch());
        for (&start, to) in starts.iter().zip(g.chunks_exact_mut(self.n_patches() * d)) {
            let own = &share.g[start * d..(start + n_rows) * d];
            add(tokens, &own[..n_tokens * d]);
            to.copy_from_slice(&own[n_tokens * d..]);
        }
        if self.has_bias {
            g.chunks_exact(d).for_each(|row| add(bias, row));
        }
        let rows = g.len() / d;
        let (g, x) = (Mat::new(&g, rows, d), Mat::new(&x, rows, self.d_patch()));
        matmul(MatMut::new(weight, d, self.d_patch()), false, g.t(), x, 1.0, Threads::All);
        grad
    }
}

impl Front for Patches {
    fn name(&self) -> &'static str {
        "patches"
    }

    fn tensors(&self) -> Vec<TensorShape> {
        let (side, channels) = (self.side, self.pixels.size.channels);
        let (name, shape) = (format!("{}.weight", self.map), vec![self.width, channels, side, side]);
        let weight = TensorShape { name, shape, start: Start::Normal };
        let bias = TensorShape::vector(&format!("{}.bias", self.map), self.width, Start::Zero);
        self.tokens.iter().cloned().chain([weight]).chain(self.has_bias.then_some(bias)).collect()
    }

    fn width(&self) -> usize {
        self.width
    }

    fn vocab_size(&self) -> usize {
        BYTES
    }

    fn even(&self) -> Option<Even> {
        Some(Even { symbols: self.pixels.size.len(), rows: self.n_rows() })
    }

    fn forward(&self, pass: FrontPass<'_>, out: &mut [f32]) {
        let (d, n) = (self.width, self.n_patches());
        let (tokens, map) = pass.values.split_at(self.tokens_len());
        let (weight, bias) = map.split_at(d * self.d_patch());
        let images: Vec<usize> = (0..pass.symbols.n_sequences()).collect();
        let x = self.patches(pass.pool, pass.symbols, &images);
        let mut y = pass.pool.take(images.len() * n * d);
        let (rows, weight) =
            (Mat::new(&x, images.len() * n, self.d_patch()), Mat::new(weight, d, self.d_patch()));
        matmul(MatMut::new(&mut y, images.len() * n, d), false, rows, weight.t(), 1.0, pass.threads);
        for (to, y) in out.chunks_exact_mut(self.n_rows() * d).zip(y.chunks_exact(n * d)) {
            let (first, patches) = to.split_at_mut(tokens.len());
            first.copy_from_slice(tokens);
            patches.copy_from_slice(y);
            if self.has_bias {
                patches.chunks_exact_mut(d).for_each(|row| add(row, bias));
            }
        }
    }

    fn backward(
        &self,
        pass: FrontPass<'_>,
        shares: &[FrontShare<'_>],
        block: usize,
        sink: &mut dyn GradSink<f32>,
    ) -> Result<()> {
        let groups =
            shares.iter().flat_map(|share| share.stack.groups.iter().map(move |group| (share, group)));
        let grads: Vec<(usize, Buf)> =
            groups.map(|(share, group)| (group.task, self.group_grad(&pass, share, group))).collect();
        let grads: Vec<TaskGrad<'_>> =
            grads.iter().map(|(task, grad)| TaskGrad { task: *task, grad: BlockGrad::Dense(grad) }).collect();
        sink.block(block, &grads)
    }

    fn plain(&self, tensors: &[Tensor], symbols: &PackedBatch) -> Result<Tensor> {
        let (n, d_patch) = (self.n_patches(), self.d_patch());
        let (tokens, map) = tensors.split_at(self.tokens.len());
        let (weight, bias) = (map[0].reshape((self.width, d_patch))?, map.get(1));
        let mut rows = Vec::new();
        for image in 0..symbols.n_sequences() {
            let mut x = vec![0.0f32; n * d_patch];
            let bytes = &symbols.ids[symbols.rows(image)];
            x.chunks_exact_mut(d_patch).enumerate().for_each(|(i, x)| self.write_patch(bytes, i, x));
            let x = Tensor::from_vec(x, (n, d_patch), &Device::Cpu)?.to_dtype(DType::F64)?;
            let x = x.to_dtype(weight.dtype())?;
            for token in tokens {
                rows.push(token.reshape(((), self.width))?);
            }
            let x = x.matmul(&weight.t()?)?;
            rows.push(bias.map_or(Ok(x.clone()), |bias| x.broadcast_add(bias))?);
        }
        Ok(Tensor::cat(&rows, 0)?)
    }
}
