//! SDMGrad: a direction between the mean gradient and the one all tasks agree on, from three batches.
//!
//! - **What:** weights minimise the length of the weighted gradient together with its product with the mean gradient,
//!   on an unbiased estimate of the Gramian from two extra batches; the direction mixes them with the mean.
//! - **Paper:** Xiao, Ban, Ji: Direction-oriented Multi-objective Learning: Simple and Provable Stochastic Algorithms.
//!   NeurIPS 2023, algorithm 1; settings of its code.
//! - **Rule:** G = J₁ J₂ᵀ / s², s = mean of √max(Gᵢᵢ, 0); `iterations` steps of gradient descent with rate `rate` and
//!   momentum `momentum` on w along G w + λ G 1/m, each projected on the simplex, from the last step's w; direction
//!   Jᵀ (w + λ/m) / (1 + λ).
//! - **Departures:** no epsilon beside s²; where s is zero the weights stay. Heads step with the gradient on the step's
//!   own batch. A task absent from an extra batch keeps its w and takes part with an equal share; w of the others
//!   is scaled to sum to 1 before the rule.
//! - **Scale:** weights sum to 1, a mean where `equal` is a sum.
//! - **Cost:** three forwards, and two backwards per task and one more; the rows of two batches are kept.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use crate::Result;
use crate::batches::{Others, solve};
use crate::simplex::{Simplex, project};
use crate::table::{Claim, Entry, Setup};
use crate::{At, Gramian, Jacobian, Needs, Probe, Spaces, Update, Weighting, dot};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "sdmgrad",
    title: "SDMGrad",
    paper: "Xiao, Ban, Ji, NeurIPS 2023",
    family: Family::Aggregator,
    about: "mixes the mean gradient with a conflict-averse one whose weights two more batches give without bias",
    cost: "three forwards, one backward and two per task",
    kinds: &[],
    params: &[
        ParamInfo {
            name: "lambda",
            about: "pull towards the mean gradient",
            default: "0.3",
            range: Range::Real { min: 0.0, max: f64::INFINITY },
        },
        ParamInfo {
            name: "iterations",
            about: "steps of the weights at each step of the network",
            default: "20",
            range: Range::Integer { min: 1 },
        },
        ParamInfo { name: "rate", about: "rate of the weights", default: "5.0", range: Range::Positive },
        ParamInfo {
            name: "momentum",
            about: "momentum of the weights",
            default: "0.5",
            range: Range::Real { min: 0.0, max: 1.0 },
        },
    ],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling], make };

struct SdmGrad {
    lambda: f64,
    iterations: u64,
    rate: f64,
    momentum: f64,
    weights: Simplex,
}

fn make(choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    Ok(Box::new(SdmGrad {
        lambda: choice.real(&INFO, "lambda"),
        iterations: choice.param(&INFO, "iterations").as_u64().unwrap_or(20),
        rate: choice.real(&INFO, "rate"),
        momentum: choice.real(&INFO, "momentum"),
        weights: Simplex::new(setup.tasks.len()),
    }))
}

impl SdmGrad {
    /// The weights after descent from `w` on this estimate of the Gramian.
    fn descend(&self, mut w: Vec<f64>, gramian: &Gramian) -> Vec<f64> {
        let m = w.len() as f64;
        let mean: Vec<f64> = gramian.times(&vec![1.0 / m; w.len()]);
        let mut velocity = vec![0.0; w.len()];
        for _ in 0..self.iterations {
            let slope = gramian.times(&w);
            for k in 0..w.len() {
                velocity[k] = self.momentum * velocity[k] + slope[k] + self.lambda * mean[k];
                w[k] -= self.rate * velocity[k];
            }
            w = project(&w);
        }
        w
    }
}

/// J₁ J₂ᵀ over its size; none where that is zero.
fn estimate(first: &Jacobian, second: &Jacobian) -> Option<Gramian> {
    let n = first.n;
    let values: Vec<f64> = (0..n * n).map(|k| dot(first.row(k / n), second.row(k % n))).collect();
    let size = (0..n).map(|i| values[i * n + i].max(0.0).sqrt()).sum::<f64>() / n as f64;
    let scaled: Vec<f64> = values.into_iter().map(|v| v / size / size).collect();
    scaled.iter().all(|v| v.is_finite()).then_some(Gramian { n, values: scaled })
}

impl Weighting for SdmGrad {
    fn needs(&self) -> Needs {
        Needs { rows: true, spaces: Spaces::Parameters, extra_batches: 2, extra_forwards: 2, ..Needs::NONE }
    }

    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        solve(probe, |probe, others: &Others| {
            let second = probe.rows(At { batch: 2, ..At::default() })?.select(&others.places);
            if let Some(gramian) = estimate(&others.rows, &second) {
                let w = self.descend(self.weights.of(&others.tasks), &gramian);
                self.weights.set(&others.tasks, &w);
            }
            let (w, m) = (self.weights.of(&others.tasks), others.tasks.len() as f64);
            Ok(w.into_iter().map(|w| (w + self.lambda / m) / (1.0 + self.lambda)).collect())
        })
    }

    fn state(&self) -> Vec<f64> {
        self.weights.state()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        self.weights.restore(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::{check_sequences, golden};

    #[test]
    fn successive_directions_equal_libmtl() {
        check_sequences(&golden().sdmgrad, |setup| make(&Choice::named("sdmgrad"), setup).unwrap(), 1e-6);
    }

    #[test]
    fn batches_that_contradict_each_other_leave_the_weights() {
        let rows = |sign: f32| Jacobian { n: 2, width: 2, values: vec![sign, 0.0, 0.0, sign] };
        assert_eq!(estimate(&rows(1.0), &rows(-1.0)), None);
        assert_eq!(estimate(&rows(2.0), &rows(2.0)).unwrap().values, [1.0, 0.0, 0.0, 1.0]);
    }
}
