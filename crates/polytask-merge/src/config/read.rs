//! mergekit's YAML: every key known, every mistake told with its line.

use std::path::Path;

use polytask_core::{Place, Problem, near};
use polytask_nn::weights::Dtype;

use super::yaml::{Content, Node, parse};
use super::{MergeConfig, OutputSlice, Parameters, Source, Written, unknown};
use crate::table::MergeMethod;

const TOP: [&str; 12] = [
    "merge_method",
    "models",
    "slices",
    "modules",
    "base_model",
    "parameters",
    "dtype",
    "out_dtype",
    "tokenizer_source",
    "tokenizer",
    "chat_template",
    "name",
];

/// Reads a file's text.
pub(super) fn read(text: &str, file: &Path) -> Result<MergeConfig, Vec<Problem>> {
    let node = parse(text, file).map_err(|problem| vec![problem])?;
    let mut reader = Reader { file, problems: Vec::new(), method: None };
    let config = reader.config(&node);
    match config {
        Some(config) if reader.problems.is_empty() => Ok(config),
        _ => Err(reader.problems),
    }
}

/// A type by its usual name.
pub(super) fn dtype(name: &str) -> Result<Dtype, String> {
    match name {
        "float32" | "f32" | "F32" => Ok(Dtype::F32),
        "float16" | "f16" | "F16" => Ok(Dtype::F16),
        "bfloat16" | "bf16" | "BF16" => Ok(Dtype::BF16),
        _ => Err(format!("type `{name}`, expected one of `float32`, `float16`, `bfloat16`")),
    }
}

pub(super) struct Reader<'a> {
    file: &'a Path,
    problems: Vec<Problem>,
    method: Option<&'static MergeMethod>,
}

impl Reader<'_> {
    pub(super) fn wrong(&mut self, line: usize, what: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Problem::at(Place::line(self.file, line), what).try_this(remedy));
    }

    /// Refuses keys that are not known.
    pub(super) fn keys(&mut self, node: &Node, known: &[&str], of: &str) {
        if !matches!(node.content, Content::Map(_)) {
            self.wrong(node.line, format!("{of} is {}, expected a table", node.describe()), known.join(", "));
        }
        for (key, line, _) in node.entries() {
            if !known.contains(&key.as_str()) {
                self.wrong(*line, format!("unknown key `{key}` of {of}"), near::advice(key, known));
            }
        }
    }

    fn config(&mut self, node: &Node) -> Option<MergeConfig> {
        self.keys(node, &TOP, "the file");
        self.method = self.method_of(node);
        let body = self.body(node);
        let mut levels = Vec::new();
        let (slices, stacked) = match body {
            Some(Body { slices, stacked, module }) => {
                levels.extend(module);
                (slices, stacked)
            }
            None => (Vec::new(), false),
        };
        levels.extend(node.get("parameters").map(|parameters| self.parameters(parameters, false)));
        let base = self.text(node, "base_model");
        self.tokenizer(node, base.as_deref(), &slices);
        let (dtype, out_dtype) = (self.dtype(node, "dtype"), self.dtype(node, "out_dtype"));
        Some(MergeConfig { method: self.method?, base, dtype, out_dtype, slices, stacked, levels })
    }

    fn method_of(&mut self, node: &Node) -> Option<&'static MergeMethod> {
        let Some(method) = node.get("merge_method") else {
            self.wrong(node.line, "no `merge_method`", "`merge_method: linear`");
            return None;
        };
        let name = method.text().unwrap_or_default();
        match MergeMethod::find(name) {
            Ok(found) => Some(found),
            Err(advice) => {
                self.wrong(method.line, format!("unknown method {}", method.describe()), advice);
                None
            }
        }
    }

    /// One of models, slices and modules.
    fn body(&mut self, node: &Node) -> Option<Body> {
        let given: Vec<&str> =
            ["models", "slices", "modules"].into_iter().filter(|key| node.get(key).is_some()).collect();
        let [key] = given[..] else {
            let found = if given.is_empty() { "none".to_owned() } else { near::list(&given) };
            let what = format!("one of `models`, `slices` and `modules` is expected, found {found}");
            self.wrong(node.line, what, "`models:` with a list of `model: FOLDER`");
            return None;
        };
        let inner = node.get(key)?;
        match key {
            "modules" => self.modules(inner),
            "models" => {
                let sources =
                    self.list(inner, "`models`").iter().filter_map(|item| self.model(item)).collect();
                let slice = OutputSlice { sources, ..OutputSlice::default() };
                Some(Body { slices: vec![slice], stacked: false, module: None })
            }
            _ => {
                let slices = self.list(inner, "`slices`").iter().map(|item| self.slice(item)).collect();
                Some(Body { slices, stacked: true, module: None })
            }
        }
    }

    fn list(&mut self, node: &Node, of: &str) -> Vec<Node> {
        if node.items().is_empty() {
            self.wrong(
                node.line,
                format!("{of} is {}, expected a list", node.describe()),
                "an entry `- model: FOLDER`",
            );
        }
        node.items().to_vec()
    }

    fn modules(&mut self, node: &Node) -> Option<Body> {
        let [(_, _, module)] = node.entries() else {
            let what = format!("{} modules, expected the one an encoder has", node.entries().len());
            self.wrong(node.line, what, "`modules: {default: {models: […]}}`, or `models:`");
            return None;
        };
        self.keys(module, &["models", "slices", "parameters"], "a module");
        let parameters = module.get("parameters").map(|parameters| self.parameters(parameters, false));
        let body = self.body(module)?;
        Some(Body { module: parameters, ..body })
    }

    fn model(&mut self, node: &Node) -> Option<Source> {
        self.keys(node, &["model", "parameters"], "a model");
        self.source(node)
    }

    fn source(&mut self, node: &Node) -> Option<Source> {
        let parameters = node.get("parameters").map(|parameters| self.parameters(parameters, true));
        let Some(model) = self.text(node, "model") else {
            self.wrong(node.line, "no `model`", "`model: FOLDER`");
            return None;
        };
        Some(Source { model, layers: None, parameters: parameters.unwrap_or_default() })
    }

    fn slice(&mut self, node: &Node) -> OutputSlice {
        self.keys(node, &["sources", "base_model", "parameters"], "a slice");
        let sources = node.get("sources").map(|sources| self.list(sources, "`sources`"));
        let sources = sources.unwrap_or_else(|| {
            self.wrong(node.line, "no `sources`", "`sources: [{model: FOLDER, layer_range: [0, 6]}]`");
            Vec::new()
        });
        let sources: Vec<Source> = sources.iter().filter_map(|item| self.ranged(item)).collect();
        let lengths: Vec<usize> =
            sources.iter().filter_map(|source| source.layers).map(|(a, b)| b - a).collect();
        if lengths.windows(2).any(|pair| pair[0] != pair[1]) {
            let what = format!("the sources of a slice have {lengths:?} layers, expected equally many");
            self.wrong(node.line, what, "`layer_range` of one length in a slice");
        }
        let parameters = node.get("parameters").map(|parameters| self.parameters(parameters, false));
        OutputSlice {
            sources,
            base: self.text(node, "base_model"),
            parameters: parameters.unwrap_or_default(),
        }
    }

    fn ranged(&mut self, node: &Node) -> Option<Source> {
        self.keys(node, &["model", "layer_range", "parameters"], "a source");
        let source = self.source(node)?;
        let range = node.get("layer_range").map(|range| {
            let ends = range.items().iter().map(|end| end.scalar()?.as_u64()).collect::<Option<Vec<_>>>();
            (range.line, range.describe(), ends.unwrap_or_default())
        });
        match range {
            Some((.., ends)) if ends.len() == 2 && ends[0] < ends[1] => {
                Some(Source { layers: Some((ends[0] as usize, ends[1] as usize)), ..source })
            }
            Some((line, found, _)) => {
                self.wrong(
                    line,
                    format!("`layer_range` is {found}, expected [from, to]"),
                    "`layer_range: [0, 6]`",
                );
                None
            }
            None => {
                self.wrong(
                    node.line,
                    "no `layer_range`",
                    "`layer_range: [0, 6]`, or `models:` for whole models",
                );
                None
            }
        }
    }

    fn parameters(&mut self, node: &Node, of_model: bool) -> Parameters {
        let mut parameters = Parameters::new();
        if !matches!(node.content, Content::Map(_)) && !node.is_null() {
            self.wrong(
                node.line,
                format!("`parameters` is {}, expected a table", node.describe()),
                "`density: 0.2`",
            );
        }
        let Some(method) = self.method else { return parameters };
        for (name, line, value) in node.entries() {
            let Some(param) = method.param(name) else {
                let problem = unknown(method, name);
                self.problems.push(Problem { place: Some(Place::line(self.file, *line)), ..problem });
                continue;
            };
            if of_model && !method.is_per_model(name) {
                let what = format!("`{name}` of `{}` is one value for all models", method.info.id);
                self.wrong(*line, what, "put it under the file's `parameters`");
                continue;
            }
            match Written::read(value, param) {
                Ok(written) => drop(parameters.insert(name.clone(), written)),
                Err(what) => self.wrong(
                    value.line,
                    format!("`{name}` is {what}"),
                    format!("the default, {}", param.default),
                ),
            }
        }
        parameters
    }

    fn text(&mut self, node: &Node, key: &str) -> Option<String> {
        let value = node.get(key).filter(|value| !value.is_null())?;
        // A folder may be called 7.
        let text = value.text().map(str::to_owned).or_else(|| value.scalar().map(ToString::to_string));
        if text.is_none() {
            self.wrong(
                value.line,
                format!("`{key}` is {}, expected a text", value.describe()),
                format!("`{key}: FOLDER`"),
            );
        }
        text
    }

    fn dtype(&mut self, node: &Node, key: &str) -> Option<Dtype> {
        let name = self.text(node, key)?;
        match dtype(&name) {
            Ok(found) => Some(found),
            Err(what) => {
                self.wrong(node.get(key)?.line, what, "`float32`");
                None
            }
        }
    }
}

struct Body {
    slices: Vec<OutputSlice>,
    stacked: bool,
    module: Option<Parameters>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(text: &str) -> String {
        let problems = read(text, Path::new("m.yaml")).unwrap_err();
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    const TIES: &str = "\
merge_method: ties
base_model: m0
models:
  - model: a
    parameters: {weight: [0, 1], density: 0.5}
  - model: b
    parameters:
      weight:
        - filter: attention
          value: 2
        - value: 0.5
parameters: {density: 0.2, normalize: false}
dtype: bfloat16
tokenizer_source: base
";

    #[test]
    fn a_file_of_mergekit_gives_each_tensor_its_setting() {
        let config = read(TIES, Path::new("m.yaml")).unwrap();
        assert_eq!(
            (config.models(), config.dtype),
            (vec!["a".into(), "b".into(), "m0".into()], Some(Dtype::BF16))
        );
        let slice = &config.slices[0];
        let inputs: Vec<(&Source, &str)> = slice.sources.iter().map(|s| (s, "x.attention.y")).collect();
        let setting = config.setting(slice, "x.attention.y", &inputs, 0.25);
        assert_eq!(setting.each("weight"), [0.25, 2.0]);
        assert_eq!(setting.each("density"), [0.5, 0.2]);
        assert_eq!(setting.shared["normalize"], json!(false));
        assert_eq!(setting.shared["lambda"], json!(1.0));
        assert!(config.problems(false).is_empty());
    }

    #[test]
    fn every_mistake_of_a_file_is_told_with_its_line_and_the_nearest_word() {
        let text = TIES
            .replace("merge_method", "merge_methd")
            .replace("tokenizer_source: base", "tokenizer_source: c");
        let error = told(&text);
        for part in ["m.yaml:1: unknown key `merge_methd`", "`merge_method`", "m.yaml:14: tokenizer source"] {
            assert!(error.contains(part), "{part}\n{error}");
        }
        let text = TIES
            .replace("normalize", "normalise")
            .replace("density: 0.5", "lambda: 0.5")
            .replace("bfloat16", "int4");
        let error = told(&text);
        for part in [
            "m.yaml:12: unknown parameter `normalise`",
            "`normalize`",
            "m.yaml:5: `lambda` of `ties` is one value",
            "int4",
        ] {
            assert!(error.contains(part), "{part}\n{error}");
        }
        for (text, part) in [
            ("merge_method: linear\n", "found none"),
            ("merge_method: linear\nmodels: []\nslices: []\n", "found `models`, `slices`"),
            ("merge_method: linear\nmodels:\n  - modle: a\n", "unknown key `modle`"),
            ("merge_method: slirp\nmodels: [{model: a}]\n", "`slerp`"),
            ("merge_method: linear\nmodels: [{model: a}]\nchat_template: x\n", "no chat"),
            ("merge_method: linear\nmodules: {a: {models: [{model: x}]}, b: {}}\n", "2 modules"),
            (
                "merge_method: linear\nslices: [{sources: [{model: a, layer_range: [3, 1]}]}]\n",
                "expected [from, to]",
            ),
            (
                "merge_method: linear\nslices: [{sources: [{model: a, layer_range: [0, 1]}, {model: b, layer_range: [0, 2]}]}]\n",
                "equally many",
            ),
            (
                "merge_method: ties\nmodels: [{model: a}]\ntokenizer: {source: union, tokens: {x: 1}}\n",
                "vocabulary",
            ),
        ] {
            let error = told(text);
            assert!(error.contains(part), "{text}\n{error}");
        }
    }

    #[test]
    fn a_module_stands_between_its_slices_and_the_file() {
        let text = "merge_method: linear\nmodules:\n  default:\n    models: [{model: a}, {model: b}]\n    parameters: {weight: 3}\nparameters: {weight: 5, normalize: false}\n";
        let config = read(text, Path::new("m.yaml")).unwrap();
        let slice = &config.slices[0];
        let inputs: Vec<(&Source, &str)> = slice.sources.iter().map(|s| (s, "w")).collect();
        assert_eq!(config.setting(slice, "w", &inputs, 0.0).each("weight"), [3.0, 3.0]);
    }

    #[test]
    fn methods_say_how_many_models_and_which_base_they_want() {
        let told = |text: &str| {
            let config = read(text, Path::new("m.yaml")).unwrap();
            config.problems(false).iter().map(ToString::to_string).collect::<String>()
        };
        for (text, part) in [
            ("merge_method: ties\nmodels: [{model: a}]\nparameters: {density: 1}", "no base"),
            ("merge_method: ties\nbase_model: m\nmodels: [{model: a}]", "thins nothing"),
            (
                "merge_method: model_stock\nbase_model: m\nmodels: [{model: a}]",
                "at least 2 models beside the base, found 1",
            ),
            ("merge_method: slerp\nbase_model: m\nmodels: [{model: a}, {model: b}]", "found 2"),
            ("merge_method: nuslerp\nmodels: [{model: a}]", "2 models, found 1"),
            ("merge_method: task_arithmetic\nbase_model: a\nmodels: [{model: a}]", "found 0"),
            (
                "merge_method: ties\nbase_model: m\nmodels: [{model: a}]\nparameters: {density: 0}",
                "`density` is 0: nothing of any model is left",
            ),
            (
                "merge_method: task_arithmetic\nbase_model: m\nmodels: [{model: a}]\nparameters: {lambda: 0.0}",
                "`lambda` is 0",
            ),
        ] {
            let error = told(text);
            assert!(error.contains(part), "{text}\n{error}");
        }
        assert_eq!(told("merge_method: slerp\nmodels: [{model: a}, {model: b}]"), "");
    }
}
