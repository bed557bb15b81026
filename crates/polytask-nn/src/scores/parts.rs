//! What several scores share: their parameters, a softmax, a mean or a sum over tokens.

use polytask_core::MethodInfo;
use polytask_core::method::{Choice, ParamInfo, Range};

use crate::params::Real;

/// Parameter of the scores that add up over tokens.
pub(super) const REDUCE: ParamInfo = ParamInfo {
    name: "reduce",
    about: "What becomes of the first text's tokens: their `mean`, which keeps scores between -1 and 1, or their `sum`.",
    default: "\"mean\"",
    range: Range::OneOf(&["mean", "sum"]),
};

/// Parameter of the scores that differ by direction.
pub(super) const REVERSE: ParamInfo = ParamInfo {
    name: "reverse",
    about: "What losses that look both ways read on the way back: scores with the roles swapped (`recompute`) or the same ones (`transpose`).",
    default: "\"recompute\"",
    range: Range::OneOf(&["recompute", "transpose"]),
};

/// The unit of a temperature of inner products.
pub(super) const fn tau_unit(default: &'static str) -> ParamInfo {
    ParamInfo {
        name: "tau_unit",
        about: "The unit of the temperature: inner products as they are (`raw`), or the mean squared length of the start encoder's token states (`norm2`).",
        default,
        range: Range::OneOf(&["raw", "norm2"]),
    }
}

/// Whether a text parameter has this value.
pub(super) fn is(choice: &Choice, info: &MethodInfo, name: &str, value: &str) -> bool {
    choice.param(info, name).as_str() == Some(value)
}

/// A temperature of inner products in their own unit; one too small for a float is the smallest there is, and takes the
/// largest inner product alone.
pub(super) fn temperature(choice: &Choice, info: &MethodInfo, name: &str, square: f64) -> f64 {
    let unit = if is(choice, info, "tau_unit", "norm2") { square } else { 1.0 };
    (choice.real(info, name) * unit).max(f64::from(f32::MIN_POSITIVE))
}

/// The factor of each of `n` tokens in their mean, or in their sum.
pub(super) fn share<T: Real>(sums: bool, n: usize) -> T {
    if sums { T::ONE } else { T::ONE / T::of(n as f64) }
}

/// `softmax(x / tau)` into `out`; `x` is not empty.
pub(super) fn softmax<T: Real>(x: impl Iterator<Item = T> + Clone, tau: T, out: &mut [T]) {
    let largest =
        x.clone().fold(None, |most, v| if most.is_some_and(|most| most > v) { most } else { Some(v) });
    let largest = largest.unwrap_or(T::ZERO);
    let mut sum = T::ZERO;
    for (to, v) in out.iter_mut().zip(x) {
        *to = ((v - largest) / tau).exp();
        sum += *to;
    }
    out.iter_mut().for_each(|v| *v /= sum);
}
