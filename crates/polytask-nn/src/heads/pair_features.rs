//! What heads of pairs read: two vectors, how they differ and what they have in common (Conneau et al. 2017).

use candle_core::Tensor;

use crate::Result;

/// Features per value of a vector.
pub(super) const PER_VALUE: usize = 4;

/// Appends `[u, v, |u − v|, u · v]`.
pub(super) fn append(u: &[f32], v: &[f32], to: &mut Vec<f32>) {
    to.extend_from_slice(u);
    to.extend_from_slice(v);
    to.extend(u.iter().zip(v).map(|(u, v)| (u - v).abs()));
    to.extend(u.iter().zip(v).map(|(u, v)| u * v));
}

/// `[u, v, |u − v|, u · v]` of rows `[rows, d]` → `[rows, 4 · d]`.
pub(super) fn features(u: &Tensor, v: &Tensor) -> Result<Tensor> {
    let difference = (u - v)?;
    // The engine's `abs` has slope 1 at 0; equal texts must pull neither way.
    let distance = (&difference * difference.detach().sign()?)?;
    Ok(Tensor::cat(&[u, v, &distance, &(u * v)?], 1)?)
}

/// How the features change as the vectors move.
pub(super) fn directions((u, v): (&Tensor, &Tensor), (du, dv): (&Tensor, &Tensor)) -> Result<Tensor> {
    let d_distance = ((du - dv)? * (u - v)?.detach().sign()?)?;
    let d_product = ((du * v)? + (u * dv)?)?;
    Ok(Tensor::cat(&[du, dv, &d_distance, &d_product], 1)?)
}
