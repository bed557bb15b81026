//! Cosine of two vectors: no parameters.

use candle_core::Tensor;

use super::{Head, HeadRows, Pairing, pair};
use crate::Result;

/// Squared lengths up to this count as zero; a zero vector has cosine 0 and no gradient.
const SMALLEST_SQUARE: f64 = 1e-24;

/// Cosine of row i with row i `[rows, 1]`, or of all with all `[queries, passages]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cosine {
    /// Values per leaf row.
    pub d_in: usize,
}

impl Head for Cosine {
    fn n_inputs(&self) -> usize {
        2
    }

    fn d_in(&self) -> usize {
        self.d_in
    }

    fn n_outputs(&self) -> usize {
        1
    }

    fn output(&self, _weights: &[Tensor], inputs: &[HeadRows], pairing: Pairing) -> Result<Tensor> {
        let (a, b) = pair("cosine head", inputs)?;
        let (a, b) = (unit(a)?, unit(b)?);
        match pairing {
            Pairing::Rows => Ok((a * b)?.sum_keepdim(1)?), // [rows, 1]
            Pairing::Cross => Ok(a.matmul(&b.t()?)?),      // [queries, passages]
        }
    }

    fn jvp(
        &self,
        _weights: &[Tensor],
        inputs: &[HeadRows],
        directions: &[HeadRows],
        pairing: Pairing,
    ) -> Result<Tensor> {
        let ((a, b), (da, db)) = (pair("cosine head", inputs)?, pair("cosine head", directions)?);
        let (da, db) = (unit_jvp(a, da)?, unit_jvp(b, db)?);
        let (a, b) = (unit(a)?, unit(b)?);
        match pairing {
            Pairing::Rows => Ok(((da * b)? + (a * db)?)?.sum_keepdim(1)?), // [rows, 1]
            Pairing::Cross => Ok((da.matmul(&b.t()?)? + a.matmul(&db.t()?)?)?), // [queries, passages]
        }
    }
}

/// Rows scaled to length 1.
fn unit(x: &Tensor) -> Result<Tensor> {
    Ok(x.broadcast_mul(&scale(x)?)?)
}

/// How rows of length 1 change as `x` moves along `dx`: only across themselves.
fn unit_jvp(x: &Tensor, dx: &Tensor) -> Result<Tensor> {
    let unit = unit(x)?;
    let along = (&unit * dx)?.sum_keepdim(1)?; // [rows, 1]
    Ok((dx - unit.broadcast_mul(&along)?)?.broadcast_mul(&scale(x)?)?)
}

/// One over the length of each row; the square root of 0 has no derivative, so zero rows are scaled by 0 instead.
fn scale(x: &Tensor) -> Result<Tensor> {
    let square = x.sqr()?.sum_keepdim(1)?; // [rows, 1]
    let nonzero = square.detach().gt(SMALLEST_SQUARE)?.to_dtype(x.dtype())?;
    let safe = (&square + (1.0 - &nonzero)?)?;
    Ok((nonzero / safe.sqrt()?)?)
}
