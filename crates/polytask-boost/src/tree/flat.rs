//! A tree as rows are led through it: nodes of few bytes, values of a row side by side.

use std::ops::Range;

use super::{Rule, Tree};
use crate::table::NumericTable;

/// Where a value goes.
#[derive(Clone, Copy)]
struct FlatNode {
    column: u32,
    cut: f32,
    left: u32,
    /// The node itself where it is a leaf.
    right: u32,
    /// Place of the set of categories that go right; none for numbers.
    set: u32,
    default_left: bool,
}

/// No set.
const NUMBER: u32 = u32::MAX;

/// A tree's ways.
pub(crate) struct FlatTree<'a> {
    nodes: Vec<FlatNode>,
    sets: Vec<&'a [u32]>,
    pub(crate) tree: &'a Tree,
}

impl<'a> FlatTree<'a> {
    pub(crate) fn new(tree: &'a Tree) -> Self {
        let mut sets = Vec::new();
        let nodes = tree.nodes.iter().enumerate().map(|(at, node)| {
            let Some(split) = &node.split else {
                let at = at as u32;
                return FlatNode {
                    column: 0,
                    cut: 0.0,
                    left: at,
                    right: at,
                    set: NUMBER,
                    default_left: true,
                };
            };
            let (cut, set) = match &split.rule {
                Rule::Below(cut) => (*cut, NUMBER),
                Rule::In(set) => {
                    sets.push(set.as_slice());
                    (0.0, sets.len() as u32 - 1)
                }
            };
            let (left, right, default_left) = (split.left, split.right, split.default_left);
            FlatNode { column: split.column, cut, left, right, set, default_left }
        });
        let nodes = nodes.collect();
        Self { nodes, sets, tree }
    }

    /// The leaf that a row's values lead to.
    #[inline]
    pub(crate) fn leaf(&self, row: &[f32]) -> usize {
        let mut at = 0;
        loop {
            let node = &self.nodes[at];
            if node.left == node.right {
                return at;
            }
            let value = row[node.column as usize];
            let is_left = if value.is_nan() {
                node.default_left
            } else if node.set == NUMBER {
                value < node.cut
            } else {
                self.sets[node.set as usize].binary_search(&(value as u32)).is_err()
            };
            at = if is_left { node.left } else { node.right } as usize;
        }
    }
}

/// The values of some rows, a row side by side, `[rows, columns]`.
pub(crate) fn side_by_side(table: &NumericTable, rows: Range<usize>) -> Vec<f32> {
    let n = table.columns().len();
    let mut values = vec![0.0; rows.len() * n];
    for (c, column) in table.columns().iter().enumerate() {
        for (at, value) in column.values[rows.clone()].iter().enumerate() {
            values[at * n + c] = *value;
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{ColumnSort, NumericColumn};
    use crate::tree::{TreeNode, TreeSplit};

    #[test]
    fn every_row_ends_where_the_tree_leads_it() {
        let split = |column, rule, left, default_left| {
            Some(TreeSplit { column, rule, default_left, left, right: left + 1, gain: 1.0 })
        };
        let node = |split| TreeNode { split, cover: 1.0 };
        let nodes = vec![
            node(split(0, Rule::Below(0.5), 1, false)),
            node(split(1, Rule::In(vec![1, 3]), 3, true)),
            node(None),
            node(None),
            node(None),
        ];
        let tree = Tree { width: 1, values: vec![0.0; 5], nodes };
        let column = |name: &str, sort, values: Vec<f32>| NumericColumn { name: name.into(), sort, values };
        let table = NumericTable::new(vec![
            column("a", ColumnSort::Number, vec![0.4, 0.5, f32::NAN, 0.1, 0.2]),
            column("b", ColumnSort::Category, vec![1.0, 1.0, 0.0, f32::NAN, 2.0]),
        ])
        .unwrap();
        let flat = FlatTree::new(&tree);
        let rows = side_by_side(&table, 1..5);
        let found: Vec<usize> = rows.chunks_exact(2).map(|row| flat.leaf(row)).collect();
        let expected: Vec<usize> = (1..5).map(|row| tree.leaf(|column| table.at(row, column))).collect();
        assert_eq!((found, expected), (vec![2, 2, 3, 3], vec![2, 2, 3, 3]));
    }
}
