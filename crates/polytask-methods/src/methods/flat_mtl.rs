//! # 31: Task-based flat regions
//!
//! ## What it does
//! Makes any conflict method seek flat regions: every task perturbs the weights towards its own worst case within a
//! small ball, and what its gradient gains there is combined across tasks apart from the plain gradients.
//!
//! ## Paper
//! Phan, Tran, Tran, Le, Ho, Phung, Le: Beyond Losses Reweighting: Empowering Multi-Task Learning via the
//! Generalization Perspective. ICCV 2025 ([arXiv 2211.13723](https://arxiv.org/abs/2211.13723), first as Improving
//! Multi-task Learning via Seeking Task-based Flat Regions).
//!
//! ## Idea in five lines
//! 1. A sharp minimum of one task is where a small change of the shared weights costs it much.
//! 2. Sharpness-aware minimisation steps with the gradient at the worst point of a ball around the weights.
//! 3. With several tasks there is one worst point per task, over the trunk and the task's own head.
//! 4. The gradient there is the plain one plus a gradient of flatness; conflicts among either are resolved apart.
//! 5. The two directions are added; heads step with the gradient at their own worst point.
//!
//! ## Objective
//! ```text
//! min over θ of [ max |e| ≤ ρ, |eᵢ| ≤ ρ of Lᵢ(θ + e, φᵢ + eᵢ) ] for all tasks i
//! gᵢ = ∇Lᵢ(θ, φᵢ);  eᵢ = ρ gᵢ / ‖gᵢ‖;  sᵢ = ∇Lᵢ at the displaced weights;  fᵢ = sᵢ − gᵢ
//! step of the trunk: Agg(g₁ … gₘ) + Agg(f₁ … fₘ)
//! ```
//!
//! ## Parts used
//! The weightings `flat` (around `cagrad`, `mgda`, `equal` and any other) and `sam`; image trunk `lenet`.
//!
//! ## Departures
//! Multi-MNIST with 3,000 training pairs and a LeNet of about 31,000 weights in place of 60,000 pairs and ResNet-18;
//! 20 % of the training labels are random, since flatness matters where there is noise. Parameters are chosen on
//! valid pairs of other digits, with the same noise, and test scores are read once, at the last epoch; the released
//! code picks the best epoch on test. Data and initial weights differ from seed to seed. Heads start from smaller weights
//! than in the released code, and radii that move them much stall the first epochs: 0.05 where no radius is chosen.
//!
//! ## Cost
//! Two forwards and backwards per task and step in place of one, and the task gradients kept. Inference is unchanged.
//!
//! ## Limits
//! The tables of NYUv2, Cityscapes and CelebA need data and machines beyond this experiment. Radii are not comparable
//! between the plain and the adaptive form.

use crate::data::multi_mnist;
use crate::paper::Paper;

/// The paper.
pub static PAPER: Paper = Paper {
    id: "31",
    name: "flat-mtl",
    title: "Task-based flat regions",
    paper: "Phan, Tran, Tran, Le, Ho, Phung, Le, ICCV 2025",
    family: "sharpness-aware aggregation",
    about: "combines each task's gradient, and what flatness adds to it, by any conflict method",
    claim: "Seeking flat regions per task raises the accuracy of the method it wraps: F-CAGrad over CAGrad, F-EW over \
            EW, by about one point on Multi-MNIST.",
    cost: "two forwards and backwards per task and step; task gradients kept",
    parts: &["flat", "sam"],
    recipe: include_str!("../../recipes/flat_mtl.toml"),
    data: multi_mnist::data,
    oracle: None,
};
