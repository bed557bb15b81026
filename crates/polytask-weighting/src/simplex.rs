//! Simplex of tasks: numbers of at least 0 that sum to 1, one per task of the suite.

use super::refuse_state;
use crate::Result;

/// A weight per task of the suite.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Simplex(Vec<f64>);

impl Simplex {
    /// Equal shares.
    pub(super) fn new(n: usize) -> Self {
        Self(vec![1.0 / n.max(1) as f64; n])
    }

    /// Number of tasks.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The shares of some tasks among themselves.
    pub(super) fn of(&self, tasks: &[usize]) -> Vec<f64> {
        let total: f64 = tasks.iter().map(|&task| self.0[task]).sum();
        let share = |&task: &usize| if total > 0.0 { self.0[task] / total } else { 1.0 / tasks.len() as f64 };
        tasks.iter().map(share).collect()
    }

    /// Divides what these tasks have together anew. Simplex that are not finite are not taken.
    pub(super) fn set(&mut self, tasks: &[usize], shares: &[f64]) {
        if shares.iter().all(|share| share.is_finite()) {
            let total: f64 = tasks.iter().map(|&task| self.0[task]).sum();
            tasks.iter().zip(shares).for_each(|(&task, share)| self.0[task] = share * total);
        }
    }

    /// Everything, to be saved.
    pub(super) fn state(&self) -> Vec<f64> {
        self.0.clone()
    }

    /// Takes back what [`Simplex::state`] gave.
    pub(super) fn restore(&mut self, state: &[f64]) -> Result<()> {
        refuse_state(state.len(), self.0.len())?;
        self.0.copy_from_slice(state);
        Ok(())
    }
}

/// The nearest point of the simplex (Held, Wolfe, Crowder 1974; Duchi et al., ICML 2008).
pub(super) fn project(point: &[f64]) -> Vec<f64> {
    let mut sorted = point.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let (mut sum, mut shift) = (0.0, 0.0);
    for (k, value) in sorted.iter().enumerate() {
        sum += value;
        let next = (sum - 1.0) / (k + 1) as f64;
        if *value <= next {
            break;
        }
        shift = next;
    }
    point.iter().map(|value| (value - shift).max(0.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projection_is_the_nearest_point_of_the_simplex() {
        assert_eq!(project(&[0.5, 0.5]), [0.5, 0.5]);
        assert_eq!(project(&[3.0, 0.0]), [1.0, 0.0]);
        assert_eq!(project(&[0.75, 0.25, -7.0]), [0.75, 0.25, 0.0]);
        let found = project(&[0.9, 0.8, 0.1]);
        let expected = [0.55, 0.45, 0.0];
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-12), "{found:?}");
    }

    #[test]
    fn shares_of_absent_tasks_stay() {
        let mut shares = Simplex::new(4);
        shares.set(&[0, 2], &[0.25, 0.75]);
        assert_eq!(shares.state(), [0.125, 0.25, 0.375, 0.25]);
        assert_eq!(shares.of(&[0, 2]), [0.25, 0.75]);
    }
}
