//! What is to be merged and how: read from mergekit's YAML, or made of a command line.

mod read;
mod tokenizers;
mod values;
mod yaml;

use std::collections::BTreeMap;

use polytask_core::{Problem, near};
use polytask_nn::weights::Dtype;
use serde_json::Value;

pub(crate) use self::values::Written;
use crate::combine::Setting;
use crate::table::{BaseUse, MergeMethod};

/// What was written for parameters, by name.
pub(crate) type Parameters = BTreeMap<String, Written>;

/// What is to be merged and how.
#[derive(Debug, Clone, PartialEq)]
pub struct MergeConfig {
    /// The method.
    pub method: &'static MergeMethod,
    /// Folder of the base, as written.
    pub base: Option<String>,
    /// Type of the result where `out_dtype` says none; inputs are never rounded.
    pub(crate) dtype: Option<Dtype>,
    /// Type of the result; that of the inputs where nothing is said.
    pub(crate) out_dtype: Option<Dtype>,
    pub(crate) slices: Vec<OutputSlice>,
    /// Whether layers are taken by range; otherwise the one slice has all of them.
    pub(crate) stacked: bool,
    /// Parameters of all slices, the stronger first.
    pub(crate) levels: Vec<Parameters>,
}

/// Layers of the result and where they come from.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct OutputSlice {
    pub(crate) sources: Vec<Source>,
    pub(crate) base: Option<String>,
    pub(crate) parameters: Parameters,
}

/// A model of a slice.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Source {
    /// As written.
    pub(crate) model: String,
    pub(crate) layers: Option<(usize, usize)>,
    pub(crate) parameters: Parameters,
}

impl PartialEq for MergeMethod {
    fn eq(&self, other: &Self) -> bool {
        self.info.id == other.info.id
    }
}

/// A value of a parameter on a command line: one for all models, or one each.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// Name of the parameter.
    pub name: String,
    /// The values.
    pub values: Vec<Value>,
}

impl Given {
    /// Reads `NAME=VALUE` or `NAME=VALUE,VALUE,…`; `None` where a side is missing.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, values) = text.split_once('=')?;
        let (name, values) = (name.trim(), values.trim());
        let read =
            |value: &str| serde_json::from_str(value.trim()).unwrap_or_else(|_| Value::from(value.trim()));
        let is_whole = !name.is_empty() && !values.is_empty();
        is_whole.then(|| Self { name: name.to_owned(), values: values.split(',').map(read).collect() })
    }
}

impl MergeConfig {
    /// A merge of whole models.
    ///
    /// # Errors
    /// All parameters that the method has not, or of which values lie outside their range.
    pub fn of_models(
        method: &'static MergeMethod,
        models: &[String],
        base: Option<&str>,
        given: &[Given],
    ) -> Result<Self, Vec<Problem>> {
        let source = |model: &String| Source { model: model.clone(), ..Source::default() };
        let mut slice =
            OutputSlice { sources: models.iter().map(source).collect(), ..OutputSlice::default() };
        let (mut shared, mut problems) = (Parameters::new(), Vec::new());
        for Given { name, values } in given {
            if let Err(problem) = give(method, (&mut shared, &mut slice), name, values) {
                problems.push(problem);
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let (base, levels) = (base.map(str::to_owned), vec![shared]);
        Ok(Self { method, base, dtype: None, out_dtype: None, slices: vec![slice], stacked: false, levels })
    }

    /// A sum of task vectors with a factor each: one for all tensors (under the empty name), or by name of the tensor.
    pub fn of_factors(models: &[String], base: &str, factors: &[Vec<(String, f64)>]) -> Self {
        let source = |(model, factors): (&String, &Vec<(String, f64)>)| {
            let mut factors = factors.clone();
            // A name within another must not match first.
            factors.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
            let case = |(name, factor): (String, f64)| {
                let filter = (!name.is_empty()).then_some(name);
                (filter, Written::Value(factor.into()))
            };
            let written = Written::ByName(factors.into_iter().map(case).collect());
            Source { model: model.clone(), layers: None, parameters: [("weight".to_owned(), written)].into() }
        };
        let slice = OutputSlice {
            sources: models.iter().zip(factors).map(source).collect(),
            ..OutputSlice::default()
        };
        Self {
            method: &crate::table::TASK_ARITHMETIC,
            base: Some(base.to_owned()),
            dtype: None,
            out_dtype: None,
            slices: vec![slice],
            stacked: false,
            levels: Vec::new(),
        }
    }

    /// Reads mergekit's YAML.
    ///
    /// # Errors
    /// All mistakes of the file, with their lines.
    pub fn read(text: &str, file: &std::path::Path) -> Result<Self, Vec<Problem>> {
        read::read(text, file)
    }

    /// The type of the result, by its usual name.
    ///
    /// # Errors
    /// A name that is none.
    pub fn set_out_dtype(&mut self, name: &str) -> Result<(), Problem> {
        self.out_dtype = Some(read::dtype(name).map_err(|what| Problem::new(what).try_this("`float32`"))?);
        Ok(())
    }

    /// All models as written, each once; the base last where it is not merged.
    pub fn models(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        let sources = self.slices.iter().flat_map(|slice| &slice.sources).map(|source| &source.model);
        let bases = self.base.iter().filter(|_| self.method.base != BaseUse::Ignored);
        for model in sources.chain(bases).chain(self.slices.iter().filter_map(|slice| slice.base.as_ref())) {
            if !all.contains(model) {
                all.push(model.clone());
            }
        }
        all
    }

    /// What a method cannot do with these models and settings.
    pub fn problems(&self, compat: bool) -> Vec<Problem> {
        let mut problems: Vec<Problem> =
            self.slices.iter().filter_map(|slice| self.wrong_count(slice)).collect();
        problems.dedup();
        let says = |name: &str| {
            let slices = self.slices.iter().flat_map(|slice| {
                slice.sources.iter().map(|source| &source.parameters).chain([&slice.parameters])
            });
            slices.chain(&self.levels).any(|level| level.contains_key(name))
        };
        let id = self.method.info.id;
        if self.method.thins() && !says("density") && !compat {
            let what = format!("`{id}` without `density` keeps every entry, so it thins nothing");
            problems.push(Problem::new(what).try_this(
                "`density` 0.2, as the TIES paper has it; 1 to keep all; `--compat` for mergekit's default",
            ));
        }
        problems.extend(["density", "lambda"].iter().filter_map(|name| self.keeps_nothing(name)));
        problems
    }

    /// A setting of 0 with which the base alone is left.
    fn keeps_nothing(&self, name: &str) -> Option<Problem> {
        self.method.param(name)?;
        let mut levels = self.slices.iter().map(|slice| &slice.parameters).chain(&self.levels);
        let is_zero =
            |written: &Written| matches!(written, Written::Value(value) if value.as_f64() == Some(0.0));
        let written = levels.find_map(|level| level.get(name))?;
        is_zero(written).then(|| {
            let what = format!("`{name}` is 0: nothing of any model is left beside the base");
            Problem::new(what).try_this(format!("a `{name}` above 0"))
        })
    }

    /// Every value that is written, of models, slices and all.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Written> {
        let of_slices = self.slices.iter().flat_map(|slice| {
            slice.sources.iter().map(|source| &source.parameters).chain([&slice.parameters])
        });
        of_slices.chain(&self.levels).flat_map(Parameters::values)
    }

    /// The base of a slice.
    pub(crate) fn base_of<'a>(&'a self, slice: &'a OutputSlice) -> Option<&'a str> {
        let written = slice.base.as_deref().or(self.base.as_deref());
        match self.method.base {
            BaseUse::Ignored => None,
            BaseUse::OneOfTwo => {
                written.or_else(|| slice.sources.first().map(|source| source.model.as_str()))
            }
            _ => written,
        }
    }

    /// The models of a slice without its base.
    pub(crate) fn others<'a>(&'a self, slice: &'a OutputSlice) -> Vec<&'a Source> {
        let base = self.base_of(slice);
        slice.sources.iter().filter(|source| Some(source.model.as_str()) != base).collect()
    }

    fn wrong_count(&self, slice: &OutputSlice) -> Option<Problem> {
        let (n, id) = (self.others(slice).len(), self.method.info.id);
        let (least, most) = self.method.models;
        if self.method.base == BaseUse::Required && self.base_of(slice).is_none() {
            let what = format!("`{id}` merges what models add to a base, found no base");
            return Some(Problem::new(what).try_this("`--base FOLDER`, or `base_model:` in the file"));
        }
        if (least..=most).contains(&n) {
            return None;
        }
        let expected = match (least, most) {
            (least, usize::MAX) => format!("at least {least}"),
            (least, most) if least == most => format!("{least}"),
            (least, most) => format!("{least} to {most}"),
        };
        let beside = if self.base_of(slice).is_some() { " beside the base" } else { "" };
        let what = format!("`{id}` merges {expected} models{beside}, found {n}");
        let remedy = match self.method.base {
            BaseUse::OneOfTwo => {
                "two folders, of which one may be the base; `nuslerp` for two models and a base"
            }
            _ if n == 1 && least == 2 => "another model, or a method for one: `task_arithmetic`",
            _ => "`polytask methods --kind merge` shows what each method takes",
        };
        Some(Problem::new(what).try_this(remedy))
    }

    /// All parameters of a tensor: for the shared ones its name in the result counts, for those of a model the name there.
    pub(crate) fn setting(
        &self,
        slice: &OutputSlice,
        name: &str,
        inputs: &[(&Source, &str)],
        t: f64,
    ) -> Setting {
        let default = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
        let mut setting = Setting { models: vec![BTreeMap::new(); inputs.len()], ..Setting::default() };
        for param in self.method.info.params {
            let of = |own: Option<&Parameters>, tensor: &str| {
                let mut levels = own.into_iter().chain([&slice.parameters]).chain(&self.levels);
                let written = levels.find_map(|level| level.get(param.name)?.at(tensor, t));
                written.unwrap_or_else(|| default(param.default))
            };
            if self.method.is_per_model(param.name) {
                for (map, (source, input)) in setting.models.iter_mut().zip(inputs) {
                    let value = of(Some(&source.parameters), input);
                    map.insert(param.name.into(), value);
                }
            } else {
                setting.shared.insert(param.name.into(), of(None, name));
            }
        }
        setting
    }

    /// What was set, by the place it was set at.
    pub(crate) fn described(&self) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        for (s, slice) in self.slices.iter().enumerate() {
            let at = if self.slices.len() > 1 { format!("slice {} ", s + 1) } else { String::new() };
            for source in &slice.sources {
                let range = source.layers.map_or_else(String::new, |(a, b)| format!(" layers {a}..{b}"));
                if !range.is_empty() {
                    all.insert(format!("{at}{}", source.model), Value::from(range.trim()));
                }
                let named = |name: &String| format!("{at}{}{range} {name}", source.model);
                all.extend(source.parameters.iter().map(|(name, written)| (named(name), written.to_json())));
            }
            all.extend(slice.parameters.iter().map(|(name, w)| (format!("{at}{name}"), w.to_json())));
        }
        // The stronger level is written last.
        for level in self.levels.iter().rev() {
            all.extend(level.iter().map(|(name, written)| (name.clone(), written.to_json())));
        }
        all
    }

    /// Draws of DELLA that are no probabilities.
    pub(crate) fn wrong_probabilities(setting: &Setting) -> Option<String> {
        let wrong = |(d, e): (&f64, &f64)| *d < 1.0 && (d - e <= 0.0 || d + e >= 1.0);
        let (density, epsilon) = (setting.each("density"), setting.each("epsilon"));
        let (d, e) = density.iter().zip(&epsilon).find(|&pair| wrong(pair))?;
        Some(format!(
            "density {d} with epsilon {e}: probabilities from {} to {}, expected within 0 and 1",
            d - e,
            d + e
        ))
    }
}

/// Puts what a command line gives where it belongs.
fn give(
    method: &MergeMethod,
    (shared, slice): (&mut Parameters, &mut OutputSlice),
    name: &str,
    values: &[Value],
) -> Result<(), Problem> {
    let Some(param) = method.param(name) else { return Err(unknown(method, name)) };
    let wrong = values.iter().find(|value| !param.range.contains(value));
    if let Some(value) = wrong {
        let what =
            format!("`{name}` of `{}` is {value}, expected {}", method.info.id, param.range.describe());
        return Err(Problem::new(what).try_this(format!("the default, {}", param.default)));
    }
    match values {
        [value] => drop(shared.insert(name.to_owned(), Written::Value(value.clone()))),
        values if !method.is_per_model(name) || values.len() != slice.sources.len() => {
            let n = slice.sources.len();
            let expected = if method.is_per_model(name) { format!("1 or {n}") } else { "1".into() };
            let what = format!("{} values of `{name}`, expected {expected}", values.len());
            return Err(Problem::new(what).try_this(format!("`--set {name}=VALUE`")));
        }
        values => {
            for (source, value) in slice.sources.iter_mut().zip(values) {
                source.parameters.insert(name.to_owned(), Written::Value(value.clone()));
            }
        }
    }
    Ok(())
}

/// A parameter that a method has not.
pub(crate) fn unknown(method: &MergeMethod, name: &str) -> Problem {
    let names: Vec<&str> = method.info.params.iter().map(|param| param.name).collect();
    let what = format!("unknown parameter `{name}` of method `{}`", method.info.id);
    Problem::new(what).try_this(near::advice(name, &names))
}
