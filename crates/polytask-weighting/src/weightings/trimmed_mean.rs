//! Trimmed mean: per coordinate the mean without the extremes.
//!
//! - **What:** in every coordinate the `trim` largest and the `trim` smallest task gradients are left out and the rest
//!   is averaged: a task with wild gradients has no say beyond the others' range.
//! - **Paper:** Yin, Chen, Kannan, Bartlett: Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates.
//!   ICML 2018, definition 2.
//! - **Rule:** gₖ = mean of the sorted gₖ₁ … gₖₘ without the first and last `trim`.
//! - **Departures:** a step in which fewer than 2 `trim` + 1 tasks pull trims as many as leaves one or two (the median).
//!   A suite with so few tasks is refused.
//! - **Scale:** a mean where `equal` is a sum.
//! - **Cost:** the rows (one backward per task), kept.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo, Problem};

use crate::Result;
use crate::adapt::ByRows;
use crate::table::{Claim, Entry, Setup};
use crate::{Aggregator, Jacobian, Needs, Step, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "trimmed-mean",
    title: "Trimmed mean",
    paper: "Yin, Chen, Kannan, Bartlett, ICML 2018",
    family: Family::Aggregator,
    about: "averages task gradients per coordinate, without the largest and smallest",
    cost: "one backward per task, gradients kept",
    kinds: &[],
    params: &[ParamInfo {
        name: "trim",
        about: "gradients left out at either end of each coordinate",
        default: "1",
        range: Range::Integer { min: 0 },
    }],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling], make };

struct TrimmedMean {
    trim: usize,
}

fn make(choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    let trim = choice.param(&INFO, "trim").as_u64().unwrap_or(1);
    let (tasks, least) = (setup.tasks.len(), trim.saturating_mul(2).saturating_add(1));
    // One task alone trains plainly.
    if tasks > 1 && (tasks as u64) < least {
        let what =
            format!("weighting `trimmed-mean` with trim {trim} has {tasks} tasks, expected at least {least}");
        let most = tasks.saturating_sub(1) / 2;
        return Err(Problem::new(what).try_this(format!("`trim = {most}`")).into());
    }
    Ok(Box::new(ByRows { aggregator: TrimmedMean { trim: trim as usize }, needs: Needs::NONE }))
}

impl Aggregator for TrimmedMean {
    fn direction(&mut self, _step: &mut Step, jacobian: &Jacobian) -> Vec<f32> {
        let trim = self.trim.min((jacobian.n - 1) / 2);
        let mut column = vec![0.0_f32; jacobian.n];
        let mean = |k: usize| {
            column.iter_mut().enumerate().for_each(|(i, c)| *c = jacobian.row(i)[k]);
            column.sort_unstable_by(f32::total_cmp);
            let kept = &column[trim..column.len() - trim];
            (kept.iter().map(|&c| f64::from(c)).sum::<f64>() / kept.len() as f64) as f32
        };
        (0..jacobian.width).map(mean).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeProbe;
    use crate::toy::{Close, golden, pulling, vector};

    fn with(trim: usize, tasks: &[&str]) -> Result<Box<dyn Weighting>> {
        let mut choice = Choice::named("trimmed-mean");
        choice.params.insert("trim".into(), trim.into());
        make(&choice, &Setup::of(tasks))
    }

    #[test]
    fn directions_equal_torchjd() {
        let golden = golden();
        for (case, trimmed) in golden.jacobians.iter().zip(&golden.trimmed_mean) {
            let mut method = with(trimmed.trim, &["a", "b", "c", "d", "e", "f"]).unwrap();
            let rows = pulling(&case.rows);
            let mut probe = FakeProbe::from_rows(&(0..rows.n).map(|i| rows.row(i)).collect::<Vec<_>>());
            vector(method.as_mut(), &mut probe).close(&trimmed.expected, 1e-6, &case.name);
        }
    }

    #[test]
    fn a_wild_task_has_no_say_beyond_the_others() {
        let mut probe = FakeProbe::from_rows(&[&[1.0, 1.0], &[2.0, 3.0], &[1e6, -1e6]]);
        assert_eq!(vector(with(1, &["a", "b", "c"]).unwrap().as_mut(), &mut probe), [2.0, 1.0]);
    }

    #[test]
    fn a_suite_of_too_few_tasks_is_refused() {
        let error = with(1, &["a", "b"]).err().unwrap().to_string();
        assert!(
            error.contains("has 2 tasks, expected at least 3") && error.contains("`trim = 0`"),
            "{error}"
        );
    }
}
