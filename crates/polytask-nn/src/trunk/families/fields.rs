//! Reads the fields of a published `config.json`: each mistake is kept, so that all of them are told at once.

use polytask_core::Problem;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{MAX_LAYERS, MAX_SIZE};
use crate::folder::Images;
use crate::trunk::activation::Activation;
use crate::trunk::fronts::Pixels;
use crate::trunk::graph::Graph;

/// A configuration as a network.
#[derive(Debug)]
pub struct Composition {
    /// The network.
    pub graph: Graph,
    /// Published dropout of states.
    pub dropout: f64,
}

/// The fields of a configuration, and what is wrong with those read so far.
#[derive(Debug)]
pub struct Fields {
    /// Without those that are null: published files write it for "not set".
    raw: Value,
    /// Those that are null.
    nulls: Vec<String>,
    /// The images of a preprocessor's file.
    pixels: Option<Pixels>,
    pub(super) problems: Vec<Problem>,
}

impl Fields {
    /// The fields of a file's content.
    pub fn new(raw: &Value) -> Self {
        let all = || raw.as_object().into_iter().flatten();
        let set = all().filter(|(_, value)| !value.is_null());
        let nulls = all().filter(|(_, value)| value.is_null()).map(|(key, _)| key.clone()).collect();
        let raw = set.map(|(key, value)| (key.clone(), value.clone())).collect();
        Self { raw, nulls, pixels: None, problems: Vec::new() }
    }

    /// The same beside what a preprocessor's file says of images.
    #[must_use]
    pub(super) fn with_images(mut self, preprocessor: &Value) -> Self {
        if preprocessor.is_null() {
            return self;
        }
        match Images::parse(preprocessor) {
            Ok(images) => self.pixels = Some(images.pixels()),
            Err(polytask_core::Error::Invalid(problems)) => self.problems.extend(problems),
            Err(error) => self.problems.push(Problem::new(error.to_string())),
        }
        self
    }

    /// What a preprocessor's file says of images.
    pub(super) fn pixels(&mut self) -> Option<Pixels> {
        self.pixels.clone()
    }

    /// What is wrong.
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Whether a field is there and null.
    pub(super) fn is_null(&self, key: &str) -> bool {
        self.nulls.iter().any(|null| null == key)
    }

    /// The value of a field; with dots, of a field within fields.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        key.split('.').try_fold(&self.raw, |value, part| value.get(part)).filter(|value| !value.is_null())
    }

    /// Notes that a field is wrong.
    pub(super) fn wrong(&mut self, key: &str, expected: &str) {
        let found = self.get(key).map_or_else(|| "missing".to_owned(), ToString::to_string);
        self.problems.push(Problem::new(format!("`{key}` is {found}, expected {expected}")));
    }

    /// All fields as a struct of their own.
    pub(super) fn parse<C: DeserializeOwned>(&mut self) -> Option<C> {
        let parsed = serde_json::from_value(self.raw.clone());
        let note = |error: serde_json::Error| self.problems.push(Problem::new(error.to_string()));
        parsed.map_err(note).ok()
    }

    /// A size that must be stated, under the first of some keys that is there; 1 where it is wrong.
    pub(super) fn size(&mut self, keys: &[&str]) -> usize {
        let key = keys.iter().find(|key| self.get(key).is_some()).copied().unwrap_or(keys[0]);
        self.whole(key).unwrap_or(1)
    }

    /// The number of layers.
    pub(super) fn layers(&mut self, keys: &[&str]) -> usize {
        let n = self.size(keys);
        if n > MAX_LAYERS {
            self.problems.push(Problem::new(format!("`{}` is {n}, expected at most {MAX_LAYERS}", keys[0])));
        }
        n
    }

    /// A whole number, or what it is where the file says nothing.
    pub(super) fn size_or(&mut self, key: &str, usual: usize) -> usize {
        if self.get(key).is_none() { usual } else { self.whole(key).unwrap_or(usual) }
    }

    fn whole(&mut self, key: &str) -> Option<usize> {
        let n = self.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        let n = n.filter(|n| *n <= MAX_SIZE && (*n > 0 || key == "pad_token_id"));
        if n.is_none() {
            let least = usize::from(key != "pad_token_id");
            self.wrong(key, &format!("a whole number from {least} to {MAX_SIZE}"));
        }
        n
    }

    /// A positive number under the first of some keys that is there, or what it is where the file says nothing.
    pub(super) fn number(&mut self, keys: &[&str], usual: f64) -> f64 {
        let Some(key) = keys.iter().find(|key| self.get(key).is_some()) else { return usual };
        let found = self.get(key).and_then(Value::as_f64).filter(|x| x.is_finite() && *x > 0.0);
        found.unwrap_or_else(|| {
            self.wrong(key, "a positive number");
            usual
        })
    }

    /// A share in [0, 1).
    pub(super) fn share(&mut self, keys: &[&str]) -> f64 {
        let found = keys.iter().find_map(|key| self.get(key).and_then(Value::as_f64));
        found.filter(|x| (0.0..1.0).contains(x)).unwrap_or(0.0)
    }

    /// A switch, or what it is where the file says nothing.
    pub(super) fn flag(&mut self, key: &str, usual: bool) -> bool {
        match self.get(key).map(Value::as_bool) {
            None => usual,
            Some(Some(on)) => on,
            Some(None) => {
                self.wrong(key, "true or false");
                usual
            }
        }
    }

    /// An activation.
    pub(super) fn activation(&mut self, keys: &[&str], usual: Activation) -> Activation {
        let Some(key) = keys.iter().find(|key| self.get(key).is_some()) else { return usual };
        let found = self.get(key).cloned().and_then(|value| serde_json::from_value(value).ok());
        found.unwrap_or_else(|| {
            self.wrong(key, "gelu, gelu_new, gelu_pytorch_tanh, relu or silu");
            usual
        })
    }

    /// Notes a mistake where a field says something else than one of these.
    pub(super) fn expect(&mut self, key: &str, supported: &[&str]) {
        let Some(found) = self.get(key).map(|value| value.as_str().unwrap_or("?").to_owned()) else { return };
        if !supported.contains(&found.as_str()) {
            self.wrong(key, &supported.join(" or "));
        }
    }

    /// Notes a mistake where a switch is on.
    pub(super) fn expect_not(&mut self, key: &str, expected: &str) {
        if self.flag(key, false) {
            self.wrong(key, &format!("false: {expected}"));
        }
    }

    /// Notes that one size does not divide another.
    pub(super) fn divides(&mut self, part: (&str, usize), whole: (&str, usize)) {
        if !whole.1.is_multiple_of(part.1) {
            let what = format!("`{}` is {}, expected a divisor of `{}` {}", part.0, part.1, whole.0, whole.1);
            self.problems.push(Problem::new(what));
        }
    }

    /// Notes heads that cannot be turned by rotary positions, or are too many for their width.
    pub(super) fn turned(&mut self, key: &str, d_head: usize, heads: usize) {
        if d_head % 2 == 1 || heads.saturating_mul(d_head) > MAX_SIZE {
            let what = format!(
                "`{key}` is {d_head} with {heads} heads, expected an even number and at most {MAX_SIZE} in all"
            );
            self.problems.push(Problem::new(what));
        }
    }

    /// What was made, where nothing is wrong.
    pub(super) fn finish(&self, made: impl FnOnce() -> Composition) -> Option<Composition> {
        self.problems.is_empty().then(made)
    }
}
