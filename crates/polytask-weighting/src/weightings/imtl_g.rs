//! IMTL-G: the direction on which all unit gradients have the same projection.
//!
//! - **What:** no task is favoured: the step goes equally far along every task's gradient, whatever its length.
//! - **Paper:** Liu, Li, Kuang, Xue, Chen, Yang, Liao, Zhang: Towards Impartial Multi-task Learning. ICLR 2021,
//!   equation 6.
//! - **Rule:** Σ wᵢ = 1 with uᵢ·Jᵀw the same for all unit gradients uᵢ. On the cosines C that is w ∝ D⁻¹ C⁻¹ 1, D the
//!   lengths of the gradients.
//! - **Dependent gradients:** C⁻¹ becomes the pseudo-inverse C⁺ (eigenvalues above 1e-12 m of the largest), that is, the
//!   unit gradients are served equally in the least-squares sense. The paper's inverse does not exist then. TorchJD
//!   takes G⁺ D 1 in its place: the same wherever an equal projection exists (up to scale), but where none does, it
//!   serves long gradients first, and gradients 1e-8 as long as others not at all.
//! - **Departures:** only that. Where no unit gradient has a part in it (opposite gradients), or the weights would sum to
//!   zero (below 1e-12 of their size), there is no such w, and the step is zero, as in TorchJD.
//! - **Scale:** as the paper says, weights may be negative, and near a sum of zero they grow without bound; clip. When
//!   the tasks cannot all gain, the common projection may even be negative.
//! - **Cost:** the Gramian (one backward per task over shared rows), then one weighted backward.

use polytask_core::method::Choice;
use polytask_core::{Family, MethodInfo};

use crate::Result;
use crate::adapt::ByGramian;
use crate::solve::{RANK, Spectrum, cosines, norms};
use crate::table::{Claim, Entry, Setup};
use crate::{Gramian, GramianWeighting, Needs, Step, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "imtl-g",
    title: "IMTL-G",
    paper: "Liu, Li, Kuang, Xue, Chen, Yang, Liao, Zhang, ICLR 2021",
    family: Family::GramianWeighting,
    about: "follows the direction on which all tasks' unit gradients have the same projection",
    cost: "Gramian + one backward",
    kinds: &[],
    params: &[],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling], make };

/// A sum of weights, as a share of the sum of their sizes, that is rounding.
const NOTHING: f64 = 1e-12;
/// Largest weight of a unit gradient that is rounding: one that is not is at least 1/m.
const NO_UNIT: f64 = 1e-9;

struct ImtlG;

fn make(_choice: &Choice, _setup: &Setup) -> Result<Box<dyn Weighting>> {
    Ok(Box::new(ByGramian { weighting: ImtlG, needs: Needs::NONE }))
}

impl GramianWeighting for ImtlG {
    fn weights(&mut self, _step: &mut Step, gramian: &Gramian) -> Vec<f64> {
        impartial(gramian, &vec![1.0; gramian.n])
    }
}

/// Weights of equal projections whose sum, each divided by its task's `scale`, is 1; zeros where there are none.
pub(super) fn impartial(gramian: &Gramian, scale: &[f64]) -> Vec<f64> {
    let n = gramian.n;
    let spectrum = Spectrum::new(&cosines(gramian)).above(RANK * n as f64);
    let units = spectrum.apply(|value| 1.0 / value, &vec![1.0; n]);
    let weights: Vec<f64> = units.iter().zip(norms(gramian)).map(|(x, norm)| x / norm).collect();
    let shares: Vec<f64> = weights.iter().zip(scale).map(|(w, s)| w / s).collect();
    let (sum, size): (f64, f64) = (shares.iter().sum(), shares.iter().map(|s| s.abs()).sum());
    if sum.abs() <= NOTHING * size || units.iter().all(|x| x.abs() <= NO_UNIT) {
        return vec![0.0; n];
    }
    weights.into_iter().map(|w| w / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeProbe, gramian_golden, weights};

    fn method() -> Box<dyn Weighting> {
        make(&Choice::named("imtl-g"), &Setup::of(&[])).unwrap()
    }

    #[test]
    fn directions_equal_the_published_rule_and_a_pseudo_inverse() {
        for (_, case) in gramian_golden("imtl-g") {
            case.check(&weights(method().as_mut(), &mut FakeProbe::of(&case)), 1e-6);
        }
    }

    #[test]
    fn unit_gradients_have_equal_projections_at_any_scale() {
        let mut probe = FakeProbe::from_rows(&[&[1e-9, 0.0, 0.0], &[1e9, 1e9, 0.0], &[0.0, -2.0, 1.0]]);
        let w = weights(method().as_mut(), &mut probe);
        let gramian = crate::Probe::gramian(&mut probe, crate::At::default()).unwrap();
        let norms = norms(&gramian);
        let projections: Vec<f64> = gramian.times(&w).iter().zip(&norms).map(|(p, n)| p / n).collect();
        assert!(projections.iter().all(|p| (p / projections[0] - 1.0).abs() < 1e-6), "{projections:?}");
        assert!((w.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn opposite_gradients_give_no_direction() {
        for factor in [-2.0_f32, -0.3, -1e-3] {
            let row = [0.7_f32, 1.9, -0.4];
            let other = row.map(|v| v * factor);
            let found = weights(method().as_mut(), &mut FakeProbe::from_rows(&[&row, &other]));
            assert_eq!(found, [0.0, 0.0], "{factor}");
        }
    }
}
