//! On the sphere: methods that work with directions and lengths of whole tensors. All of them stay in the span of their
//! inputs, so the inner products say everything, and the result is a sum with a factor per input.

use super::{Prepared, Rules, Setting, Weighted, wrong};
use crate::Result;
use crate::parts::relative;
use crate::tensor::{Tensor, dot, gram};

/// Cosines beyond this are a straight line to SLERP.
const STRAIGHT: f64 = 0.9995;
/// Norms up to this count as 1, and squares of sines up to its square as 0.
const SMALL: f64 = 1e-8;
/// Angles this near to a half turn have no one arc.
const OPPOSITE: f64 = 1e-3;

/// Factors of the ends of an arc at the share `t`; the chord where the angle is none.
pub(crate) fn arc(t: f64, angle: f64) -> (f64, f64) {
    let sine = angle.sin();
    if sine.abs() < 1e-12 {
        return (1.0 - t, t);
    }
    (((1.0 - t) * angle).sin() / sine, (t * angle).sin() / sine)
}

/// `sin((1-t)θ)/sin θ B + sin(tθ)/sin θ M`; the chord where they are nearly parallel.
pub(super) fn slerp(tensor: &Tensor<'_>, setting: &Setting, rules: Rules) -> Result<Box<dyn Prepared>> {
    let t = setting.real("t");
    let sums = tensor.sums(3, |block| {
        let (a, b) = (block.base(), &block.models[0]);
        vec![dot(&a, &a), dot(b, b), dot(&a, b)]
    })?;
    let norm = |square: f64| if square.sqrt() > SMALL { square.sqrt() } else { 1.0 };
    let cosine = (sums[2] / (norm(sums[0]) * norm(sums[1]))).clamp(-1.0, 1.0);
    refuse_opposite(tensor, cosine, rules)?;
    let angle = if cosine.abs() > STRAIGHT { 0.0 } else { cosine.acos() };
    let (base, model) = arc(t, angle);
    Ok(Box::new(Weighted { base, models: vec![model], of_deltas: false }))
}

/// The same of two models or of what they add to a base; the share is that of the second weight.
pub(super) fn nu_slerp(tensor: &Tensor<'_>, setting: &Setting, rules: Rules) -> Result<Box<dyn Prepared>> {
    let g = gram(tensor)?;
    let norm = |i: usize| g[i][i].sqrt().max(1e-7);
    let cosine = (g[0][1] / (norm(0) * norm(1))).clamp(-1.0, 1.0);
    refuse_opposite(tensor, cosine, rules)?;
    let angle = if 1.0 - cosine * cosine <= SMALL * SMALL { 0.0 } else { cosine.acos() };
    let (first, second) = arc(share(setting), angle);
    let base = f64::from(u8::from(tensor.has_base()));
    Ok(Box::new(Weighted { base, models: vec![first, second], of_deltas: tensor.has_base() }))
}

/// The share of the second model.
pub(super) fn share(setting: &Setting) -> f64 {
    let weights = setting.each("weight");
    let sum: f64 = weights.iter().sum();
    if sum.abs() < 1e-6 { 0.5 } else { weights[1] / sum }
}

fn refuse_opposite(tensor: &Tensor<'_>, cosine: f64, rules: Rules) -> Result<()> {
    if rules.compat || cosine.acos() < std::f64::consts::PI - OPPOSITE {
        return Ok(());
    }
    let what = format!("the two are opposite (cosine {cosine:.6}), so no one arc joins them");
    Err(wrong(tensor, &what, "`linear`, or `--compat` for the straight line"))
}

/// The weighted mean direction, as long as the weighted mean length.
///
/// In mergekit the tangents at that mean are averaged once more; their mean there is zero by construction, and what it
/// adds is rounding.
pub(super) fn multi_slerp(tensor: &Tensor<'_>, setting: &Setting) -> Result<Box<dyn Prepared>> {
    let (g, n) = (gram(tensor)?, tensor.n_models());
    let base = f64::from(u8::from(tensor.has_base()));
    let of_deltas = tensor.has_base();
    if n == 1 {
        return Ok(Box::new(Weighted { base, models: vec![1.0], of_deltas }));
    }
    let mut weights = setting.each("weight");
    if setting.flag("normalize_weights") {
        weights = relative(&weights).map_err(|what| wrong(tensor, &what, "weights that do not cancel"))?;
    }
    let eps = setting.real("eps");
    let norms: Vec<f64> = (0..n).map(|i| g[i][i].max(0.0).sqrt()).collect();
    let direction: Vec<f64> = weights.iter().zip(&norms).map(|(w, n)| w / (n + eps)).collect();
    let length: f64 = weights.iter().zip(&norms).map(|(w, n)| w * n).sum();
    let mean = norm(&g, &direction);
    // Tensors that no model changed: anything times zero.
    if mean < eps && norms.iter().all(|n| *n < eps) {
        return Ok(Box::new(Weighted { base, models: weights, of_deltas }));
    }
    if mean < eps && n > 2 {
        let what = format!("the weighted directions of {n} models cancel, so they have no mean direction");
        return Err(wrong(tensor, &what, "other weights, or `linear`"));
    }
    let even = |d: &f64| d / mean * length;
    let models = if mean < eps { weights } else { direction.iter().map(even).collect() };
    Ok(Box::new(Weighted { base, models, of_deltas }))
}

/// Length of a sum with these factors.
fn norm(g: &[Vec<f64>], factors: &[f64]) -> f64 {
    product(g, factors, factors).max(0.0).sqrt()
}

fn product(g: &[Vec<f64>], a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(g).map(|(a, row)| a * b.iter().zip(row).map(|(b, g)| b * g).sum::<f64>()).sum()
}

/// The Riemannian mean of directions, as long as the mean length.
pub(super) fn karcher(tensor: &Tensor<'_>, setting: &Setting) -> Result<Box<dyn Prepared>> {
    let (g, n) = (gram(tensor)?, tensor.n_models());
    let tolerance = setting.real("tol");
    let norms: Vec<f64> = (0..n).map(|i| g[i][i].max(0.0).sqrt()).collect();
    let some: Vec<usize> = (0..n).filter(|&i| norms[i] > tolerance).collect();
    let length = norms.iter().sum::<f64>() / n as f64;
    if some.is_empty() {
        return Ok(Box::new(Weighted { base: 0.0, models: vec![0.0; n], of_deltas: false }));
    }
    let cosine = |i: usize, j: usize| g[some[i]][some[j]] / (norms[some[i]] * norms[some[j]]);
    let units: Vec<Vec<f64>> =
        (0..some.len()).map(|i| (0..some.len()).map(|j| cosine(i, j)).collect()).collect();
    let mean = mean_direction(&units, setting.real("max_iter") as usize, tolerance);
    let mut models = vec![0.0; n];
    some.iter().zip(mean).for_each(|(&i, factor)| models[i] = factor * length / norms[i]);
    Ok(Box::new(Weighted { base: 0.0, models, of_deltas: false }))
}

/// Factors of unit vectors with these cosines in their Riemannian mean.
fn mean_direction(g: &[Vec<f64>], most: usize, tolerance: f64) -> Vec<f64> {
    let k = g.len();
    let scaled = |v: &[f64], by: f64| v.iter().map(|v| v / by).collect::<Vec<_>>();
    let mut mean = vec![1.0 / k as f64; k];
    let length = norm(g, &mean);
    mean = if length < tolerance { unit(k, 0) } else { scaled(&mean, length) };
    for _ in 0..most {
        let mut tangent = vec![0.0; k];
        for i in 0..k {
            let cosine = product(g, &mean, &unit(k, i)).clamp(-1.0, 1.0);
            let angle = cosine.acos();
            if angle >= tolerance {
                let pull = angle / angle.sin() / k as f64;
                tangent[i] += pull;
                tangent.iter_mut().zip(&mean).for_each(|(t, m)| *t -= pull * cosine * m);
            }
        }
        let step = norm(g, &tangent);
        if step < tolerance {
            break;
        }
        let moved = |(m, t): (&f64, &f64)| step.cos() * m + step.sin() * t / step;
        mean = mean.iter().zip(&tangent).map(moved).collect();
        mean = scaled(&mean, norm(g, &mean));
    }
    mean
}

fn unit(k: usize, i: usize) -> Vec<f64> {
    (0..k).map(|j| f64::from(u8::from(i == j))).collect()
}
