//! Spherical interpolation with an angle per row or per column instead of one per tensor.

use super::sphere::{arc, share};
use super::{Prepared, Setting};
use crate::Result;
use crate::tensor::{Block, Tensor, dot};

/// Norms below this count as this.
const SHORTEST: f64 = 1e-7;

/// One angle per vector along the last axis; along the first with `nuslerp_row_wise`.
pub(super) fn nu_slerp(tensor: &Tensor<'_>, setting: &Setting) -> Result<Box<dyn Prepared>> {
    let (t, row, has_base) = (share(setting), tensor.row(), tensor.has_base());
    let columns = if setting.flag("nuslerp_row_wise") && tensor.shape.len() > 1 {
        Some(columns(tensor, t)?)
    } else {
        None
    };
    Ok(Box::new(Rows { t, row, has_base, columns }))
}

struct Rows {
    t: f64,
    row: usize,
    has_base: bool,
    /// Factors of the two models by column.
    columns: Option<Vec<(f64, f64)>>,
}

/// The factors of each vector along the first axis.
fn columns(tensor: &Tensor<'_>, t: f64) -> Result<Vec<(f64, f64)>> {
    let n = tensor.slice();
    let mut sums = vec![[0.0_f64; 3]; n];
    let of = |block: &Block<'_>| {
        let (a, b) = (block.delta(0), block.delta(1));
        let mut part = vec![[0.0_f64; 3]; n];
        for (i, (a, b)) in a.iter().zip(&b).enumerate() {
            let (a, b, part) = (f64::from(*a), f64::from(*b), &mut part[i % n]);
            part[0] += a * a;
            part[1] += b * b;
            part[2] += a * b;
        }
        part
    };
    tensor.fold(n, of, |part| {
        for (sum, part) in sums.iter_mut().zip(part) {
            (0..3).for_each(|i| sum[i] += part[i]);
        }
        Ok(())
    })?;
    Ok(sums.into_iter().map(|[a, b, ab]| factors(t, a, b, ab)).collect())
}

/// Factors of two vectors with these squares and this product.
fn factors(t: f64, a: f64, b: f64, ab: f64) -> (f64, f64) {
    let cosine = (ab / (a.sqrt().max(SHORTEST) * b.sqrt().max(SHORTEST))).clamp(-1.0, 1.0);
    let is_straight = 1.0 - cosine * cosine <= 1e-16;
    arc(t, if is_straight { 0.0 } else { cosine.acos() })
}

impl Prepared for Rows {
    fn unit(&self) -> usize {
        match &self.columns {
            Some(columns) => columns.len(),
            None => self.row,
        }
    }

    fn apply(&self, block: &Block<'_>) -> Vec<f32> {
        let (a, b) = (block.delta(0), block.delta(1));
        let sum = |(a, b): (&f32, &f32), (f, g): (f64, f64)| f * f64::from(*a) + g * f64::from(*b);
        let mut out: Vec<f64> = Vec::with_capacity(a.len());
        for (a, b) in a.chunks(self.unit()).zip(b.chunks(self.unit())) {
            let pairs = a.iter().zip(b);
            if let Some(columns) = &self.columns {
                out.extend(pairs.zip(columns).map(|(pair, f)| sum(pair, *f)));
            } else {
                let f = factors(self.t, dot(a, a), dot(b, b), dot(a, b));
                out.extend(pairs.map(|pair| sum(pair, f)));
            }
        }
        if self.has_base {
            out.iter_mut().zip(block.base().iter()).for_each(|(v, b)| *v += f64::from(*b));
        }
        out.into_iter().map(|v| v as f32).collect()
    }
}
