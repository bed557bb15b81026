//! Model Stock (Jang et al. 2024): towards the mean of the models, the further the more their task vectors agree.

use super::{Prepared, Weighted};
use crate::Result;
use crate::tensor::{Block, Tensor, dot, gram};

/// Products of norms below this count as this.
const SHORTEST: f64 = 1e-6;

/// The share of the mean: `k c / (1 + (k-1) c)` of the mean cosine `c` of pairs.
fn share(g: &[Vec<f64>]) -> f64 {
    let k = g.len();
    let cosine = |i: usize, j: usize| (g[i][j] / (g[i][i] * g[j][j]).sqrt().max(SHORTEST)).clamp(-1.0, 1.0);
    let pairs: Vec<f64> =
        (0..k).flat_map(|i| (i + 1..k).map(move |j| (i, j))).map(|(i, j)| cosine(i, j)).collect();
    let (c, k) = (pairs.iter().sum::<f64>() / pairs.len() as f64, k as f64);
    let below = 1.0 + (k - 1.0) * c;
    if below.abs() < 1e-6 { 0.0 } else { k * c / below }
}

/// One share for the tensor.
pub(super) fn flat(tensor: &Tensor<'_>) -> Result<Box<dyn Prepared>> {
    let t = share(&gram(tensor)?);
    let n = tensor.n_models();
    Ok(Box::new(Weighted { base: 1.0 - t, models: vec![t / n as f64; n], of_deltas: false }))
}

/// A share per row of the last axis.
pub(super) fn by_rows(tensor: &Tensor<'_>) -> Box<dyn Prepared> {
    Box::new(Rows { row: tensor.row() })
}

struct Rows {
    row: usize,
}

impl Prepared for Rows {
    fn unit(&self) -> usize {
        self.row
    }

    fn apply(&self, block: &Block<'_>) -> Vec<f32> {
        let (base, deltas, n) = (block.base(), block.deltas(), block.models.len());
        let mut out = Vec::with_capacity(base.len());
        for at in (0..base.len()).step_by(self.row) {
            let rows: Vec<&[f32]> = deltas.iter().map(|delta| &delta[at..at + self.row]).collect();
            let g: Vec<Vec<f64>> = rows.iter().map(|a| rows.iter().map(|b| dot(a, b)).collect()).collect();
            let t = share(&g);
            out.extend((at..at + self.row).map(|i| {
                let mean = block.models.iter().map(|model| f64::from(model[i])).sum::<f64>() / n as f64;
                (t * mean + (1.0 - t) * f64::from(base[i])) as f32
            }));
        }
        out
    }
}
