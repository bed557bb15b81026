//! Models held against the first: everything that keeps them from being merged, at once.

use std::collections::BTreeSet;

use polytask_core::Problem;
use polytask_nn::weights::{Dtype, TensorEntry};
use serde_json::Value;

use super::{ModelInput, tokenizer};

/// Fields of `config.json` that say nothing about the network.
const SAYS_NOTHING: [&str; 12] = [
    "architectures",
    "auto_map",
    "classifier_dropout",
    "dtype",
    "finetuning_task",
    "gradient_checkpointing",
    "id2label",
    "label2id",
    "problem_type",
    "torch_dtype",
    "transformers_version",
    "use_cache",
];
/// Tensors shown of each sort.
const SHOWN: usize = 5;

/// Everything that differs between models and must not. `base` is the one whose pooling does not count; where layers
/// are stacked, not even their number has to be one.
pub(crate) fn compare(models: &[ModelInput], base: Option<usize>, stacked: bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    let Some((first, rest)) = models.split_first() else { return problems };
    for other in rest {
        problems.extend(architecture(first, other, stacked));
        if let Some(what) = tokenizer::difference(&first.facts.transformer, &other.facts.transformer) {
            let what = format!("the tokenizers of `{}` and `{}` differ: {what}", first.name, other.name);
            problems.push(Problem::new(what).try_this("models that were trained from one base"));
        }
    }
    let trained: Vec<&ModelInput> =
        models.iter().enumerate().filter(|(i, _)| Some(*i) != base).map(|(_, model)| model).collect();
    problems.extend(modules(&trained));
    if !stacked {
        problems.extend(rest.iter().flat_map(|other| tensors(first, other)));
    }
    problems
}

fn architecture(a: &ModelInput, b: &ModelInput, stacked: bool) -> Vec<Problem> {
    let remedy = "models that were trained from one base";
    if a.facts.architecture != b.facts.architecture {
        let what = format!(
            "`{}` is a `{}` and `{}` a `{}`, expected one architecture",
            a.name, a.facts.architecture, b.name, b.facts.architecture
        );
        return vec![Problem::new(what).try_this(remedy)];
    }
    let fields = |model: &ModelInput| model.facts.config.as_object().cloned().unwrap_or_default();
    let (x, y) = (fields(a), fields(b));
    let counts =
        |key: &str| !SAYS_NOTHING.contains(&key) && !key.starts_with('_') && !key.contains("dropout");
    let is_count = |key: &str| stacked && ["num_hidden_layers", "n_layers", "num_layers"].contains(&key);
    let differs = |(key, value): (&String, &Value)| {
        let other = y.get(key).filter(|other| *other != value && counts(key) && !is_count(key))?;
        let what = format!("`{key}` is {value} in `{}` and {other} in `{}`", a.name, b.name);
        Some(Problem::new(what).try_this(remedy))
    };
    x.iter().filter_map(differs).collect()
}

/// What follows the network must be the same for all that were trained.
fn modules(models: &[&ModelInput]) -> Vec<Problem> {
    let Some((first, rest)) = models.split_first() else { return Vec::new() };
    let said = |model: &ModelInput| {
        let score = model.facts.score.as_ref().map(|score| format!("score {}", score["choice"]["name"]));
        let all: Vec<String> = model.facts.modules.iter().cloned().chain(score).collect();
        all.join(", ")
    };
    let differs = |other: &&&ModelInput| said(other) != said(first);
    let problem = |other: &&ModelInput| {
        let (a, b) = (said(first), said(other));
        let what =
            format!("`{}` has {a}, `{}` has {b}: their vectors are made in two ways", first.name, other.name);
        Problem::new(what).try_this("models trained with one `pooling` and one score")
    };
    rest.iter().filter(differs).map(problem).collect()
}

fn tensors(a: &ModelInput, b: &ModelInput) -> Vec<Problem> {
    let names = |model: &ModelInput| model.names().into_iter().collect::<BTreeSet<String>>();
    let (x, y) = (names(a), names(b));
    let needed = |name: &&String| !a.facts.is_kept(name) && !is_buffer(a, name) && !is_buffer(b, name);
    let only = |these: &BTreeSet<String>, those: &BTreeSet<String>, has: &ModelInput, lacks: &ModelInput| {
        let names: Vec<String> = these.difference(those).filter(needed).cloned().collect();
        listed(&names, &format!("of `{}` that `{}` has not", has.name, lacks.name))
    };
    let mut problems: Vec<Problem> = [only(&x, &y, a, b), only(&y, &x, b, a)].into_iter().flatten().collect();
    let pairs = x.intersection(&y).filter_map(|name| Some((name, a.entry(name)?, b.entry(name)?)));
    let wrong: Vec<String> = pairs.filter_map(|(name, p, q)| mismatch(name, (a, p), (b, q))).collect();
    problems.extend(listed(&wrong, &format!("that differ between `{}` and `{}`", a.name, b.name)));
    problems
}

/// Whole numbers that a network looks up: where they lack they are computed.
fn is_buffer(model: &ModelInput, name: &str) -> bool {
    model.entry(name).is_some_and(|entry| !is_real(entry))
}

/// Whether a tensor has reals, which can be merged.
pub(crate) fn is_real(entry: &TensorEntry) -> bool {
    matches!(entry.dtype, Dtype::F32 | Dtype::F64 | Dtype::F16 | Dtype::BF16)
}

fn mismatch(
    name: &str,
    (a, p): (&ModelInput, &TensorEntry),
    (b, q): (&ModelInput, &TensorEntry),
) -> Option<String> {
    if p.shape != q.shape {
        return Some(format!("{name} is {:?} and {:?}", p.shape, q.shape));
    }
    if is_real(p) && is_real(q) {
        return None;
    }
    if p.dtype != q.dtype {
        return Some(format!("{name} is {:?} and {:?}", p.dtype, q.dtype));
    }
    let bytes = |model: &ModelInput, entry: &TensorEntry| model.weights.weights().raw(&entry.name).ok();
    let same = bytes(a, p).map(|raw| raw.bytes) == bytes(b, q).map(|raw| raw.bytes);
    (!same).then(|| format!("{name} holds other whole numbers ({:?}), which cannot be merged", p.dtype))
}

/// Tensors in one problem.
fn listed(names: &[String], which: &str) -> Option<Problem> {
    if names.is_empty() {
        return None;
    }
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if names.len() > SHOWN { ", …" } else { "" };
    let what = format!("{} {which}: {shown}{more}", polytask_core::plural(names.len(), "tensor"));
    Some(Problem::new(what).try_this("models that were trained from one base"))
}
