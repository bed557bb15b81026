//! `AdamW` (Loshchilov and Hutter 2019) on a handful of numbers.

/// Its state and settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Adam {
    lr: f64,
    decay: f64,
    /// Longest gradient; a longer one is shortened to this.
    clip: Option<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
    n_steps: i32,
}

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPS: f64 = 1e-8;

impl Adam {
    /// For `n` numbers.
    pub fn new(n: usize, lr: f64, decay: f64, clip: Option<f64>) -> Self {
        Self { lr, decay, clip, first: vec![0.0; n], second: vec![0.0; n], n_steps: 0 }
    }

    /// Moves the numbers against their gradient.
    pub fn step(&mut self, values: &mut [f64], gradient: &[f64]) {
        self.n_steps += 1;
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let scale = self.clip.map_or(1.0, |most| (most / (norm + 1e-6)).min(1.0));
        let (c1, c2) = (1.0 - BETA1.powi(self.n_steps), 1.0 - BETA2.powi(self.n_steps));
        for (i, value) in values.iter_mut().enumerate() {
            let g = gradient[i] * scale;
            self.first[i] = BETA1 * self.first[i] + (1.0 - BETA1) * g;
            self.second[i] = BETA2 * self.second[i] + (1.0 - BETA2) * g * g;
            *value *= 1.0 - self.lr * self.decay;
            *value -= self.lr * (self.first[i] / c1) / ((self.second[i] / c2).sqrt() + EPS);
        }
    }
}
