//! Which vector instructions the row kernels use: the widest this processor has, found once, in one binary.
//!
//! `wide` runs a piece of code in the version compiled for those instructions. Row kernels fuse no
//! multiplications with additions and sum in fixed lanes, so every version gives the same bits.

use std::sync::OnceLock;

use pulp::Arch;

use super::shape_error::shape;
use crate::Result;

static ACTIVE: OnceLock<Arch> = OnceLock::new();

/// Names of the instruction sets, narrowest first.
pub const NAMES: [&str; 4] = ["portable", "neon", "avx2", "avx512"];

/// The instruction set in use, one of [`NAMES`].
pub fn active() -> &'static str {
    name(arch())
}

/// The instruction sets this processor has, narrowest first.
pub fn available() -> Vec<&'static str> {
    known().into_iter().map(name).collect()
}

/// Uses the instruction set called `wanted` (one of [`NAMES`]) from here on, to compare or to rule one out.
///
/// # Errors
/// When this processor or this build lacks it, or another one was already in use.
pub fn choose(wanted: &str) -> Result<()> {
    let part = "choice of vector instructions";
    let Some(arch) = known().into_iter().find(|arch| name(*arch) == wanted) else {
        let known: Vec<&str> = known().into_iter().map(name).collect();
        return shape(
            part,
            format!("`{wanted}`"),
            format!("one that this processor has: {}", known.join(", ")),
        );
    };
    let chosen = name(*ACTIVE.get_or_init(|| arch));
    if chosen == wanted {
        return Ok(());
    }
    shape(part, format!("`{wanted}` after work had begun with `{chosen}`"), "a choice before any work")
}

/// Runs `f` compiled for the instructions in use; `f` must be inlined for that to take effect.
#[inline]
pub fn wide<R>(f: impl FnOnce() -> R) -> R {
    arch().dispatch(f)
}

pub(crate) fn arch() -> Arch {
    *ACTIVE.get_or_init(Arch::new)
}

/// The sets this processor has.
pub(crate) fn known() -> Vec<Arch> {
    let mut known = vec![Arch::Scalar];
    #[cfg(target_arch = "x86_64")]
    {
        known.extend(pulp::x86::V3::try_new().map(Arch::V3));
        known.extend(pulp::x86::V4::try_new().map(Arch::V4));
    }
    #[cfg(target_arch = "aarch64")]
    known.extend(pulp::aarch64::Neon::try_new().map(Arch::Neon));
    known
}

fn name(arch: Arch) -> &'static str {
    match arch {
        #[cfg(target_arch = "x86_64")]
        Arch::V4(_) => NAMES[3],
        #[cfg(target_arch = "x86_64")]
        Arch::V3(_) => NAMES[2],
        #[cfg(target_arch = "aarch64")]
        Arch::Neon(_) => NAMES[1],
        _ => NAMES[0],
    }
}

#[cfg(test)]
mod tests {
    use super::super::activation::Activation;
    use super::super::elementwise::{activate, norm, norm_backward, softmax};
    use super::*;

    /// Soft-max, norm, its backward and GELU of one row.
    #[inline(always)]
    #[allow(clippy::inline_always)] // it must land in code compiled for each set
    fn work(n: usize) -> Vec<u32> {
        let row: Vec<f32> = (0..n).map(|i| (i as f32 * 1.37).sin() * 4.0).collect();
        let (weight, bias) = (vec![1.3; n], vec![0.2; n]);
        let (mut p, mut hat, mut out) = (row.clone(), row.clone(), vec![0.0; n]);
        let log_sum = softmax(&mut p);
        let inverse = norm(&mut hat, &weight, &bias, 1e-12, &mut out);
        let mut g = row.clone();
        norm_backward(&mut g, &weight, &hat, inverse);
        let (mut x, mut y) = (row, vec![0.0; n]);
        activate(Activation::Gelu, &mut x, &bias, &mut y);
        [p, hat, out, g, y, vec![log_sum, inverse]].concat().iter().map(|v| v.to_bits()).collect()
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        for n in [1, 15, 16, 100, 384] {
            let portable = work(n);
            for arch in known() {
                assert!(
                    arch.dispatch(
                        #[inline(always)]
                        || work(n)
                    ) == portable,
                    "{} at width {n}",
                    name(arch)
                );
            }
        }
    }

    #[test]
    fn an_unknown_instruction_set_is_refused_with_those_there_are() {
        let error = choose("avx1024").unwrap_err().to_string();
        assert!(error.contains("`avx1024`") && error.contains("portable"), "{error}");
        choose(active()).unwrap();
    }
}
