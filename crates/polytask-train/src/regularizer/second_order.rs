//! Second-order products by central differences.
//!
//! For a loss L of a head's parameters θ and states Z, and a direction V in the space of Z, the derivative of
//! ⟨dL/dZ, V⟩ by θ and by Z is the product of the Hessian's two columns of blocks with V. It is
//!
//!   ( grad L(Z + εV) − grad L(Z − εV) ) / (2ε),   ε = difference · rms(Z) / rms(V),
//!
//! both sizes taken where V is not zero. The error is of order ε² times the third derivative: nothing for heads that
//! are quadratic in Z, and small as long as the two places lie in the same linear piece of a head with kinks.

use polytask_nn::Real;

use crate::Result;

/// Gradients of a loss by a head's parameters and by the states.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradients<T> {
    /// By the head's parameters.
    pub head: Vec<T>,
    /// By the states, in the caller's layout.
    pub states: Vec<T>,
}

/// The derivative of ⟨dL/dZ, V⟩; `None` where V is zero or a gradient is not to be had at a displaced place.
///
/// # Shapes
/// `states`, `direction`: `[rows × width]`; the result is laid out as `gradients` answers.
pub fn product<T: Real>(
    states: &[T],
    direction: &[f64],
    difference: f64,
    mut gradients: impl FnMut(Vec<T>) -> Result<Option<Gradients<T>>>,
) -> Result<Option<Gradients<f64>>> {
    let Some(epsilon) = epsilon(states, direction, difference) else { return Ok(None) };
    let mut at = |step: f64| {
        let moved = states.iter().zip(direction).map(|(z, v)| T::of(z.f64() + step * v));
        gradients(moved.collect())
    };
    let (Some(ahead), Some(behind)) = (at(epsilon)?, at(-epsilon)?) else { return Ok(None) };
    let slope = |a: &[T], b: &[T]| {
        a.iter().zip(b).map(|(a, b)| (a.f64() - b.f64()) / (2.0 * epsilon)).collect::<Vec<_>>()
    };
    let product =
        Gradients { head: slope(&ahead.head, &behind.head), states: slope(&ahead.states, &behind.states) };
    let is_finite = product.head.iter().chain(&product.states).all(|v| v.is_finite());
    Ok(is_finite.then_some(product))
}

/// How far to go along `direction`; `None` where it is zero.
fn epsilon<T: Real>(states: &[T], direction: &[f64], difference: f64) -> Option<f64> {
    let touched = || states.iter().zip(direction).filter(|(_, v)| **v != 0.0);
    let z: f64 = touched().map(|(z, _)| z.f64() * z.f64()).sum();
    let v: f64 = touched().map(|(_, v)| v * v).sum();
    let epsilon = difference * (z.max(f64::MIN_POSITIVE) / v).sqrt();
    (epsilon.is_finite() && epsilon > 0.0).then_some(epsilon)
}
