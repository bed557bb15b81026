//! How long each layer of a network takes.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::Packed;
use crate::trunk::graph::{FRONT, Graph};
use crate::trunk::kernels::{Mat, MatMut, Threads, matmul};

/// A layer's place: its block, and its number among the block's nodes.
type LayerPlace = (usize, usize);

/// Times of layers, added up over all passes since the last reset.
#[derive(Debug, Default)]
pub(super) struct Clock {
    forward: Mutex<BTreeMap<LayerPlace, Duration>>,
    backward: Mutex<BTreeMap<LayerPlace, Duration>>,
}

/// Which half of a training step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Half {
    Forward,
    Backward,
}

impl Clock {
    /// Runs `work` and notes how long it took.
    pub(super) fn time<R>(
        clock: Option<&Self>,
        half: Half,
        place: LayerPlace,
        work: impl FnOnce() -> R,
    ) -> R {
        let Some(clock) = clock else { return work() };
        let start = Instant::now();
        let result = work();
        let times = match half {
            Half::Forward => &clock.forward,
            Half::Backward => &clock.backward,
        };
        *times.lock().expect("no thread panics with the lock").entry(place).or_default() += start.elapsed();
        result
    }

    /// Forgets all times.
    pub(super) fn reset(&self) {
        for times in [&self.forward, &self.backward] {
            times.lock().expect("no thread panics with the lock").clear();
        }
    }

    /// The times of all layers of a network, lowest first.
    pub(super) fn layers(&self, graph: &Graph) -> Vec<LayerTime> {
        let of = |half: &Mutex<BTreeMap<LayerPlace, Duration>>, place| {
            half.lock().expect("no thread panics with the lock").get(&place).copied().unwrap_or_default()
        };
        let time = |place: LayerPlace, layer: String, product| LayerTime {
            layer,
            product,
            forward: of(&self.forward, place),
            backward: of(&self.backward, place),
        };
        let front = time((FRONT, 0), graph.front.name().to_owned(), None);
        let blocks = graph.blocks.iter().enumerate().flat_map(|(b, block)| {
            block.nodes.iter().enumerate().map(move |(i, node)| {
                let product = node.layer.matrix().map(|(matrix, _)| (matrix.d_in, matrix.d_out()));
                time((b + 1, i), node.layer.label(), product)
            })
        });
        std::iter::once(front).chain(blocks).collect()
    }
}

impl Packed {
    /// The same, which times its layers.
    #[must_use]
    pub fn timed(self) -> Self {
        Self { clock: Some(Clock::default()), ..self }
    }

    /// The times of its layers since the last call, lowest first; none unless it is [`Packed::timed`].
    pub fn take_times(&self) -> Vec<LayerTime> {
        let Some(clock) = &self.clock else { return Vec::new() };
        let times = clock.layers(&self.graph);
        clock.reset();
        times
    }
}

/// How long a layer took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerTime {
    /// What it is, with the last names of its tensors.
    pub layer: String,
    /// Values per row that go into its product and come out of it.
    pub product: Option<(usize, usize)>,
    /// Of all forward passes.
    pub forward: Duration,
    /// Of all backward passes.
    pub backward: Duration,
}

/// The time of a product `[rows, d_in] · [d_in, d_out]` by itself on all threads: what a layer with such a matrix takes
/// at least in its forward, and twice in its backward.
pub fn bare_product(rows: usize, (d_in, d_out): (usize, usize)) -> Duration {
    let values = |n: usize| -> Vec<f32> { (0..n).into_par_iter().map(|i| (i % 13) as f32 - 6.0).collect() };
    let (x, weight, mut out) = (values(rows * d_in), values(d_in * d_out), vec![0.0; rows * d_out]);
    let start = Instant::now();
    rayon::scope(|_| {
        let (x, weight) = (Mat::new(&x, rows, d_in), Mat::new(&weight, d_out, d_in));
        matmul(MatMut::new(&mut out, rows, d_out), false, x, weight.t(), 1.0, Threads::All);
    });
    std::hint::black_box(&out);
    start.elapsed()
}
