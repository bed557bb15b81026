//! The DSelect-k gate: k selectors, each choosing one expert by a smooth binary code, under a softmax.
//!
//! With `S` the smooth step of width γ, the bits of selector j are `s = S(Z·m + c)`; expert e has
//! `r(j, e) = Π over bits of s or 1 − s`, as its own code says; the weights are `w(e) = Σⱼ softmax(A·m + a)ⱼ · r(j, e)`.
//! Regulariser per sequence and selector: `entropy · −Σₑ r·ln(r + 1e-6)`, and `1 / Σₑ r` where codes are left over.

use polytask_core::Rng;

use super::mix::{Moment, Weigher, affine, affine_vjp, softmax, softmax_vjp};

/// Keeps the logarithm finite, as in the published code.
const EPSILON: f64 = 1e-6;

/// Selectors over some experts.
#[derive(Debug)]
pub(super) struct Selector {
    /// Number of experts.
    pub(super) n: usize,
    /// Number of selectors.
    pub(super) k: usize,
    /// Width of the smooth step.
    pub(super) gamma: f64,
    /// Factor on the selectors' entropy.
    pub(super) entropy: f64,
    /// Values per state.
    pub(super) width: usize,
}

/// Everything between the mean state and the weights.
struct Pass {
    /// Logits of the bits, `[k, bits]`.
    z: Vec<f64>,
    /// Smooth bits, `[k, bits]`.
    s: Vec<f64>,
    /// Shares of the selectors, `[k]`.
    share: Vec<f64>,
    /// `[k, n]`.
    r: Vec<f64>,
}

impl Selector {
    /// Bits of a code.
    fn bits(&self) -> usize {
        self.n.next_power_of_two().trailing_zeros() as usize
    }

    /// Ends of the four tensors.
    fn ends(&self) -> [usize; 3] {
        let n_bits = self.k * self.bits();
        let z = n_bits * self.width;
        [z, z + n_bits, z + n_bits + self.k * self.width]
    }

    /// Whether bit `b` (the highest first) of an expert's code is set.
    fn code(&self, expert: usize, b: usize) -> bool {
        expert >> (self.bits() - 1 - b) & 1 == 1
    }

    /// 0 below −γ/2, 1 above γ/2, a cubic between.
    fn step(&self, z: f64) -> f64 {
        let t = (z / self.gamma).clamp(-0.5, 0.5);
        -2.0 * t.powi(3) + 1.5 * t + 0.5
    }

    /// Its derivative.
    fn slope(&self, z: f64) -> f64 {
        let t = z / self.gamma;
        if t.abs() >= 0.5 { 0.0 } else { (1.5 - 6.0 * t * t) / self.gamma }
    }

    fn pass(&self, values: &[f64], mean: &[f64]) -> Pass {
        let [a, b, c] = self.ends();
        let z = affine(&values[..a], &values[a..b], mean);
        let s: Vec<f64> = z.iter().map(|&z| self.step(z)).collect();
        let mut share = affine(&values[b..c], &values[c..], mean);
        softmax(&mut share);
        let bits = self.bits();
        let cell = |i: usize| {
            let (j, expert) = (i / self.n, i % self.n);
            (0..bits).map(|b| self.factor(expert, b, s[j * bits + b])).product()
        };
        let r = (0..self.k * self.n).map(cell).collect();
        Pass { z, s, share, r }
    }

    /// What bit `b` gives an expert.
    fn factor(&self, expert: usize, b: usize, s: f64) -> f64 {
        if self.code(expert, b) { s } else { 1.0 - s }
    }

    /// From derivatives at r to those at the logits of the bits.
    fn bits_vjp(&self, pass: &Pass, d_r: &[f64]) -> Vec<f64> {
        let bits = self.bits();
        let of_bit = |i: usize| {
            let (j, b) = (i / bits, i % bits);
            let others = |expert: usize| -> f64 {
                let rest = (0..bits).filter(|&other| other != b);
                rest.map(|other| self.factor(expert, other, pass.s[j * bits + other])).product()
            };
            let sign = |expert: usize| if self.code(expert, b) { 1.0 } else { -1.0 };
            let terms = (0..self.n).map(|e| d_r[j * self.n + e] * sign(e) * others(e));
            terms.sum::<f64>() * self.slope(pass.z[i])
        };
        (0..self.k * bits).map(of_bit).collect()
    }
}

impl Weigher for Selector {
    fn shapes(&self) -> Vec<(&'static str, Vec<usize>)> {
        let n_bits = self.k * self.bits();
        vec![
            ("code.weight", vec![n_bits, self.width]),
            ("code.bias", vec![n_bits]),
            ("share.weight", vec![self.k, self.width]),
            ("share.bias", vec![self.k]),
        ]
    }

    /// As published: codes uniform in ±γ/100, shares in ±0.05.
    fn init(&self, rng: &mut Rng) -> Vec<f64> {
        let [_, codes, shares] = self.ends();
        let mut uniform = |reach: f64| reach * (2.0 * rng.uniform() - 1.0);
        let n = shares + self.k;
        (0..n).map(|i| uniform(if i < codes { self.gamma / 100.0 } else { 0.05 })).collect()
    }

    fn weights(&self, values: &[f64], mean: &[f64], _moment: &Moment) -> Vec<f64> {
        let pass = self.pass(values, mean);
        let weight = |e: usize| (0..self.k).map(|j| pass.share[j] * pass.r[j * self.n + e]).sum();
        (0..self.n).map(weight).collect()
    }

    fn vjp(
        &self,
        values: &[f64],
        mean: &[f64],
        _moment: &Moment,
        d_weights: &[f64],
        (d_values, d_mean): (&mut [f64], &mut [f64]),
    ) {
        let (pass, [a, b, c]) = (self.pass(values, mean), self.ends());
        let of_selector = |j: usize| (0..self.n).map(|e| d_weights[e] * pass.r[j * self.n + e]).sum();
        let d_share: Vec<f64> = (0..self.k).map(of_selector).collect();
        let d_share = softmax_vjp(&pass.share, &d_share);
        let d_r: Vec<f64> =
            (0..self.k * self.n).map(|i| pass.share[i / self.n] * d_weights[i % self.n]).collect();
        let d_z = self.bits_vjp(&pass, &d_r);
        let (codes, shares) = d_values.split_at_mut(b);
        affine_vjp(&values[..a], mean, &d_z, codes.split_at_mut(a), d_mean);
        affine_vjp(&values[b..c], mean, &d_share, shares.split_at_mut(c - b), d_mean);
    }

    /// Its gradient stops at the selector's weights.
    fn penalty(&self, values: &[f64], mean: &[f64], d_values: &mut [f64]) -> Option<f64> {
        let (pass, [a, b, _]) = (self.pass(values, mean), self.ends());
        let is_whole = self.n.is_power_of_two();
        let (mut sum, mut d_r) = (0.0, Vec::new());
        for r in pass.r.chunks(self.n) {
            let total = r.iter().sum::<f64>().max(EPSILON);
            sum -= self.entropy * r.iter().map(|r| r * (r + EPSILON).ln()).sum::<f64>();
            sum += if is_whole { 0.0 } else { 1.0 / total };
            let d_total = if is_whole { 0.0 } else { -1.0 / (total * total) };
            d_r.extend(r.iter().map(|r| d_total - self.entropy * ((r + EPSILON).ln() + r / (r + EPSILON))));
        }
        let d_z = self.bits_vjp(&pass, &d_r);
        let codes = &mut d_values[..b];
        affine_vjp(&values[..a], mean, &d_z, codes.split_at_mut(a), &mut vec![0.0; mean.len()]);
        Some(sum)
    }
}
