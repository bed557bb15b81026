//! A merge from folders to a folder: everything is checked first, tensors are merged one after the other by all threads,
//! and the result appears whole or not at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use polytask_core::{Error as CoreError, Problem};
use polytask_nn::weights::{Dtype, WeightsOut};
use serde_json::Value;

use crate::combine::{Combine, Rules};
use crate::config::MergeConfig;
use crate::layers;
use crate::model::{Head, ModelInput, choose_heads, compare};
use crate::plan::{Job, plan};
use crate::report::{MergeReport, MergedModel};
use crate::tensor::{Block, Input, Tensor, dot};
use crate::write::Staged;
use crate::{Error, Result};

/// Largest value of a half.
const LARGEST_HALF: f32 = 65504.0;
/// Tensors named in one message.
const SHOWN: usize = 5;

/// Where a merge goes and how.
#[derive(Debug, Clone)]
pub struct MergeOptions {
    /// The folder of the result; must not be there, or be empty.
    pub out: PathBuf,
    /// Whether mergekit's form holds where ours differs.
    pub compat: bool,
    /// Of draws.
    pub seed: u64,
    /// Most bytes of a file of weights.
    pub shard: usize,
    /// Task and model whose head is kept, where several have one.
    pub heads: Vec<(String, String)>,
    /// How the settings were found, for `merge.json`.
    pub learned: Option<Value>,
}

/// Finds the folder of a model as written.
pub type Resolve<'r> = dyn Fn(&str) -> Result<PathBuf> + 'r;

/// Merges models into a folder; `progress` is told how many of all tensors are done.
///
/// # Errors
/// Everything that keeps the models from being merged, at once; nothing is left behind then.
pub fn merge(
    config: &MergeConfig,
    resolve: &Resolve<'_>,
    options: &MergeOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<MergeReport> {
    let models = open_all(&config.models(), resolve)?;
    let trained: Vec<&ModelInput> = models.iter().filter(|model| is_merged(config, &model.name)).collect();
    let (jobs, heads) = checked(config, &models, &trained, options)?;
    let staged = Staged::begin(&options.out)?;
    let first = trained.first().copied().unwrap_or(&models[0]);
    let plans: Vec<_> = jobs.iter().map(|job| job.plan.clone()).collect();
    let out = WeightsOut::create(&staged.transformer(first)?, &plans, options.shard)?;
    let rules = Rules { compat: options.compat, seed: options.seed };
    let run = Run { config, models: &models, out: &out, rules };
    // The inputs are hashed by one thread while the others merge.
    let (hashes, lengths) = std::thread::scope(|scope| {
        let hashes = scope.spawn(|| models.iter().map(ModelInput::hashes).collect::<Result<Vec<_>>>());
        let lengths = run.all(&jobs, progress);
        (hashes.join(), lengths)
    });
    let lengths = lengths?;
    let hashes =
        hashes.map_err(|_| Error::from(CoreError::Bug("hashing the inputs ended early".into())))??;
    out.finish()?;
    let report = report(config, options, &models, (&jobs, &lengths, hashes), &heads);
    staged.finish(first, &heads, &report, config.stacked)?;
    Ok(report)
}

/// The tensors and the heads of the result, once everything has been found right.
fn checked(
    config: &MergeConfig,
    models: &[ModelInput],
    trained: &[&ModelInput],
    options: &MergeOptions,
) -> Result<(Vec<Job>, Vec<Head>)> {
    let mut problems = config.problems(options.compat);
    problems.extend(compare(models, base_index(config, models), config.stacked));
    let heads = choose_heads(trained, &options.heads).unwrap_or_else(|found| {
        problems.extend(found);
        Vec::new()
    });
    if problems.is_empty() {
        Ok((plan(config, models).map_err(invalid)?, heads))
    } else {
        Err(invalid(problems))
    }
}

fn invalid(problems: Vec<Problem>) -> Error {
    CoreError::Invalid(problems).into()
}

/// Opens all models; what is wrong with any is told at once.
pub(crate) fn open_all(names: &[String], resolve: &Resolve<'_>) -> Result<Vec<ModelInput>> {
    let (mut models, mut problems) = (Vec::new(), Vec::new());
    for name in names {
        match resolve(name).and_then(|folder| ModelInput::open(name, &folder)) {
            Ok(model) => models.push(model),
            Err(Error::Core(CoreError::Invalid(found))) => problems.extend(found),
            Err(error) => problems.push(Problem::new(error.to_string())),
        }
    }
    if problems.is_empty() { Ok(models) } else { Err(invalid(problems)) }
}

/// Whether a model is merged, not only the base of others.
fn is_merged(config: &MergeConfig, name: &str) -> bool {
    config.slices.iter().flat_map(|slice| &slice.sources).any(|source| source.model == name)
}

/// The model that is only the base of others.
fn base_index(config: &MergeConfig, models: &[ModelInput]) -> Option<usize> {
    models.iter().position(|model| !is_merged(config, &model.name))
}

struct Run<'a> {
    config: &'a MergeConfig,
    models: &'a [ModelInput],
    out: &'a WeightsOut,
    rules: Rules,
}

/// What merging found beside the result.
#[derive(Default)]
struct Found {
    problems: Vec<Problem>,
    /// By model: tensors with values that are no numbers.
    not_finite: BTreeMap<usize, Vec<String>>,
    /// By model: squared length of what it adds.
    squares: BTreeMap<usize, f64>,
}

/// What a block says of its inputs.
struct BlockFound {
    squares: Vec<f64>,
    is_finite: Vec<bool>,
    base_is_finite: bool,
    overflows: bool,
}

impl Run<'_> {
    /// Merges all tensors; gives the length of what each model adds to the base.
    fn all(&self, jobs: &[Job], progress: &mut dyn FnMut(usize, usize)) -> Result<BTreeMap<usize, f64>> {
        let lengths = self.lengths(jobs)?;
        let mut found = Found::default();
        for (i, job) in jobs.iter().enumerate() {
            match self.one(job, &lengths, &mut found) {
                Err(Error::Core(CoreError::Invalid(problems))) => found.problems.extend(problems),
                result => result?,
            }
            progress(i + 1, jobs.len());
        }
        found.conclude(self.models)
    }

    fn one(&self, job: &Job, lengths: &BTreeMap<String, Vec<f64>>, found: &mut Found) -> Result<()> {
        let Some(setting) = &job.setting else {
            let (model, name) = &job.inputs[0];
            let entry = self.models[*model].entry(name).map(|entry| entry.name.as_str()).unwrap_or_default();
            let raw = self.models[*model].weights.weights().raw(entry)?;
            return self.out.write_raw(&job.plan.name, &raw.bytes);
        };
        let mut setting = setting.clone();
        setting.lengths = lengths.get(&group_of(job)).cloned().unwrap_or_default();
        let tensor = self.tensor(job)?;
        let prepared = self.config.method.combine.prepare(&tensor, &setting, self.rules)?;
        let is_half = job.plan.dtype == Dtype::F16;
        let map = |block: &Block<'_>| {
            let values = prepared.apply(block);
            let overflows = values.iter().any(|v| !v.is_finite() || is_half && v.abs() > LARGEST_HALF);
            let write = self.out.write(&job.plan.name, block.range.start, &values);
            write.map(|()| BlockFound::of(block, overflows))
        };
        tensor.fold(prepared.unit(), map, |block| {
            found.add(job, &block?);
            Ok(())
        })
    }

    fn tensor<'j>(&'j self, job: &'j Job) -> Result<Tensor<'j>> {
        let input = |(model, name): &'j (usize, String)| {
            let model = &self.models[*model];
            let name = model.entry(name).map(|entry| entry.name.as_str()).unwrap_or_default();
            Input { weights: &model.weights, name }
        };
        let inputs: Vec<Input<'j>> = job.inputs.iter().map(input).collect();
        Tensor::open(&job.plan.name, &job.plan.shape, job.base.as_ref().map(input), &inputs)
    }

    /// Lengths of the task vectors over groups of tensors, for a method that weighs by these.
    fn lengths(&self, jobs: &[Job]) -> Result<BTreeMap<String, Vec<f64>>> {
        let mut squares: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        let weighs = |job: &&Job| {
            let word = job.setting.as_ref().map_or("", |setting| setting.word("granularity"));
            self.config.method.combine == Combine::Delta && !word.is_empty() && word != "element"
        };
        for job in jobs.iter().filter(weighs) {
            let tensor = self.tensor(job)?;
            let part = tensor.sums(tensor.n_models(), |block| {
                block.deltas().iter().map(|delta| dot(delta, delta)).collect()
            })?;
            let sum = squares.entry(group_of(job)).or_insert_with(|| vec![0.0; part.len()]);
            sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        squares.values_mut().flatten().for_each(|square| *square = square.sqrt());
        Ok(squares)
    }
}

/// What a tensor moves with.
fn group_of(job: &Job) -> String {
    let word = job.setting.as_ref().map_or("", |setting| setting.word("granularity"));
    match word {
        "model" => String::new(),
        "layer" => layers::group(&job.plan.name).to_owned(),
        _ => job.plan.name.clone(),
    }
}

impl BlockFound {
    fn of(block: &Block<'_>, overflows: bool) -> Self {
        let finite = |values: &[f32]| values.iter().all(|v| v.is_finite());
        let square = |m: usize| {
            let delta = block.delta(m);
            dot(&delta, &delta)
        };
        let squares =
            if block.base.is_some() { (0..block.models.len()).map(square).collect() } else { Vec::new() };
        Self {
            squares,
            is_finite: block.models.iter().map(|values| finite(values)).collect(),
            base_is_finite: block.base.as_ref().is_none_or(|base| finite(base)),
            overflows,
        }
    }
}

impl Found {
    fn add(&mut self, job: &Job, block: &BlockFound) {
        for (m, (model, _)) in job.inputs.iter().enumerate() {
            if let Some(square) = block.squares.get(m) {
                *self.squares.entry(*model).or_default() += square;
            }
            if !block.is_finite[m] {
                self.name_not_finite(*model, &job.plan.name);
            }
        }
        if let (false, Some((base, _))) = (block.base_is_finite, &job.base) {
            self.name_not_finite(*base, &job.plan.name);
        }
        if block.overflows && block.base_is_finite && block.is_finite.iter().all(|f| *f) {
            let (name, dtype) = (&job.plan.name, job.plan.dtype);
            let what = format!("tensor `{name}`: the merged values do not fit {dtype:?}");
            let problem = Problem::new(what).try_this("`--dtype float32`, or smaller weights");
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
    }

    fn name_not_finite(&mut self, model: usize, name: &str) {
        let names = self.not_finite.entry(model).or_default();
        if names.last().is_none_or(|last| last != name) {
            names.push(name.to_owned());
        }
    }

    fn conclude(mut self, models: &[ModelInput]) -> Result<BTreeMap<usize, f64>> {
        for (model, names) in &self.not_finite {
            let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
            let tensors = polytask_core::plural(names.len(), "tensor");
            let what = format!("`{}` has NaN or infinity in {tensors}: {shown}", models[*model].name);
            self.problems.push(Problem::new(what).try_this("a checkpoint from before its training diverged"));
        }
        for (model, square) in &self.squares {
            if *square == 0.0 {
                let what =
                    format!("`{}` adds nothing: its weights are those of the base", models[*model].name);
                self.problems.push(Problem::new(what).try_this("leave it out, or name another `--base`"));
            }
        }
        if !self.problems.is_empty() {
            return Err(invalid(self.problems));
        }
        Ok(self.squares.into_iter().map(|(model, square)| (model, square.sqrt())).collect())
    }
}

fn report(
    config: &MergeConfig,
    options: &MergeOptions,
    models: &[ModelInput],
    (jobs, lengths, hashes): (&[Job], &BTreeMap<usize, f64>, Vec<Vec<String>>),
    heads: &[Head],
) -> MergeReport {
    let merged = |(i, hashes): (usize, Vec<String>)| MergedModel {
        name: models[i].name.clone(),
        folder: shown(&models[i].given),
        is_base: !is_merged(config, &models[i].name),
        sha256: hashes,
        length: lengths.get(&i).copied(),
        tasks: heads.iter().filter(|h| h.model == models[i].name).map(|h| h.info.name.clone()).collect(),
    };
    let n_values = |job: &&Job| job.plan.shape.iter().product::<usize>();
    MergeReport {
        method: config.method.info.id.to_owned(),
        title: config.method.info.title.to_owned(),
        paper: config.method.info.paper.to_owned(),
        parameters: config.described(),
        compat: options.compat,
        seed: options.seed,
        dtype: jobs.iter().find(|job| job.setting.is_some()).map(|job| format!("{:?}", job.plan.dtype)),
        models: hashes.into_iter().enumerate().map(merged).collect(),
        n_merged: jobs.iter().filter(|job| job.setting.is_some()).count(),
        n_copied: jobs.iter().filter(|job| job.setting.is_none()).count(),
        n_values: jobs.iter().filter(|job| job.setting.is_some()).map(|job| n_values(&job)).sum(),
        learned: options.learned.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
