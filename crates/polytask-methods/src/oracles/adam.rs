//! Adam on plain vectors.

/// Adam without decay (Kingma & Ba 2015).
#[derive(Debug, Clone)]
pub(crate) struct Adam {
    lr: f64,
    step: i32,
    mean: Vec<f64>,
    square: Vec<f64>,
}

impl Adam {
    /// For `n` values.
    pub(crate) fn new(n: usize, lr: f64) -> Self {
        Self { lr, step: 0, mean: vec![0.0; n], square: vec![0.0; n] }
    }

    /// Takes another rate from here on.
    pub(crate) fn set_rate(&mut self, lr: f64) {
        self.lr = lr;
    }

    /// Takes a step against a gradient.
    pub(crate) fn step(&mut self, values: &mut [f64], gradient: &[f64]) {
        self.step += 1;
        let (low, high) = (1.0 - 0.9_f64.powi(self.step), 1.0 - 0.999_f64.powi(self.step));
        let moments = self.mean.iter_mut().zip(&mut self.square);
        for ((value, g), (mean, square)) in values.iter_mut().zip(gradient).zip(moments) {
            *mean = 0.9 * *mean + 0.1 * g;
            *square = 0.999 * *square + 0.001 * g * g;
            *value -= self.lr * (*mean / low) / ((*square / high).sqrt() + 1e-8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_step_is_the_rate_against_the_sign() {
        let (mut adam, mut values) = (Adam::new(2, 0.1), [1.0, 1.0]);
        adam.step(&mut values, &[3.0, -0.2]);
        assert!((values[0] - 0.9).abs() < 1e-6 && (values[1] - 1.1).abs() < 1e-6, "{values:?}");
    }
}
