//! Scores of a saved model on a suite's data, alone or paired with another model's.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use polytask_core::report::{REPORT_VERSION, RunReport, TaskReport};
use polytask_core::{Problem, Split, Suite};
use polytask_data::{Dataset, Targets};
use polytask_eval::mteb::EVALUATION;
use polytask_eval::{JudgedRows, Predictions, TaskRun};
use polytask_nn::Block;

use crate::engine::{Engine, Weights};
use crate::evaluate::{self, metrics};
use crate::heads::TaskHead;
use crate::judged::{judged, query_ids};
use crate::observe::{Event, Observer};
use crate::prepare::check_prompts;
use crate::scored;
use crate::{Error, Result};
use polytask_model::Model;

/// A model to score: what it is called, and its folder.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// Its name in the report.
    pub name: &'a str,
    /// Its folder.
    pub folder: &'a Path,
}

/// Scores of a model, and the rows they stand on.
pub struct Judged {
    /// The scores.
    pub report: RunReport,
    /// The model's predictions of each task.
    pub rows: Vec<JudgedRows>,
    /// Ids of the queries of each task that ranks, by its name, in the order of its predictions.
    pub queries: BTreeMap<String, Vec<String>>,
}

/// Scores of `model` on `split`, without one on the split a run would report each task on (test, else valid); with
/// `against`, the paired difference to that model stands in the place of the single-task comparison.
///
/// # Errors
/// When no task has a known target there, beside all that can be wrong with suite, data and folders.
pub fn judge(
    suite: Suite,
    model: Side,
    against: Option<Side>,
    split: Option<Split>,
    observer: &mut dyn Observer,
) -> Result<Judged> {
    observer.event(Event::Note("reading and tokenising the data"));
    let asked = Asked::read(suite, model.folder)?;
    let Asked { suite, dataset, model: ours } = &asked;
    let start = Instant::now();
    let (joint, rows, queries) = with_engine(suite, dataset, ours, |engine, blocks| {
        let joint = predictions(engine, Weights { trunk: &ours.encoder.params, heads: blocks }, split)?;
        let rows = judged(suite, engine, &joint, |task| split_of(dataset, task, split));
        let ids = |&task: &usize| {
            (suite.tasks[task].name.clone(), query_ids(engine, task, split_of(dataset, task, split)))
        };
        let ranking = joint.keys().filter(|task| !suite.tasks[**task].kind.answers_rows());
        let queries = ranking.map(ids).collect();
        Ok((joint, rows, queries))
    })?;
    let seconds = BTreeMap::from([(EVALUATION.to_owned(), start.elapsed().as_secs_f64())]);
    if joint.is_empty() {
        return Err(nothing_known(suite, split));
    }
    let theirs = against.map(|side| predict_like(&asked, Model::load(side.folder)?, split)).transpose()?;
    let tasks = task_reports(&asked, &joint, &theirs.unwrap_or_default(), split)?;
    let summary = polytask_eval::summarise(&tasks);
    let report = RunReport {
        version: REPORT_VERSION,
        name: model.folder.display().to_string(),
        sides: std::iter::once(model).chain(against).map(|side| side.name.to_owned()).collect(),
        delta_m: summary.delta_m,
        worst: summary.worst,
        below: summary.below,
        notes: dataset.warnings.clone(),
        seconds,
        tasks,
        ..RunReport::default()
    };
    Ok(Judged { report, rows, queries })
}

/// A model and a suite's data as it reads them.
pub(crate) struct Asked {
    pub(crate) suite: Suite,
    pub(crate) dataset: Dataset,
    pub(crate) model: Model,
}

impl Asked {
    /// The model of a folder; a plain encoder scores texts as the suite says.
    pub(crate) fn read(suite: Suite, folder: &Path) -> Result<Self> {
        Self::of(suite, Model::load(folder)?)
    }

    fn of(mut suite: Suite, mut model: Model) -> Result<Self> {
        adopt_labels(&mut suite, &model)?;
        let said = adopt_prompts(&mut suite, &model);
        check_prompts(&suite, &model.encoder, &model.symbols)?;
        let mut dataset = polytask_data::build(&suite, &model.symbols)?;
        dataset.warnings.extend(said);
        adopt_scales(&mut dataset, &model)?;
        scored::adopt(&suite, &dataset, &mut model)?;
        Ok(Self { suite, dataset, model })
    }
}

/// How each task fares, beside another model's predictions of the same rows.
fn task_reports(
    asked: &Asked,
    joint: &BTreeMap<usize, Predictions>,
    theirs: &BTreeMap<usize, Predictions>,
    split: Option<Split>,
) -> Result<Vec<TaskReport>> {
    let report = |(task, joint): (&usize, &Predictions)| {
        let spec = &asked.suite.tasks[*task];
        Ok(polytask_eval::task_report(&TaskRun {
            task: &spec.name,
            kind: spec.kind.name,
            split: split_of(&asked.dataset, *task, split).name(),
            metrics: &metrics(spec.kind, &spec.metric),
            margin: spec.margin,
            joint,
            single: theirs.get(task),
            others: &[],
            seed: asked.suite.seed,
        })?)
    };
    joint.iter().map(report).collect()
}

/// The split a task is scored on.
fn split_of(dataset: &Dataset, task: usize, split: Option<Split>) -> Split {
    split.unwrap_or_else(|| dataset.report_split(task))
}

fn nothing_known(suite: &Suite, split: Option<Split>) -> Error {
    let tasks: Vec<&str> = suite.tasks.iter().map(|task| task.name.as_str()).collect();
    let splits = split.map_or("test or valid", Split::name);
    let what = format!(
        "no task has a known target in {splits}, expected one for at least one of {}",
        tasks.join(", ")
    );
    let remedy = match split {
        Some(_) => "leave `--split` away to score the split there is, or give the suite a file with targets",
        None => "give the suite a test or valid file with targets",
    };
    Problem::new(what).try_this(remedy).into()
}

/// A model's outputs mean the labels it was trained with: the suite's tasks take those.
fn adopt_labels(suite: &mut Suite, model: &Model) -> Result<()> {
    for task in &mut suite.tasks {
        // What compares texts has nothing of its own to be trained: any model can be asked that has one view of texts.
        if task.kind.compares_texts() && model.task(&task.name).is_err() && model.view(None).is_ok() {
            continue;
        }
        let trained = model.task(&task.name)?;
        if trained.kind.name != task.kind.name {
            let what = format!(
                "task `{}` is of kind {} in the model and {} in the suite",
                task.name, trained.kind.name, task.kind.name
            );
            return Err(Problem::new(what).try_this("use the suite.toml in the model's run folder").into());
        }
        task.reads_words = trained.info.reads_words;
        if !trained.info.labels.is_empty() {
            task.labels = Some(trained.info.labels.clone());
        }
    }
    Ok(())
}

/// Texts of a task are read with the words before them that it was trained with; says where a suite has others.
fn adopt_prompts(suite: &mut Suite, model: &Model) -> Vec<String> {
    let mut said = Vec::new();
    for task in &suite.tasks {
        let Ok(trained) = model.task(&task.name) else { continue };
        let Some(source) = suite.sources.iter_mut().find(|source| source.name == task.from) else { continue };
        let is_other = |(role, text): (&String, &String)| trained.info.prompts.get(role) != Some(text);
        if source.prompts.iter().any(is_other) {
            said.push(format!(
                "task `{}`: read with the prompts the model was trained with, not the suite's",
                task.name
            ));
        }
        // Each task keeps the roles it has; those that share a source have their inputs' in common.
        let roles = task.kind.prompt_roles();
        source.prompts.retain(|role, _| !roles.contains(&role.as_str()));
        source.prompts.extend(trained.info.prompts.clone());
    }
    said
}

/// Numbers come out in the units of the data the model was trained on, whatever train the suite has now.
fn adopt_scales(dataset: &mut Dataset, model: &Model) -> Result<()> {
    // Tasks the model was not trained on compare texts: their numbers keep their own units.
    for data in dataset.tasks.iter_mut().filter(|data| model.task(&data.name).is_ok()) {
        let scale = &model.task(&data.name)?.info.scale;
        let widths = data.targets.values().map(|targets| match targets {
            Targets::Numbers { width, .. } => *width,
            _ => 0,
        });
        let found = widths.max().unwrap_or(0);
        if scale.len() != found {
            let (name, expected) = (&data.name, scale.len());
            let what =
                format!("task `{name}` has {found} numbers per row, expected {expected} as in the model");
            return Err(Problem::new(what).try_this("use the suite.toml in the model's run folder").into());
        }
        data.scale.clone_from(scale);
        data.bounds.clone_from(&model.task(&data.name)?.info.bounds);
    }
    Ok(())
}

/// Another model's predictions on the same rows, read anew when its tokenizer, labels or scales are its own.
fn predict_like(
    asked: &Asked,
    mut model: Model,
    split: Option<Split>,
) -> Result<BTreeMap<usize, Predictions>> {
    let Asked { suite, dataset, model: first } = asked;
    let same_outputs = suite.tasks.iter().all(|task| {
        let outputs = |m: &Model| {
            m.task(&task.name)
                .map(|t| {
                    let info = &t.info;
                    (info.labels.clone(), info.scale.clone(), info.bounds.clone(), info.prompts.clone())
                })
                .ok()
        };
        outputs(&model) == outputs(first)
    });
    if model.symbols.same_ids(&first.symbols) && same_outputs {
        scored::adopt(suite, dataset, &mut model)?;
        return predict_all(suite, dataset, &model, split);
    }
    let Asked { suite, dataset, model } = Asked::of(suite.clone(), model)?;
    predict_all(&suite, &dataset, &model, split)
}

fn predict_all(
    suite: &Suite,
    dataset: &Dataset,
    model: &Model,
    split: Option<Split>,
) -> Result<BTreeMap<usize, Predictions>> {
    with_engine(suite, dataset, model, |engine, blocks| {
        predictions(engine, Weights { trunk: &model.encoder.params, heads: blocks }, split)
    })
}

/// Calls `work` with a model as training sees one: its engine and the parameters of its heads, fresh ones for tasks it
/// has no head of.
pub(crate) fn with_engine<R>(
    suite: &Suite,
    dataset: &Dataset,
    model: &Model,
    work: impl FnOnce(&Engine, &[Block]) -> Result<R>,
) -> Result<R> {
    let encoder = &model.encoder;
    let mut heads = TaskHead::all(suite, dataset, encoder)?;
    heads.iter_mut().for_each(|head| head.view = encoder.view_of(&head.name).unwrap_or(0));
    let trainable = vec![true; encoder.params.blocks.len()];
    let engine = Engine {
        dataset,
        trunk: &*encoder.trunk,
        pooling: &encoder.pooling,
        heads: &heads,
        trainable: &trainable,
        cache: None,
        dropout: 0.0,
        seed: suite.seed,
        recompute: false,
    };
    let block = |head: &TaskHead| {
        model.task(&head.name).map_or_else(|_| head.block(suite.seed), |task| task.block.clone())
    };
    let blocks: Vec<Block> = heads.iter().map(block).collect();
    work(&engine, &blocks)
}

/// Predictions of every task on its split.
fn predictions(
    engine: &Engine,
    weights: Weights,
    split: Option<Split>,
) -> Result<BTreeMap<usize, Predictions>> {
    let mut all = BTreeMap::new();
    for now in [Split::Test, Split::Valid] {
        let of_split = |task: &usize| split_of(engine.dataset, *task, split) == now;
        let tasks: Vec<usize> = (0..engine.heads.len()).filter(of_split).collect();
        all.extend(evaluate::predict(engine, weights, &tasks, now)?);
    }
    Ok(all)
}
