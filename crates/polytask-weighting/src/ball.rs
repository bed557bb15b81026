//! The ball around the weights in which a sharpness-aware method looks for its worst case.
//!
//! To first order the worst case lies along the gradient: e = ρ g / ‖g‖ (SAM, Foret et al., ICLR 2021), or, measured
//! by the size of each weight, e = ρ θ² ∘ g / ‖|θ| ∘ g‖ (ASAM, Kwon et al., ICML 2021). A zero gradient has no
//! worst case and gives no displacement.

use polytask_core::method::{Choice, Range};
use polytask_core::{MethodInfo, ParamInfo};

use super::Probe;

/// The radius of a ball around the trunk's weights.
pub(crate) const RHO: ParamInfo = ParamInfo {
    name: "rho",
    about: "radius of the ball; 0.01 to 0.2 in the plain form, about 2 in the adaptive one; 0 moves nothing",
    default: "0.05",
    range: Range::Real { min: 0.0, max: f64::INFINITY },
};

/// Whether the ball follows the size of the weights.
pub(crate) const ADAPTIVE: ParamInfo = ParamInfo {
    name: "adaptive",
    about: "whether each weight moves in proportion to its size (ASAM)",
    default: "false",
    range: Range::Bool,
};

/// Whether biases and norms stay where they are.
pub(crate) const SKIP_NORMS: ParamInfo = ParamInfo {
    name: "skip_norms",
    about: "whether the trunk's biases and norms are left where they are",
    default: "false",
    range: Range::Bool,
};

/// How far weights are moved, and which.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ball {
    /// Radius for the trunk.
    pub rho: f64,
    /// Radius for heads.
    pub rho_heads: f64,
    /// Whether each weight counts by its size.
    pub adaptive: bool,
    /// Whether trunk and heads share one norm.
    pub joint: bool,
    /// Whether the trunk's biases and norms stay.
    pub skip_norms: bool,
}

/// Weights a ball is laid around.
pub struct Center {
    /// The trunk's weights, where their size counts.
    theta: Option<Vec<f32>>,
    /// Places of the trunk's tensors that stay.
    fixed: Vec<std::ops::Range<usize>>,
}

/// A gradient times the weights' squared size, and its norm in the ball's measure.
struct Ascent {
    direction: Vec<f32>,
    square: f64,
}

impl Center {
    /// For displacements of the trunk alone, whose shared trained weights are `theta`.
    pub fn of(ball: &Ball, theta: impl FnOnce() -> Vec<f32>) -> Self {
        Self { theta: ball.adaptive.then(theta), fixed: Vec::new() }
    }
}

impl Ball {
    /// The ball around all of the trunk's shared trained weights, whose heads stay.
    pub fn of_trunk(rho: f64, adaptive: bool) -> Self {
        Self { rho, rho_heads: 0.0, adaptive, joint: false, skip_norms: false }
    }

    /// The ball that `choice` describes, with one radius for all and separate norms.
    pub fn new(choice: &Choice, info: &MethodInfo) -> Self {
        let flag = |name| choice.param(info, name).as_bool().unwrap_or(false);
        let rho = choice.real(info, RHO.name);
        let (adaptive, skip_norms) = (flag(ADAPTIVE.name), flag(SKIP_NORMS.name));
        Self { rho, rho_heads: rho, adaptive, joint: false, skip_norms }
    }

    /// What displacements of this step need to know of the weights.
    pub fn center(&self, probe: &dyn Probe) -> Center {
        let parts = if self.skip_norms { probe.parts() } else { Vec::new() };
        let fixed = parts.into_iter().filter(|part| !part.matrix).map(|part| part.range).collect();
        Center { theta: self.adaptive.then(|| probe.shared()), fixed }
    }

    /// The displacements towards the worst case of a loss with these gradients: of the trunk, and of its heads,
    /// whose places among the step's tasks are given.
    pub fn ascend(
        &self,
        probe: &dyn Probe,
        center: &Center,
        trunk: &[f32],
        heads: &[(usize, &[f32])],
    ) -> (Vec<f32>, Vec<Vec<f32>>) {
        let mut trunk = Ascent::of_trunk(center, trunk);
        let mut heads: Vec<Ascent> = heads
            .iter()
            .map(|(place, gradient)| {
                let theta = self.adaptive.then(|| probe.head(*place));
                Ascent::new(gradient.to_vec(), theta.as_deref())
            })
            .collect();
        let of_heads: f64 = heads.iter().map(|head| head.square).sum();
        let all = trunk.square + of_heads;
        let (in_trunk, in_heads) = if self.joint { (all, all) } else { (trunk.square, of_heads) };
        trunk.scale(self.rho, in_trunk);
        heads.iter_mut().for_each(|head| head.scale(self.rho_heads, in_heads));
        (trunk.direction, heads.into_iter().map(|head| head.direction).collect())
    }

    /// The displacement of the trunk towards the worst case of a loss with this gradient, where heads stay.
    pub fn ascend_trunk(&self, center: &Center, gradient: &[f32]) -> Vec<f32> {
        let mut trunk = Ascent::of_trunk(center, gradient);
        trunk.scale(self.rho, trunk.square);
        trunk.direction
    }
}

impl Ascent {
    fn of_trunk(center: &Center, gradient: &[f32]) -> Self {
        let mut gradient = gradient.to_vec();
        center.fixed.iter().for_each(|range| gradient[range.clone()].fill(0.0));
        Self::new(gradient, center.theta.as_deref())
    }

    fn new(mut gradient: Vec<f32>, theta: Option<&[f32]>) -> Self {
        let mut square = 0.0;
        match theta {
            None => square = super::dot(&gradient, &gradient),
            Some(theta) => {
                for (g, &t) in gradient.iter_mut().zip(theta) {
                    square += (f64::from(t) * f64::from(*g)).powi(2);
                    *g *= t * t;
                }
            }
        }
        Self { direction: gradient, square }
    }

    /// Brings it to length `rho` in the measure whose squared norm is `square`; to nothing where that is zero.
    fn scale(&mut self, rho: f64, square: f64) {
        let norm = square.sqrt();
        let factor = if norm > 0.0 && norm.is_finite() { rho / norm } else { 0.0 };
        self.direction.iter_mut().for_each(|d| *d = (f64::from(*d) * factor) as f32);
    }
}
