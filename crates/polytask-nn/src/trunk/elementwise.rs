//! Row-wise arithmetic of the packed trunk in f32: exponential, error function, soft-max, norms, activations.
//!
//! Every function is straight-line code on slices, inlined into [`wide`](super::simd::wide) sections, so the
//! compiler turns it into vector instructions; the exponential and the error function of the C library would cost
//! more than the matrix products. Sums run over [`LANES`] partial sums in one fixed order.
#![allow(clippy::inline_always)] // code must land in the caller that was compiled for wide vectors

use super::activation::Activation;

const LANES: usize = 16;

/// Σ f(i) over 0..n in [`LANES`] partial sums.
#[inline(always)]
fn sum(n: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let whole = n / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, total) in lanes.iter_mut().enumerate() {
            *total += f(start + lane);
        }
    }
    let rest: f32 = (whole..n).map(&f).sum();
    lanes.iter().sum::<f32>() + rest
}

/// The largest of the values that are numbers.
#[inline(always)]
fn largest(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if *value > *lane { *value } else { *lane };
        }
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |a, &b| a.max(b))
}

/// Σ aᵢ·bᵢ.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let b = &b[..a.len()];
    sum(a.len(), |i| a[i] * b[i])
}

/// eˣ to 2 units in the last place: 2ⁿ·eʳ with |r| ≤ ln 2 / 2 and a polynomial of degree 6.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    /// 1.5·2²³: adding it rounds to an integer and leaves that integer in the low bits.
    const MAGIC: f32 = 12_582_912.0;
    // Comparisons keep a NaN, where min and max would replace it.
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    // ln 2 in two parts, the first exact in few bits (Cody–Waite).
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut p = 1.0 / 720.0;
    for c in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = p * r + c;
    }
    let power = f32::from_bits(shifted.to_bits().wrapping_sub(MAGIC.to_bits()).wrapping_add(127) << 23);
    p * power
}

/// Φ(x) and φ(x), distribution and density of the standard normal.
///
/// Abramowitz and Stegun 7.1.26, absolute error 1.5e-7; its exponential is the density's.
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let mut p = 1.061_405_4;
    for c in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        p = p * t + c;
    }
    let e = exp(-z * z);
    let tail = 0.5 * p * t * e;
    let cdf = if x < 0.0 { tail } else { 1.0 - tail };
    (cdf, e * 0.398_942_3)
}

/// tanh by the exponential.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    let e = exp(-2.0 * x.abs());
    let t = (1.0 - e) / (1.0 + e);
    if x < 0.0 { -t } else { t }
}

/// √(2/π) and the cubic coefficient of the tanh approximation (Hendrycks and Gimpel 2016).
const TANH_SCALE: f32 = 0.797_884_6;
const TANH_CUBIC: f32 = 0.044_715;
/// The factor within the sigmoid of quick GELU.
const QUICK_SCALE: f32 = 1.702;

/// An activation and its derivative at x.
#[inline(always)]
fn gelu(x: f32) -> (f32, f32) {
    let (cdf, density) = normal(x);
    (x * cdf, cdf + x * density)
}

#[inline(always)]
fn gelu_tanh(x: f32) -> (f32, f32) {
    let t = tanh(TANH_SCALE * (x + TANH_CUBIC * x * x * x));
    let inner = TANH_SCALE * (1.0 + 3.0 * TANH_CUBIC * x * x);
    (0.5 * x * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner)
}

/// x·σ(x) and its derivative.
#[inline(always)]
fn silu(x: f32) -> (f32, f32) {
    let s = 1.0 / (1.0 + exp(-x));
    (x * s, s * (1.0 + x * (1.0 - s)))
}

/// x·σ(1.702·x), an older approximation of GELU, and its derivative.
#[inline(always)]
fn quick_gelu(x: f32) -> (f32, f32) {
    let s = 1.0 / (1.0 + exp(-QUICK_SCALE * x));
    (x * s, s * (1.0 + QUICK_SCALE * x * (1.0 - s)))
}

#[inline(always)]
fn relu(x: f32) -> (f32, f32) {
    // The comparison is turned so that a NaN passes.
    if x <= 0.0 { (0.0, 0.0) } else { (x, 1.0) }
}

/// Adds the bias, if there is one, to a row in place and writes the activation of the sum.
#[inline(always)]
pub(crate) fn activate(act: Activation, row: &mut [f32], bias: &[f32], out: &mut [f32]) {
    #[inline(always)]
    fn each(f: impl Fn(f32) -> (f32, f32), row: &mut [f32], bias: &[f32], out: &mut [f32]) {
        if bias.is_empty() {
            row.iter().zip(out).for_each(|(x, y)| *y = f(*x).0);
            return;
        }
        for ((x, b), y) in row.iter_mut().zip(bias).zip(out) {
            *x += b;
            *y = f(*x).0;
        }
    }
    match act {
        Activation::Gelu => each(gelu, row, bias, out),
        Activation::GeluTanh => each(gelu_tanh, row, bias, out),
        Activation::QuickGelu => each(quick_gelu, row, bias, out),
        Activation::Relu => each(relu, row, bias, out),
        Activation::Silu => each(silu, row, bias, out),
    }
}

/// Turns a row into the activation of the row and the bias.
#[inline(always)]
pub(crate) fn activate_in_place(act: Activation, row: &mut [f32], bias: &[f32]) {
    #[inline(always)]
    fn each(f: impl Fn(f32) -> (f32, f32), row: &mut [f32], bias: &[f32]) {
        row.iter_mut().zip(bias).for_each(|(x, b)| *x = f(*x + b).0);
    }
    match act {
        Activation::Gelu => each(gelu, row, bias),
        Activation::GeluTanh => each(gelu_tanh, row, bias),
        Activation::QuickGelu => each(quick_gelu, row, bias),
        Activation::Relu => each(relu, row, bias),
        Activation::Silu => each(silu, row, bias),
    }
}

/// Writes the activation of x into `out` and multiplies the gradient `g` by its derivative.
#[inline(always)]
pub(crate) fn activate_backward(act: Activation, x: &[f32], g: &mut [f32], out: &mut [f32]) {
    #[inline(always)]
    fn each(f: impl Fn(f32) -> (f32, f32), x: &[f32], g: &mut [f32], out: &mut [f32]) {
        for ((x, g), y) in x.iter().zip(g).zip(out) {
            let (value, slope) = f(*x);
            *y = value;
            *g *= slope;
        }
    }
    match act {
        Activation::Gelu => each(gelu, x, g, out),
        Activation::GeluTanh => each(gelu_tanh, x, g, out),
        Activation::QuickGelu => each(quick_gelu, x, g, out),
        Activation::Relu => each(relu, x, g, out),
        Activation::Silu => each(silu, x, g, out),
    }
}

/// Writes the activation of x into `out`: the values that [`activate_backward`] writes.
#[inline(always)]
pub(crate) fn activate_again(act: Activation, x: &[f32], out: &mut [f32]) {
    #[inline(always)]
    fn each(f: impl Fn(f32) -> (f32, f32), x: &[f32], out: &mut [f32]) {
        x.iter().zip(out).for_each(|(x, y)| *y = f(*x).0);
    }
    match act {
        Activation::Gelu => each(gelu, x, out),
        Activation::GeluTanh => each(gelu_tanh, x, out),
        Activation::QuickGelu => each(quick_gelu, x, out),
        Activation::Relu => each(relu, x, out),
        Activation::Silu => each(silu, x, out),
    }
}

/// Writes act(x₁)·x₂ of the two halves of x into `out`.
#[inline(always)]
pub(crate) fn gate(act: Activation, x: &[f32], out: &mut [f32]) {
    #[inline(always)]
    fn each(f: impl Fn(f32) -> (f32, f32), x: &[f32], out: &mut [f32]) {
        let (low, high) = x.split_at(out.len());
        low.iter().zip(high).zip(out).for_each(|((a, b), y)| *y = f(*a).0 * b);
    }
    match act {
        Activation::Gelu => each(gelu, x, out),
        Activation::GeluTanh => each(gelu_tanh, x, out),
        Activation::QuickGelu => each(quick_gelu, x, out),
        Activation::Relu => each(relu, x, out),
        Activation::Silu => each(silu, x, out),
    }
}

/// From the gradient `g` at act(x₁)·x₂ to that at both halves, `grad`; also writes act(x₁)·x₂ into `out`.
#[inline(always)]
pub(crate) fn gate_backward(act: Activation, x: &[f32], g: &[f32], grad: &mut [f32], out: &mut [f32]) {
    #[inline(always)]
    fn each(f: impl Fn(f32) -> (f32, f32), x: &[f32], g: &[f32], grad: &mut [f32], out: &mut [f32]) {
        let (low, high) = x.split_at(out.len());
        let (d_low, d_high) = grad.split_at_mut(out.len());
        let grads = d_low.iter_mut().zip(d_high);
        for ((((a, b), g), (da, db)), y) in low.iter().zip(high).zip(g).zip(grads).zip(out) {
            let (value, slope) = f(*a);
            (*da, *db, *y) = (g * b * slope, g * value, value * b);
        }
    }
    match act {
        Activation::Gelu => each(gelu, x, g, grad, out),
        Activation::GeluTanh => each(gelu_tanh, x, g, grad, out),
        Activation::QuickGelu => each(quick_gelu, x, g, grad, out),
        Activation::Relu => each(relu, x, g, grad, out),
        Activation::Silu => each(silu, x, g, grad, out),
    }
}

/// Turns scores into probabilities in place; returns log Σ eˣ.
#[inline(always)]
pub(crate) fn softmax(row: &mut [f32]) -> f32 {
    let top = largest(row);
    for x in row.iter_mut() {
        *x = exp(*x - top);
    }
    let total = sum(row.len(), |i| row[i]);
    let scale = 1.0 / total;
    for x in row.iter_mut() {
        *x *= scale;
    }
    top + total.ln()
}

/// The probabilities again, from the scores and the log Σ eˣ of the forward.
#[inline(always)]
pub(crate) fn softmax_again(row: &mut [f32], log_sum: f32) {
    for x in row.iter_mut() {
        *x = exp(*x - log_sum);
    }
}

/// Layer norm of a row: the row becomes x̂, `out` = x̂·weight + bias (or without bias); returns 1/σ.
#[inline(always)]
pub(crate) fn norm(row: &mut [f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) -> f32 {
    let n = row.len() as f32;
    let mean = sum(row.len(), |i| row[i]) / n;
    let variance = sum(row.len(), |i| (row[i] - mean) * (row[i] - mean)) / n;
    let inverse = 1.0 / (variance + eps).sqrt();
    if bias.is_empty() {
        for ((x, w), y) in row.iter_mut().zip(weight).zip(out) {
            *x = (*x - mean) * inverse;
            *y = *x * w;
        }
        return inverse;
    }
    for (((x, w), b), y) in row.iter_mut().zip(weight).zip(bias).zip(out) {
        *x = (*x - mean) * inverse;
        *y = *x * w + b;
    }
    inverse
}

/// Turns the gradient `g` at a norm's output into the one at its input, in place.
#[inline(always)]
pub(crate) fn norm_backward(g: &mut [f32], weight: &[f32], hat: &[f32], inverse: f32) {
    let n = g.len();
    let (weight, hat) = (&weight[..n], &hat[..n]);
    g.iter_mut().zip(weight).for_each(|(g, w)| *g *= w);
    let mean = sum(n, |i| g[i]) / n as f32;
    let along = dot(g, hat) / n as f32;
    g.iter_mut().zip(hat).for_each(|(g, h)| *g = inverse * (*g - mean - h * along));
}

/// RMS norm of a row: the row becomes x/σ, `out` that times the weight; returns 1/σ, where σ² is the mean square.
#[inline(always)]
pub(crate) fn rms_norm(row: &mut [f32], weight: &[f32], eps: f32, out: &mut [f32]) -> f32 {
    let inverse = 1.0 / (dot(row, row) / row.len() as f32 + eps).sqrt();
    for ((x, w), y) in row.iter_mut().zip(weight).zip(out) {
        *x *= inverse;
        *y = *x * w;
    }
    inverse
}

/// Turns the gradient `g` at an RMS norm's output into the one at its input, in place.
#[inline(always)]
pub(crate) fn rms_norm_backward(g: &mut [f32], weight: &[f32], hat: &[f32], inverse: f32) {
    let n = g.len();
    let (weight, hat) = (&weight[..n], &hat[..n]);
    g.iter_mut().zip(weight).for_each(|(g, w)| *g *= w);
    let along = dot(g, hat) / n as f32;
    g.iter_mut().zip(hat).for_each(|(g, h)| *g = inverse * (*g - h * along));
}

/// `total += values`.
#[inline(always)]
pub(crate) fn add(total: &mut [f32], values: &[f32]) {
    total.iter_mut().zip(values).for_each(|(t, v)| *t += v);
}

/// `total += a·b`, value by value.
#[inline(always)]
pub(crate) fn add_product(total: &mut [f32], a: &[f32], b: &[f32]) {
    for ((t, a), b) in total.iter_mut().zip(a).zip(b) {
        *t += a * b;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(low: f32, high: f32) -> impl Iterator<Item = f32> {
        (0..=20_000).map(move |i| low + (high - low) * i as f32 / 20_000.0)
    }

    #[test]
    fn the_exponential_has_a_relative_error_of_three_ulp() {
        for x in range(-86.9, 87.9) {
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 3.6e-7, "{x}");
        }
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
    }

    #[test]
    fn the_normal_distribution_matches_values_of_the_error_function() {
        // Φ(x) from tables of 15 digits (SciPy 1.15 `norm.cdf`).
        let table = [
            (-6.0, 9.865_876_450_376_946e-10),
            (-3.0, 0.001_349_898_031_630_095),
            (-1.0, 0.158_655_253_931_457_05),
            (0.0, 0.5),
            (0.5, 0.691_462_461_274_013_1),
            (2.0, 0.977_249_868_051_820_8),
            (5.0, 0.999_999_713_348_428_1),
        ];
        for (x, exact) in table {
            assert!((f64::from(normal(x).0) - exact).abs() < 2e-7, "{x}");
        }
    }

    #[test]
    fn derivatives_of_activations_equal_central_differences() {
        let wide_step = 1e-2_f32;
        for (name, f) in [("gelu", gelu as fn(f32) -> (f32, f32)), ("tanh", gelu_tanh), ("silu", silu)] {
            for x in range(-6.0, 6.0) {
                let difference = (f(x + wide_step).0 - f(x - wide_step).0) / (2.0 * wide_step);
                assert!((difference - f(x).1).abs() < 2e-4, "{name} at {x}");
            }
        }
        assert_eq!((relu(-1.0), relu(2.0)), ((0.0, 0.0), (2.0, 1.0)));
    }

    #[test]
    fn probabilities_sum_to_one_and_come_back_from_the_log_sum() {
        for n in [1, 5, 16, 33, 128] {
            let scores: Vec<f32> = (0..n).map(|i| ((i * 37 % 11) as f32 - 5.0) * 3.0).collect();
            let mut p = scores.clone();
            let log_sum = softmax(&mut p);
            assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            let mut again = scores;
            softmax_again(&mut again, log_sum);
            assert!(p.iter().zip(&again).all(|(a, b)| (a - b).abs() < 2e-6));
        }
    }

    #[test]
    fn not_a_number_spreads_through_softmax_and_norm() {
        let mut row = vec![1.0; 20];
        row[3] = f32::NAN;
        assert!(softmax(&mut row.clone()).is_nan());
        let mut out = vec![0.0; 20];
        assert!(norm(&mut row, &[1.0; 20], &[0.0; 20], 1e-12, &mut out).is_nan());
    }

    #[test]
    fn the_backward_of_the_norm_equals_central_differences() {
        let n = 21;
        let x: Vec<f32> = (0..n).map(|i| (i as f32 * 1.7).sin() * 2.0).collect();
        let (w, b): (Vec<f32>, Vec<f32>) = (0..n).map(|i| (1.0 + i as f32 * 0.1, 0.3)).unzip();
        let ct: Vec<f32> = (0..n).map(|i| (i as f32 * 0.9).cos()).collect();
        let value = |x: &[f32]| {
            let (mut row, mut out) = (x.to_vec(), vec![0.0; n]);
            let inverse = norm(&mut row, &w, &b, 1e-12, &mut out);
            (f64::from(dot(&out, &ct)), row, inverse)
        };
        let (_, hat, inverse) = value(&x);
        let mut g = ct.clone();
        norm_backward(&mut g, &w, &hat, inverse);
        for i in 0..n {
            let (mut up, mut down) = (x.clone(), x.clone());
            up[i] += 1e-2;
            down[i] -= 1e-2;
            let difference = (value(&up).0 - value(&down).0) / 2e-2;
            assert!((difference - f64::from(g[i])).abs() < 2e-3, "{i}: {difference} {}", g[i]);
        }
    }
}
