//! Adaptors that bring the three small traits into the loop.
//!
//! They keep what would otherwise be written in every weighting. Tasks with a non-finite loss or gradient, or a zero
//! gradient, never reach a solver and get weight 0: min-norm solvers would put all weight on a zero row, and
//! others divide by its norm. When one task is left there is no conflict: its gradient is the direction, exactly,
//! and the solver (with its state) is not asked, but for the longest step it allows; without such a limit a step with
//! one task present does not even pay for the Gramian.
//! A solver that answers with something not finite is replaced
//! for this step by weights of 1 on the tasks that pull, so that one bad step does not end a run.
//!
//! Heads get factor 1, the weights themselves where [`Needs::weighted_heads`] says so, factors of their own where
//! the weighting has such (1 where the trunk's gradient is zero), and 0 for a task whose loss or gradient is not finite.

use super::{Aggregator, At, Direction, GramianWeighting, Heads, Jacobian, LossWeighting, Needs, Weighting};
use super::{Probe, Step, Update};
use crate::Result;

/// A loss weighting in the loop. Heads get the weights too: the weighting scales losses.
pub struct ByLoss<W>(pub W);

/// A Gramian weighting in the loop, with what it needs beyond the Gramian.
pub struct ByGramian<W> {
    /// The weighting.
    pub weighting: W,
    /// Its needs; `gramian` is added.
    pub needs: Needs,
}

/// An aggregator in the loop, with what it needs beyond the rows.
pub struct ByRows<A> {
    /// The aggregator.
    pub aggregator: A,
    /// Its needs; `rows` is added.
    pub needs: Needs,
}

/// What is known of the present tasks before a solver is asked.
pub(crate) struct Present {
    /// Suite indices.
    pub(crate) tasks: Vec<usize>,
    /// Losses.
    pub(crate) losses: Vec<f64>,
    /// Positions of tasks that pull.
    pub(crate) pulling: Vec<usize>,
    /// Positions of tasks whose loss and gradient are finite.
    finite: Vec<bool>,
}

impl Present {
    /// Sorts the present tasks by the square of their gradient's norm, `[tasks]`.
    pub(crate) fn new(probe: &mut dyn Probe, squares: Option<&[f64]>) -> Result<Self> {
        let tasks = probe.tasks().to_vec();
        let losses = probe.losses(At::default())?;
        let square = |i: usize| squares.map_or(1.0, |s| s[i]);
        let finite: Vec<bool> =
            (0..tasks.len()).map(|i| losses[i].is_finite() && square(i).is_finite()).collect();
        let pulling = (0..tasks.len()).filter(|&i| finite[i] && square(i) > 0.0).collect();
        Ok(Self { tasks, losses, pulling, finite })
    }

    /// Suite indices of the tasks that pull.
    pub(crate) fn pulling_tasks(&self) -> Vec<usize> {
        self.pulling.iter().map(|&i| self.tasks[i]).collect()
    }

    /// Losses of the tasks that pull.
    pub(crate) fn pulling_losses(&self) -> Vec<f64> {
        self.pick(&self.losses)
    }

    /// Of values of all present tasks those of the tasks that pull.
    pub(crate) fn pick(&self, values: &[f64]) -> Vec<f64> {
        self.pulling.iter().map(|&i| values[i]).collect()
    }

    /// Asks `solve` about the tasks that pull.
    fn ask<T>(&self, probe: &dyn Probe, solve: impl FnOnce(&mut Step) -> T) -> T {
        let (tasks, losses) = (self.pulling_tasks(), self.pulling_losses());
        let (number, epoch, lr, rng) = (probe.step(), probe.epoch(), probe.lr(), probe.rng());
        solve(&mut Step { number, epoch, lr, tasks: &tasks, losses: &losses, rng })
    }

    /// The weights of the tasks that pull, spread over all present tasks, others 0.
    pub(crate) fn spread(&self, weights: &[f64]) -> Vec<f64> {
        self.spread_over(weights, 0.0)
    }

    /// The values of the tasks that pull, spread over all present tasks, `others` elsewhere.
    fn spread_over(&self, values: &[f64], others: f64) -> Vec<f64> {
        let sound = values.len() == self.pulling.len() && values.iter().all(|w| w.is_finite());
        let mut all = vec![others; self.tasks.len()];
        for (k, &i) in self.pulling.iter().enumerate() {
            all[i] = if sound { values[k] } else { 1.0 };
        }
        all
    }

    /// The factors of the heads for these weights of the trunk.
    pub(super) fn heads(&self, weights: Option<&[f64]>) -> Heads {
        let factor = |i: usize| match (self.finite[i], weights) {
            (false, _) => 0.0,
            (true, Some(weights)) => weights[i],
            (true, None) => 1.0,
        };
        Heads::Factors((0..self.tasks.len()).map(factor).collect())
    }

    /// These weights of the tasks that pull, for trunk and heads; the head of a task whose trunk gradient is zero still
    /// learns, with weight 1.
    pub(crate) fn weighted(&self, weights: &[f64]) -> Update {
        let heads = self.heads(Some(&self.spread_over(weights, 1.0)));
        Update { heads, trunk: Direction::Weights(self.spread(weights)) }
    }

    /// These weights of the tasks that pull for the trunk; heads step with their plain gradients.
    pub(crate) fn trunk_weighted(&self, weights: &[f64]) -> Update {
        Update { heads: self.heads(None), trunk: Direction::Weights(self.spread(weights)) }
    }

    /// Plain training of the tasks that pull.
    pub(crate) fn plain(&self) -> Update {
        self.trunk_weighted(&vec![1.0; self.pulling.len()])
    }
}

impl<W: LossWeighting> Weighting for ByLoss<W> {
    fn needs(&self) -> Needs {
        Needs { weighted_heads: true, ..Needs::NONE }
    }

    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        let present = Present::new(probe, None)?;
        let weights = present.ask(probe, |step| self.0.weights(step));
        Ok(present.weighted(&weights))
    }

    fn state(&self) -> Vec<f64> {
        self.0.state()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        self.0.restore(state)
    }
}

impl<W: GramianWeighting> Weighting for ByGramian<W> {
    fn needs(&self) -> Needs {
        Needs { gramian: true, ..self.needs }
    }

    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        if probe.tasks().len() == 1 && self.weighting.longest().is_none() {
            return Ok(Present::new(probe, None)?.plain());
        }
        if let Some(update) = self.kept(probe)? {
            return Ok(update);
        }
        let gramian = probe.gramian(At::default())?;
        let squares: Vec<f64> = (0..gramian.n).map(|i| gramian.get(i, i)).collect();
        let present = Present::new(probe, Some(&squares))?;
        if present.pulling.len() < 2 {
            let weights: Vec<f64> = present.pulling.iter().map(|&i| self.alone(squares[i])).collect();
            return Ok(self.answer(&present, &weights, None));
        }
        let selected = gramian.select(&present.pulling);
        let ask = |step: &mut Step| (self.weighting.heads(step), self.weighting.weights(step, &selected));
        let (heads, weights) = present.ask(probe, ask);
        Ok(self.answer(&present, &weights, heads))
    }

    fn state(&self) -> Vec<f64> {
        self.weighting.state()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        self.weighting.restore(state)
    }
}

impl<W: GramianWeighting> ByGramian<W> {
    /// The weight of a task that pulls alone: 1, or what keeps its gradient within the limit.
    fn alone(&self, square: f64) -> f64 {
        self.weighting.longest().map_or(1.0, |limit| (limit / square.sqrt()).min(1.0))
    }

    /// The step of weights that are known without the Gramian.
    fn kept(&mut self, probe: &mut dyn Probe) -> Result<Option<Update>> {
        let present = Present::new(probe, None)?;
        if present.pulling.len() < 2 {
            return Ok(None);
        }
        let ask = |step: &mut Step| (self.weighting.heads(step), self.weighting.kept(step));
        let (heads, kept) = present.ask(probe, ask);
        Ok(kept.map(|weights| self.answer(&present, &weights, heads)))
    }

    /// The update of these weights; `heads` are the factors of the heads that pull, where the weighting has its own.
    fn answer(&self, present: &Present, weights: &[f64], heads: Option<Vec<f64>>) -> Update {
        let update = if self.needs.weighted_heads {
            present.weighted(weights)
        } else {
            present.trunk_weighted(weights)
        };
        match heads {
            Some(own) => Update { heads: present.heads(Some(&present.spread_over(&own, 1.0))), ..update },
            None => update,
        }
    }
}

impl<A: Aggregator> Weighting for ByRows<A> {
    fn needs(&self) -> Needs {
        Needs { rows: true, ..self.needs }
    }

    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        if probe.tasks().len() == 1 {
            return Ok(Present::new(probe, None)?.plain());
        }
        let rows = probe.rows(At::default())?;
        let squares = rows.squares();
        let present = Present::new(probe, Some(&squares))?;
        let trunk = self.direction(&present, probe, &rows);
        Ok(Update { heads: present.heads(None), trunk })
    }

    fn state(&self) -> Vec<f64> {
        self.aggregator.state()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        self.aggregator.restore(state)
    }

    fn mark(&self) -> Vec<f64> {
        self.aggregator.mark()
    }

    fn rewind(&mut self, mark: &[f64]) -> Result<()> {
        self.aggregator.rewind(mark)
    }
}

impl<A: Aggregator> ByRows<A> {
    /// The direction: the aggregator's, or plain weights where there is nothing to aggregate.
    fn direction(&mut self, present: &Present, probe: &dyn Probe, rows: &Jacobian) -> Direction {
        let plain = Direction::Weights(present.spread(&vec![1.0; present.pulling.len()]));
        if present.pulling.len() < 2 {
            return plain;
        }
        let kept = rows.select(&present.pulling);
        let vector = present.ask(probe, |step| self.aggregator.direction(step, &kept));
        let sound = vector.len() == rows.width && vector.iter().all(|v| v.is_finite());
        if sound { Direction::Vector(vector) } else { plain }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gramian;
    use crate::testing::FakeProbe;

    /// Gives these weights, after a look at what it was asked.
    struct Fixed {
        weights: Vec<f64>,
        tasks: Vec<usize>,
    }

    impl GramianWeighting for Fixed {
        fn weights(&mut self, step: &mut Step, gramian: &Gramian) -> Vec<f64> {
            assert_eq!((step.tasks, gramian.n), (self.tasks.as_slice(), self.tasks.len()));
            assert!((0..gramian.n).all(|i| gramian.get(i, i) > 0.0));
            self.weights.clone()
        }
    }

    impl Aggregator for Fixed {
        fn direction(&mut self, step: &mut Step, jacobian: &Jacobian) -> Vec<f32> {
            assert_eq!((step.tasks, jacobian.n), (self.tasks.as_slice(), self.tasks.len()));
            self.weights.iter().map(|w| *w as f32).collect()
        }
    }

    const ROWS: [&[f32]; 4] = [&[1.0, 0.0], &[0.0, 0.0], &[f32::NAN, 1.0], &[0.0, 2.0]];

    fn update(weighting: &mut dyn Weighting, rows: &[&[f32]]) -> (Direction, Vec<f64>) {
        let mut probe = FakeProbe::from_rows(rows).with_tasks(&[4, 5, 6, 7][..rows.len()]);
        let update = weighting.update(&mut probe).unwrap();
        let Heads::Factors(heads) = update.heads else { panic!("expected factors") };
        (update.trunk, heads)
    }

    #[test]
    fn a_solver_sees_only_tasks_that_pull_and_its_weights_go_back_to_their_places() {
        let fixed = || Fixed { weights: vec![0.25, 3.0], tasks: vec![4, 7] };
        let mut plain = ByGramian { weighting: fixed(), needs: Needs::NONE };
        let (trunk, heads) = update(&mut plain, &ROWS);
        assert_eq!(trunk, Direction::Weights(vec![0.25, 0.0, 0.0, 3.0]));
        assert_eq!(heads, [1.0, 1.0, 0.0, 1.0]);
        let needs = Needs { weighted_heads: true, ..Needs::NONE };
        let (_, heads) = update(&mut ByGramian { weighting: fixed(), needs }, &ROWS);
        assert_eq!(heads, [0.25, 1.0, 0.0, 3.0]);
    }

    /// Knows its weights without a Gramian, and scales the heads.
    struct Kept(Option<Vec<f64>>);

    impl GramianWeighting for Kept {
        fn kept(&mut self, _step: &Step) -> Option<Vec<f64>> {
            self.0.clone()
        }

        fn heads(&self, step: &Step) -> Option<Vec<f64>> {
            Some(vec![7.0; step.tasks.len()])
        }

        fn weights(&mut self, _step: &mut Step, gramian: &Gramian) -> Vec<f64> {
            assert!(self.0.is_none(), "asked although the weights were known");
            vec![3.0; gramian.n]
        }
    }

    #[test]
    fn weights_known_before_spare_the_gramian_and_heads_have_factors_of_their_own() {
        let (trunk, heads) = update(
            &mut ByGramian { weighting: Kept(Some(vec![2.0, 5.0])), needs: Needs::NONE },
            &[ROWS[0], ROWS[3]],
        );
        assert_eq!((trunk, heads), (Direction::Weights(vec![2.0, 5.0]), vec![7.0, 7.0]));
        let (trunk, heads) = update(&mut ByGramian { weighting: Kept(None), needs: Needs::NONE }, &ROWS);
        assert_eq!((trunk, heads), (Direction::Weights(vec![3.0, 0.0, 0.0, 3.0]), vec![7.0, 1.0, 0.0, 7.0]));
    }

    #[test]
    fn an_aggregator_sees_only_tasks_that_pull() {
        let aggregator = Fixed { weights: vec![5.0, 6.0], tasks: vec![4, 7] };
        let (trunk, heads) = update(&mut ByRows { aggregator, needs: Needs::NONE }, &ROWS);
        assert_eq!(trunk, Direction::Vector(vec![5.0, 6.0]));
        assert_eq!(heads, [1.0, 1.0, 0.0, 1.0]);
    }

    #[test]
    fn one_task_left_is_plain_training_without_asking_the_solver() {
        let fixed = || Fixed { weights: vec![], tasks: vec![usize::MAX] };
        for rows in [&ROWS[..1], &ROWS[..3]] {
            let (trunk, _) = update(&mut ByGramian { weighting: fixed(), needs: Needs::NONE }, rows);
            assert!(
                matches!(trunk, Direction::Weights(w) if w[0] == 1.0 && w[1..].iter().all(|w| *w == 0.0))
            );
            let (trunk, _) = update(&mut ByRows { aggregator: fixed(), needs: Needs::NONE }, rows);
            assert!(
                matches!(trunk, Direction::Weights(w) if w[0] == 1.0 && w[1..].iter().all(|w| *w == 0.0))
            );
        }
    }

    #[test]
    fn an_answer_that_is_not_finite_or_of_wrong_length_becomes_plain_weights() {
        for weights in [vec![f64::NAN, 1.0], vec![1.0]] {
            let fixed = || Fixed { weights: weights.clone(), tasks: vec![4, 7] };
            let plain = Direction::Weights(vec![1.0, 0.0, 0.0, 1.0]);
            assert_eq!(update(&mut ByGramian { weighting: fixed(), needs: Needs::NONE }, &ROWS).0, plain);
            assert_eq!(update(&mut ByRows { aggregator: fixed(), needs: Needs::NONE }, &ROWS).0, plain);
        }
    }
}
