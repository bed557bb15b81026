//! SAM: sharpness-aware minimisation of the summed loss.
//!
//! - **What:** all weights move to the worst case of the summed loss within a small ball; the gradient there is the
//!   step taken from where they were. The baseline that task-wise flatness (`flat`) has to beat.
//! - **Paper:** Foret, Kleiner, Mobahi, Neyshabur: Sharpness-Aware Minimization for Efficiently Improving
//!   Generalization. ICLR 2021, algorithm 1; adaptive form: Kwon, Kim, Park, Choi: ASAM. ICML 2021, algorithm 1.
//! - **Rule:** g = ∇ Σᵢ lᵢ(θ) over trunk and heads together; e = ρ g / ‖g‖, adaptive e = ρ θ² ∘ g / ‖|θ| ∘ g‖; the step
//!   takes ∇ Σᵢ lᵢ(θ + e).
//! - **Departures:** none in the mathematics. ASAM's papers leave biases out of the scaling; here the scaling is
//!   of all weights, and `skip_norms` leaves the trunk's biases and norms unmoved. No epsilon: a zero gradient moves
//!   nothing.
//! - **Cost:** two forwards and two backwards, one more copy of the weights.

use polytask_core::method::Choice;
use polytask_core::{Family, MethodInfo};

use crate::Result;
use crate::ball::{self, Ball};
use crate::table::{Claim, Entry, Setup};
use crate::{At, Direction, Heads, Needs, Observation, Probe, Update, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "sam",
    title: "SAM",
    paper: "Foret, Kleiner, Mobahi, Neyshabur, ICLR 2021; Kwon et al., ICML 2021 (adaptive)",
    family: Family::LossWeighting,
    about: "follows the gradient of the summed loss at its worst case nearby",
    cost: "two forwards, two backwards",
    kinds: &[],
    params: &[ball::RHO, ball::ADAPTIVE, ball::SKIP_NORMS],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling], make };

struct Sam {
    ball: Ball,
    sharpness: Option<f64>,
}

fn make(choice: &Choice, _setup: &Setup) -> Result<Box<dyn Weighting>> {
    Ok(Box::new(Sam { ball: Ball { joint: true, ..Ball::new(choice, &INFO) }, sharpness: None }))
}

impl Weighting for Sam {
    fn needs(&self) -> Needs {
        Needs { extra_forwards: 1, displaced: true, ..Needs::NONE }
    }

    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        self.sharpness = None;
        let losses = probe.losses(At::default())?;
        let weights: Vec<f64> = losses.iter().map(|loss| f64::from(u8::from(loss.is_finite()))).collect();
        let plain = probe.joint(At::default(), &weights)?;
        let finite = |values: &[f32]| values.iter().all(|v| v.is_finite());
        if !finite(&plain.shared) {
            // The loop finds the task whose gradient it is, and asks again without it.
            return Ok(Update { trunk: Direction::Weights(weights.clone()), heads: Heads::Factors(weights) });
        }
        let moved: Vec<(usize, &[f32])> =
            (0..losses.len()).filter(|&i| weights[i] > 0.0).map(|i| (i, &*plain.heads[i])).collect();
        let (trunk, own) = self.ball.ascend(probe, &self.ball.center(probe), &plain.shared, &moved);
        let mut heads = vec![Vec::new(); losses.len()];
        moved.iter().zip(own).for_each(|((place, _), displacement)| heads[*place] = displacement);
        let at = At { displacement: Some(&trunk), heads: Some(&heads), ..At::default() };
        let there = probe.joint(at, &weights)?;
        self.sharpness = Some(total(&there.losses, &weights) - total(&losses, &weights));
        let heads = there.heads.into_iter().zip(&weights).map(|(head, &w)| keep(head, w)).collect();
        Ok(Update { trunk: Direction::Gradient(there.shared), heads: Heads::Gradients(heads) })
    }

    fn observations(&self) -> Vec<Observation> {
        let seen = |value| Observation { name: "sharpness", task: None, value };
        self.sharpness.map(seen).into_iter().collect()
    }
}

/// The sum of the losses that take part.
fn total(losses: &[f64], weights: &[f64]) -> f64 {
    losses.iter().zip(weights).filter(|(_, w)| **w > 0.0).map(|(loss, _)| loss).sum()
}

/// A head's gradient, or zeros for a task that takes no part.
fn keep(head: Vec<f32>, weight: f64) -> Vec<f32> {
    if weight > 0.0 { head } else { vec![0.0; head.len()] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::{Close, Toy, golden, vector_of};

    #[test]
    fn steps_equal_the_published_algorithm() {
        let golden = golden();
        assert!(golden.sam.len() >= 8);
        for case in &golden.sam {
            let mut toy = Toy::of(&golden.models[case.model]);
            let mut method = make(&case.choice("sam"), &toy.setup()).unwrap();
            let update = method.update(&mut toy).unwrap();
            case.check(&update, &vector_of(&update, &mut toy), 1e-6);
            let seen = method.observations();
            assert!(seen.len() == 1 && seen[0].value > 0.0, "{seen:?}");
        }
    }

    #[test]
    fn a_ball_without_a_radius_is_plain_training() {
        let golden = golden();
        for case in &golden.sam {
            let mut toy = Toy::of(&golden.models[case.model]);
            let mut choice = case.choice("sam");
            choice.params.insert("rho".into(), 0.0.into());
            assert!(INFO.wrong_params("weighting", &choice).is_empty());
            let update = make(&choice, &toy.setup()).unwrap().update(&mut toy).unwrap();
            let plain = toy.rows(At::default()).unwrap();
            let sum = |k: usize| (0..plain.n).map(|i| plain.row(i)[k]).sum::<f32>();
            let expected: Vec<f64> = (0..plain.width).map(|k| f64::from(sum(k))).collect();
            vector_of(&update, &mut toy).close(&expected, 1e-6, "rho 0");
        }
    }
}
