//! The best way to divide tasks among at most K models.
//!
//! Exact up to [`EXACT`] tasks: with at most k models, the best division of a set is the best with k − 1, or one
//! group that holds the set's first task beside the best division of the rest with k − 1 (3ⁿ comparisons per k).
//! Above that, greedy: every task alone, then again and again the merger that gains most (or costs least, while there
//! are more than K groups).

/// Most tasks for which every division is looked at.
pub const EXACT: usize = 12;

/// Totals closer than this are a tie.
const TIE: f64 = 1e-9;

/// What a group is worth: the sum that counts, and what decides between equals.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Worth {
    pub(super) total: f64,
    pub(super) tie: f64,
}

impl Worth {
    fn plus(self, other: Self) -> Self {
        Self { total: self.total + other.total, tie: self.tie + other.tie }
    }

    fn minus(self, other: Self) -> Self {
        Self { total: self.total - other.total, tie: self.tie - other.tie }
    }

    fn is_above(self, other: Self) -> bool {
        if (self.total - other.total).abs() > TIE {
            self.total > other.total
        } else {
            self.tie > other.tie + TIE
        }
    }
}

/// The best division of `members` with at most 1, 2, … `k` groups; groups and their tasks in order.
pub(super) fn best(members: &[usize], k: usize, worth: impl Fn(&[usize]) -> Worth) -> Vec<Vec<Vec<usize>>> {
    let k = k.clamp(1, members.len().max(1));
    let mut found = if members.len() <= EXACT { exact(members, k, worth) } else { greedy(members, k, worth) };
    for groups in &mut found {
        groups.iter_mut().for_each(|group| group.sort_unstable());
        groups.sort();
    }
    found
}

fn exact(members: &[usize], k: usize, worth: impl Fn(&[usize]) -> Worth) -> Vec<Vec<Vec<usize>>> {
    let all = (1_usize << members.len()) - 1;
    let tasks = |set: usize| -> Vec<usize> {
        members.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1).map(|(_, &task)| task).collect()
    };
    let of_set: Vec<Worth> =
        (0..=all).map(|set| if set == 0 { Worth::default() } else { worth(&tasks(set)) }).collect();
    // For each number of groups: each set's worth and the group that holds its first task.
    let mut layers = vec![(0..=all).map(|set| (of_set[set], set)).collect::<Vec<_>>()];
    while layers.len() < k {
        let before = &layers[layers.len() - 1];
        layers.push((0..=all).map(|set| divided(set, &of_set, before)).collect());
    }
    (1..=k).map(|k| groups_of(all, &layers[..k]).into_iter().map(tasks).collect()).collect()
}

/// The best of a set with one group more than `before` has.
fn divided(set: usize, of_set: &[Worth], before: &[(Worth, usize)]) -> (Worth, usize) {
    let mut best = before[set];
    let first = set & set.wrapping_neg();
    let mut rest = set ^ first;
    // Every proper subset of the set that holds its first task.
    while rest > 0 {
        rest = (rest - 1) & (set ^ first);
        let group = rest | first;
        let found = of_set[group].plus(before[set ^ group].0);
        if found.is_above(best.0) {
            best = (found, group);
        }
    }
    best
}

/// Walks back from a set to its groups. A set's group in layer k leaves a rest that is divided in layer k − 1,
/// unless the layer took its division over from the one before, which then holds the same.
fn groups_of(set: usize, layers: &[Vec<(Worth, usize)>]) -> Vec<usize> {
    let (mut groups, mut left, mut k) = (Vec::new(), set, layers.len());
    while left > 0 {
        while k > 1 && layers[k - 2][left] == layers[k - 1][left] {
            k -= 1;
        }
        let group = layers[k - 1][left].1;
        groups.push(group);
        left ^= group;
        k = (k - 1).max(1);
    }
    groups
}

fn greedy(members: &[usize], k: usize, worth: impl Fn(&[usize]) -> Worth) -> Vec<Vec<Vec<usize>>> {
    let mut groups: Vec<Vec<usize>> = members.iter().map(|&task| vec![task]).collect();
    let mut by_size = vec![groups.clone(); members.len() + 1];
    while let Some((a, b)) = best_merger(&groups, &worth) {
        let merged = groups.remove(b);
        groups[a].extend(merged);
        by_size[groups.len()].clone_from(&groups);
    }
    let total = |groups: &Vec<Vec<usize>>| groups.iter().fold(Worth::default(), |sum, g| sum.plus(worth(g)));
    let mut found: Vec<Vec<Vec<usize>>> = vec![by_size[1].clone()];
    for groups in by_size.iter().take(k + 1).skip(2) {
        let last = &found[found.len() - 1];
        let next = if total(groups).is_above(total(last)) { groups } else { last };
        found.push(next.clone());
    }
    found
}

/// The two groups whose merger gains most; none when one is left.
fn best_merger(groups: &[Vec<usize>], worth: impl Fn(&[usize]) -> Worth) -> Option<(usize, usize)> {
    let mut best: Option<(Worth, (usize, usize))> = None;
    for a in 0..groups.len() {
        for b in a + 1..groups.len() {
            let apart = worth(&groups[a]).plus(worth(&groups[b]));
            let gain = worth(&[groups[a].clone(), groups[b].clone()].concat()).minus(apart);
            if best.is_none_or(|(known, _)| gain.is_above(known)) {
                best = Some((gain, (a, b)));
            }
        }
    }
    best.map(|(_, pair)| pair)
}

#[cfg(test)]
mod tests {
    use polytask_core::{Purpose, Rng};

    use super::*;

    /// A worth that is a sum over pairs.
    fn pairs(table: &[Vec<f64>]) -> impl Fn(&[usize]) -> Worth + '_ {
        move |group| {
            let sum = group.iter().flat_map(|&i| group.iter().map(move |&j| table[i][j])).sum();
            Worth { total: sum, tie: 0.0 }
        }
    }

    fn random(n: usize, seed: u64) -> Vec<Vec<f64>> {
        let mut rng = Rng::new(seed, Purpose::Bench, &[]);
        (0..n).map(|i| (0..n).map(|j| if i == j { 0.0 } else { rng.normal() }).collect()).collect()
    }

    /// Every division of 0..n, by where each task goes.
    fn all_divisions(n: usize) -> Vec<Vec<Vec<usize>>> {
        (0..n).fold(vec![vec![]], |known, task| {
            let extend = |groups: Vec<Vec<usize>>| {
                let joined = (0..groups.len()).map({
                    let groups = groups.clone();
                    move |g| {
                        let mut groups = groups.clone();
                        groups[g].push(task);
                        groups
                    }
                });
                let alone = [groups.clone(), vec![vec![task]]].concat();
                joined.chain([alone]).collect::<Vec<_>>()
            };
            known.into_iter().flat_map(extend).collect()
        })
    }

    #[test]
    fn the_exact_division_is_the_best_of_all_there_are() {
        let divisions = all_divisions(6);
        assert_eq!(divisions.len(), 203, "the sixth Bell number");
        for seed in 0..20 {
            let table = random(6, seed);
            let worth = pairs(&table);
            let total = |groups: &[Vec<usize>]| groups.iter().map(|group| worth(group).total).sum::<f64>();
            let found = best(&[0, 1, 2, 3, 4, 5], 6, &worth);
            for (k, groups) in found.iter().enumerate() {
                let allowed = divisions.iter().filter(|groups| groups.len() <= k + 1);
                let most = allowed.map(|groups| total(groups)).fold(f64::NEG_INFINITY, f64::max);
                assert!(groups.len() <= k + 1 && (total(groups) - most).abs() < 1e-9, "seed {seed}, k {k}");
                let mut tasks: Vec<usize> = groups.concat();
                tasks.sort_unstable();
                assert_eq!(tasks, [0, 1, 2, 3, 4, 5]);
            }
        }
    }

    #[test]
    fn tasks_are_named_as_they_came_and_a_larger_budget_than_tasks_is_no_error() {
        let table = random(9, 1);
        let found = best(&[8, 3], 5, pairs(&table));
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], [[3, 8]]);
    }

    #[test]
    fn equal_totals_go_to_the_higher_tie_and_then_to_fewer_models() {
        let even = best(&[0, 1, 2], 3, |_| Worth::default());
        assert!(even.iter().all(|groups| groups.len() == 1));
        let pair = |group: &[usize]| Worth { total: 0.0, tie: if group == [0, 1] { 1.0 } else { 0.0 } };
        assert_eq!(best(&[0, 1, 2], 2, pair)[1], [vec![0, 1], vec![2]]);
    }

    #[test]
    fn many_tasks_are_divided_greedily_within_the_budget() {
        let clans = |group: &[usize]| {
            let sum = |i: &usize| group.iter().map(|j| if i % 3 == j % 3 { 1.0 } else { -1.0 }).sum::<f64>();
            Worth { total: group.iter().map(sum).sum(), tie: 0.0 }
        };
        let members: Vec<usize> = (0..15).collect();
        let found = best(&members, 4, clans);
        assert_eq!(found.len(), 4);
        let expected: Vec<Vec<usize>> = (0..3).map(|c| (0..5).map(|i| c + 3 * i).collect()).collect();
        assert_eq!((&found[2], &found[3]), (&expected, &expected));
    }
}
