//! Which tensors the result has, where each comes from, and with which settings.

use std::collections::BTreeSet;

use polytask_core::Problem;
use polytask_nn::weights::{Dtype, TensorPlan};

use crate::combine::Setting;
use crate::config::{MergeConfig, OutputSlice, Source};
use crate::layers;
use crate::model::{ModelInput, is_real};

/// A tensor of the result.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) plan: TensorPlan,
    /// Model and name there, of each that is merged.
    pub(crate) inputs: Vec<(usize, String)>,
    pub(crate) base: Option<(usize, String)>,
    /// `None` where the first input is copied.
    pub(crate) setting: Option<Setting>,
}

/// Where tensors of a slice lie.
struct Place<'a> {
    slice: &'a OutputSlice,
    /// Number of the layer within the slice, and of layers in it.
    layer: Option<(usize, usize)>,
}

impl Place<'_> {
    /// The place along the layers, from 0 to 1.
    fn t(&self) -> f64 {
        match self.layer {
            None => 0.0,
            Some((_, 1)) => 1.0,
            Some((layer, n)) => layer as f64 / (n - 1) as f64,
        }
    }
}

/// Number of layers of a model.
pub(crate) fn n_layers(model: &ModelInput) -> usize {
    model.names().iter().filter_map(|name| layers::split(name)).map(|(_, n, _)| n + 1).max().unwrap_or(0)
}

/// All tensors of the result.
///
/// # Errors
/// Layers that models have not, and settings that are none for some tensors.
pub(crate) fn plan(config: &MergeConfig, models: &[ModelInput]) -> Result<Vec<Job>, Vec<Problem>> {
    let jobs = if config.stacked { stacked(config, models)? } else { whole(config, models) };
    let mut problems: Vec<Problem> = jobs.iter().filter_map(|job| wrong_setting(config, job)).collect();
    problems.dedup();
    problems.extend(idle_filters(config, &jobs));
    if problems.is_empty() { Ok(jobs) } else { Err(problems) }
}

/// Filters of values that fit no tensor, most likely misspelt.
fn idle_filters(config: &MergeConfig, jobs: &[Job]) -> Vec<Problem> {
    // The factors that were learned name tensors of their own.
    let names: Vec<&str> = jobs.iter().flat_map(|job| &job.inputs).map(|(_, name)| name.as_str()).collect();
    let idle: BTreeSet<&str> = config.values().flat_map(|written| written.idle_filters(&names)).collect();
    let problem = |filter: &str| {
        let what = format!("filter `{filter}` fits no tensor");
        Problem::new(what).try_this("a part of their names, as `attention` or `layer.0`")
    };
    idle.into_iter().map(problem).collect()
}

fn wrong_setting(config: &MergeConfig, job: &Job) -> Option<Problem> {
    config.method.param("density")?;
    let wrong = MergeConfig::wrong_probabilities(job.setting.as_ref()?)?;
    Some(Problem::new(wrong).try_this("an epsilon below both `density` and 1 - `density`"))
}

/// The only slice holds all layers.
fn whole(config: &MergeConfig, models: &[ModelInput]) -> Vec<Job> {
    let Some(slice) = config.slices.first() else { return Vec::new() };
    let (mut seen, mut names) = (BTreeSet::new(), Vec::new());
    for model in models {
        names.extend(model.names().into_iter().filter(|name| seen.insert(name.clone())));
    }
    let n = models.iter().map(n_layers).max().unwrap_or(0);
    let job = |name: &String| {
        let layer = layers::split(name).map(|(_, layer, _)| (layer, n));
        job(config, models, &Place { slice, layer }, name, &|_| name.clone())
    };
    names.iter().filter_map(job).collect()
}

/// Layers in the order of the slices, renumbered; what stands before them from the first slice, after them from the last.
fn stacked(config: &MergeConfig, models: &[ModelInput]) -> Result<Vec<Job>, Vec<Problem>> {
    let problems: Vec<Problem> = config
        .slices
        .iter()
        .flat_map(|slice| slice.sources.iter().filter_map(|source| too_many(source, models)))
        .collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    let (mut jobs, mut first) = (Vec::new(), 0);
    for (s, slice) in config.slices.iter().enumerate() {
        let Some((from, to)) = slice.sources.first().and_then(|source| source.layers) else { continue };
        let names = find(models, &slice.sources[0].model).map(ModelInput::names).unwrap_or_default();
        for name in names {
            let (is_first, is_last) = (s == 0, s + 1 == config.slices.len());
            match layers::split(&name) {
                Some((front, n, back)) if (from..to).contains(&n) => {
                    let place = Place { slice, layer: Some((n - from, to - from)) };
                    let of = |source: &Source| {
                        format!("{front}{}{back}", source.layers.map_or(n, |(start, _)| start + n - from))
                    };
                    jobs.extend(job(
                        config,
                        models,
                        &place,
                        &format!("{front}{}{back}", first + n - from),
                        &of,
                    ));
                }
                None if if layers::is_before(&name) { is_first } else { is_last } => {
                    let place = Place { slice, layer: None };
                    jobs.extend(job(config, models, &place, &name, &|_| name.clone()));
                }
                _ => {}
            }
        }
        first += to - from;
    }
    Ok(jobs)
}

fn too_many(source: &Source, models: &[ModelInput]) -> Option<Problem> {
    let (from, to) = source.layers?;
    let n = n_layers(find(models, &source.model)?);
    let what = format!("`layer_range: [{from}, {to}]` of `{}`, which has {n} layers", source.model);
    (to > n).then(|| Problem::new(what).try_this(format!("ranges up to {n}")))
}

fn find<'a>(models: &'a [ModelInput], name: &str) -> Option<&'a ModelInput> {
    models.iter().find(|model| model.name == name)
}

/// A tensor of the result; `of` is its name in a source.
fn job(
    config: &MergeConfig,
    models: &[ModelInput],
    place: &Place<'_>,
    name: &str,
    of: &dyn Fn(&Source) -> String,
) -> Option<Job> {
    let index = |model: &str| models.iter().position(|input| input.name == model);
    let has = |(m, name): &(usize, String)| models[*m].entry(name).is_some();
    let others = config.others(place.slice);
    let inputs: Vec<(usize, String)> =
        others.iter().filter_map(|source| Some((index(&source.model)?, of(source)))).collect();
    let base = config.base_of(place.slice).and_then(|base| {
        let source = place.slice.sources.iter().find(|source| source.model == base);
        Some((index(base)?, source.map_or_else(|| name.to_owned(), of)))
    });
    let all: Vec<&(usize, String)> = inputs.iter().chain(&base).filter(|input| has(input)).collect();
    let entries: Vec<_> = all.iter().filter_map(|(m, name)| models[*m].entry(name)).collect();
    let first = *entries.first()?;
    // What some lack and no state depends on, and whole numbers, which are equal, come from the first that has them.
    let is_merged = entries.len() == inputs.len() + usize::from(base.is_some()) && is_real(first);
    let (dtype, shape) = (dtype(config, first.dtype, &entries), first.shape.clone());
    if !is_merged {
        let plan = TensorPlan { name: name.to_owned(), dtype: first.dtype, shape };
        return Some(Job { plan, inputs: vec![all[0].clone()], base: None, setting: None });
    }
    let pairs: Vec<(&Source, &str)> =
        others.into_iter().zip(inputs.iter().map(|(_, name)| name.as_str())).collect();
    let setting = config.setting(place.slice, name, &pairs, place.t());
    Some(Job {
        plan: TensorPlan { name: name.to_owned(), dtype, shape },
        inputs,
        base,
        setting: Some(setting),
    })
}

/// The type of a merged tensor: as asked, else the inputs' own, else the one that holds them all.
fn dtype(config: &MergeConfig, first: Dtype, entries: &[&polytask_nn::weights::TensorEntry]) -> Dtype {
    let own = || {
        let all_same = entries.iter().all(|entry| entry.dtype == first);
        let wide = entries.iter().any(|entry| entry.dtype == Dtype::F64);
        if all_same {
            first
        } else if wide {
            Dtype::F64
        } else {
            Dtype::F32
        }
    };
    config.out_dtype.or(config.dtype).unwrap_or_else(own)
}
