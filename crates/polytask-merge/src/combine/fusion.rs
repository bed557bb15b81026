//! Arcee Fusion: of the other model only the entries that stand out, by how much they moved and how much the softmax of
//! their row changed.

use super::Prepared;
use crate::Result;
use crate::parts::{key, keys_of_ranks};
use crate::tensor::{Block, Tensor};

/// Added to probabilities.
const NOTHING: f32 = 1e-8;

/// Keeps what lies 1.5 times the middle half's width above the median. The quantiles are exact for every size, where
/// mergekit draws a sample of a million.
pub(super) fn prepare(tensor: &Tensor<'_>) -> Result<Box<dyn Prepared>> {
    let (row, n) = (tensor.row(), tensor.len());
    let ranks = [0.25, 0.5, 0.75].map(|share| (share * n.saturating_sub(1) as f64) as usize);
    let keys = |block: &Block<'_>| vec![scores(block, row).into_iter().map(key).collect()];
    let found = keys_of_ranks(tensor, row, &keys, &ranks)?;
    let value = |key: u32| f32::from_bits(if key >> 31 == 1 { key ^ 1 << 31 } else { !key });
    let [low, middle, high] = [value(found[0]), value(found[1]), value(found[2])];
    Ok(Box::new(Fusion { row, least: middle + 1.5 * (high - low) }))
}

struct Fusion {
    row: usize,
    least: f32,
}

/// `|M - B|` times the divergence of the row's softmax.
fn scores(block: &Block<'_>, row: usize) -> Vec<f32> {
    let base = block.base();
    let mut out = Vec::with_capacity(base.len());
    for (m, b) in block.models[0].chunks(row).zip(base.chunks(row)) {
        let (p, q) = (softmax(m), softmax(b));
        let divergence: f32 = p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum();
        out.extend(m.iter().zip(b).map(|(m, b)| (m - b).abs() * divergence));
    }
    out
}

fn softmax(row: &[f32]) -> Vec<f32> {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let raised: Vec<f32> = row.iter().map(|v| (v - most).exp()).collect();
    let sum: f32 = raised.iter().sum();
    raised.into_iter().map(|v| v / sum + NOTHING).collect()
}

impl Prepared for Fusion {
    fn unit(&self) -> usize {
        self.row
    }

    fn apply(&self, block: &Block<'_>) -> Vec<f32> {
        let base = block.base();
        let moved = scores(block, self.row).into_iter().zip(block.models[0].iter().zip(base.iter()));
        moved.map(|(score, (m, b))| if score >= self.least { b + (m - b) } else { *b }).collect()
    }
}
