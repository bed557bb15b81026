//! Search of a merge by N + 1 numbers: relative weights and a length (Self Positioning), or free positive factors.

use super::positions::{position, slopes};
use super::{Adam, Coefficients, Factors};
use crate::Result;

/// What the factors are functions of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Iterated spherical interpolation, and a length.
    Slerp,
    /// The weighted mean, and a length.
    Average,
    /// A positive number per vector.
    Free,
}

/// Settings of a search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SearchSettings {
    /// What the factors are functions of.
    pub form: Form,
    /// Learning rate of Adam.
    pub lr: f64,
    /// Weight of the length in the loss: guards against fitting the examples by length alone.
    pub mu: f64,
}

impl Default for SearchSettings {
    fn default() -> Self {
        Self { form: Form::Slerp, lr: 0.05, mu: 0.0 }
    }
}

/// A search: logarithms of the relative weights, and the length.
#[derive(Debug, Clone)]
pub struct Search {
    settings: SearchSettings,
    gram: Vec<Vec<f64>>,
    /// Logarithms of the weights, then the length.
    z: Vec<f64>,
    adam: Adam,
}

impl Search {
    /// A search over vectors with these inner products, from relative weights `a` and a length.
    ///
    /// # Errors
    /// Vectors that are zero or opposite.
    pub fn new(gram: Vec<Vec<f64>>, a: &[f64], length: f64, settings: SearchSettings) -> Result<Self> {
        let z: Vec<f64> = a.iter().map(|a| a.ln()).chain([length]).collect();
        let adam = Adam::new(z.len(), settings.lr, 0.0, None);
        let search = Self { settings, gram, z, adam };
        search.position()?;
        Ok(search)
    }

    /// The relative weights.
    pub fn weights(&self) -> Vec<f64> {
        self.z[..self.n()].iter().map(|z| z.exp()).collect()
    }

    /// The length.
    pub fn length(&self) -> f64 {
        self.z[self.n()]
    }

    fn n(&self) -> usize {
        self.gram.len()
    }

    /// The factors without the length.
    fn position(&self) -> Result<Vec<f64>> {
        let a = self.weights();
        match self.settings.form {
            Form::Slerp => Ok(position(&a, &self.gram)?.factors),
            Form::Average => Ok(a.iter().map(|w| w / a.iter().sum::<f64>()).collect()),
            Form::Free => Ok(a),
        }
    }

    /// `[factor][weight]` slopes of these.
    fn slopes(&self) -> Result<Vec<Vec<f64>>> {
        let (a, n) = (self.weights(), self.n());
        let matrix = |of: &dyn Fn(usize, usize) -> f64| {
            (0..n).map(|k| (0..n).map(|i| of(k, i)).collect()).collect::<Vec<Vec<f64>>>()
        };
        let same = |k: usize, i: usize| f64::from(u8::from(k == i));
        let sum: f64 = a.iter().sum();
        match self.settings.form {
            Form::Slerp => slopes(&a, &self.gram),
            Form::Average => Ok(matrix(&|k, i| (same(k, i) - a[k] / sum) / sum)),
            Form::Free => Ok(matrix(&same)),
        }
    }
}

impl Coefficients for Search {
    fn factors(&self) -> Result<Factors> {
        let length = if self.settings.form == Form::Free { 1.0 } else { self.length() };
        Ok(self.position()?.into_iter().map(|factor| vec![length * factor]).collect())
    }

    fn penalty(&self) -> f64 {
        match self.settings.form {
            Form::Free => 0.0,
            _ => self.settings.mu * self.length(),
        }
    }

    fn step(&mut self, inner: &Factors) -> Result<()> {
        let b: Vec<f64> = inner.iter().map(|groups| groups.iter().sum()).collect();
        let (c, slopes, a) = (self.position()?, self.slopes()?, self.weights());
        let (is_free, length) = (self.settings.form == Form::Free, self.length());
        let scale = if is_free { 1.0 } else { length };
        let by_weight = |i: usize| scale * (0..self.n()).map(|k| b[k] * slopes[k][i]).sum::<f64>() * a[i];
        let by_length = c.iter().zip(&b).map(|(c, b)| c * b).sum::<f64>() + self.settings.mu;
        let gradient: Vec<f64> =
            (0..self.n()).map(by_weight).chain([if is_free { 0.0 } else { by_length }]).collect();
        self.adam.step(&mut self.z, &gradient);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ProbeLoss, learn};
    use super::*;
    use nalgebra::{DMatrix, DVector};
    use polytask_core::{Purpose, Rng};

    const D: usize = 40;

    /// Tasks with quadratic losses of known curvature, each descended from 0 for its own number of steps.
    struct World {
        h: Vec<DMatrix<f64>>,
        optima: Vec<DVector<f64>>,
        vectors: Vec<DVector<f64>>,
    }

    impl World {
        fn new(seed: u64, sizes: &[usize]) -> Self {
            let mut rng = Rng::new(seed, Purpose::Bench, &[]);
            let shared = DVector::from_fn(D, |_, _| rng.normal());
            let mut world = Self { h: Vec::new(), optima: Vec::new(), vectors: Vec::new() };
            for &steps in sizes {
                let q = DMatrix::from_fn(D, D, |_, _| rng.normal()).qr().q();
                let curvatures = DVector::from_fn(D, |_, _| (-3.0 * rng.uniform()).exp());
                let h = &q * DMatrix::from_diagonal(&curvatures) * q.transpose();
                let optimum = 0.6 * &shared + 0.8 * DVector::from_fn(D, |_, _| rng.normal());
                let mut v = DVector::zeros(D);
                for _ in 0..steps {
                    v -= 0.1 * &h * (&v - &optimum);
                }
                world.h.push(h);
                world.optima.push(optimum);
                world.vectors.push(v);
            }
            world
        }

        fn gram(&self) -> Vec<Vec<f64>> {
            self.vectors.iter().map(|a| self.vectors.iter().map(|b| a.dot(b)).collect()).collect()
        }

        /// The balanced loss, and its gradient.
        fn loss(&self, x: &DVector<f64>) -> (f64, DVector<f64>) {
            let scale = 1.0 / (D * self.h.len()) as f64;
            let pulls: Vec<(DVector<f64>, DVector<f64>)> =
                self.h.iter().zip(&self.optima).map(|(h, o)| (h * (x - o), x - o)).collect();
            let loss: f64 = pulls.iter().map(|(pull, away)| 0.5 * pull.dot(away)).sum();
            let gradient = pulls.iter().fold(DVector::zeros(D), |sum, (pull, _)| sum + pull);
            (loss * scale, gradient * scale)
        }

        fn merged(&self, factors: &Factors) -> DVector<f64> {
            factors.iter().zip(&self.vectors).fold(DVector::zeros(D), |sum, (f, v)| sum + f[0] * v)
        }

        /// The least loss of all sums of the vectors.
        fn best_of_span(&self) -> f64 {
            let v = DMatrix::from_columns(&self.vectors);
            let h = self.h.iter().fold(DMatrix::zeros(D, D), |sum, h| sum + h);
            let pull = self.h.iter().zip(&self.optima).fold(DVector::zeros(D), |sum, (h, o)| sum + h * o);
            let factors = (v.transpose() * h * &v).lu().solve(&(v.transpose() * pull)).unwrap();
            self.loss(&(v * factors)).0
        }
    }

    impl ProbeLoss for World {
        fn at(&mut self, factors: &Factors, _: usize) -> Result<(f64, Factors)> {
            let (loss, gradient) = self.loss(&self.merged(factors));
            Ok((loss, self.vectors.iter().map(|v| vec![gradient.dot(v)]).collect()))
        }
    }

    fn found(world: &mut World, settings: SearchSettings, steps: usize) -> (Search, f64) {
        let n = world.h.len();
        let mut search = Search::new(world.gram(), &vec![1.0; n], 1.0, settings).unwrap();
        learn(&mut search, world, steps, &mut |_, _| {}).unwrap();
        let loss = world.loss(&world.merged(&search.factors().unwrap())).0;
        (search, loss)
    }

    #[test]
    fn the_search_reaches_the_best_sum_and_beats_equal_weights_in_every_world() {
        for seed in 0..10 {
            for sizes in [&[200, 60][..], &[200, 60, 20]] {
                let mut world = World::new(seed, sizes);
                let equal =
                    Search::new(world.gram(), &vec![1.0; sizes.len()], 1.0, SearchSettings::default())
                        .unwrap();
                let equal = world.loss(&world.merged(&equal.factors().unwrap())).0;
                let best = world.best_of_span();
                for form in [Form::Slerp, Form::Free, Form::Average] {
                    let (_, loss) =
                        found(&mut world, SearchSettings { form, ..SearchSettings::default() }, 600);
                    assert!(loss <= equal + 1e-9, "{seed} {form:?}: {loss} {equal}");
                    assert!(loss - best < 1e-4, "{seed} {form:?}: {loss} {best}");
                }
            }
        }
    }

    #[test]
    fn a_price_on_length_shortens_the_merge_and_hardly_turns_it() {
        let mut world = World::new(3, &[200, 60, 20]);
        let (free, _) = found(&mut world, SearchSettings::default(), 600);
        let (priced, _) = found(&mut world, SearchSettings { mu: 0.01, ..SearchSettings::default() }, 600);
        assert!(priced.length() < free.length());
        let (a, b) = (world.merged(&free.factors().unwrap()), world.merged(&priced.factors().unwrap()));
        assert!(a.dot(&b) / a.norm() / b.norm() > 0.99);
    }

    #[test]
    fn one_vector_leaves_only_its_length() {
        let mut world = World::new(4, &[50]);
        let (search, loss) = found(&mut world, SearchSettings::default(), 600);
        assert!(search.length() > 1.0 && loss - world.best_of_span() < 1e-6);
    }
}
