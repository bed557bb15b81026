//! Auto-Lambda: weights are learned by looking ahead: a step with these weights, then the losses on other data.
//!
//! - **What:** two levels: the network follows weighted losses, the weights follow what the weighted step does to
//!   the plain sum of losses on another batch.
//! - **Paper:** Liu, James, Davison, Johns: Auto-Lambda: Disentangling Dynamic Task Relationships. TMLR 2022.
//! - **Rule:** w = softmax(a) and θ′ = θ − η ∇ Σ wᵢ lᵢ(θ; batch), η the step's learning rate. With v = ∇ Σ lᵢ(θ′; other
//!   batch) and ε = 0.01 / ‖v‖, ∂/∂a ≈ −η (∂ₐ L(θ + ε v) − ∂ₐ L(θ − ε v)) / 2ε, L = Σ wᵢ lᵢ on the first batch;
//!   a takes a step of Adam, then the network follows the new w. θ holds trunk and heads.
//! - **Departures:** LibMTL draws two half batches for the weights beside the network's own; here the first level
//!   is the step's batch itself, as in the authors' code, and the second an extra one. The softmax is LibMTL's;
//!   the authors leave weights free. Heads look ahead at the trunk's rate. The upper level sums the losses of
//!   all tasks: the authors' choice of primary tasks, whose losses alone it would sum, is not offered. The softmax goes
//!   over the step's tasks; the others keep a. A step in which one task pulls alone is plain training.
//! - **Scale:** weights sum to 1.
//! - **Cost:** three backwards and four forwards; another batch.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use crate::Result;
use crate::adapt::Present;
use crate::look_ahead::{Place, square};
use crate::shares::{Shares, pull_back};
use crate::table::{Claim, Entry, Setup};
use crate::{At, JointGradient, Needs, Probe, Update, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "auto-lambda",
    title: "Auto-Lambda",
    paper: "Liu, James, Davison, Johns, TMLR 2022",
    family: Family::LossWeighting,
    about: "learns weights by what a weighted step does to the losses of another batch",
    cost: "three backwards, four forwards, two batches",
    kinds: &[],
    params: &[ParamInfo {
        name: "rate",
        about: "learning rate of the scores behind the weights",
        default: "1e-3",
        range: Range::Positive,
    }],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation], make };

/// Length of the displacement of the finite difference.
const DISPLACEMENT: f64 = 0.01;

struct AutoLambda {
    shares: Shares,
    rate: f64,
}

fn make(choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    Ok(Box::new(AutoLambda { shares: Shares::new(setup.tasks.len()), rate: choice.real(&INFO, "rate") }))
}

impl AutoLambda {
    /// A step of the scores of the tasks that pull.
    fn learn(&mut self, probe: &mut dyn Probe, present: &Present) -> Result<()> {
        let tasks = present.pulling_tasks();
        let shares = self.shares.of(&tasks);
        let weights = present.spread(&shares);
        let inner = probe.joint(At::default(), &weights)?;
        let mut ahead = Place::default();
        ahead.descend(probe.lr(), &inner, &weights);
        let plain = present.spread(&vec![1.0; tasks.len()]);
        let outer = probe.joint(ahead.at(1), &plain)?;
        let epsilon = DISPLACEMENT / square(&outer, &plain).sqrt();
        if epsilon.is_normal() {
            let difference = present.pick(&difference(probe, &outer, &plain, epsilon)?);
            let slope: Vec<f64> = difference.iter().map(|d| -probe.lr() * d).collect();
            self.shares.descend(&tasks, &pull_back(&shares, &slope), self.rate, 0.0);
        }
        Ok(())
    }
}

/// The slopes of the losses of the step's batch along a gradient, by central differences.
fn difference(
    probe: &mut dyn Probe,
    gradient: &JointGradient,
    weights: &[f64],
    epsilon: f64,
) -> Result<Vec<f64>> {
    let mut losses = |e: f64| probe.losses(Place::along(e, &gradient.shared, &gradient.heads, weights).at(0));
    let (above, below) = (losses(epsilon)?, losses(-epsilon)?);
    Ok(above.iter().zip(below).map(|(a, b)| (a - b) / (2.0 * epsilon)).collect())
}

impl Weighting for AutoLambda {
    fn needs(&self) -> Needs {
        Needs { weighted_heads: true, extra_forwards: 3, extra_batches: 1, displaced: true, ..Needs::NONE }
    }

    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        let present = Present::new(probe, None)?;
        if present.pulling.len() < 2 {
            return Ok(present.plain());
        }
        self.learn(probe, &present)?;
        Ok(present.weighted(&self.shares.of(&present.pulling_tasks())))
    }

    fn state(&self) -> Vec<f64> {
        self.shares.state()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        self.shares.restore(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{descend, golden};
    use crate::testing::weights;

    #[test]
    fn tasks_without_targets_in_the_other_batch_do_not_stop_the_others() {
        let first = |silent: &[usize]| {
            let mut model = golden().models[2].clone();
            silent.iter().for_each(|&task| model = model.clone().without_extra(task));
            model.at_step(1, 0);
            let setup = Setup::of(&["a", "b", "c", "d"]);
            weights(make(&Choice::named("auto-lambda"), &setup).unwrap().as_mut(), &mut model)
        };
        let n = first(&[]).len();
        let equal = vec![1.0 / n as f64; n];
        assert!(first(&[1]).iter().all(|w| w.is_finite()) && first(&[1]) != equal);
        assert_eq!(first(&(0..n).collect::<Vec<_>>()), equal);
    }

    #[test]
    fn weights_equal_libmtl_over_steps_of_a_quadratic_model() {
        descend("auto-lambda", 1e-6);
    }
}
