//! What trees read: gain and number of splits of every column, and what a task loses when a column is shuffled.

use polytask_core::report::ColumnImportance;
use polytask_core::{Purpose, Result, Rng};
use polytask_data::readers::text_column;

use super::fit::shuffled;
use super::model::{BoostModel, TreesOf};
use super::rows::ViewedRows;
use crate::tree::Tree;

impl BoostModel {
    /// Names of the columns that trees read.
    pub fn columns(&self) -> &[String] {
        match &self.trees {
            TreesOf::Boost(booster) => &booster.columns,
            TreesOf::Groups(all) => all.first().map_or(&[], |one| &one.columns),
            TreesOf::Tasks(one) => &one.columns,
        }
    }

    /// What trees read, as a user named it, with the places of its columns: a text has many.
    pub(super) fn read_columns(&self) -> Vec<(String, Vec<usize>)> {
        let texts = self.texts.as_ref().map_or(&[][..], |texts| &texts.columns);
        let mut all: Vec<(String, Vec<usize>)> = Vec::new();
        for (at, column) in self.columns().iter().enumerate() {
            let name = text_column(column, texts).map_or(column.as_str(), |(text, _)| text);
            match all.iter_mut().find(|(known, _)| known == name) {
                Some((_, places)) => places.push(at),
                None => all.push((name.to_owned(), vec![at])),
            }
        }
        all
    }

    /// All trees, each with the first margin it adds to.
    pub fn all_trees(&self) -> Vec<(usize, &Tree)> {
        match &self.trees {
            TreesOf::Boost(booster) => booster.trees.iter().map(|tree| (tree.first, &tree.tree)).collect(),
            TreesOf::Groups(all) => {
                let mut first = 0;
                let mut trees = Vec::new();
                for one in all {
                    trees.extend(one.trees().map(|tree| (first, tree)));
                    first += one.width;
                }
                trees
            }
            TreesOf::Tasks(one) => one.trees().map(|tree| (0, tree)).collect(),
        }
    }

    /// Gain and splits of every column, by task where trees are of one task, the most telling first.
    pub fn importance(&self) -> Vec<ColumnImportance> {
        let (columns, trees) = (self.read_columns(), self.all_trees());
        let of_task = |first: usize, tree: &Tree| {
            let is_own = |task: &&super::TaskOutputs| {
                task.first <= first && first + tree.width <= task.first + task.width
            };
            let shares = matches!(self.trees, TreesOf::Tasks(_));
            self.tasks.iter().find(is_own).filter(|_| !shares).map_or("", |task| task.info.name.as_str())
        };
        let mut names: Vec<&str> = trees.iter().map(|(first, tree)| of_task(*first, tree)).collect();
        names.sort_unstable();
        names.dedup();
        let mut all = Vec::new();
        for name in names {
            let own: Vec<&Tree> = trees
                .iter()
                .filter(|(first, tree)| of_task(*first, tree) == name)
                .map(|(_, tree)| *tree)
                .collect();
            all.extend(importance_of(&own, &columns, name));
        }
        all
    }

    /// Points each task loses by its own measure when a column is shuffled; `score` gives the measures of all tasks from
    /// margins, larger is better.
    ///
    /// # Errors
    /// When measures cannot be taken.
    pub fn permutation(
        &self,
        rows: &ViewedRows,
        seed: u64,
        score: &dyn Fn(&[f64]) -> Result<Vec<f64>>,
    ) -> Result<Vec<Vec<f64>>> {
        let whole = score(&self.margins(rows))?;
        let of_column = |(_, places): &(String, Vec<usize>)| {
            let mut order: Vec<u32> = (0..rows.table.n_rows() as u32).collect();
            Rng::new(seed, Purpose::Shuffle, &[places[0] as u64]).shuffle(&mut order);
            let table = shuffled(&rows.table, places, &order)?;
            let without = score(&self.margins(&ViewedRows { table, groups: rows.groups.clone() }))?;
            Ok(whole.iter().zip(without).map(|(whole, without)| whole - without).collect())
        };
        self.read_columns().iter().map(of_column).collect()
    }
}

fn importance_of(trees: &[&Tree], columns: &[(String, Vec<usize>)], task: &str) -> Vec<ColumnImportance> {
    let n: usize = columns.iter().map(|(_, places)| places.len()).sum();
    let mut place_of = vec![0; n];
    for (place, (_, columns)) in columns.iter().enumerate() {
        columns.iter().for_each(|&column| place_of[column] = place);
    }
    let mut all: Vec<ColumnImportance> = columns
        .iter()
        .map(|(column, _)| ColumnImportance {
            task: task.into(),
            column: column.clone(),
            gain: 0.0,
            splits: 0,
            permutation: None,
        })
        .collect();
    for split in trees.iter().flat_map(|tree| tree.splits()) {
        let own = &mut all[place_of[split.column as usize]];
        own.gain += split.gain;
        own.splits += 1;
    }
    let total: f64 = all.iter().map(|column| column.gain).sum();
    if total > 0.0 {
        all.iter_mut().for_each(|column| column.gain /= total);
    }
    all.sort_by(|a, b| b.gain.total_cmp(&a.gain));
    all
}
