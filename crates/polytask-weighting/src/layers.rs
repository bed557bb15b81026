//! A Gramian method that solves anew for every block of the trunk (`train.gradients = "layer"`).
//!
//! Tasks may agree in one layer and conflict in another. Each block has a method of its own, with its own state, that
//! sees the inner products of this block's gradients only; a task without a gradient there has no part in it. Heads
//! step with the mean of the factors the blocks' methods give them. The weights that stand in log and report are the
//! means over the blocks.

use polytask_core::{Problem, Purpose, Rng};

use super::adapt::Present;
use super::{
    At, Direction, Gramian, Heads, Jacobian, Needs, OutputStates, Part, Probe, Spaces, Update, Weighting,
};
use super::{TaskGradient, refuse_state};
use crate::Result;

/// One method per block, lowest first.
pub struct ByLayer {
    methods: Vec<Box<dyn Weighting>>,
}

impl ByLayer {
    /// For `n_blocks` blocks, at least one.
    pub fn new(n_blocks: usize, make: impl Fn() -> Result<Box<dyn Weighting>>) -> Result<Self> {
        Ok(Self { methods: (0..n_blocks.max(1)).map(|_| make()).collect::<Result<_>>()? })
    }

    /// Whether a method with these needs can work on a block's Gramian alone.
    pub fn can(needs: Needs) -> bool {
        let more = needs.rows || needs.displaced || needs.after_step || needs.extra_batches > 0;
        needs.gramian && !more && needs.spaces != Spaces::Representation
    }
}

impl Weighting for ByLayer {
    fn needs(&self) -> Needs {
        Needs { spaces: Spaces::Parameters, ..self.methods[0].needs() }
    }

    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        let n = probe.tasks().len();
        if n == 1 {
            return Ok(Present::new(probe, None)?.plain());
        }
        let (mut gramians, mut trunk, mut heads) = (None, Vec::new(), vec![0.0; n]);
        let share = 1.0 / self.methods.len() as f64;
        for (block, method) in self.methods.iter_mut().enumerate() {
            let update = method.update(&mut BlockProbe { inner: probe, gramians: &mut gramians, block })?;
            let (Direction::Weights(weights), Heads::Factors(factors)) = (update.trunk, update.heads) else {
                return Err(Problem::new("a method of one block answered with more than weights").into());
            };
            heads.iter_mut().zip(factors).for_each(|(sum, factor)| *sum += share * factor);
            trunk.push(weights);
        }
        Ok(Update { trunk: Direction::BlockWeights(trunk), heads: Heads::Factors(heads) })
    }

    fn state(&self) -> Vec<f64> {
        self.methods.iter().flat_map(|method| method.state()).collect()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        let lengths: Vec<usize> = self.methods.iter().map(|method| method.state().len()).collect();
        refuse_state(state.len(), lengths.iter().sum())?;
        let mut rest = state;
        for (method, length) in self.methods.iter_mut().zip(lengths) {
            let (own, later) = rest.split_at(length);
            method.restore(own)?;
            rest = later;
        }
        Ok(())
    }
}

/// A step as the method of one block sees it: the Gramian is the block's, all else the step's.
struct BlockProbe<'a> {
    inner: &'a mut dyn Probe,
    /// The Gramians of all blocks, once one has asked.
    gramians: &'a mut Option<Vec<Gramian>>,
    block: usize,
}

impl Probe for BlockProbe<'_> {
    fn gramian(&mut self, at: At) -> Result<Gramian> {
        if at != At::default() {
            return Ok(self.inner.block_gramians(at)?.swap_remove(self.block));
        }
        if self.gramians.is_none() {
            *self.gramians = Some(self.inner.block_gramians(at)?);
        }
        let all = self.gramians.as_deref().unwrap_or_default();
        let missing = || Problem::new(format!("block {} of the trunk has no gradients", self.block));
        Ok(all.get(self.block).ok_or_else(missing)?.clone())
    }

    /// Draws of its own for each block.
    fn rng(&self) -> Rng {
        Rng::new(self.inner.rng().next_u64(), Purpose::Method, &[self.block as u64])
    }

    fn step(&self) -> u64 {
        self.inner.step()
    }
    fn epoch(&self) -> u64 {
        self.inner.epoch()
    }
    fn tasks(&self) -> &[usize] {
        self.inner.tasks()
    }
    fn lr(&self) -> f64 {
        self.inner.lr()
    }
    fn losses(&mut self, at: At) -> Result<Vec<f64>> {
        self.inner.losses(at)
    }
    fn rows(&mut self, at: At) -> Result<Jacobian> {
        self.inner.rows(at)
    }
    fn gradient(&mut self, at: At, weights: &[f64]) -> Result<Vec<f32>> {
        self.inner.gradient(at, weights)
    }
    fn heads(&mut self, at: At) -> Result<Vec<Vec<f32>>> {
        self.inner.heads(at)
    }
    fn states(&mut self, at: At) -> Result<OutputStates> {
        self.inner.states(at)
    }
    fn parts(&self) -> Vec<Part> {
        self.inner.parts()
    }
    fn shared(&self) -> Vec<f32> {
        self.inner.shared()
    }
    fn head(&self, i: usize) -> Vec<f32> {
        self.inner.head(i)
    }
    fn task(&mut self, at: At, i: usize) -> Result<TaskGradient> {
        self.inner.task(at, i)
    }
}

#[cfg(test)]
mod tests {
    use polytask_core::Family;
    use polytask_core::method::Choice;

    use super::*;
    use crate::WEIGHTINGS;
    use crate::table::{Setup, make};
    use crate::testing::{FakeProbe, TASKS};

    fn by_layer(id: &str) -> ByLayer {
        ByLayer::new(2, || make(&Choice::named(id), &Setup::of(&TASKS))).unwrap()
    }

    fn fitting() -> impl Iterator<Item = &'static str> {
        let needs = |id| make(&Choice::named(id), &Setup::of(&TASKS)).unwrap().needs();
        let gramian = WEIGHTINGS.iter().filter(|entry| entry.info.family == Family::GramianWeighting);
        gramian.map(|entry| entry.info.id).filter(move |id| ByLayer::can(needs(id)))
    }

    fn weights(update: &Update) -> &[Vec<f64>] {
        let Direction::BlockWeights(weights) = &update.trunk else { panic!("expected weights of blocks") };
        weights
    }

    #[test]
    fn a_block_gets_the_weights_its_method_gives_for_its_columns_alone() {
        for id in fitting().filter(|id| !["pcgrad", "gradvac", "random"].contains(id)) {
            let mut probe = FakeProbe::random(3, 4, 12);
            let update = by_layer(id).update(&mut probe).unwrap();
            for (k, found) in weights(&update).iter().enumerate() {
                let mut alone = make(&Choice::named(id), &Setup::of(&TASKS)).unwrap();
                let mut columns = probe.columns(6 * k..6 * (k + 1));
                let expected = alone.update(&mut columns).unwrap().trunk;
                assert_eq!(Direction::Weights(found.clone()), expected, "{id} block {k}");
            }
        }
    }

    #[test]
    fn every_gramian_method_of_parameters_can_work_by_layer() {
        let ids: Vec<&str> = fitting().collect();
        assert!(
            ["cagrad", "gradvac", "mgda", "nash-mtl", "pcgrad", "upgrad"].iter().all(|id| ids.contains(id))
        );
        assert!(["equal", "mgda-ub", "ntkmtl-sr", "uw"].iter().all(|id| !ids.contains(id)));
    }

    #[test]
    fn a_task_without_gradient_in_a_block_has_no_part_in_it() {
        let rows: [&[f32]; 3] = [&[1.0, 2.0, 3.0, -1.0], &[0.0, 0.0, 2.0, 5.0], &[-1.0, 0.5, 1.0, 1.0]];
        for id in fitting() {
            let update = by_layer(id).update(&mut FakeProbe::from_rows(&rows)).unwrap();
            assert_eq!(weights(&update)[0][1], 0.0, "{id}");
            assert!(weights(&update).iter().flatten().all(|w| w.is_finite()), "{id}");
        }
    }

    #[test]
    fn a_restored_method_continues_in_every_block() {
        for id in fitting() {
            let (mut whole, mut resumed) = (by_layer(id), by_layer(id));
            (1..4).for_each(|seed| drop(whole.update(&mut FakeProbe::random(seed, 4, 8)).unwrap()));
            resumed.restore(&whole.state()).unwrap();
            for seed in 4..7 {
                let mut probe = FakeProbe::random(seed, 4, 8);
                assert_eq!(resumed.update(&mut probe).unwrap(), whole.update(&mut probe).unwrap(), "{id}");
            }
            let mut state = whole.state();
            state.push(0.0);
            assert!(resumed.restore(&state).is_err(), "{id}");
        }
    }

    #[test]
    fn one_task_is_plain_training() {
        let update = by_layer("cagrad").update(&mut FakeProbe::random(1, 1, 8)).unwrap();
        assert_eq!(update.trunk, Direction::Weights(vec![1.0]));
    }

    #[test]
    fn blocks_draw_differently_and_heads_get_the_mean_of_their_factors() {
        let mut probe = FakeProbe::random(1, 3, 8);
        let update = by_layer("random").update(&mut probe).unwrap();
        assert_ne!(weights(&update)[0], weights(&update)[1]);
        let update = by_layer("fairgrad").update(&mut probe).unwrap();
        let Heads::Factors(heads) = &update.heads else { panic!("expected factors") };
        let blocks = weights(&update);
        assert!((0..3).all(|i| (heads[i] - 0.5 * (blocks[0][i] + blocks[1][i])).abs() < 1e-12));
    }
}
