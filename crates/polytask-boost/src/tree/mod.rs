//! A tree: where a row goes, and what stands in its leaf.

mod candidate;
mod categories;
mod draw;
pub(crate) mod flat;
pub(crate) mod grow;
mod histogram;
mod lanes;
mod node;
mod rows;
mod scan;

use serde::{Deserialize, Serialize};

/// Where rows part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Rule {
    /// Numbers below this go left.
    Below(f32),
    /// Codes of this ascending set go right.
    In(Vec<u32>),
}

/// An inner node's way on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TreeSplit {
    /// Index of the column.
    pub column: u32,
    /// Which known values go where.
    pub rule: Rule,
    /// Whether a row whose value is missing goes left.
    pub default_left: bool,
    /// The left child.
    pub left: u32,
    /// The right child.
    pub right: u32,
    /// What it gained.
    pub gain: f64,
}

/// A node: a leaf where it has no split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TreeNode {
    /// Its split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<TreeSplit>,
    /// Its curvature, summed over margins.
    pub cover: f64,
}

/// A tree whose nodes hold a number for each of `width` margins; children stand behind their parent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tree {
    /// Margins.
    pub width: usize,
    /// The nodes, the root first.
    pub nodes: Vec<TreeNode>,
    /// What every node adds, learning rate included, `[nodes, width]`.
    pub values: Vec<f64>,
}

impl TreeSplit {
    /// The child a value leads to.
    #[inline]
    pub(crate) fn child(&self, value: f32) -> u32 {
        let is_left = match &self.rule {
            _ if value.is_nan() => self.default_left,
            Rule::Below(cut) => value < *cut,
            Rule::In(set) => set.binary_search(&(value as u32)).is_err(),
        };
        if is_left { self.left } else { self.right }
    }
}

impl Tree {
    /// The leaf that a row's values lead to.
    #[inline]
    pub fn leaf(&self, value: impl Fn(usize) -> f32) -> usize {
        let mut node = 0;
        while let Some(split) = &self.nodes[node].split {
            node = split.child(value(split.column as usize)) as usize;
        }
        node
    }

    /// What a node adds to each margin.
    #[inline]
    pub fn value(&self, node: usize) -> &[f64] {
        &self.values[node * self.width..(node + 1) * self.width]
    }

    /// The splits.
    pub fn splits(&self) -> impl Iterator<Item = &TreeSplit> {
        self.nodes.iter().filter_map(|node| node.split.as_ref())
    }

    /// Number of leaves.
    pub fn n_leaves(&self) -> usize {
        self.nodes.len() - self.splits().count()
    }

    /// What keeps the tree from being walked, if anything: `n_columns` are there.
    pub fn mistake(&self, n_columns: usize) -> Option<String> {
        if self.nodes.is_empty() || self.width == 0 || self.values.len() != self.nodes.len() * self.width {
            return Some(format!(
                "{} nodes of width {} with {} values, expected one per node and margin",
                self.nodes.len(),
                self.width,
                self.values.len()
            ));
        }
        if let Some(value) = self.values.iter().find(|value| !value.is_finite()) {
            return Some(format!("a leaf holds {value}, expected a finite number"));
        }
        let splits = self.nodes.iter().enumerate().filter_map(|(n, node)| Some((n, node.split.as_ref()?)));
        let wrong = |(n, split): (usize, &TreeSplit)| {
            let is_behind = |child: u32| (n + 1..self.nodes.len()).contains(&(child as usize));
            if !is_behind(split.left) || !is_behind(split.right) || split.left == split.right {
                return Some(format!(
                    "node {n} has children {} and {}, expected two behind it",
                    split.left, split.right
                ));
            }
            match &split.rule {
                _ if split.column as usize >= n_columns => {
                    Some(format!("node {n} reads column {}, expected one of {n_columns}", split.column))
                }
                Rule::Below(cut) if cut.is_nan() => Some(format!("node {n} splits at NaN")),
                Rule::In(set) if !set.is_sorted() => {
                    Some(format!("the categories of node {n} are not in order"))
                }
                _ => None,
            }
        };
        splits.into_iter().find_map(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(split: Option<TreeSplit>) -> TreeNode {
        TreeNode { split, cover: 1.0 }
    }

    fn tree(rule: Rule, left: u32, column: u32) -> Tree {
        let split = TreeSplit { column, rule, default_left: true, left, right: 2, gain: 1.0 };
        Tree {
            width: 1,
            nodes: vec![node(Some(split)), node(None), node(None)],
            values: vec![0.0, -1.0, 1.0],
        }
    }

    #[test]
    fn a_row_goes_by_cut_by_set_or_by_default() {
        let numbers = tree(Rule::Below(0.5), 1, 0);
        assert_eq!([0.4, 0.5, f32::NAN].map(|value| numbers.leaf(|_| value)), [1, 2, 1]);
        let sets = tree(Rule::In(vec![2, 7]), 1, 0);
        assert_eq!([2.0, 3.0, 7.0, f32::NAN].map(|value| sets.leaf(|_| value)), [2, 1, 2, 1]);
    }

    #[test]
    fn a_tree_that_cannot_be_walked_is_told() {
        assert_eq!(tree(Rule::Below(0.5), 1, 0).mistake(1), None);
        assert!(tree(Rule::Below(0.5), 0, 0).mistake(1).unwrap().contains("children 0 and 2"));
        assert!(tree(Rule::Below(0.5), 9, 0).mistake(1).unwrap().contains("children 9"));
        assert!(tree(Rule::Below(0.5), 1, 4).mistake(1).unwrap().contains("column 4"));
        assert!(tree(Rule::Below(f32::NAN), 1, 0).mistake(1).unwrap().contains("NaN"));
        let mut short = tree(Rule::Below(0.5), 1, 0);
        short.values.pop();
        assert!(short.mistake(1).unwrap().contains("2 values"));
    }
}
