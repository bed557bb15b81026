//! Rep-MTL: task saliencies that differ by position and agree by sample.
//!
//! - **What:** two terms on the saliencies S = dL/dZ of the tasks at the shared representation. TSR (an entropy) wants
//!   every position to matter to one task mainly, which keeps what is particular to a task; CSA (a contrast) wants
//!   the saliencies of all tasks on one sample to look alike, and unlike those of other samples, which furthers
//!   sharing. Neither the optimiser nor the model changes.
//! - **Paper:** Rep-MTL: Unleashing the Power of Representation-level Task Saliency for Multi-Task Learning. ICCV 2025
//!   (arXiv 2507.21049). No code is public.
//! - **Rule:** minimise Σₜ wₜ log Lₜ + tsr · R₁ + csa · R₂. R₁: the mean over all positions i of the entropy of
//!   Pᵢₜ = |sᵢₜ| / Σₖ |sᵢₖ|, s the channel mean of S. R₂: the mean over samples b of
//!   −log [ exp(u(A_b, S_bt)/τ) / Σ_{k≠b} exp(u(A_b, A_k)/τ) ], averaged over the tasks t, where column t of A_b is the
//!   mean of S_bt over positions and u(A, S) is the cosine of the matrices A Aᵀ and S Sᵀ. Derivatives by S are closed
//!   forms ([`entropy`], [`contrast`]); what follows for Z and the heads is a second-order product.
//! - **Open in the paper, decided here:** `tau` is not given (0.2); A_b has a column per task; R₂ is averaged over
//!   tasks; the positive is not in the denominator, as printed (`positive_in_denominator`); the channel mean is signed,
//!   as printed, and may cancel to noise for soft-max heads (`channel_mean = "absolute"`).
//! - **Samples and positions:** a sample is a sequence of the batch, its positions the rows of its states. A head that
//!   reads pooled vectors has the same saliency at every position; one row is a map of one position.
//! - **Missing targets:** a task without a target at a sample has no saliency there; P is taken over the tasks present,
//!   and so is R₂. A sample with one task has entropy 0 and no contrast, and counts in both means. Samples with one
//!   task are no negatives. With fewer than two samples of several tasks in a step R₂ is off.
//! - **Bounds:** |s| + 1e-8 in P (uniform where all are 0) and norms of at least 1e-16, both of saliencies times the
//!   number of samples; below a mean |S| of `floor` on that scale both terms stop, since they would be noise.
//! - **Weightings:** weights are found from the plain losses and multiply a task's gradient together with its share of
//!   the terms. A suite's `loss_weight` multiplies log L. Weightings that take logarithms themselves (FAMO, GLS) want
//!   `log_losses = false`.
//! - **Care:** R₁ also falls when the saliency of one task grows everywhere, as that of a badly fitted task does; R₂ as
//!   printed is unbounded below and outweighs log losses at a small tau. Watch `rep-mtl entropy` and every task's loss.
//! - **Measured:** two digits per image, 3,000 images, 20 epochs, heads with one ReLU layer; accuracy over both digits and
//!   two seeds, in brackets that of a double backward in PyTorch on the same images. Log losses alone 91.1 (90.8); tsr
//!   0.1: 91.1 (91.4), tsr 0.9: 91.2 (90.9); csa 0.1: 91.1 (91.4), csa 0.9: 90.1 (90.3); at tau 0.1, csa 0.1: 90.8
//!   (90.9), csa 0.9: 83.2 (85.6). So the paper's 0.9 does no harm in R₁, costs about a point in R₂ at tau 0.2 and
//!   several at tau 0.1; a gain does not show.
//! - **Departures:** a training of one task is plain training, without logarithms. Derivatives through S are exact, those
//!   of a double backward (`second_order`), with the masks of a ReLU held fixed. Central differences of gradients would
//!   not do: where saliencies are small their slopes are large, and one step for the whole batch crosses kinks at a few
//!   well fitted samples, whose error then exceeds the whole product. With them csa 0.9 ended at 86.0, at tau 0.1 at
//!   19.2 (22.9 in PyTorch with the same differences).
//! - **Cost:** one trunk backward as ever; one pass of second order over each head in f64, and the two terms in
//!   O(C·T·H'W') per sample and O(T²·C) per pair of samples (no C × C matrix where C is the larger side).

mod contrast;
mod entropy;

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo, Problem};

use super::table::RegularizerEntry;
use super::{Penalty, Regularizer, Saliencies};
use crate::Result;

pub(crate) use contrast::similarities;
use contrast::similarity;
pub(crate) use entropy::entropies;

const fn lambda(name: &'static str, about: &'static str) -> ParamInfo {
    ParamInfo { name, about, default: "0.9", range: Range::Real { min: 0.0, max: f64::INFINITY } }
}

/// What the regularizer says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "rep-mtl",
    title: "Rep-MTL",
    paper: "Rep-MTL, ICCV 2025 (arXiv 2507.21049)",
    family: Family::Regularizer,
    about: "makes task saliencies differ by position (entropy) and agree by sample (contrast)",
    cost: "one pass of second order over every head",
    kinds: &[],
    params: &[
        lambda("tsr", "factor of the entropy of saliencies over tasks"),
        lambda(
            "csa",
            "factor of the contrast between samples; as printed it can outweigh the losses at a small tau",
        ),
        ParamInfo {
            name: "tau",
            about: "temperature of the contrast",
            default: "0.2",
            range: Range::Positive,
        },
        ParamInfo {
            name: "log_losses",
            about: "whether tasks are trained on the logarithm of their loss",
            default: "true",
            range: Range::Bool,
        },
        ParamInfo {
            name: "start_epoch",
            about: "epochs before the terms begin",
            default: "0",
            range: Range::Integer { min: 0 },
        },
        ParamInfo {
            name: "channel_mean",
            about: "mean over channels of the saliency itself or of its size",
            default: "\"signed\"",
            range: Range::OneOf(&["signed", "absolute"]),
        },
        ParamInfo {
            name: "positive_in_denominator",
            about: "whether the contrast's positive stands among the negatives, which bounds it below",
            default: "false",
            range: Range::Bool,
        },
        ParamInfo {
            name: "floor",
            about: "mean size of a sample's saliency below which both terms stop",
            default: "1e-6",
            range: Range::Real { min: 0.0, max: f64::INFINITY },
        },
        ParamInfo {
            name: "through_saliencies",
            about: "whether gradients flow through the saliencies; without them both terms are constants",
            default: "true",
            range: Range::Bool,
        },
    ],
};

/// Its line in the table.
pub(crate) const ENTRY: RegularizerEntry = RegularizerEntry { info: &INFO, make };

/// Told once when no sample of a step has two tasks.
const ALONE: &str = "rep-mtl: a step has no sample with two tasks, and both terms are 0 there; they need tasks that \
                     read the same rows (a [[source]] with several tasks)";
/// Told once when a step has no negatives.
const NO_NEGATIVES: &str = "rep-mtl: a step has one sample with two tasks only, and CSA is off there for want of \
                            negatives (try: more `batch_rows`)";

struct RepMtl {
    tsr: f64,
    csa: f64,
    tau: f64,
    log_losses: bool,
    start_epoch: u64,
    absolute: bool,
    positive_in_denominator: bool,
    floor: f64,
}

fn make(choice: &Choice) -> Result<Box<dyn Regularizer>> {
    let (real, flag) = (|name| choice.real(&INFO, name), |name| choice.param(&INFO, name) == true);
    if !flag("through_saliencies") {
        let what = "regularizer `rep-mtl` with `through_saliencies = false` trains nothing: without gradients \
                    through the saliencies both terms are constants";
        let remedy = "`through_saliencies = true`, or `tsr = 0, csa = 0` to train on log losses alone";
        return Err(Problem::new(what).try_this(remedy).into());
    }
    Ok(Box::new(RepMtl {
        tsr: real("tsr"),
        csa: real("csa"),
        tau: real("tau"),
        log_losses: flag("log_losses"),
        start_epoch: choice.param(&INFO, "start_epoch").as_u64().unwrap_or(0),
        absolute: choice.param(&INFO, "channel_mean") == "absolute",
        positive_in_denominator: flag("positive_in_denominator"),
        floor: real("floor"),
    }))
}

/// How a suite's choice reads entropies, by the defaults where it is another regularizer: of log losses or not, from
/// the size of channels or their signed mean.
pub(crate) fn reading(choice: &Choice) -> (bool, bool) {
    let choice = if choice.name == INFO.id { choice.clone() } else { Choice::named(INFO.id) };
    (choice.param(&INFO, "log_losses") == true, choice.param(&INFO, "channel_mean") == "absolute")
}

impl Regularizer for RepMtl {
    fn log_losses(&self) -> bool {
        self.log_losses
    }

    fn penalty(&self, saliencies: &Saliencies, epoch: u64) -> Penalty {
        let size = saliencies.mean_size();
        let mut penalty = Penalty { observed: vec![("rep-mtl saliency", size)], ..Penalty::default() };
        let n_shared = saliencies.shared().count();
        if n_shared == 0 {
            penalty.notes.push(ALONE);
            return penalty;
        }
        let mut slopes = saliencies.zeros();
        let entropy = entropy::add(saliencies, self.absolute, self.tsr, &mut slopes);
        penalty.observed.extend([("rep-mtl tsr", entropy.mean), ("rep-mtl entropy", entropy.share)]);
        if n_shared > 1 {
            let csa =
                contrast::add(saliencies, self.tau, self.positive_in_denominator, self.csa, &mut slopes);
            penalty.observed.push(("rep-mtl csa", csa));
        } else {
            penalty.notes.push(NO_NEGATIVES);
        }
        penalty.observed.extend(similarity(saliencies).map(|s| ("rep-mtl similarity", s)));
        let is_on = epoch >= self.start_epoch && size >= self.floor && (self.tsr > 0.0 || self.csa > 0.0);
        penalty.slopes = is_on.then_some(slopes);
        penalty
    }
}

#[cfg(test)]
mod parity;
#[cfg(test)]
mod tests;
