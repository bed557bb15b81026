//! GradDrop: each coordinate picks one sign.
//!
//! - **What:** where task gradients disagree in sign, one sign is drawn, in proportion to the sizes on both sides, and
//!   only gradients of that sign pass.
//! - **Paper:** Chen, Ngiam, Huang, Luong, Kretzschmar, Chai, Anguelov: Just Pick a Sign: Optimizing Deep Multitask
//!   Models with Gradient Sign Dropout. NeurIPS 2020, algorithm 1, lines 10 to 15.
//! - **Rule:** P = ½ (1 + Σᵢ gᵢ / Σᵢ |gᵢ|) per coordinate, U uniform in [0, 1); gᵢ passes where P > U and gᵢ > 0, or P < U and
//!   gᵢ < 0; elsewhere its share `leak` passes. The direction is the sum.
//! - **Departures:** on the rows as they are, like TorchJD: gradients of the parameters, or at the representation one
//!   coordinate per row and feature. The paper's layer sums g · sign(z) over the batch first, which is for inputs
//!   that tasks do not share. A coordinate where all gradients are zero stays zero.
//! - **Cost:** the rows (one backward per task), kept.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo, Problem};
use serde_json::Value;

use crate::Result;
use crate::adapt::ByRows;
use crate::table::{Claim, Entry, Setup};
use crate::{Aggregator, Jacobian, Needs, Step, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "graddrop",
    title: "GradDrop",
    paper: "Chen, Ngiam, Huang, Luong, Kretzschmar, Chai, Anguelov, NeurIPS 2020",
    family: Family::Aggregator,
    about: "draws one sign per coordinate and drops gradients of the other",
    cost: "one backward per task, gradients kept",
    kinds: &[],
    params: &[ParamInfo {
        name: "leak",
        about: "share of a dropped gradient that passes, from 0 to 1, by task name; 0 for tasks not named",
        default: "{}",
        range: Range::Map(&[]),
    }],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling], make };

/// Leaks in suite order.
struct GradDrop(Vec<f64>);

fn make(choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    let mut leaks = vec![0.0; setup.tasks.len()];
    if let Value::Object(map) = choice.param(&INFO, "leak") {
        for (name, value) in map {
            let leak = value.as_f64().unwrap_or(f64::NAN);
            match setup.tasks.iter().position(|task| *task == name) {
                Some(task) if (0.0..=1.0).contains(&leak) => leaks[task] = leak,
                Some(_) => {
                    return Err(wrong(&format!(
                        "is {leak} for task `{name}`, expected a number from 0 to 1"
                    )));
                }
                None => {
                    let known = setup.tasks.join(", ");
                    return Err(wrong(&format!("names task `{name}`, the suite has {known}")));
                }
            }
        }
    }
    Ok(Box::new(ByRows { aggregator: GradDrop(leaks), needs: Needs::NONE }))
}

fn wrong(what: &str) -> crate::Error {
    Problem::new(format!("parameter `leak` of weighting `graddrop` {what}"))
        .try_this("leave tasks out of the table for a leak of 0")
        .into()
}

impl Aggregator for GradDrop {
    fn direction(&mut self, step: &mut Step, jacobian: &Jacobian) -> Vec<f32> {
        let leaks: Vec<f64> = step.tasks.iter().map(|&task| self.0[task]).collect();
        pick(jacobian, &leaks, || step.rng.uniform())
    }
}

/// The direction for these draws, one per coordinate.
fn pick(jacobian: &Jacobian, leaks: &[f64], mut draw: impl FnMut() -> f64) -> Vec<f32> {
    let column = |k: usize| (0..jacobian.n).map(move |i| f64::from(jacobian.row(i)[k]));
    let direction = |k: usize| {
        let (sum, size) = column(k).fold((0.0, 0.0), |(sum, size), g| (sum + g, size + g.abs()));
        let (purity, u) = (0.5 * (1.0 + sum / size), draw());
        let passes = |g: f64| (purity > u && g > 0.0) || (purity < u && g < 0.0);
        column(k).zip(leaks).map(|(g, leak)| if passes(g) { g } else { leak * g }).sum::<f64>() as f32
    };
    (0..jacobian.width).map(direction).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeProbe;
    use crate::toy::{Close, golden, pulling};
    use crate::{At, Probe};

    #[test]
    fn directions_with_given_draws_equal_torchjd() {
        let golden = golden();
        for leaking in [false, true] {
            let drawn = if leaking { &golden.graddrop_leak } else { &golden.graddrop };
            for (case, drawn) in golden.jacobians.iter().zip(drawn) {
                let rows = pulling(&case.rows);
                let leaks = if leaking { drawn.leak.clone() } else { vec![0.0; rows.n] };
                let mut draws = drawn.draws.iter();
                let found = pick(&rows, &leaks, || *draws.next().unwrap());
                found.close(&drawn.expected, 1e-6, &case.name);
            }
        }
    }

    #[test]
    fn where_signs_agree_the_sum_passes_whatever_is_drawn() {
        let mut probe = FakeProbe::from_rows(&[&[1.0, -2.0, 0.0], &[3.0, -1.0, 0.0]]);
        let rows = probe.rows(At::default()).unwrap();
        for u in [1e-9, 0.5, 0.999] {
            assert_eq!(pick(&rows, &[0.0, 0.0], || u), [4.0, -3.0, 0.0]);
        }
    }

    #[test]
    fn the_share_of_draws_that_pick_a_sign_is_its_share_of_the_size() {
        let mut probe = FakeProbe::from_rows(&[&[3.0; 4000], &[-1.0; 4000]]);
        let rows = probe.rows(At::default()).unwrap();
        let mut rng = probe.rng();
        let found = pick(&rows, &[0.0, 0.0], || rng.uniform());
        let up = found.iter().filter(|v| **v == 3.0).count();
        assert!(found.iter().all(|v| *v == 3.0 || *v == -1.0));
        assert!((2900..3100).contains(&up), "{up}");
    }

    #[test]
    fn a_leak_of_an_unknown_task_or_beyond_one_is_refused() {
        for (leak, part) in
            [(serde_json::json!({"x": 0.1}), "names task `x`"), (serde_json::json!({"a": 2}), "is 2 for")]
        {
            let mut choice = Choice::named("graddrop");
            choice.params.insert("leak".into(), leak);
            let error = make(&choice, &Setup::of(&["a", "b"])).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
