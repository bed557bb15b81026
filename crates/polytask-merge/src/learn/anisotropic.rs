//! aTLAS (arXiv 2407.02880): a coefficient for every task vector and block of parameters, from 0, by `AdamW`.

use super::{Adam, Coefficients, Factors};
use crate::Result;

/// A term that keeps coefficients small: the mean over blocks of a norm over task vectors, times a weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CoefficientPenalty {
    /// None.
    Off,
    /// Of absolute values.
    L1(f64),
    /// Of lengths.
    L2(f64),
}

/// Settings of the coefficients.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnisotropicSettings {
    /// Learning rate.
    pub lr: f64,
    /// Weight decay, which pulls to the base.
    pub decay: f64,
    /// What keeps them small.
    pub penalty: CoefficientPenalty,
}

impl Default for AnisotropicSettings {
    fn default() -> Self {
        Self { lr: 1e-2, decay: 0.0, penalty: CoefficientPenalty::Off }
    }
}

/// Coefficients of task vectors by block.
#[derive(Debug, Clone)]
pub struct Anisotropic {
    settings: AnisotropicSettings,
    values: Factors,
    adam: Adam,
}

impl Anisotropic {
    /// Coefficients of 0 for so many vectors and blocks: the base.
    pub fn new(n_vectors: usize, n_blocks: usize, settings: AnisotropicSettings) -> Self {
        let adam = Adam::new(n_vectors * n_blocks, settings.lr, settings.decay, Some(1.0));
        Self { settings, values: vec![vec![0.0; n_blocks]; n_vectors], adam }
    }

    /// The penalty's value and its slopes.
    fn penalised(&self) -> (f64, Factors) {
        let n_blocks = self.values.first().map_or(0, Vec::len);
        let mut slopes = vec![vec![0.0; n_blocks]; self.values.len()];
        let mut sum = 0.0;
        let (weight, is_l1) = match self.settings.penalty {
            CoefficientPenalty::Off => return (0.0, slopes),
            CoefficientPenalty::L1(weight) => (weight, true),
            CoefficientPenalty::L2(weight) => (weight, false),
        };
        let share = weight / n_blocks.max(1) as f64;
        for j in 0..n_blocks {
            let column = self.values.iter().map(|row| row[j]);
            let norm =
                if is_l1 { column.map(f64::abs).sum() } else { column.map(|v| v * v).sum::<f64>().sqrt() };
            sum += norm;
            for (slopes, row) in slopes.iter_mut().zip(&self.values).filter(|_| norm > 0.0) {
                let v = row[j];
                slopes[j] = share
                    * if v == 0.0 {
                        0.0
                    } else if is_l1 {
                        v.signum()
                    } else {
                        v / norm
                    };
            }
        }
        (share * sum, slopes)
    }
}

impl Coefficients for Anisotropic {
    fn factors(&self) -> Result<Factors> {
        Ok(self.values.clone())
    }

    fn penalty(&self) -> f64 {
        self.penalised().0
    }

    fn step(&mut self, slopes: &Factors) -> Result<()> {
        let (_, penalty) = self.penalised();
        let gradient: Vec<f64> =
            slopes.iter().flatten().zip(penalty.iter().flatten()).map(|(a, b)| a + b).collect();
        let mut flat: Vec<f64> = self.values.iter().flatten().copied().collect();
        self.adam.step(&mut flat, &gradient);
        let n_blocks = self.values.first().map_or(1, Vec::len).max(1);
        for (row, new) in self.values.iter_mut().zip(flat.chunks(n_blocks)) {
            row.copy_from_slice(new);
        }
        Ok(())
    }
}

/// For each block the task vectors with the steepest slopes at the base, `budget` of them, the steepest first.
pub fn best_per_block(slopes: &Factors, budget: usize) -> Vec<Vec<usize>> {
    let n_blocks = slopes.first().map_or(0, Vec::len);
    let best = |j: usize| {
        let mut order: Vec<usize> = (0..slopes.len()).collect();
        order.sort_by(|&a, &b| slopes[b][j].abs().total_cmp(&slopes[a][j].abs()));
        order.truncate(budget);
        order
    };
    (0..n_blocks).map(best).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{ProbeLoss, learn};
    use super::*;
    use polytask_core::{Purpose, Rng};
    use serde_json::Value;

    /// The generator of the independent implementation.
    fn numbers(seed: u64, n: usize, scale: f64) -> Vec<f64> {
        let mut s = seed;
        let mut next = || {
            s = (1_103_515_245 * s + 12345) % (1 << 31);
            (2.0 * (s as f64 / f64::from(1_u32 << 31)) - 1.0) * scale
        };
        (0..n).map(|_| next()).collect()
    }

    const SIZES: [usize; 4] = [12, 4, 12, 3];

    /// A network of 3 inputs, 4 hidden units and 3 classes with two task vectors, and groups of entries.
    struct Net {
        theta: Vec<Vec<f64>>,
        tau: Vec<Vec<Vec<f64>>>,
        /// The group of each entry, by block.
        groups: fn(usize) -> usize,
        n_groups: usize,
    }

    impl Net {
        fn new(groups: fn(usize) -> usize, n_groups: usize) -> Self {
            let theta = SIZES.iter().enumerate().map(|(j, n)| numbers(1 + j as u64, *n, 1.0)).collect();
            let vector = |i: u64| {
                SIZES.iter().enumerate().map(|(j, n)| numbers(10 * i + 20 + j as u64, *n, 0.5)).collect()
            };
            Self { theta, tau: (0..2).map(vector).collect(), groups, n_groups }
        }

        /// Cross-entropy of six rows, and its gradient by block.
        fn loss(theta: &[Vec<f64>]) -> (f64, Vec<Vec<f64>>) {
            let x = numbers(99, 18, 1.0);
            let mut gradient: Vec<Vec<f64>> = SIZES.iter().map(|n| vec![0.0; *n]).collect();
            let mut loss = 0.0;
            for (row, x) in x.chunks(3).enumerate() {
                let h: Vec<f64> = (0..4)
                    .map(|k| (theta[1][k] + (0..3).map(|i| theta[0][3 * k + i] * x[i]).sum::<f64>()).tanh())
                    .collect();
                let z: Vec<f64> = (0..3)
                    .map(|c| theta[3][c] + (0..4).map(|k| theta[2][4 * c + k] * h[k]).sum::<f64>())
                    .collect();
                let sum: f64 = z.iter().map(|z| z.exp()).sum();
                loss -= (z[row % 3].exp() / sum).ln() / 6.0;
                let d: Vec<f64> =
                    (0..3).map(|c| (z[c].exp() / sum - f64::from(u8::from(c == row % 3))) / 6.0).collect();
                for c in 0..3 {
                    gradient[3][c] += d[c];
                    (0..4).for_each(|k| gradient[2][4 * c + k] += d[c] * h[k]);
                }
                for k in 0..4 {
                    let dh = (0..3).map(|c| d[c] * theta[2][4 * c + k]).sum::<f64>() * (1.0 - h[k] * h[k]);
                    gradient[1][k] += dh;
                    (0..3).for_each(|i| gradient[0][3 * k + i] += dh * x[i]);
                }
            }
            (loss, gradient)
        }

        fn place(&self, j: usize, q: usize) -> usize {
            j * self.n_groups + (self.groups)(q)
        }
    }

    impl ProbeLoss for Net {
        fn at(&mut self, factors: &Factors, _: usize) -> Result<(f64, Factors)> {
            let mut theta = self.theta.clone();
            for (f, tau) in factors.iter().zip(&self.tau) {
                for (j, block) in tau.iter().enumerate() {
                    block.iter().enumerate().for_each(|(q, t)| theta[j][q] += f[self.place(j, q)] * t);
                }
            }
            let (loss, gradient) = Self::loss(&theta);
            let mut slopes = vec![vec![0.0; 4 * self.n_groups]; 2];
            for (slopes, tau) in slopes.iter_mut().zip(&self.tau) {
                for (j, block) in tau.iter().enumerate() {
                    block
                        .iter()
                        .enumerate()
                        .for_each(|(q, t)| slopes[self.place(j, q)] += gradient[j][q] * t);
                }
            }
            Ok((loss, slopes))
        }
    }

    fn golden() -> Value {
        serde_json::from_str(include_str!("atlas_golden.json")).unwrap()
    }

    fn flat(value: &Value) -> Vec<f64> {
        match value {
            Value::Array(items) => items.iter().flat_map(flat).collect(),
            other => vec![other.as_f64().unwrap()],
        }
    }

    fn close(found: &[f64], expected: &[f64]) {
        let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-6;
        assert!(
            found.len() == expected.len() && found.iter().zip(expected).all(near),
            "{found:?} {expected:?}"
        );
    }

    #[test]
    fn slopes_penalties_and_groups_equal_the_independent_implementation() {
        let golden = golden();
        let lambda: Factors = flat(&golden["lambda"]).chunks(4).map(<[f64]>::to_vec).collect();
        let (loss, slopes) = Net::new(|_| 0, 1).at(&lambda, 0).unwrap();
        close(&[loss], &flat(&golden["loss"]));
        close(&slopes.concat(), &flat(&golden["dlambda"]));
        for (name, penalty) in
            [("penalty L1", CoefficientPenalty::L1(0.5)), ("penalty L2", CoefficientPenalty::L2(0.5))]
        {
            let settings = AnisotropicSettings { penalty, ..AnisotropicSettings::default() };
            let mut coefficients = Anisotropic::new(2, 4, settings);
            coefficients.values.clone_from(&lambda);
            let (value, slopes) = coefficients.penalised();
            close(&[vec![value], slopes.concat()].concat(), &flat(&golden[name]));
        }
        let mut net = Net::new(|q| (7 * q + 3) % 3, 3);
        let by_group: Factors = lambda.iter().map(|row| row.iter().flat_map(|l| [*l; 3]).collect()).collect();
        let (_, slopes) = net.at(&by_group, 0).unwrap();
        close(
            &slopes.concat(),
            &flat(&golden["K = 3 with mask (7 q + 3) mod 3 over the flat index q: dlambda[i][j][k]"]),
        );
    }

    #[test]
    fn steps_and_the_choice_per_block_equal_the_independent_implementation() {
        let golden = golden();
        let mut net = Net::new(|_| 0, 1);
        let (loss, slopes) = net.at(&vec![vec![0.0; 4]; 2], 0).unwrap();
        close(&[loss], &flat(&golden["loss at 0"]));
        let chosen: Vec<f64> = best_per_block(&slopes, 1).into_iter().map(|best| best[0] as f64).collect();
        close(&chosen, &flat(&golden["blockwise choice at 0 with budget 1 (task vector per block)"]));
        let settings = AnisotropicSettings { lr: 0.1, decay: 0.1, penalty: CoefficientPenalty::Off };
        let mut coefficients = Anisotropic::new(2, 4, settings);
        let steps = golden["AdamW lr .1 wd .1 clip 1, five steps from 0: [loss before, lambda after]"]
            .as_array()
            .unwrap();
        for step in steps {
            let losses = learn(&mut coefficients, &mut net, 1, &mut |_, _| {}).unwrap();
            close(&[losses, coefficients.values.concat()].concat(), &flat(step));
        }
    }

    /// Blocks of outputs, each read by one task; an expert has what its own blocks need and drift elsewhere.
    struct Blocks {
        need: Vec<Vec<f64>>,
        tau: Vec<Vec<Vec<f64>>>,
    }

    impl Blocks {
        fn new(seed: u64, (n, m, d): (usize, usize, usize), drift: f64) -> Self {
            let mut rng = Rng::new(seed, Purpose::Bench, &[]);
            let mut block = |scale: f64| -> Vec<f64> {
                (0..d).map(|_| scale * rng.normal() / (d as f64).sqrt()).collect()
            };
            let need: Vec<Vec<f64>> = (0..m).map(|_| block(1.0)).collect();
            let tau = (0..n)
                .map(|i| (0..m).map(|j| if j % n == i { need[j].clone() } else { block(drift) }).collect())
                .collect();
            Self { need, tau }
        }
    }

    impl ProbeLoss for Blocks {
        fn at(&mut self, factors: &Factors, _: usize) -> Result<(f64, Factors)> {
            let (m, total) = (self.need.len(), self.need.iter().flatten().map(|v| v * v).sum::<f64>());
            let mut slopes = vec![vec![0.0; m]; self.tau.len()];
            let mut loss = 0.0;
            for (j, need) in self.need.iter().enumerate() {
                let off: Vec<f64> = need
                    .iter()
                    .enumerate()
                    .map(|(q, need)| {
                        factors.iter().zip(&self.tau).map(|(f, tau)| f[j] * tau[j][q]).sum::<f64>() - need
                    })
                    .collect();
                loss += off.iter().map(|v| v * v).sum::<f64>() / total;
                for (slopes, tau) in slopes.iter_mut().zip(&self.tau) {
                    slopes[j] = 2.0 * off.iter().zip(&tau[j]).map(|(o, t)| o * t).sum::<f64>() / m as f64;
                }
            }
            Ok((loss, slopes))
        }
    }

    #[test]
    fn a_coefficient_per_block_finds_whose_block_it_is_and_one_per_vector_cannot() {
        for seed in 0..5 {
            let mut world = Blocks::new(seed, (6, 12, 160), 0.6);
            let settings = AnisotropicSettings { lr: 0.02, ..AnisotropicSettings::default() };
            let mut coefficients = Anisotropic::new(6, 12, settings);
            learn(&mut coefficients, &mut world, 300, &mut |_, _| {}).unwrap();
            let (loss, _) = world.at(&coefficients.values, 0).unwrap();
            assert!(loss < 1e-3, "{loss}");
            for (i, row) in coefficients.values.iter().enumerate() {
                for (j, value) in row.iter().enumerate() {
                    let expected = f64::from(u8::from(j % 6 == i));
                    assert!((value - expected).abs() < 0.02, "{i} {j} {value}");
                }
            }
            let alpha = |a: f64| vec![vec![a; 12]; 6];
            let least =
                (0..=20).map(|a| world.at(&alpha(f64::from(a) / 20.0), 0).unwrap().0).fold(1.0, f64::min);
            assert!(least > 0.5, "{least}");
        }
    }
}
