//! Regularizers: a term R added to the task losses, a function of their saliencies.
//!
//! A saliency is the gradient of a task's loss with respect to the trunk's output states, the very cotangent the
//! step computes anyway ([`Saliencies`]). A regularizer answers with the term's value and its derivative by the
//! saliencies, written by hand ([`Penalty`]); it never sees the network. The loop ([`regularize`]) turns
//! the derivative into gradients: d/dθ R(dL/dZ) is a second-order product, exact and of the heads alone
//! (`second_order`), and is added to the head's gradient and to the cotangent before the weighting is asked.
//! The trunk still runs once forward and once backward.
//!
//! So a term works under every method that asks for losses only; the weight a task gets multiplies its share of the
//! term too. Methods that look at gradients are refused: a Gramian of sums with the term is defined in no paper.
//!
//! Adding one = one file here, with its `mod` line below, and one line in [`REGULARIZERS`].

// Headers name papers, authors and venues in prose, and documentation pages are made from them.
#![allow(clippy::doc_markdown)]

mod matrix;
mod regularize;
mod rep_mtl;
mod saliencies;
mod second_order;
pub mod table;

/// All regularizers, by id.
pub static REGULARIZERS: &[table::RegularizerEntry] = &[rep_mtl::ENTRY];

pub(crate) use regularize::log_losses;
pub use regularize::{RegularizerRecord, regularize};
pub(crate) use rep_mtl::{entropies, reading as rep_mtl_reading, similarities};
pub use saliencies::{Saliencies, Sample, Slopes};

/// A term on the task losses' gradients at the trunk's output.
pub trait Regularizer: Send {
    /// Whether tasks are trained on the logarithm of their loss.
    fn log_losses(&self) -> bool;

    /// The term at these saliencies, in this epoch (from 0).
    fn penalty(&self, saliencies: &Saliencies, epoch: u64) -> Penalty;
}

/// A regularizer's answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Penalty {
    /// Derivative of the term by each saliency; `None` where the term is off.
    pub slopes: Option<Slopes>,
    /// What is recorded of the step, by name.
    pub observed: Vec<(&'static str, f64)>,
    /// What a user should know, in words; the same text is told once.
    pub notes: Vec<&'static str>,
}
