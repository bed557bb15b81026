//! Aligned-MTL: gradients made orthogonal and of one length before they are added.
//!
//! - **What:** the Jacobian is replaced by the nearest one whose rows are orthogonal and equally long (all its singular
//!   values are made equal), so that no task dominates and none conflicts; its rows are then added.
//! - **Paper:** Senushkin, Patakin, Kuznetsov, Konushin: Independent Component Alignment for Multi-Task Learning. CVPR
//!   2023, algorithm 1.
//! - **Rule:** G = V Λ Vᵀ on the eigenvalues above λₘₐₓ · m · ε; w = √σ V Λ^(−½) Vᵀ 1, where σ is the smallest of them
//!   (`min`), their lower median (`median`) or their mean (`rmse`, that of the first implementation).
//! - **Rank:** the smallest eigenvalue kept sets the length of the step, so where the cut lies matters: ε (`rank_cut`)
//!   is that of f32, in which gradients are computed, as in the authors' and LibMTL's implementations (TorchJD's follows its input).
//!   Directions without an eigenvalue (of opposite or identical gradients) take no part: two opposite gradients of one
//!   length give no direction.
//! - **Departures:** none. Tasks are added with weight 1 each, as the authors' and LibMTL's implementations do; TorchJD
//!   takes their mean, which is this divided by m.
//! - **Scale:** follows the gradients; with `min`, the shortest principal direction of the Jacobian.
//! - **Cost:** the Gramian (one backward per task over shared rows), then one weighted backward.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use crate::Result;
use crate::adapt::ByGramian;
use crate::solve::{Spectrum, over_trace};
use crate::table::{Claim, Entry, Setup};
use crate::{Gramian, GramianWeighting, Needs, Step, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "aligned-mtl",
    title: "Aligned-MTL",
    paper: "Senushkin, Patakin, Kuznetsov, Konushin, CVPR 2023",
    family: Family::GramianWeighting,
    about: "makes the task gradients orthogonal and equally long, then adds them up",
    cost: "Gramian + one backward",
    kinds: &[],
    params: &[
        ParamInfo {
            name: "scale_mode",
            about: "which eigenvalue of the Gramian the aligned gradients get as their squared length",
            default: "\"min\"",
            range: Range::OneOf(&["min", "median", "rmse"]),
        },
        ParamInfo {
            name: "rank_cut",
            about: "share of the largest eigenvalue, times the number of tasks, below which a direction is rounding",
            // Epsilon of f32.
            default: "1.1920929e-7",
            range: Range::Positive,
        },
    ],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling], make };

/// Which eigenvalue the aligned gradients get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Min,
    Median,
    Mean,
}

struct AlignedMtl {
    scale: Scale,
    rank_cut: f64,
}

fn make(choice: &Choice, _setup: &Setup) -> Result<Box<dyn Weighting>> {
    let scale = match choice.param(&INFO, "scale_mode").as_str() {
        Some("median") => Scale::Median,
        Some("rmse") => Scale::Mean,
        _ => Scale::Min,
    };
    let weighting = AlignedMtl { scale, rank_cut: choice.real(&INFO, "rank_cut") };
    Ok(Box::new(ByGramian { weighting, needs: Needs::NONE }))
}

impl Scale {
    /// Of eigenvalues in descending order.
    fn of(self, values: &[f64]) -> f64 {
        match self {
            Self::Min => values[values.len() - 1],
            Self::Median => values[values.len() / 2],
            Self::Mean => values.iter().sum::<f64>() / values.len() as f64,
        }
    }
}

impl GramianWeighting for AlignedMtl {
    fn weights(&mut self, _step: &mut Step, gramian: &Gramian) -> Vec<f64> {
        let cut = gramian.n as f64 * self.rank_cut;
        let spectrum = Spectrum::new(&over_trace(gramian)).above(cut);
        let scale = self.scale.of(&spectrum.values);
        spectrum.apply(|value| (scale / value).sqrt(), &vec![1.0; gramian.n])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeProbe, gramian_golden, weights};

    #[test]
    fn a_higher_cut_leaves_directions_out() {
        let rows: [&[f32]; 2] = [&[1.0, 0.1], &[1.0, -0.1]];
        let of = |cut: f64| {
            let mut choice = Choice::named("aligned-mtl");
            choice.params.insert("rank_cut".into(), cut.into());
            weights(make(&choice, &Setup::of(&[])).unwrap().as_mut(), &mut FakeProbe::from_rows(&rows))
        };
        // The small direction, with a hundredth of the largest eigenvalue, no longer sets the length.
        let (all, one) = (of(1e-7), of(0.02));
        assert!((one[0] / all[0] - 10.0).abs() < 1e-3, "{all:?} {one:?}");
    }

    #[test]
    fn directions_equal_published_implementations_in_all_scale_modes() {
        for (params, case) in gramian_golden("aligned-mtl") {
            let mut method = make(&params, &Setup::of(&[])).unwrap();
            case.check(&weights(method.as_mut(), &mut FakeProbe::of(&case)), 1e-6);
        }
    }

    #[test]
    fn aligned_gradients_share_the_shortest_length() {
        let mut method = make(&Choice::named("aligned-mtl"), &Setup::of(&[])).unwrap();
        // Orthogonal rows of lengths 3 and 4: both end at length 3.
        let mut probe = FakeProbe::from_rows(&[&[3.0, 0.0], &[0.0, 4.0]]);
        let found = weights(method.as_mut(), &mut probe);
        assert!((found[0] - 1.0).abs() < 1e-12 && (found[1] - 0.75).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn the_lower_median_of_an_even_number_is_taken() {
        assert_eq!(Scale::Median.of(&[4.0, 3.0, 2.0, 1.0]), 2.0);
        assert_eq!(Scale::Median.of(&[3.0, 2.0, 1.0]), 2.0);
        assert_eq!((Scale::Min.of(&[3.0, 1.0]), Scale::Mean.of(&[3.0, 1.0])), (1.0, 2.0));
    }
}
