//! ConFIG: the direction with equal cosines to all task gradients.
//!
//! - **What:** where one exists, a direction that makes the same angle with every task gradient, so that no task is
//!   given up for another; its length is the sum of the gradients' projections on it.
//! - **Paper:** Liu, Chu, Thuerey: ConFIG: Towards Conflict-free Training of Physics Informed Neural Networks. ICLR
//!   2025 (arXiv 2408.11104), equation 2.
//! - **Rule:** U = the rows over their norms, v = U⁺ 1 / ‖U⁺ 1‖; direction (Σᵢ gᵢ·v) v. As U⁺ 1 = Uᵀ (U Uᵀ)⁺ 1, it is
//!   a weighted sum of the rows, and the weights need their cosines K = U Uᵀ only: a = K⁺ 1 and
//!   wᵢ = (Σⱼ ‖gⱼ‖ (K a)ⱼ / aᵀ K a) aᵢ / ‖gᵢ‖.
//! - **Departures:** none in the mathematics; no row is kept. Singular values of U below 1e-6 of the largest are
//!   cut off: gradients are computed in f32, and beyond that the direction would follow their rounding (TorchJD cuts
//!   off at the rounding of f64). Where the gradients leave no direction (two opposite ones) there is no step.
//! - **Cost:** the Gramian (one backward per task over shared rows), then one weighted backward.

use polytask_core::method::Choice;
use polytask_core::{Family, MethodInfo};

use crate::Result;
use crate::adapt::ByGramian;
use crate::solve::{RANK, Spectrum, cosines, inner, norms};
use crate::table::{Claim, Entry, Setup};
use crate::{Gramian, GramianWeighting, Needs, Step, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "config",
    title: "ConFIG",
    paper: "Liu, Chu, Thuerey, ICLR 2025",
    family: Family::GramianWeighting,
    about: "follows the direction that makes the same angle with every task gradient",
    cost: "Gramian + one backward",
    kinds: &[],
    params: &[],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling], make };

/// Length of U⁺ 1, squared, below which it is rounding: it is at least 1 where the cosines can be equal.
const NOTHING: f64 = 1e-18;

struct Config;

fn make(_choice: &Choice, _setup: &Setup) -> Result<Box<dyn Weighting>> {
    Ok(Box::new(ByGramian { weighting: Config, needs: Needs::NONE }))
}

impl GramianWeighting for Config {
    fn weights(&mut self, _step: &mut Step, gramian: &Gramian) -> Vec<f64> {
        let (norms, cosines) = (norms(gramian), cosines(gramian));
        let spectrum = Spectrum::new(&cosines).above(RANK);
        let a = spectrum.apply(|value| 1.0 / value, &vec![1.0; gramian.n]);
        let along = cosines.times(&a);
        let square = inner(&a, &along);
        if square <= NOTHING {
            return vec![0.0; gramian.n];
        }
        // In units of the longest row, for gradients of any size.
        let largest = norms.iter().copied().fold(0.0, f64::max);
        let length: f64 = norms.iter().zip(&along).map(|(norm, k)| norm / largest * k).sum();
        a.iter().zip(&norms).map(|(a, norm)| length / square * a * (largest / norm)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeProbe, weights};
    use crate::toy::{Close, golden, pulling};

    fn method() -> Box<dyn Weighting> {
        make(&Choice::named("config"), &Setup::of(&["a", "b", "c", "d", "e", "f"])).unwrap()
    }

    #[test]
    fn directions_equal_torchjd() {
        let golden = golden();
        for (case, expected) in golden.jacobians.iter().zip(&golden.config) {
            let rows = pulling(&case.rows);
            let mut probe = FakeProbe::from_rows(&(0..rows.n).map(|i| rows.row(i)).collect::<Vec<_>>());
            let found = weights(method().as_mut(), &mut probe);
            let shortest = rows.squares().into_iter().fold(f64::INFINITY, f64::min).sqrt();
            let size = expected.iter().fold(shortest, |m, v| m.max(v.abs()));
            let over = |v: f64| v / size;
            let found: Vec<f32> =
                rows.weighted(&found, 0..rows.width).iter().map(|v| over(f64::from(*v)) as f32).collect();
            let mut expected: Vec<f64> = expected.iter().map(|v| over(*v)).collect();
            // A direction of zero length is compared with the shortest row.
            let (mut found, one) = (found, [1.0]);
            found.push(1.0);
            expected.extend(one);
            found.close(&expected, 1e-6, &case.name);
        }
    }

    #[test]
    fn all_cosines_with_the_direction_are_equal() {
        for seed in 0..20 {
            let mut probe = FakeProbe::random(seed, 4, 9);
            let rows = crate::Probe::rows(&mut probe, crate::At::default()).unwrap();
            let direction = rows.weighted(&weights(method().as_mut(), &mut probe), 0..9);
            let cosine = |i: usize| crate::dot(rows.row(i), &direction) / rows.squares()[i].sqrt();
            assert!(cosine(0) > 0.0 && (1..4).all(|i| (cosine(i) / cosine(0) - 1.0).abs() < 1e-5));
        }
    }

    #[test]
    fn opposite_gradients_give_no_direction() {
        let mut probe = FakeProbe::from_rows(&[&[1.0, 2.0], &[-3.0, -6.0]]);
        assert_eq!(weights(method().as_mut(), &mut probe), [0.0, 0.0]);
    }
}
