//! What the loss of one task wants of the trunk's output and of its head.

use polytask_nn::Cotangent;

/// A task's loss and first-order wishes.
pub struct PartGradient {
    /// Suite index of the task.
    pub task: usize,
    /// Loss times the task's `loss_weight`.
    pub loss: f64,
    /// Gradient of the head's parameters, same factor.
    pub d_head: Vec<f32>,
    /// dL/dz at the trunk's output, same factor.
    pub cotangent: Cotangent,
}

impl PartGradient {
    /// The largest entry of its gradients at the trunk's output and of its head.
    pub fn reach(&self) -> f32 {
        self.cotangent.values.iter().chain(&self.d_head).fold(0.0, |most, g| g.abs().max(most))
    }
}
