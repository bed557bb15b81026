//! Losses of boosting: derivative and curvature of a row's loss by its margins. One file each, one line in [`LOSSES`].

mod logistic;
mod poisson;
mod quantile;
mod softmax;
mod squared;

use polytask_core::{Problem, Result, near};
use serde::{Deserialize, Serialize};

/// A loss of one target: `width` margins per row.
pub trait TreeLoss: Send + Sync {
    /// Margins per row.
    fn width(&self) -> usize {
        1
    }

    /// What is wrong with a known target, if anything: what was expected.
    fn expected(&self, target: f64) -> Option<String>;

    /// The margins to start from, of known targets with their weights; there is at least one.
    fn start(&self, known: &[(f64, f64)]) -> Vec<f64>;

    /// Derivative and curvature by each margin, `[width, 2]`.
    fn slopes(&self, margins: &[f64], target: f64, out: &mut [f32]);

    /// The loss of a row.
    fn value(&self, margins: &[f64], target: f64) -> f64;

    /// From margins to what the target is compared with: a mean, a quantile, probabilities.
    fn respond(&self, margins: &mut [f64]);

    /// From a response back to the margin; the same number where both are one.
    fn margin_of(&self, response: f64) -> f64 {
        response
    }

    /// Where leaves are set again to a quantile of what is left in them, its level.
    fn refit(&self) -> Option<f64> {
        None
    }
}

/// A loss by name with its parameters, as files keep it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LossSpec {
    /// Name in [`LOSSES`].
    pub name: String,
    /// Number of classes (`softmax`); else 0.
    #[serde(default)]
    pub classes: usize,
    /// Level of the quantile; else 0.
    #[serde(default)]
    pub level: f64,
    /// Factor of p(1 − p) in the curvature of `softmax`; 0: K/(K − 1) of K classes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub curvature: f64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // what serde asks for
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// A line of the table.
#[derive(Debug)]
pub struct LossEntry {
    /// The name.
    pub name: &'static str,
    /// What it is for, in a sentence.
    pub about: &'static str,
    make: fn(&LossSpec) -> Result<Box<dyn TreeLoss>>,
}

/// All losses.
pub static LOSSES: &[LossEntry] = &[
    LossEntry { name: "squared", about: "numbers, their mean", make: |_| Ok(Box::new(squared::Squared)) },
    LossEntry { name: "logistic", about: "two classes, 0 and 1", make: |_| Ok(Box::new(logistic::Logistic)) },
    LossEntry { name: "softmax", about: "several classes, counted from 0", make: softmax::make },
    LossEntry { name: "poisson", about: "counts, their mean", make: |_| Ok(Box::new(poisson::Poisson)) },
    LossEntry { name: "quantile", about: "numbers, one of their quantiles", make: quantile::make },
];

impl LossSpec {
    /// A loss without parameters.
    pub fn named(name: &str) -> Self {
        Self { name: name.into(), classes: 0, level: 0.0, curvature: 0.0 }
    }

    /// Soft-max over this many classes.
    pub fn softmax(classes: usize) -> Self {
        Self { classes, ..Self::named("softmax") }
    }

    /// The quantile of this level.
    pub fn quantile(level: f64) -> Self {
        Self { level, ..Self::named("quantile") }
    }

    /// The loss.
    ///
    /// # Errors
    /// When there is none of this name, or its parameter is out of range.
    pub fn make(&self) -> Result<Box<dyn TreeLoss>> {
        if let Some(entry) = LOSSES.iter().find(|entry| entry.name == self.name) {
            return (entry.make)(self);
        }
        let names: Vec<&str> = LOSSES.iter().map(|entry| entry.name).collect();
        let what = format!("unknown loss `{}` of boosting", self.name);
        Err(Problem::new(what).try_this(near::advice(&self.name, &names)).into())
    }
}

/// The weighted mean of known targets.
fn mean(known: &[(f64, f64)]) -> f64 {
    let weight: f64 = known.iter().map(|(_, weight)| weight).sum();
    known.iter().map(|(target, weight)| target * weight).sum::<f64>() / weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_the_derivatives_of_values() {
        let cases = [
            (LossSpec::named("squared"), vec![0.3], vec![1.0, -2.0]),
            (LossSpec::named("logistic"), vec![-0.4], vec![0.0, 1.0, 0.3]),
            (LossSpec::softmax(3), vec![0.2, -0.5, 1.0], vec![0.0, 1.0, 2.0]),
            (LossSpec::named("poisson"), vec![0.7], vec![0.0, 3.0]),
            (LossSpec::quantile(0.9), vec![0.7], vec![0.0, 3.0]),
        ];
        for (spec, margins, targets) in cases {
            let loss = spec.make().unwrap();
            for target in targets {
                assert_eq!(loss.expected(target), None);
                let mut out = vec![0.0; 2 * loss.width()];
                loss.slopes(&margins, target, &mut out);
                for k in 0..loss.width() {
                    let moved = |by: f64| {
                        let mut margins = margins.clone();
                        margins[k] += by;
                        loss.value(&margins, target)
                    };
                    let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                    assert!((f64::from(out[2 * k]) - slope).abs() < 1e-5, "{} {target}", spec.name);
                    assert!(out[2 * k + 1] > 0.0);
                }
            }
        }
    }

    #[test]
    fn the_curvature_of_classes_has_the_factor_that_is_asked_for() {
        let curvature = |factor: f64| {
            let mut out = vec![0.0; 6];
            let spec = LossSpec { curvature: factor, ..LossSpec::softmax(3) };
            spec.make().unwrap().slopes(&[0.0, 0.0, 0.0], 1.0, &mut out);
            f64::from(out[1]) / (2.0 / 9.0)
        };
        // Two classes have the factor 2 either way: the logistic loss of the difference of their margins.
        assert!((curvature(0.0) - 1.5).abs() < 1e-6 && (curvature(2.0) - 2.0).abs() < 1e-6);
    }

    #[test]
    fn what_a_loss_does_not_take_is_named() {
        let refused = |spec: LossSpec, target: f64| spec.make().unwrap().expected(target).unwrap();
        assert!(refused(LossSpec::named("logistic"), 2.0).contains("from 0 to 1"));
        assert!(refused(LossSpec::named("poisson"), -1.0).contains("at least 0"));
        assert!(refused(LossSpec::softmax(3), 3.0).contains("0 to 2"));
        assert!(refused(LossSpec::named("squared"), f64::INFINITY).contains("finite"));
        let wrong = |spec: LossSpec| spec.make().err().unwrap().to_string();
        assert!(wrong(LossSpec::quantile(1.0)).contains("level 1"));
        assert!(wrong(LossSpec::softmax(1)).contains("1 class"));
        assert!(wrong(LossSpec::named("sqared")).contains("`squared`"));
    }

    #[test]
    fn margins_start_where_the_loss_is_least() {
        let known = [(0.0, 1.0), (1.0, 3.0)];
        assert_eq!(LossSpec::named("squared").make().unwrap().start(&known), [0.75]);
        let logit = LossSpec::named("logistic").make().unwrap().start(&known)[0];
        assert!((logit - 3.0_f64.ln()).abs() < 1e-12);
        assert_eq!(
            LossSpec::quantile(0.5).make().unwrap().start(&[(5.0, 1.0), (1.0, 1.0), (2.0, 1.0)]),
            [2.0]
        );
        let shares = LossSpec::softmax(2).make().unwrap().start(&known);
        assert!(
            (shares[1] - shares[0] - 3.0_f64.ln()).abs() < 1e-12 && (shares[0] + shares[1]).abs() < 1e-12
        );
    }
}
