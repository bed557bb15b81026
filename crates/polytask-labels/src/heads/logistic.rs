//! Logistic regression on vectors, blind to descriptions: what a user would try without them.

use polytask_nn::linear_fit::LinearData;

use super::{FitRows, FittedHead};

/// Penalties tried on valid, strongest first, and the one that is taken without valid.
const STRENGTHS: [f64; 7] = [3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 1e-3];
const USUAL: f64 = 0.1;

/// The regression whose penalty gives the least loss on valid.
pub(super) fn fit(on: FitRows<'_>) -> FittedHead {
    let n = on.labels.len();
    let (features, target) = (on.train.features.vectors.clone(), on.train.right.target(n));
    let data = LinearData::new(features, on.labels.d_vector, target, on.train.weights.clone(), n);
    let Some(valid) = on.valid.filter(|valid| !valid.is_empty()) else {
        let (weight, bias) = data.unscaled(&data.fit(USUAL, None));
        return FittedHead::Logistic(weight, bias);
    };
    let (mut best, mut least, mut before) = (None, f64::INFINITY, None);
    for strength in STRENGTHS {
        let fit = data.fit(strength, before.as_ref());
        let (_, loss) = valid.judged(&data.outputs(&fit, &valid.features.vectors), n);
        if loss < least || best.is_none() {
            (best, least) = (Some(data.unscaled(&fit)), loss);
        }
        before = Some(fit);
    }
    let (weight, bias) = best.unwrap_or_default();
    FittedHead::Logistic(weight, bias)
}
