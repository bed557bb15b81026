//! A place near the weights, reached by steps along gradients: what bilevel methods evaluate at.

use super::{At, JointGradient, dot};

/// Displacements of the shared parameters and of the heads of the tasks present.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    shared: Vec<f32>,
    heads: Vec<Vec<f32>>,
}

impl Place {
    /// The place `factor` times a gradient away; `weights` are the factors of the heads' own gradients in it.
    pub(crate) fn along(factor: f64, shared: &[f32], heads: &[Vec<f32>], weights: &[f64]) -> Self {
        let mut place = Self::default();
        place.add(factor, shared, heads, weights);
        place
    }

    /// Goes on by `factor` times a gradient.
    pub(crate) fn add(&mut self, factor: f64, shared: &[f32], heads: &[Vec<f32>], weights: &[f64]) {
        add(&mut self.shared, factor, shared);
        self.heads.resize(heads.len(), Vec::new());
        for ((to, head), weight) in self.heads.iter_mut().zip(heads).zip(weights) {
            add(to, factor * weight, head);
        }
    }

    /// Goes on by a step of gradient descent.
    pub(crate) fn descend(&mut self, rate: f64, gradient: &JointGradient, weights: &[f64]) {
        self.add(-rate, &gradient.shared, &gradient.heads, weights);
    }

    /// The displacements of the shared parameters and of the heads.
    pub(crate) fn into_parts(self) -> (Vec<f32>, Vec<Vec<f32>>) {
        (self.shared, self.heads)
    }

    /// This place, on a batch.
    pub(crate) fn at(&self, batch: usize) -> At<'_> {
        At { batch, displacement: Some(&self.shared), heads: Some(&self.heads), states: None }
    }
}

/// The squared norm of a gradient of trunk and heads; `weights` are the factors of the heads' own gradients in it.
pub(crate) fn square(gradient: &JointGradient, weights: &[f64]) -> f64 {
    let head = |(head, w): (&Vec<f32>, &f64)| if *w == 0.0 { 0.0 } else { w * w * dot(head, head) };
    let heads: f64 = gradient.heads.iter().zip(weights).map(head).sum();
    dot(&gradient.shared, &gradient.shared) + heads
}

fn add(to: &mut Vec<f32>, factor: f64, values: &[f32]) {
    to.resize(values.len(), 0.0);
    // A factor of 0 leaves out values that are not finite.
    if factor != 0.0 {
        to.iter_mut().zip(values).for_each(|(t, &v)| *t = (f64::from(*t) + factor * f64::from(v)) as f32);
    }
}
