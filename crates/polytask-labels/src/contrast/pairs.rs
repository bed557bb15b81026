//! Which texts of a batch should lie near each other, and how far they are from that.
//!
//! `L = Σ_{i<j} w_ij (cos(z_i, z_j) − t_ij)²`: t is 1 for texts of one label, 0 for texts of none in common, and the share of
//! labels in common where a text may have several. Pairs that should be near have half of the weight, the others the other
//! half. All pairs of a batch come from one encode of each of its texts.

/// What the texts of a batch are.
pub(super) struct Batch<'a> {
    /// Labels of each text, ascending.
    pub(super) labels: &'a [Vec<u32>],
    /// Values per vector.
    pub(super) width: usize,
}

impl Batch<'_> {
    /// The loss, and its derivatives by the vectors.
    ///
    /// # Shapes
    /// `z`: `[texts, width]` → `[texts, width]`.
    pub(super) fn loss(&self, z: &[f32]) -> (f64, Vec<f32>) {
        let (n, d) = (self.labels.len(), self.width);
        let norms: Vec<f64> = z.chunks(d).map(|row| square(row).sqrt().max(1e-12)).collect();
        let targets: Vec<Option<f64>> =
            pairs(n).map(|(i, j)| common(&self.labels[i], &self.labels[j])).collect();
        let near: f64 = targets.iter().flatten().sum();
        let far: f64 = targets.iter().flatten().map(|target| 1.0 - target).sum();
        let mut gradient = vec![0.0; z.len()];
        let mut loss = 0.0;
        for ((i, j), target) in pairs(n).zip(targets) {
            let Some(target) = target else { continue };
            // Half of the weight for each side; all of it where there is but one.
            let share = |part: f64, all: f64| if all > 0.0 { part / all } else { 0.0 };
            let weight = share(target, near) + share(1.0 - target, far);
            let (a, b) = (&z[i * d..(i + 1) * d], &z[j * d..(j + 1) * d]);
            let cosine = dot(a, b) / (norms[i] * norms[j]);
            loss += weight * (cosine - target).powi(2) / 2.0;
            let slope = weight * (cosine - target);
            for c in 0..d {
                let (u, v) = (f64::from(a[c]) / norms[i], f64::from(b[c]) / norms[j]);
                gradient[i * d + c] += (slope * (v - cosine * u) / norms[i]) as f32;
                gradient[j * d + c] += (slope * (u - cosine * v) / norms[j]) as f32;
            }
        }
        (loss, gradient)
    }
}

/// All pairs of `n` things.
fn pairs(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |i| (i + 1..n).map(move |j| (i, j)))
}

/// Share of labels that two texts have in common; `None` where neither has one.
fn common(a: &[u32], b: &[u32]) -> Option<f64> {
    let both = a.iter().filter(|label| b.contains(label)).count();
    let any = a.len() + b.len() - both;
    (any > 0).then(|| both as f64 / any as f64)
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn square(a: &[f32]) -> f64 {
    dot(a, a)
}

#[cfg(test)]
mod tests {
    use polytask_core::{Purpose, Rng};

    use super::*;

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let mut rng = Rng::new(1, Purpose::Bench, &[]);
        let labels = [vec![0], vec![0, 1], vec![], vec![1], vec![2]];
        let z: Vec<f32> = (0..15).map(|_| rng.normal() as f32).collect();
        let batch = Batch { labels: &labels, width: 3 };
        let (_, gradient) = batch.loss(&z);
        for i in 0..z.len() {
            let at = |step: f32| {
                let mut moved = z.clone();
                moved[i] += step;
                batch.loss(&moved).0
            };
            let slope = (at(3e-3) - at(-3e-3)) / 6e-3;
            assert!((f64::from(gradient[i]) - slope).abs() < 1e-3, "{i}: {} {slope}", gradient[i]);
        }
    }

    #[test]
    fn texts_of_one_label_should_lie_together_and_those_of_others_apart() {
        let labels = [vec![0], vec![0], vec![1]];
        let batch = Batch { labels: &labels, width: 2 };
        assert!(batch.loss(&[1.0, 0.0, 2.0, 0.0, 0.0, 3.0]).0.abs() < 1e-12);
        // Both sides count the same, however many pairs they have: 1/2 + (1/4)/2·... of (0.6)² on one of two far pairs.
        let (loss, _) = batch.loss(&[1.0, 0.0, 0.0, 1.0, 0.6, 0.8]);
        // The mean of 1 and of the mean of 0.36 and 0.64.
        assert!((loss - 0.75).abs() < 1e-6, "{loss}");
        assert_eq!((common(&[0, 1], &[1, 2]), common(&[], &[])), (Some(1.0 / 3.0), None));
    }
}
