//! Fitting the trees of a suite.

use std::collections::BTreeMap;

use polytask_core::method::Choice;
use polytask_core::report::Point;
use polytask_core::{Problem, Result, Split, Suite};
use polytask_data::{Dataset, TaskData};

use super::model::{BoostModel, TaskOutputs, TextColumns, TreesOf, TreesTask};
use super::outputs::targets_of;
use super::rows::{Laid, RowView, ViewedRows, group_names, spec_of};
use crate::booster::{BoostTarget, TrainingSet, fit};
use crate::method::{RMTGB, boost_params, robust_params};
use crate::robust::{Robust, RobustParams, RobustSet, fit_robust};
use crate::table::{NumericColumn, NumericTable};

/// What is fitted: tasks of a suite by a method.
#[derive(Debug, Clone, Copy)]
pub struct Fitting<'a> {
    /// The suite.
    pub suite: &'a Suite,
    /// Its data.
    pub dataset: &'a Dataset,
    /// The method with its settings.
    pub choice: &'a Choice,
    /// The tasks, by suite index.
    pub tasks: &'a [usize],
}

/// Rows of a split with the targets of the tasks.
pub(super) struct LaidSplit {
    pub(super) rows: ViewedRows,
    pub(super) weights: Vec<f32>,
    /// Targets of each task.
    pub(super) targets: Vec<Vec<BoostTarget>>,
}

/// Losses of every round by task, as reports show them.
pub type Curves = BTreeMap<String, Vec<Point>>;

/// Fits the tasks to train; `observe` hears of every round: its number, of how many, and the mean loss.
///
/// # Errors
/// When settings do not fit the tasks, or data is wrong.
pub fn fit_suite(
    fitting: Fitting<'_>,
    observe: &mut dyn FnMut(usize, usize, f64),
) -> Result<(BoostModel, Curves)> {
    let Fitting { suite, dataset, choice, .. } = fitting;
    let spec = spec_of(dataset)?;
    let group = grouping(suite)?;
    // Groups stand beside the columns only where a method reads them so; to others they are a category.
    let own_group = group.filter(|_| choice.name == RMTGB.id);
    let view = RowView::new(spec, own_group.map(String::as_str));
    let train = split(fitting, &view, Split::Train)?;
    let outputs = outputs(fitting, &train);
    let mut curves = Curves::new();
    let trees = match (choice.name.as_str(), own_group) {
        (name, Some(group)) if name == RMTGB.id => {
            let (params, names) = (robust_params(choice, suite.seed)?, group_names(spec, group)?);
            check_groups(&train.rows, group)?;
            TreesOf::Groups(by_group(&train, &names, &params, &mut curves, observe)?)
        }
        (name, None) if name == RMTGB.id => {
            let params = robust_params(choice, suite.seed)?;
            TreesOf::Tasks(by_task(fitting, &train, &params, &mut curves, observe)?)
        }
        _ => boosted(fitting, &view, &train, &mut curves, observe)?,
    };
    let robust = (choice.name == RMTGB.id).then(|| robust_params(choice, suite.seed)).transpose()?;
    let model = BoostModel::new(&choice.name, spec, own_group, outputs, trees);
    Ok((BoostModel { robust, texts: text_columns(suite), ..model }, curves))
}

/// The columns of texts of a suite, and its encoder.
fn text_columns(suite: &Suite) -> Option<TextColumns> {
    // All sources have the same.
    let columns = suite.sources.iter().map(|source| &source.texts).find(|texts| !texts.is_empty())?;
    Some(TextColumns { columns: columns.clone(), encoder: suite.model.encoder.clone() })
}

/// Refuses settings of trees that are out of range, given twice, or unlike in two sources.
///
/// # Errors
/// With what is wrong.
pub fn check(suite: &Suite) -> Result<()> {
    grouping(suite)?;
    match &suite.model.trees {
        Some(choice) if choice.name == RMTGB.id => robust_params(choice, suite.seed).map(drop),
        Some(choice) => boost_params(choice, suite.seed).map(drop),
        None => Ok(()),
    }
}

/// Refuses data that trees cannot be fitted to, before anything is written.
///
/// # Errors
/// With what is wrong.
pub fn check_data(suite: &Suite, dataset: &Dataset) -> Result<()> {
    let (spec, group) = (spec_of(dataset)?, grouping(suite)?);
    let Some(choice) = &suite.model.trees else { return Ok(()) };
    let tasks: Vec<usize> = (0..suite.tasks.len()).collect();
    let view = RowView::new(spec, group.map(String::as_str));
    let train = split(Fitting { suite, dataset, choice, tasks: &tasks }, &view, Split::Train)?;
    if choice.name != RMTGB.id {
        return Ok(());
    }
    if let Some(group) = group {
        return group_names(spec, group).and_then(|_| check_groups(&train.rows, group));
    }
    let names: Vec<String> = suite.tasks.iter().map(|task| task.name.clone()).collect();
    one_loss(&train, &names).map(drop)
}

/// The column that names groups, the same in all sources.
fn grouping(suite: &Suite) -> Result<Option<&String>> {
    let groups: Vec<Option<&String>> = suite.sources.iter().map(|source| source.group.as_ref()).collect();
    let first = groups.first().copied().flatten();
    if groups.iter().any(|group| *group != first) {
        let what = "`group` is not the same in all sources";
        return Err(Problem::new(what).try_this("the same column in each").into());
    }
    Ok(first)
}

fn check_groups(rows: &ViewedRows, group: &str) -> Result<()> {
    if rows.groups.iter().any(Option::is_some) {
        return Ok(());
    }
    let what = format!("no row of train has a group: column `{group}` is empty");
    Err(Problem::new(what).try_this("another column as `group`").into())
}

pub(super) fn split(fitting: Fitting<'_>, view: &RowView<'_>, of: Split) -> Result<LaidSplit> {
    let Fitting { suite, dataset, tasks, .. } = fitting;
    let laid = Laid::of(dataset, of);
    let rows = view.texts(dataset, &laid.texts)?;
    let n_rows = laid.texts.len();
    let of_task = |&task: &usize| {
        let data = &dataset.tasks[task];
        let first = laid.first[data.source];
        let Some(targets) = data.targets.get(&of) else { return Ok(unknown(fitting, task, n_rows)) };
        let mut all = targets_of(&suite.tasks[task], data, targets, (first, n_rows))?;
        let own = data.weights.get(&of).map(|own| own_weights(own, &laid, first));
        all.iter_mut().for_each(|target| target.row_weights = own.clone().unwrap_or_default());
        Ok(all)
    };
    let targets = tasks.iter().map(of_task).collect::<Result<_>>()?;
    Ok(LaidSplit { rows, weights: laid.weights, targets })
}

/// A task without a split: nothing is known of its targets there.
fn unknown(fitting: Fitting<'_>, task: usize, n_rows: usize) -> Vec<BoostTarget> {
    let Fitting { suite, dataset, .. } = fitting;
    let data = &dataset.tasks[task];
    let train = data
        .targets
        .get(&Split::Train)
        .map(|targets| targets_of(&suite.tasks[task], data, targets, (0, targets.len())));
    let blank =
        |target: BoostTarget| BoostTarget { values: vec![f64::NAN; n_rows], row_weights: vec![], ..target };
    train.and_then(Result::ok).unwrap_or_default().into_iter().map(blank).collect()
}

/// The weights a task gives rows, in the place of their source's.
fn own_weights(own: &[f32], laid: &Laid, first: usize) -> Vec<f32> {
    let mut weights = vec![1.0; laid.texts.len()];
    for (row, weight) in own.iter().enumerate() {
        let of_source = laid.weights[first + row];
        weights[first + row] = if of_source > 0.0 { weight / of_source } else { *weight };
    }
    weights
}

fn outputs(fitting: Fitting<'_>, train: &LaidSplit) -> Vec<TaskOutputs> {
    let Fitting { suite, dataset, tasks, .. } = fitting;
    let mut first = 0;
    let one = |(&task, targets): (&usize, &Vec<BoostTarget>)| {
        let (spec, data): (_, &TaskData) = (&suite.tasks[task], &dataset.tasks[task]);
        let losses: Vec<_> = targets.iter().map(|target| target.loss.clone()).collect();
        let width: usize = losses.iter().map(|loss| loss.classes.max(1)).sum();
        let info = TreesTask {
            name: spec.name.clone(),
            kind: spec.kind.name.into(),
            metric: spec.metric.clone(),
            labels: data.labels.clone(),
            scale: data.scale.clone(),
            bounds: data.bounds.clone(),
        };
        let is_set = matches!(data.targets.get(&Split::Train), Some(polytask_data::Targets::Labels(_)));
        first += width;
        TaskOutputs { info, first: first - width, width, is_set, losses }
    };
    tasks.iter().zip(&train.targets).map(one).collect()
}

fn boosted(
    fitting: Fitting<'_>,
    view: &RowView<'_>,
    train: &LaidSplit,
    curves: &mut Curves,
    observe: &mut dyn FnMut(usize, usize, f64),
) -> Result<TreesOf> {
    let params = boost_params(fitting.choice, fitting.suite.seed)?;
    let has_valid = fitting
        .dataset
        .sources
        .iter()
        .any(|source| source.splits.get(&Split::Valid).is_some_and(|rows| !rows.is_empty()));
    let valid =
        (params.early_stopping > 0 && has_valid).then(|| split(fitting, view, Split::Valid)).transpose()?;
    let flat = |split: &LaidSplit| split.targets.iter().flatten().cloned().collect::<Vec<BoostTarget>>();
    let (targets, of_valid) = (flat(train), valid.as_ref().map(flat));
    let set = TrainingSet { table: &train.rows.table, targets: &targets, weights: &train.weights };
    let valid = valid.as_ref().zip(of_valid.as_ref()).map(|(split, targets)| TrainingSet {
        table: &split.rows.table,
        targets,
        weights: &split.weights,
    });
    let names: Vec<&String> = fitting.tasks.iter().map(|&task| &fitting.suite.tasks[task].name).collect();
    let booster = fit(set, valid, &params, &mut |losses| {
        let mut rest = &losses.train[..];
        for (name, targets) in names.iter().zip(&train.targets) {
            let (own, later) = rest.split_at(targets.len());
            let value = own.iter().sum::<f64>() / own.len() as f64;
            curves.entry((*name).clone()).or_default().push(Point { step: losses.round as u64, value });
            rest = later;
        }
        observe(losses.round, params.rounds, losses.train.iter().sum::<f64>() / losses.train.len() as f64);
    })?;
    Ok(TreesOf::Boost(booster))
}

/// A model per target, each with a gate per group.
fn by_group(
    train: &LaidSplit,
    names: &[String],
    params: &RobustParams,
    curves: &mut Curves,
    observe: &mut dyn FnMut(usize, usize, f64),
) -> Result<Vec<Robust>> {
    let targets: Vec<&BoostTarget> = train.targets.iter().flatten().collect();
    let rounds = params.rounds();
    let one = |(at, target): (usize, &&BoostTarget)| {
        let set = RobustSet {
            table: &train.rows.table,
            names,
            groups: &train.rows.groups,
            loss: &target.loss,
            values: &target.values,
            weights: &weights_of(train, target),
        };
        let mut all = Vec::new();
        let fitted = fit_robust(set, params, None, &mut |round, left| {
            all.push(left);
            observe(at * rounds + round, targets.len() * rounds, left);
        });
        curves.insert(target.name.clone(), points(&params.of_kept_start(&all)));
        fitted
    };
    targets.iter().enumerate().map(one).collect()
}

/// A curve, a point per round.
fn points(left: &[f64]) -> Vec<Point> {
    (1..).zip(left).map(|(step, &value)| Point { step, value }).collect()
}

fn weights_of(train: &LaidSplit, target: &BoostTarget) -> Vec<f32> {
    let own = |row: usize| target.row_weights.get(row).copied().unwrap_or(1.0);
    train.weights.iter().enumerate().map(|(row, weight)| weight * own(row)).collect()
}

/// One model whose groups are the tasks: a row stands once for each target it knows.
fn by_task(
    fitting: Fitting<'_>,
    train: &LaidSplit,
    params: &RobustParams,
    curves: &mut Curves,
    observe: &mut dyn FnMut(usize, usize, f64),
) -> Result<Robust> {
    let names: Vec<String> =
        fitting.tasks.iter().map(|&task| fitting.suite.tasks[task].name.clone()).collect();
    let loss = one_loss(train, &names)?;
    let (mut rows, mut groups, mut values, mut weights) = (vec![], vec![], vec![], vec![]);
    for (task, target) in train.targets.iter().map(|targets| &targets[0]).enumerate() {
        let of_task = weights_of(train, target);
        for (row, value) in target.values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            rows.push(row as u32);
            groups.push(Some(task));
            values.push(*value);
            weights.push(of_task[row]);
        }
    }
    let table = train.rows.table.take(&rows);
    let set = RobustSet {
        table: &table,
        names: &names,
        groups: &groups,
        loss: &loss,
        values: &values,
        weights: &weights,
    };
    let rounds = params.rounds();
    let mut all = Vec::new();
    let fitted = fit_robust(set, params, None, &mut |round, left| {
        all.push(left);
        observe(round, rounds, left);
    });
    let curve = points(&params.of_kept_start(&all));
    curves.extend(names.iter().map(|name| (name.clone(), curve.clone())));
    fitted
}

/// The loss of all tasks, each of which has one target.
fn one_loss(train: &LaidSplit, names: &[String]) -> Result<crate::loss::LossSpec> {
    let first = &train.targets[0][0].loss;
    let is_other = |targets: &Vec<BoostTarget>| targets.len() != 1 || targets[0].loss != *first;
    match train.targets.iter().position(is_other) {
        None => Ok(first.clone()),
        Some(at) => {
            let what = format!(
                "`rmtgb` without `group` takes the tasks of the suite as its groups, and task `{}` is learnt otherwise \
                 than `{}`",
                names[at], names[0]
            );
            Err(Problem::new(what)
                .try_this("`group` with the column that names groups, or `trees = \"boost\"`")
                .into())
        }
    }
}

/// The same columns with the values of some in another order, the same for all: what trees lose by not knowing them.
pub(super) fn shuffled(table: &NumericTable, columns: &[usize], order: &[u32]) -> Result<NumericTable> {
    let is_shuffled = |c: usize| columns.contains(&c);
    let columns = table.columns().iter().enumerate().map(|(c, found)| {
        let values = if is_shuffled(c) {
            order.iter().map(|&row| found.values[row as usize]).collect()
        } else {
            found.values.clone()
        };
        NumericColumn { values, ..found.clone() }
    });
    NumericTable::new(columns.collect())
}
