//! Who did what to whom: the measured change of each task, shared out among its companions by affinity.
//!
//! A joint training shows one number per task: how much better or worse it is than alone. Look-ahead affinities show
//! which companions push it which way. Both together give an effect of task i on task j: a task that lost is
//! charged to the companions whose steps raised its loss, a task that gained is credited to those whose steps
//! lowered it, each in proportion to its mean affinity; where no companion pushed that way, all share alike.
//!
//! A group's prediction is the sum of the effects within it. So everything together is predicted as it was measured,
//! a task alone as zero, and no group is promised a larger gain (or threatened with a larger loss) of a task than
//! was seen: the affinities (Fifty et al. 2021) say who, the measurement says how much. What is not seen: a gain
//! that a larger loss hid, and effects that are no sum of pairs.
//!
//! Uncertainty: the intervals of the measured changes (over examples) and of the mean affinities (over
//! measurements) are drawn from together; where all share alike, the shares are drawn evenly from all there are.

use polytask_core::report::Interval;
use polytask_core::{Purpose, Rng};

use super::estimate::{error, of_draws};

/// Draws of an interval.
const DRAWS: u64 = 1000;

/// A table of tasks by tasks.
pub(super) type Square<T> = Vec<Vec<T>>;

/// What is known of a joint training.
#[derive(Debug, Clone)]
pub(super) struct Evidence {
    /// Each task's change against its single-task model in percent or points, positive = better; `None` where it has none.
    pub(super) relative: Vec<Option<Interval>>,
    /// `[i][j]`: mean affinity of a step on i to task j.
    pub(super) affinity: Square<Option<Interval>>,
}

/// Effects of tasks on tasks in the unit of the changes, `[i][j]`: what i did to j.
#[derive(Debug, Clone)]
pub(super) struct Effects {
    /// By the estimates themselves.
    pub(super) central: Square<f64>,
    draws: Vec<Square<f64>>,
    scored: Vec<bool>,
}

impl Effects {
    /// Shares out what was measured.
    pub(super) fn new(evidence: &Evidence, seed: u64) -> Self {
        let n = evidence.relative.len();
        let value = |interval: &Option<Interval>| interval.map_or(0.0, |interval| interval.value);
        let columns = |j: usize| -> Vec<f64> { (0..n).map(|i| value(&evidence.affinity[i][j])).collect() };
        let central = square(n, |j| attribute(j, value(&evidence.relative[j]), &columns(j), |_| 1.0));
        Self {
            central,
            draws: (0..DRAWS).map(|draw| draw_effects(evidence, seed, draw)).collect(),
            scored: evidence.relative.iter().map(Option::is_some).collect(),
        }
    }

    /// The predicted change of a task in a group.
    pub(super) fn of_task(&self, task: usize, group: &[usize]) -> Option<Interval> {
        let change = |effects: &Square<f64>| group.iter().map(|&i| effects[i][task]).sum::<f64>();
        self.scored[task].then(|| of_draws(change(&self.central), self.draws.iter().map(change).collect()))
    }

    /// Sum of the predicted changes of a group's tasks.
    pub(super) fn of_group(&self, group: &[usize]) -> f64 {
        self.total(&self.central, group)
    }

    /// The predicted Δm: the mean change over all tasks that have one.
    pub(super) fn delta_m(&self, groups: &[Vec<usize>]) -> Option<Interval> {
        self.mean(groups, &[])
    }

    /// How much larger Δm is predicted for `groups` than for `others`.
    pub(super) fn gain(&self, groups: &[Vec<usize>], others: &[Vec<usize>]) -> Option<Interval> {
        self.mean(groups, others)
    }

    fn mean(&self, plus: &[Vec<usize>], minus: &[Vec<usize>]) -> Option<Interval> {
        let tasks = plus.iter().flatten().filter(|&&task| self.scored[task]).count();
        let sum = |effects: &Square<f64>, groups: &[Vec<usize>]| {
            groups.iter().map(|group| self.total(effects, group)).sum::<f64>()
        };
        let mean = |effects: &Square<f64>| (sum(effects, plus) - sum(effects, minus)) / tasks as f64;
        (tasks > 0).then(|| of_draws(mean(&self.central), self.draws.iter().map(mean).collect()))
    }

    fn total(&self, effects: &[Vec<f64>], group: &[usize]) -> f64 {
        let scored = group.iter().filter(|&&task| self.scored[task]);
        scored.map(|&j| group.iter().map(|&i| effects[i][j]).sum::<f64>()).sum()
    }
}

/// A table from its columns.
fn square(n: usize, column: impl FnMut(usize) -> Vec<f64>) -> Square<f64> {
    let columns: Vec<Vec<f64>> = (0..n).map(column).collect();
    (0..n).map(|i| columns.iter().map(|column| column[i]).collect()).collect()
}

/// The shares of `change` of task j that fall on each task, given the affinities of each to j; `even` gives the
/// weights where no companion pushed that way.
fn attribute(j: usize, change: f64, affinity: &[f64], even: impl FnMut(usize) -> f64) -> Vec<f64> {
    let n = affinity.len();
    let pushes = |i: usize| if i == j { 0.0 } else { (affinity[i] * change.signum()).max(0.0) };
    let mut weights: Vec<f64> = (0..n).map(pushes).collect();
    if weights.iter().sum::<f64>() <= 0.0 {
        weights = (0..n).map(even).collect();
        weights[j] = 0.0;
    }
    let sum = weights.iter().sum::<f64>();
    weights.iter().map(|w| if sum > 0.0 { change * w / sum } else { 0.0 }).collect()
}

/// Effects by one draw of everything that was estimated.
fn draw_effects(evidence: &Evidence, seed: u64, draw: u64) -> Square<f64> {
    let n = evidence.relative.len();
    let mut rng = Rng::new(seed, Purpose::Bootstrap, &[u64::MAX, draw]);
    let mut drawn = |interval: &Option<Interval>| {
        let noise = rng.normal();
        interval.map_or(0.0, |interval| interval.value + error(&interval) * noise)
    };
    let changes: Vec<f64> = evidence.relative.iter().map(&mut drawn).collect();
    let affinity: Square<f64> =
        evidence.affinity.iter().map(|row| row.iter().map(&mut drawn).collect()).collect();
    // Exponential weights, scaled to their sum, are even over all ways to share.
    let mut even = |_| -(1.0 - rng.uniform()).ln();
    square(n, |j| attribute(j, changes[j], &affinity.iter().map(|row| row[j]).collect::<Vec<_>>(), &mut even))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(value: f64, half: f64) -> Interval {
        Interval { value, low: value - half, high: value + half }
    }

    /// Three tasks: 0 and 1 help each other, 2 pulls against both and is pulled against.
    fn evidence() -> Evidence {
        let z = |value| Some(about(value, 0.01));
        Evidence {
            relative: [about(-1.0, 0.5), about(2.0, 0.5), about(-30.0, 1.0)].map(Some).to_vec(),
            affinity: vec![
                vec![z(0.2), z(0.1), z(-0.1)],
                vec![z(0.1), z(0.2), z(-0.2)],
                vec![z(-0.1), z(-0.1), z(0.2)],
            ],
        }
    }

    #[test]
    fn everything_together_is_predicted_as_measured_and_a_task_alone_as_zero() {
        let effects = Effects::new(&evidence(), 1);
        let all = effects.delta_m(&[vec![0, 1, 2]]).unwrap();
        assert!((all.value - -29.0 / 3.0).abs() < 1e-12 && all.low < all.value && all.value < all.high);
        let alone = effects.delta_m(&[vec![0], vec![1], vec![2]]).unwrap();
        assert_eq!((alone.value, alone.low, alone.high), (0.0, 0.0, 0.0));
    }

    #[test]
    fn a_loss_is_charged_to_those_who_raised_the_loss_and_a_gain_credited_to_those_who_lowered_it() {
        let effects = Effects::new(&evidence(), 1);
        assert_eq!((effects.central[2][0], effects.central[1][0]), (-1.0, 0.0));
        assert_eq!((effects.central[0][1], effects.central[2][1]), (2.0, 0.0));
        assert!((effects.central[0][2] + 10.0).abs() < 1e-12 && (effects.central[1][2] + 20.0).abs() < 1e-12);
        let pair = effects.of_task(0, &[0, 1]).unwrap();
        assert_eq!(pair.value, 0.0);
        let split = effects.delta_m(&[vec![0, 1], vec![2]]).unwrap();
        assert!((split.value - 2.0 / 3.0).abs() < 1e-12, "{split:?}");
        let gain = effects.gain(&[vec![0, 1], vec![2]], &[vec![0, 1, 2]]).unwrap();
        assert!((gain.value - 31.0 / 3.0).abs() < 1e-12 && gain.low > 9.0);
    }

    #[test]
    fn where_nobody_pushed_that_way_all_share_alike_and_nobody_knows_who() {
        let mut evidence = evidence();
        evidence.affinity.iter_mut().for_each(|row| row[0] = Some(about(0.1, 0.01)));
        let effects = Effects::new(&evidence, 1);
        assert_eq!((effects.central[1][0], effects.central[2][0]), (-0.5, -0.5));
        let half = effects.of_task(0, &[0, 1]).unwrap();
        assert!(half.low < -0.9 && half.high > -0.1, "{half:?}");
    }

    #[test]
    fn a_task_without_a_change_of_its_own_counts_for_others_only() {
        let mut evidence = evidence();
        evidence.relative[2] = None;
        let effects = Effects::new(&evidence, 1);
        assert!(effects.of_task(2, &[0, 2]).is_none());
        assert!((effects.delta_m(&[vec![0, 1, 2]]).unwrap().value - 0.5).abs() < 1e-12);
        evidence.relative = vec![None; 3];
        assert!(Effects::new(&evidence, 1).delta_m(&[vec![0, 1, 2]]).is_none());
    }

    #[test]
    fn the_interval_of_everything_together_is_that_of_the_measured_mean() {
        let all = Effects::new(&evidence(), 7).delta_m(&[vec![0, 1, 2]]).unwrap();
        let expected = (0.5_f64.powi(2) * 2.0 + 1.0).sqrt() / 3.0;
        assert!(((all.high - all.low) / 2.0 / expected - 1.0).abs() < 0.1, "{all:?} {expected}");
    }
}
