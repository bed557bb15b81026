//! Sparsify: which entries of a task vector stay.
//!
//! A density of 1 or more keeps everything. Draws come from the counter generator keyed by seed, tensor and model, so
//! they do not depend on threads, versions or the order of tensors.

use polytask_core::hash;
use polytask_core::rng::{self, Purpose};

use super::scale::L1;
use super::select::{Keys, Ranks, Window, key, select};
use crate::Result;
use crate::tensor::{Block, Tensor, length_1};

/// How entries are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sparsify {
    /// All stay.
    Nothing,
    /// The largest stay (TIES, Yadav et al. 2023).
    Magnitude,
    /// The largest and the smallest go (Breadcrumbs, Davari and Belilovsky 2023).
    Outliers,
    /// Each stays with the same probability (DARE, Yu et al. 2023).
    Random,
    /// Larger ones of a row stay with higher probability (DELLA, Deep et al. 2024).
    Ranked,
}

/// How what is left is stretched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rescale {
    /// Not at all.
    Off,
    /// To the absolute sum before.
    L1,
    /// By the inverse of the probability to stay, as the papers have it.
    Probability,
}

/// Settings of one model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SparsifySettings {
    pub(crate) density: f64,
    /// Share of the largest that go.
    pub(crate) gamma: f64,
    /// Half the spread of probabilities within a row.
    pub(crate) epsilon: f64,
}

/// Which entries of a model stay.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kept {
    /// All.
    All,
    /// None.
    Nothing,
    /// Those of some ranks.
    Window(Window),
    /// Those that were drawn: the generator's key and the settings.
    Drawn(Sparsify, u64, SparsifySettings),
    /// Given ones.
    #[cfg(test)]
    Given(Vec<bool>),
}

/// Task vectors of a tensor, thinned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Thinned {
    pub(crate) kept: Vec<Kept>,
    pub(crate) factors: Vec<f32>,
    /// Whether entries are divided by their probability.
    by_probability: bool,
    row: Row,
}

/// How a block lies: probabilities are ranked along the second axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    /// Entries of a slice along the first axis.
    slice: usize,
    /// Entries of the axes behind the second.
    inner: usize,
}

impl Sparsify {
    /// Chooses entries of all models of a tensor.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub(crate) fn thin(
        self,
        tensor: &Tensor<'_>,
        settings: &[SparsifySettings],
        rescale: Rescale,
        seed: u64,
    ) -> Result<Thinned> {
        let mut kept: Vec<Kept> =
            settings.iter().enumerate().map(|(m, s)| self.kept(tensor.name, *s, (seed, m))).collect();
        let wanted: Vec<Option<Ranks>> = settings.iter().map(|s| self.ranks(*s, tensor.len())).collect();
        let ranked: Vec<usize> = (0..wanted.len()).filter(|&m| wanted[m].is_some()).collect();
        let ranks: Vec<Ranks> = wanted.into_iter().flatten().collect();
        if !ranks.is_empty() {
            let keys: &Keys<'_> = &|block| ranked.iter().map(|&m| sizes(&block.delta(m))).collect();
            for (m, window) in ranked.iter().zip(select(tensor, 1, keys, &ranks)?) {
                kept[*m] = window.map_or(Kept::Nothing, Kept::Window);
            }
        }
        Thinned::new(tensor, kept, rescale)
    }

    fn kept(self, tensor: &str, settings: SparsifySettings, (seed, model): (u64, usize)) -> Kept {
        match self {
            _ if settings.density >= 1.0 => Kept::All,
            Self::Random | Self::Ranked if settings.density > 0.0 => {
                let key = rng::key(seed, Purpose::Drop, &[hash::text64(tensor), model as u64]);
                Kept::Drawn(self, key, settings)
            }
            Self::Nothing => Kept::All,
            _ => Kept::Nothing,
        }
    }

    /// The ranks that stay of `n` entries, where that is how they are chosen.
    fn ranks(self, settings: SparsifySettings, n: usize) -> Option<Ranks> {
        let SparsifySettings { density, gamma, .. } = settings;
        if density >= 1.0 || density <= 0.0 || n == 0 {
            return None;
        }
        let share = |share: f64| (share * n as f64) as usize;
        match self {
            Self::Magnitude => Some(Ranks::Largest(share(density).max(1))),
            Self::Outliers => {
                let keep = share(density);
                Some(Ranks::Ascending(n.saturating_sub(keep + share(gamma)), keep))
            }
            _ => None,
        }
    }
}

/// The keys of sizes without sign.
fn sizes(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| key(v.abs())).collect()
}

impl Thinned {
    /// The same with entries that are chosen already.
    pub(crate) fn new(tensor: &Tensor<'_>, kept: Vec<Kept>, rescale: Rescale) -> Result<Self> {
        let inner = tensor.shape.iter().skip(2).product::<usize>().max(1);
        let row = Row { slice: tensor.slice(), inner };
        let by_probability = rescale == Rescale::Probability;
        let mut thinned = Self { factors: vec![1.0; kept.len()], kept, by_probability, row };
        if rescale == Rescale::L1 {
            thinned.factors = thinned.lengths(tensor)?.into_iter().map(L1::factor).collect();
        }
        Ok(thinned)
    }

    /// Blocks must hold whole units of so many entries.
    pub(crate) fn unit(&self) -> usize {
        let needs_rows = |kept: &Kept| matches!(kept, Kept::Drawn(Sparsify::Ranked, ..));
        if self.kept.iter().any(needs_rows) { self.row.slice } else { 1 }
    }

    fn lengths(&self, tensor: &Tensor<'_>) -> Result<Vec<L1>> {
        let mut sums = vec![L1::default(); self.kept.len()];
        let of = |block: &Block<'_>| {
            let one = |(m, thinned): (usize, Vec<f32>)| L1 {
                before: length_1(&block.delta(m)),
                after: length_1(&thinned),
            };
            self.apply(block).into_iter().enumerate().map(one).collect::<Vec<_>>()
        };
        tensor.fold(self.unit(), of, |part| {
            for (sum, part) in sums.iter_mut().zip(part) {
                *sum = L1 { before: sum.before + part.before, after: sum.after + part.after };
            }
            Ok(())
        })?;
        Ok(sums)
    }

    /// The thinned task vectors of a block.
    pub(crate) fn apply(&self, block: &Block<'_>) -> Vec<Vec<f32>> {
        (0..self.kept.len()).map(|m| self.apply_one(block, m)).collect()
    }

    fn apply_one(&self, block: &Block<'_>, m: usize) -> Vec<f32> {
        let (mut delta, factor) = (block.delta(m), self.factors[m]);
        match &self.kept[m] {
            Kept::All => {}
            Kept::Nothing => delta.fill(0.0),
            Kept::Window(window) => {
                let mask = window.mask(block.range.start, &sizes(&delta));
                keep(&mut delta, |i| mask[i]);
            }
            Kept::Drawn(how, key, settings) => {
                let p = how.probabilities(&delta, *settings, self.row);
                let start = block.range.start;
                keep(&mut delta, |i| uniform(*key, start + i) < p[i]);
                if self.by_probability {
                    delta.iter_mut().zip(&p).for_each(|(v, p)| *v = (f64::from(*v) / p) as f32);
                }
            }
            #[cfg(test)]
            Kept::Given(mask) => keep(&mut delta, |i| mask[block.range.start + i]),
        }
        if factor != 1.0 {
            delta.iter_mut().for_each(|v| *v *= factor);
        }
        delta
    }
}

fn keep(values: &mut [f32], is_kept: impl Fn(usize) -> bool) {
    for (i, value) in values.iter_mut().enumerate() {
        if !is_kept(i) {
            *value = 0.0;
        }
    }
}

/// The `i`-th draw from [0, 1).
fn uniform(key: u64, i: usize) -> f64 {
    (rng::at(key, i as u64) >> 11) as f64 / (1_u64 << 53) as f64
}

impl Sparsify {
    /// With which probability each entry of a block of whole slices stays.
    fn probabilities(self, delta: &[f32], settings: SparsifySettings, row: Row) -> Vec<f64> {
        let SparsifySettings { density, epsilon, .. } = settings;
        let n = row.slice / row.inner;
        // A row of one entry has no ranks.
        if self != Self::Ranked || n < 2 {
            return vec![density; delta.len()];
        }
        let mut p = vec![0.0; delta.len()];
        for (delta, p) in delta.chunks_exact(row.slice).zip(p.chunks_exact_mut(row.slice)) {
            for column in 0..row.inner {
                let at = |i: &usize| delta[i * row.inner + column].abs();
                let mut order: Vec<usize> = (0..n).collect();
                order.sort_by(|a, b| at(a).total_cmp(&at(b)));
                for (rank, i) in order.into_iter().enumerate() {
                    let share = rank as f64 / (n - 1) as f64;
                    p[i * row.inner + column] = density - epsilon + 2.0 * epsilon * share;
                }
            }
        }
        p
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: SparsifySettings = SparsifySettings { density: 0.5, gamma: 0.0, epsilon: 0.1 };

    fn thin(how: Sparsify, values: &[f32], settings: SparsifySettings, rescale: Rescale) -> Vec<f32> {
        let shape = [2, values.len() / 2];
        let zero = vec![0.0; values.len()];
        let tensor = Tensor::held(&shape, Some(&zero), &[values]);
        let thinned = how.thin(&tensor, &[settings], rescale, 7).unwrap();
        let mut all = Vec::new();
        tensor
            .fold(
                thinned.unit(),
                |block| thinned.apply(block).remove(0),
                |part| {
                    all.extend(part);
                    Ok(())
                },
            )
            .unwrap();
        all
    }

    #[test]
    fn the_largest_stay_and_outliers_lose_both_ends() {
        let values = [1.0, -2.0, 3.0, -4.0, 5.0, -6.0, 7.0, -8.0];
        let kept = thin(Sparsify::Magnitude, &values, HALF, Rescale::L1);
        assert_eq!(kept[..4], [0.0; 4]);
        assert!((kept.iter().map(|v| v.abs()).sum::<f32>() - 36.0).abs() < 1e-5);
        let settings = SparsifySettings { gamma: 0.25, ..HALF };
        let kept = thin(Sparsify::Outliers, &values, settings, Rescale::Off);
        assert_eq!(kept, [0.0, 0.0, 3.0, -4.0, 5.0, -6.0, 0.0, 0.0]);
        let all = SparsifySettings { density: 1.0, ..HALF };
        assert_eq!(thin(Sparsify::Magnitude, &values, all, Rescale::L1), values);
        let none = SparsifySettings { density: 0.0, ..HALF };
        assert_eq!(thin(Sparsify::Random, &values, none, Rescale::L1), [0.0; 8]);
    }

    #[test]
    fn draws_keep_their_share_and_the_probability_form_keeps_the_mean() {
        let values = vec![1.0; 400_000];
        for how in [Sparsify::Random, Sparsify::Ranked] {
            let kept = thin(how, &values, SparsifySettings { density: 0.3, ..HALF }, Rescale::Off);
            let share = kept.iter().filter(|v| **v != 0.0).count() as f64 / 4e5;
            assert!((share - 0.3).abs() < 0.005, "{how:?} {share}");
            let kept = thin(how, &values, SparsifySettings { density: 0.3, ..HALF }, Rescale::Probability);
            let mean = kept.iter().map(|v| f64::from(*v)).sum::<f64>() / 4e5;
            assert!((mean - 1.0).abs() < 0.02, "{how:?} {mean}");
        }
    }

    #[test]
    fn probabilities_are_ranked_along_the_second_axis_and_rows_of_one_have_the_density() {
        let ranked = |values: &[f32], row| {
            let p = Sparsify::Ranked.probabilities(values, HALF, row);
            p.iter().map(|p| (p * 10.0).round() as u32).collect::<Vec<_>>()
        };
        assert_eq!(ranked(&[3.0, -1.0, 2.0], Row { slice: 3, inner: 1 }), [6, 4, 5]);
        assert_eq!(ranked(&[3.0, 1.0, 2.0, 9.0], Row { slice: 4, inner: 2 }), [6, 4, 4, 6]);
        assert_eq!(Sparsify::Ranked.probabilities(&[3.0], HALF, Row { slice: 1, inner: 1 }), [0.5]);
    }
}
