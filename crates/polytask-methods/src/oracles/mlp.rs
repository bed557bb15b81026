//! A small encoder on numbers: one hidden layer of GELU, trained by gradients of its outputs.

use polytask_core::Rng;

use super::adam::Adam;

/// `W₂ gelu(W₁ x + b₁) + b₂`.
#[derive(Debug, Clone)]
pub(crate) struct SmallEncoder {
    d_in: usize,
    hidden: usize,
    d_out: usize,
    /// W₁ `[hidden, d_in]`, b₁, W₂ `[d_out, hidden]`, b₂, end to end.
    weights: Vec<f64>,
    adam: Adam,
}

/// What the backward needs of a row.
struct Row {
    before: Vec<f64>,
    after: Vec<f64>,
}

impl SmallEncoder {
    /// Fresh weights, uniform within one over the root of the fan-in.
    pub(crate) fn new((d_in, hidden, d_out): (usize, usize, usize), lr: f64, rng: &mut Rng) -> Self {
        let mut weights = Vec::new();
        for (n, fan_in) in [(hidden * (d_in + 1), d_in), (d_out * (hidden + 1), hidden)] {
            let bound = 1.0 / (fan_in as f64).sqrt();
            weights.extend((0..n).map(|_| bound * (2.0 * rng.uniform() - 1.0)));
        }
        Self { d_in, hidden, d_out, adam: Adam::new(weights.len(), lr), weights }
    }

    /// Values per output row.
    pub(crate) fn width(&self) -> usize {
        self.d_out
    }

    /// The outputs of some rows, end to end.
    pub(crate) fn encode(&self, rows: &[Vec<f64>]) -> Vec<f64> {
        rows.iter().flat_map(|x| self.output(&self.row(x))).collect()
    }

    /// The gradient of the weights, from that of [`Self::encode`].
    pub(crate) fn gradient(&self, rows: &[Vec<f64>], d_out: &[f64]) -> Vec<f64> {
        let mut gradient = vec![0.0; self.weights.len()];
        for (x, d_out) in rows.iter().zip(d_out.chunks(self.d_out)) {
            self.add(x, d_out, &mut gradient);
        }
        gradient
    }

    /// Takes a step against a gradient of the weights.
    pub(crate) fn step(&mut self, gradient: &[f64]) {
        self.adam.step(&mut self.weights, gradient);
    }

    /// The places of W₁, b₁, W₂ and b₂ begin.
    fn places(&self) -> [usize; 4] {
        let first = self.hidden * self.d_in;
        let second = first + self.hidden;
        [0, first, second, second + self.d_out * self.hidden]
    }

    fn row(&self, x: &[f64]) -> Row {
        let [weight, bias, ..] = self.places();
        let unit = |k: usize| {
            let row = &self.weights[weight + k * self.d_in..][..self.d_in];
            row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + self.weights[bias + k]
        };
        let before: Vec<f64> = (0..self.hidden).map(unit).collect();
        let after = before.iter().map(|&h| h * normal(h)).collect();
        Row { before, after }
    }

    fn output(&self, row: &Row) -> Vec<f64> {
        let [.., weight, bias] = self.places();
        let unit = |k: usize| {
            let weights = &self.weights[weight + k * self.hidden..][..self.hidden];
            weights.iter().zip(&row.after).map(|(w, a)| w * a).sum::<f64>() + self.weights[bias + k]
        };
        (0..self.d_out).map(unit).collect()
    }

    fn add(&self, x: &[f64], d_out: &[f64], gradient: &mut [f64]) {
        let ([first, first_bias, second, second_bias], row) = (self.places(), self.row(x));
        let mut d_hidden = vec![0.0; self.hidden];
        for (k, d) in d_out.iter().enumerate() {
            gradient[second_bias + k] += d;
            for (j, d_after) in d_hidden.iter_mut().enumerate() {
                let at = second + k * self.hidden + j;
                gradient[at] += d * row.after[j];
                *d_after += d * self.weights[at];
            }
        }
        for (k, (d, h)) in d_hidden.iter().zip(&row.before).enumerate() {
            let d = d * (normal(*h) + h * density(*h));
            gradient[first_bias + k] += d;
            let row = &mut gradient[first + k * self.d_in..][..self.d_in];
            row.iter_mut().zip(x).for_each(|(g, x)| *g += d * x);
        }
    }
}

/// The standard normal distribution function by its tanh form (Hendrycks & Gimpel 2016).
fn normal(x: f64) -> f64 {
    0.5 * (1.0 + inner(x).tanh())
}

/// The slope of [`normal`].
fn density(x: f64) -> f64 {
    let slope = (2.0 / std::f64::consts::PI).sqrt() * (1.0 + 3.0 * 0.044_715 * x * x);
    0.5 * slope * (1.0 - inner(x).tanh().powi(2))
}

fn inner(x: f64) -> f64 {
    (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))
}

#[cfg(test)]
mod tests {
    use polytask_core::Purpose;

    use super::*;

    #[test]
    fn gradients_equal_differences() {
        let mut rng = Rng::new(3, Purpose::Method, &[]);
        let mut encoder = SmallEncoder::new((3, 5, 2), 0.1, &mut rng);
        let rows: Vec<Vec<f64>> = (0..4).map(|_| (0..3).map(|_| rng.normal()).collect()).collect();
        let pull: Vec<f64> = (0..8).map(|_| rng.normal()).collect();
        let value =
            |encoder: &SmallEncoder| encoder.encode(&rows).iter().zip(&pull).map(|(z, p)| z * p).sum::<f64>();
        let found = encoder.gradient(&rows, &pull);
        for (i, found) in found.iter().enumerate() {
            let (start, mut at) = (encoder.weights[i], [0.0; 2]);
            for (value_at, h) in at.iter_mut().zip([1e-6, -1e-6]) {
                encoder.weights[i] = start + h;
                *value_at = value(&encoder);
            }
            encoder.weights[i] = start;
            assert!((found - (at[0] - at[1]) / 2e-6).abs() < 1e-7, "{i}");
        }
    }
}
