//! A suite's trees as a model of XGBoost, and the other way round.

use std::path::Path;

use polytask_core::input::table::{ColumnForm, TableColumn, TableSpec};
use polytask_core::{Problem, Result, kind};

use super::model::{BoostModel, TaskOutputs, TreesOf, TreesTask};
use crate::booster::{BoostedTree, Booster};
use crate::table::ColumnSort;
use crate::tree::{Rule, Tree};
use crate::xgboost::{self, Imported};

impl BoostModel {
    /// Writes the trees as a model of XGBoost, in the units of the targets; of a model with gates the effective trees of
    /// one group, or of none that training had.
    ///
    /// # Errors
    /// When the format cannot say it, the group is unknown, or the file cannot be written.
    pub fn export(&self, group: Option<&str>, path: &Path) -> Result<()> {
        let (booster, tasks) = self.plain_trees(group)?;
        let columns =
            self.table.columns.iter().filter(|column| {
                column.form != ColumnForm::Silent && Some(&column.name) != self.group.as_ref()
            });
        let of = |column: &TableColumn| match &column.form {
            ColumnForm::Category { names } => (ColumnSort::Category, names.clone()),
            _ => (ColumnSort::Number, Vec::new()),
        };
        let (sorts, categories): (Vec<ColumnSort>, Vec<Vec<String>>) = columns.map(of).unzip();
        xgboost::write(&in_units(&booster, tasks), &sorts, &categories, path)
    }

    /// Trees without gates, and the tasks whose outputs they are.
    fn plain_trees(&self, group: Option<&str>) -> Result<(Booster, &[TaskOutputs])> {
        let refuse = |what: String, remedy: &str| Err(Problem::new(what).try_this(remedy).into());
        match &self.trees {
            TreesOf::Boost(booster) if group.is_none() => Ok((booster.clone(), &self.tasks)),
            TreesOf::Boost(_) => refuse("the model has no groups".into(), "leave the group out"),
            TreesOf::Groups(all) => {
                let [one] = all.as_slice() else {
                    return refuse(
                        format!("{} targets with gates, expected one", all.len()),
                        "a suite of one target",
                    );
                };
                let number = group.map(|name| self.number_of(name)).transpose()?;
                Ok((one.effective(&self.tasks[0].info.name, number), &self.tasks))
            }
            TreesOf::Tasks(one) => {
                let Some(name) = group else {
                    return refuse("the model has gates per task".into(), "the name of a task as the group");
                };
                let number = self.tasks.iter().position(|task| task.info.name == name);
                let Some(number) = number else {
                    return Err(self.task(name).err().unwrap_or_else(|| no_group(name, &[])));
                };
                Ok((one.effective(name, Some(number)), &self.tasks[number..=number]))
            }
        }
    }

    /// The number of a group.
    pub(super) fn number_of(&self, name: &str) -> Result<usize> {
        let groups = self.groups();
        groups.iter().position(|group| *group == name).ok_or_else(|| no_group(name, &groups))
    }

    /// A model of XGBoost as a model folder's: a task per target, over all its columns.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn import(path: &Path) -> Result<Self> {
        let imported = xgboost::read(path)?;
        let columns = imported.booster.columns.iter().enumerate();
        let columns = columns.map(|(at, name)| TableColumn { name: name.clone(), form: form(&imported, at) });
        let table = TableSpec { columns: columns.collect(), ..TableSpec::default() };
        let tasks = imported.booster.outputs.iter().map(|output| {
            let labels: Vec<String> = match output.loss.name.as_str() {
                "logistic" => vec!["0".into(), "1".into()],
                "softmax" => (0..output.loss.classes).map(|class| class.to_string()).collect(),
                _ => Vec::new(),
            };
            let name = if labels.is_empty() { "table-regression" } else { "table-class" };
            let metric = kind::find(name).map_or("", |kind| kind.metrics[0]);
            let info = TreesTask {
                name: output.name.clone(),
                kind: name.into(),
                metric: metric.into(),
                scale: if labels.is_empty() { vec![(0.0, 1.0)] } else { Vec::new() },
                labels,
                bounds: Vec::new(),
            };
            let (first, width) = (output.first, output.start.len());
            TaskOutputs { info, first, width, is_set: false, losses: vec![output.loss.clone()] }
        });
        let tasks = tasks.collect();
        let is_coded = |(at, _): &(usize, &String)| {
            imported.sorts[*at] == ColumnSort::Category
                && imported.categories.get(*at).is_none_or(Vec::is_empty)
        };
        let coded = imported.booster.columns.iter().enumerate().filter(is_coded);
        let coded = coded.map(|(_, name)| name.clone()).collect();
        Ok(Self { coded, ..Self::new("boost", &table, None, tasks, TreesOf::Boost(imported.booster)) })
    }
}

fn no_group(name: &str, groups: &[&str]) -> polytask_core::Error {
    let what = format!("the model has no group `{name}`");
    Problem::new(what).try_this(polytask_core::near::advice(name, groups)).into()
}

/// What a column of an imported model holds; categories that the file does not name are their codes.
fn form(imported: &Imported, at: usize) -> ColumnForm {
    if imported.sorts[at] == ColumnSort::Number {
        return ColumnForm::Number { mean: 0.0, std: 1.0, has_missing: true };
    }
    let named = imported.categories.get(at).filter(|names| !names.is_empty());
    let largest = || {
        let splits = imported.booster.trees.iter().flat_map(|tree| tree.tree.splits());
        let own = splits.filter(|split| split.column as usize == at);
        own.filter_map(|split| match &split.rule {
            Rule::In(set) => set.last().copied(),
            Rule::Below(_) => None,
        })
        .max()
        .unwrap_or(0)
    };
    let codes = || (0..=largest()).map(|code| code.to_string()).collect();
    ColumnForm::Category { names: named.cloned().unwrap_or_else(codes) }
}

/// The trees with numbers in the units of their targets in the place of the scale of train.
fn in_units(booster: &Booster, tasks: &[TaskOutputs]) -> Booster {
    let mut scales = vec![(0.0, 1.0); booster.n_margins()];
    // The outputs of one task alone begin with its own.
    let before = if let [one] = tasks { one.first } else { 0 };
    for task in tasks.iter().filter(|task| task.losses[0].name != "poisson") {
        for (scale, own) in scales.iter_mut().skip(task.first - before).zip(&task.info.scale) {
            *scale = *own;
        }
    }
    let mut all = booster.clone();
    for output in &mut all.outputs {
        let own = &scales[output.first..];
        output.start.iter_mut().zip(own).for_each(|(start, (shift, span))| *start = *start * span + shift);
    }
    let scaled = |BoostedTree { round, first, tree }: &BoostedTree| {
        let own = &scales[*first..*first + tree.width];
        let rows = tree.values.chunks_exact(tree.width);
        let values =
            rows.flat_map(|row| row.iter().zip(own).map(|(value, (_, span))| value * span)).collect();
        BoostedTree { round: *round, first: *first, tree: Tree { values, ..tree.clone() } }
    };
    all.trees = booster.trees.iter().map(scaled).collect();
    all
}
