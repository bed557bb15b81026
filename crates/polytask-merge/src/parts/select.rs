//! Exact selection by rank without sorting or holding the values: the bits of a real, as an ordered whole number, are
//! counted in three passes (11, 11 and 10 bits).

use std::ops::Range;

use crate::Result;
use crate::tensor::{Block, Tensor};

/// Shift and number of bits of each pass, highest first.
const LEVELS: [(u32, u32); 3] = [(21, 11), (10, 11), (0, 10)];

/// Keys of the entries of a block, one list per selection.
pub(crate) type Keys<'k> = dyn Fn(&Block<'_>) -> Vec<Vec<u32>> + Sync + 'k;

/// A real as a whole number of the same order.
pub(crate) fn key(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// Entries between two keys; of those that have such a key, the ones of some ranks among their equals.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Window {
    low: (u32, Range<usize>),
    high: (u32, Range<usize>),
    /// By block: how many entries before it have the low and the high key.
    before: Vec<(usize, usize)>,
    /// First entry of each block.
    starts: Vec<usize>,
}

/// Which ranks are wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ranks {
    /// The largest, of equals the first.
    Largest(usize),
    /// Those from a rank on, ascending; of equals the first is the lowest.
    Ascending(usize, usize),
}

impl Window {
    /// Which entries of a block are wanted, by their keys.
    pub(crate) fn mask(&self, start: usize, keys: &[u32]) -> Vec<bool> {
        let block = self.starts.partition_point(|&first| first <= start).saturating_sub(1);
        let (mut low, mut high) = self.before.get(block).copied().unwrap_or_default();
        let mut wanted = |&key: &u32| {
            let (is_low, is_high) = (key == self.low.0, key == self.high.0);
            let (at_low, at_high) = (low, high);
            low += usize::from(is_low);
            high += usize::from(is_high);
            let above = key > self.low.0 || is_low && self.low.1.contains(&at_low);
            let below = key < self.high.0 || is_high && self.high.1.contains(&at_high);
            above && below
        };
        keys.iter().map(&mut wanted).collect()
    }
}

/// The key of a rank (ascending, from 0), and how many keys are smaller, for several selections at once; with the counts
/// of the last pass by block.
struct Ranked {
    prefixes: Vec<u32>,
    smaller: Vec<usize>,
}

fn ranked(
    tensor: &Tensor<'_>,
    unit: usize,
    keys: &Keys<'_>,
    ranks: &[usize],
    of: &[usize],
) -> Result<Ranked> {
    let n = ranks.len();
    let mut found = Ranked { prefixes: vec![0; n], smaller: vec![0; n] };
    let mut fixed = 32;
    for (shift, bits) in LEVELS {
        let count = |block: &Block<'_>| {
            let keys = keys(block);
            let one = |s: usize| counts(&keys[of[s]], found.prefixes[s], fixed, shift, bits);
            (0..n).map(one).collect::<Vec<_>>()
        };
        let mut sums = vec![vec![0_usize; 1 << bits]; n];
        tensor.fold(unit, count, |part| {
            for (sum, part) in sums.iter_mut().zip(part) {
                sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part as usize);
            }
            Ok(())
        })?;
        for s in 0..n {
            let (bin, smaller) = bin_of(&sums[s], ranks[s] - found.smaller[s]);
            found.prefixes[s] |= (bin as u32) << shift;
            found.smaller[s] += smaller;
        }
        fixed = shift;
    }
    Ok(found)
}

/// How many keys with the fixed upper bits of `prefix` have each value of the next bits.
fn counts(keys: &[u32], prefix: u32, fixed: u32, shift: u32, bits: u32) -> Vec<u32> {
    let mut counts = vec![0; 1 << bits];
    let mask = (1_u32 << bits) - 1;
    for &key in keys {
        if fixed == 32 || key >> fixed == prefix >> fixed {
            counts[(key >> shift & mask) as usize] += 1;
        }
    }
    counts
}

/// The bin that holds a rank, and how many are in the bins before it.
fn bin_of(counts: &[usize], rank: usize) -> (usize, usize) {
    let mut before = 0;
    for (bin, &count) in counts.iter().enumerate() {
        if before + count > rank {
            return (bin, before);
        }
        before += count;
    }
    (counts.len() - 1, before)
}

/// The keys of some ranks (ascending, from 0) of one list of keys.
pub(crate) fn keys_of_ranks(
    tensor: &Tensor<'_>,
    unit: usize,
    keys: &Keys<'_>,
    ranks: &[usize],
) -> Result<Vec<u32>> {
    Ok(ranked(tensor, unit, keys, ranks, &vec![0; ranks.len()])?.prefixes)
}

/// The window of each selection; `None` where no entry is wanted.
pub(crate) fn select(
    tensor: &Tensor<'_>,
    unit: usize,
    keys: &Keys<'_>,
    wanted: &[Ranks],
) -> Result<Vec<Option<Window>>> {
    let len = tensor.len();
    let bounds = |ranks: &Ranks| match *ranks {
        Ranks::Largest(n) => (len - n.min(len), len),
        Ranks::Ascending(from, n) => (from, (from + n).min(len)),
    };
    let bounds: Vec<(usize, usize)> = wanted.iter().map(bounds).collect();
    let some = (0..wanted.len()).filter(|&s| bounds[s].0 < bounds[s].1);
    let both = some.flat_map(|s| [(s, bounds[s].0), (s, bounds[s].1 - 1)]);
    // The largest of all bounds nothing.
    let (of, ranks): (Vec<usize>, Vec<usize>) =
        both.filter(|&(s, rank)| !matches!(wanted[s], Ranks::Largest(n) if n > 1 && rank + 1 == len)).unzip();
    let found = ranked(tensor, unit, keys, &ranks, &of)?;
    let mut windows = vec![None; wanted.len()];
    for s in 0..wanted.len() {
        let mut cuts = (0..of.len()).filter(|&i| of[i] == s).map(|i| (found.prefixes[i], found.smaller[i]));
        let Some(low) = cuts.next() else { continue };
        windows[s] = Some(window(wanted[s], bounds[s], low, cuts.next().unwrap_or((u32::MAX, 0))));
    }
    count_equals(tensor, unit, keys, &mut windows)?;
    Ok(windows)
}

/// A window from its two keys and how many keys are smaller than each.
fn window(
    wanted: Ranks,
    (from, to): (usize, usize),
    (low, below_low): (u32, usize),
    (high, below_high): (u32, usize),
) -> Window {
    const ALL: Range<usize> = 0..usize::MAX;
    let (low, high) = match wanted {
        // Of the lowest wanted key as many as are left over, from the front: found once equals are counted.
        Ranks::Largest(_) => ((low, from - below_low..usize::MAX), (high, ALL)),
        Ranks::Ascending(..) => ((low, from - below_low..usize::MAX), (high, 0..to - below_high)),
    };
    Window { low, high, before: Vec::new(), starts: Vec::new() }
}

/// Counts the equals of the windows' keys before each block, and for the largest turns the last of them into the first.
fn count_equals(
    tensor: &Tensor<'_>,
    unit: usize,
    keys: &Keys<'_>,
    windows: &mut [Option<Window>],
) -> Result<()> {
    let cuts: Vec<_> =
        windows.iter().map(|window| window.as_ref().map(|window| (window.low.0, window.high.0))).collect();
    let count = |block: &Block<'_>| {
        let keys = keys(block);
        let one = |(s, cut): (usize, &Option<(u32, u32)>)| {
            let equal = |key: u32| keys[s].iter().filter(|&&k| k == key).count();
            cut.map_or((0, 0), |(low, high)| (equal(low), equal(high)))
        };
        (block.range.start, cuts.iter().enumerate().map(one).collect::<Vec<_>>())
    };
    let mut sums = vec![(0, 0); windows.len()];
    tensor.fold(unit, count, |(start, counts)| {
        for (s, window) in windows.iter_mut().enumerate() {
            if let Some(window) = window {
                window.before.push(sums[s]);
                window.starts.push(start);
            }
            sums[s] = (sums[s].0 + counts[s].0, sums[s].1 + counts[s].1);
        }
        Ok(())
    })?;
    for (window, (low, _)) in windows.iter_mut().zip(sums) {
        if let Some(Window { low: (_, equals), high: (_, all), .. }) = window
            && all.end == usize::MAX
        {
            *equals = 0..low - equals.start;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(values: &[f32], wanted: Ranks) -> Vec<usize> {
        let shape = [values.len()];
        let tensor = Tensor::held(&shape, None, &[values]);
        let keys = |block: &Block<'_>| vec![block.models[0].iter().map(|v| key(*v)).collect::<Vec<_>>()];
        let window = select(&tensor, 1, &keys, &[wanted]).unwrap().remove(0);
        let Some(window) = window else { return Vec::new() };
        let mut all = Vec::new();
        tensor
            .fold(
                1,
                |block| (block.range.start, window.mask(block.range.start, &keys(block)[0])),
                |(start, mask)| {
                    all.extend((0..mask.len()).filter(|&i| mask[i]).map(|i| start + i));
                    Ok(())
                },
            )
            .unwrap();
        all
    }

    /// By sorting.
    fn expected(values: &[f32], wanted: Ranks) -> Vec<usize> {
        let mut order: Vec<usize> = (0..values.len()).collect();
        let mut chosen = match wanted {
            Ranks::Largest(n) => {
                order.sort_by(|&a, &b| values[b].total_cmp(&values[a]).then(a.cmp(&b)));
                order[..n].to_vec()
            }
            Ranks::Ascending(from, n) => {
                order.sort_by(|&a, &b| values[a].total_cmp(&values[b]).then(a.cmp(&b)));
                order[from..from + n].to_vec()
            }
        };
        chosen.sort_unstable();
        chosen
    }

    #[test]
    fn windows_are_those_a_stable_sort_gives_also_among_equals_and_across_blocks() {
        let mut rng = polytask_core::Rng::new(1, polytask_core::Purpose::Bench, &[]);
        let fine: Vec<f32> = (0..300_000).map(|_| rng.normal() as f32).collect();
        let coarse: Vec<f32> = (0..300_000).map(|_| (rng.below(7) as f32) - 3.0).collect();
        for values in [&fine[..], &coarse, &coarse[..5], &[0.0; 9], &[-0.0, 0.0, 1.0]] {
            let n = values.len();
            for wanted in [
                Ranks::Largest(n / 3),
                Ranks::Largest(n),
                Ranks::Largest(0),
                Ranks::Ascending(n / 4, n / 2),
                Ranks::Ascending(0, 1),
                Ranks::Ascending(n - 1, 1),
            ] {
                assert_eq!(kept(values, wanted), expected(values, wanted), "{n} {wanted:?}");
            }
        }
    }

    #[test]
    fn keys_keep_the_order_of_reals() {
        let reals = [f32::NEG_INFINITY, -2.0, -1e-40, -0.0, 0.0, 1e-40, 3.0, f32::INFINITY];
        assert!(reals.windows(2).all(|pair| key(pair[0]) < key(pair[1])));
    }
}
