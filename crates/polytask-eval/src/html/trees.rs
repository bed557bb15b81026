//! Boosted trees on the page: columns by what they say, groups by how unlike the others they are.

use polytask_core::report::{ColumnImportance, GroupGate, TreesReport};
use serde::Serialize;

use super::data::{Bar, histogram};
use crate::trees::{group_rows, unlike};

/// Columns and groups that are shown.
const SHOWN: usize = 30;
/// Columns of the picture of gates.
const GATES: usize = 10;

/// The section about trees.
#[derive(Debug, Serialize)]
pub(super) struct TreesView {
    trees: usize,
    leaves: usize,
    unlike: Option<String>,
    importance: Vec<ImportanceView>,
    /// How many groups have which gate, for each target with gates.
    gates: Vec<GatesView>,
    /// Cells of the table of groups, its head first; empty without groups.
    groups: Vec<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct GatesView {
    title: String,
    gates: Vec<Bar>,
}

#[derive(Debug, Serialize)]
struct ImportanceView {
    task: String,
    columns: Vec<ColumnView>,
}

#[derive(Debug, Serialize)]
struct ColumnView {
    name: String,
    /// Per cent of the largest.
    share: String,
    gain: String,
    splits: usize,
    shuffled: String,
}

impl TreesView {
    pub(super) fn new(trees: &TreesReport) -> Self {
        let importance = trees.importance.chunk_by(|a, b| a.task == b.task).map(ImportanceView::new);
        let groups = if trees.groups.is_empty() { Vec::new() } else { group_rows(&trees.groups, SHOWN) };
        let (n_trees, leaves) = (trees.trees, trees.leaves);
        let gates = trees.groups.chunk_by(|a, b| a.task == b.task).filter_map(GatesView::new).collect();
        Self {
            trees: n_trees,
            leaves,
            unlike: unlike(trees),
            importance: importance.collect(),
            gates,
            groups,
        }
    }
}

impl GatesView {
    /// The groups of one target; none without gates.
    fn new(groups: &[GroupGate]) -> Option<Self> {
        let mut bins = vec![0; GATES];
        let known = groups.iter().filter_map(|group| group.gate);
        known.for_each(|gate| bins[((gate * GATES as f64) as usize).min(GATES - 1)] += 1);
        let edge = |(bin, n): (usize, usize)| (format!("{:.1}", bin as f64 / GATES as f64), n);
        let title = if groups[0].task.is_empty() { "gates".into() } else { groups[0].task.clone() };
        let has_gates = groups.iter().any(|group| group.gate.is_some());
        has_gates.then(|| Self {
            title,
            gates: histogram(&bins.into_iter().enumerate().map(edge).collect::<Vec<_>>()),
        })
    }
}

impl ImportanceView {
    fn new(columns: &[ColumnImportance]) -> Self {
        let most = columns.iter().map(|column| column.gain).fold(f64::MIN_POSITIVE, f64::max);
        let view = |column: &ColumnImportance| ColumnView {
            name: column.column.clone(),
            share: format!("{:.1}", 100.0 * column.gain / most),
            gain: format!("{:.1}", 100.0 * column.gain),
            splits: column.splits,
            shuffled: column.permutation.map_or_else(String::new, |lost| format!("{lost:.2}")),
        };
        let task = if columns[0].task.is_empty() { "all tasks".into() } else { columns[0].task.clone() };
        Self { task, columns: columns.iter().take(SHOWN).map(view).collect() }
    }
}
