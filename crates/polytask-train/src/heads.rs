//! Each task's head and loss, as training sees them.

use polytask_core::suite::{SourceSpec, Suite, TaskSpec};
use polytask_core::{KindInfo, Split};
use polytask_data::{Dataset, Targets, TaskData};
use polytask_nn::Block;
use polytask_nn::distil::{self, OutputSort, Taught};
use polytask_nn::encoder::{Encoder, freeze_blocks};
use polytask_nn::heads::{self, Head, HeadOptions};
use polytask_nn::losses::{self, LossFn};

use crate::Result;
use crate::assemble::TaskView;
use crate::prepared::is_fresh;

/// A task's head, loss and settings.
pub struct TaskHead {
    /// Name of the task.
    pub name: String,
    /// The view of the trunk's states it reads, where there are several.
    pub view: usize,
    /// Its kind.
    pub kind: &'static KindInfo,
    /// The head's function.
    pub head: Box<dyn Head>,
    /// Width of its hidden layer, where it has one.
    pub hidden: Option<usize>,
    /// Whether it is a pooler and a linear map.
    pub is_pooler: bool,
    /// The loss.
    pub loss: Box<dyn LossFn>,
    /// Whether the head has parameters.
    pub has_params: bool,
    /// Whether it starts on a trunk that starts fresh too.
    pub is_on_fresh: bool,
    /// Factor on the loss.
    pub loss_weight: f64,
    /// The head learns this many times faster than the trunk.
    pub lr_factor: f64,
    /// Lowest trunk block this task's gradient reaches.
    pub lowest: usize,
    /// Hard negatives per query (retrieval).
    pub negatives: usize,
    /// Splits whose queries of equal text are queries of their own, as judgements by id have them (retrieval).
    pub told_apart: Vec<Split>,
    /// The metric that decides.
    pub metric: String,
    /// Points below another model that count as worse.
    pub margin: f64,
}

impl TaskHead {
    /// The heads of a suite's tasks on the vectors or states of an encoder.
    pub fn all(suite: &Suite, dataset: &Dataset, encoder: &Encoder) -> Result<Vec<Self>> {
        let pairs = suite.tasks.iter().zip(&dataset.tasks).enumerate();
        let head = |(view, (spec, data)): (usize, (&TaskSpec, &TaskData))| {
            Ok(Self { view, ..Self::new(suite, spec, data, encoder)? })
        };
        pairs.map(head).collect()
    }

    fn new(suite: &Suite, spec: &TaskSpec, data: &TaskData, encoder: &Encoder) -> Result<Self> {
        let n_outputs = spec.kind.n_outputs(data.labels.len(), data.scale.len());
        let options =
            HeadOptions { hidden: spec.hidden(), is_pooler: spec.is_pooler(), scoring: encoder.scoring()? };
        let head = encoder.head(spec.kind.head, n_outputs, options);
        let loss = losses::make(&spec.loss, &data.labels, &label_counts(data))?;
        let loss = taught(spec, loss)?;
        let info = losses::find(&spec.loss.name).map(polytask_nn::losses::Loss::info);
        let negatives = info.and_then(|info| spec.loss.param(info, "negatives").as_u64()).unwrap_or(0);
        let frozen = freeze_blocks(&encoder.params, &spec.freeze)?;
        Ok(Self {
            name: spec.name.clone(),
            view: 0,
            kind: spec.kind,
            has_params: !head.shapes().is_empty(),
            is_on_fresh: is_fresh(suite),
            head,
            hidden: spec.hidden(),
            is_pooler: spec.is_pooler(),
            loss,
            loss_weight: spec.loss_weight,
            lr_factor: spec.lr_factor * suite.train.head_lr_factor,
            lowest: frozen.iter().rposition(|&frozen| frozen).map_or(0, |last| last + 1),
            negatives: negatives as usize,
            told_apart: judged_splits(suite.source_of(spec)),
            metric: spec.metric.clone(),
            margin: spec.margin,
        })
    }

    /// Whether no linear model fits it, so that it starts from random weights.
    pub fn has_hidden(&self) -> bool {
        self.hidden.is_some() || self.is_pooler
    }

    /// Fresh parameters.
    pub fn block(&self, seed: u64) -> Block {
        let mut block = self.head.block(&format!("head.{}", self.name), seed);
        if self.is_on_fresh {
            heads::start_wide(&mut block);
        }
        block
    }

    /// The task as assembling needs to know it.
    pub fn view<'a>(&self, index: usize, dataset: &'a Dataset) -> TaskView<'a> {
        let (view, reads_states) = (self.view, self.head.reads_states());
        TaskView { index, view, data: &dataset.tasks[index], negatives: self.negatives, reads_states }
    }
}

/// The loss of a task with the pull of its teacher, where it has one.
fn taught(spec: &TaskSpec, own: Box<dyn LossFn>) -> Result<Box<dyn LossFn>> {
    let (Some(teacher), Some(sort)) = (&spec.teacher, OutputSort::of(spec.kind)) else { return Ok(own) };
    let distil = distil::make(&teacher.loss, sort, &spec.name)?;
    Ok(Box::new(Taught { own, distil, alpha: teacher.alpha }))
}

/// Splits with judgements by id; a valid split that was cut from train has those of train.
fn judged_splits(source: &SourceSpec) -> Vec<Split> {
    let origin = |split: Split| {
        let is_cut =
            split == Split::Valid && !source.files.contains_key(&split) && !source.qrels.contains_key(&split);
        if is_cut { Split::Train } else { split }
    };
    Split::ALL.into_iter().filter(|&split| source.qrels.contains_key(&origin(split))).collect()
}

/// Train rows (words, for tags) of each label.
fn label_counts(data: &TaskData) -> Vec<usize> {
    let mut counts = vec![0; data.labels.len()];
    let mut count = |label: &u32| counts[*label as usize] += 1;
    match data.targets.get(&Split::Train) {
        Some(Targets::Label(rows)) => rows.iter().flatten().for_each(&mut count),
        Some(Targets::Labels(rows) | Targets::Tags(rows)) => {
            rows.iter().flatten().flatten().for_each(&mut count);
        }
        _ => {}
    }
    counts
}
