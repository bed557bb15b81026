//! A recipe: a suite with a table `[method]` that says which arms are compared, on which data, over how many seeds.
//!
//! An arm is the suite with a few settings changed, in the words of `--set`; so is what `--quick` changes.

use std::collections::BTreeMap;
use std::path::Path;

use polytask_core::suite::{self, Catalogue};
use polytask_core::{Problem, Suite, near};
use polytask_train::Result;
use serde::Deserialize;
use serde_json::{Map, Value};
use toml_edit::{DocumentMut, Item};

use crate::findings::Role;

mod json;
mod numbers;
mod steps;

use json::{json, of_value};
pub use steps::{StepSpec, beyond, is_of_step, of_step, of_suite};

/// The numbers of the data that a `--set` of this text sets: one, or the whole table.
fn asked(text: &str, method: &Value) -> Vec<String> {
    let key = text.split_once('=').map_or(text, |(key, _)| key).trim();
    if key == "method.data" {
        return method["data"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    }
    key.strip_prefix("method.data.").map(str::to_owned).into_iter().collect()
}

/// A recipe that has been read.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The suite all arms start from.
    suite: DocumentMut,
    /// Settings changed in every arm.
    set: Vec<String>,
    /// Numbers of the data that the user set.
    asked: Vec<String>,
    /// What is compared.
    pub spec: Spec,
}

/// The table `[method]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The paper's number or the experiment's name.
    pub id: String,
    /// Seeds each arm is trained with: 1, 2, …
    pub seeds: usize,
    /// Seeds on which parameters are chosen, at most `seeds`.
    pub choose_on: usize,
    /// Numbers the data are made by.
    #[serde(default)]
    pub data: BTreeMap<String, f64>,
    /// Names of what a method or regularizer observes of itself and that is reported, late in training.
    #[serde(default)]
    pub observe: Vec<String>,
    /// What `--quick` changes.
    pub quick: Quick,
    /// Data and tasks the arms are compared in.
    pub setting: Vec<Setting>,
    /// The arms, in the order they are trained.
    pub arm: Vec<ArmSpec>,
    /// Which differences are judged.
    #[serde(default)]
    pub compare: Vec<CompareSpec>,
}

/// What `--quick` changes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quick {
    /// Seeds.
    pub seeds: usize,
    /// Settings changed in every arm.
    #[serde(default)]
    pub set: Vec<String>,
    /// The settings that are kept.
    pub settings: Vec<String>,
    /// The arms that are kept.
    pub arms: Vec<String>,
    /// Numbers the data are made by.
    #[serde(default)]
    pub data: BTreeMap<String, f64>,
}

/// Data and tasks that arms are compared in.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// The suite's tasks it trains; all when absent.
    #[serde(default)]
    pub tasks: Vec<String>,
    /// The suite's tasks that its models are asked without having been trained on them, one measured value each.
    #[serde(default)]
    pub unseen: Vec<String>,
    /// Whether the paper's oracle, a world of known truth, runs its arms in the place of trainings.
    #[serde(default)]
    pub oracle: bool,
    /// What an arm's score is.
    pub score: ArmScore,
    /// Seeds of its arms, where these are not the recipe's.
    pub seeds: Option<usize>,
    /// Numbers the data are made by, on top of the recipe's.
    #[serde(default)]
    pub data: BTreeMap<String, f64>,
}

/// What an arm's score is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArmScore {
    /// The mean of the tasks' main metrics, in points of 100.
    Mean,
    /// The mean relative change against the single-task arm in percent, positive = better.
    DeltaM,
}

/// An arm.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmSpec {
    /// Its name.
    pub name: String,
    /// Settings changed in it.
    #[serde(default)]
    pub set: Vec<String>,
    /// What is done, where that is more than one training; a setting `step.N.KEY=VALUE` is that of a step.
    #[serde(default)]
    pub steps: Vec<StepSpec>,
    /// Candidates, of which the best on valid is reported.
    #[serde(default)]
    pub choose: Vec<Candidate>,
    /// Whether each task is trained alone.
    #[serde(default)]
    pub alone: bool,
    /// The tasks it is trained on, where these are not the setting's: it is asked about all of the setting's.
    #[serde(default)]
    pub tasks: Vec<String>,
    /// Whether its model is kept beside its result, as `NAME.model`, for later arms that learn from it.
    #[serde(default)]
    pub keeps: bool,
    /// What learns in the place of a training: `probe`, `bm25`, `prior`.
    pub learner: Option<String>,
    /// The settings it belongs to; all when absent.
    #[serde(default)]
    pub settings: Vec<String>,
    /// An earlier arm whose settings and choice it takes.
    pub like: Option<String>,
    /// An earlier arm whose training time it gets: fewer epochs than `like`, as its steps are dearer.
    pub in_time_of: Option<String>,
}

/// A candidate of a choice.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// What tells it from the others: `rho = 0.05`.
    pub label: String,
    /// Settings changed.
    pub set: Vec<String>,
}

/// A difference that is judged.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompareSpec {
    /// What it is evidence of.
    pub role: Role,
    /// The setting.
    pub setting: String,
    /// The arm said to be better.
    pub better: String,
    /// The arm it is compared with.
    pub than: String,
    /// `score`, a measured value, or a task whose score is meant.
    #[serde(default = "score")]
    pub value: String,
    /// Whether lower values are better.
    #[serde(default)]
    pub lower: bool,
    /// The difference it must exceed; below 0 where only harm is to be excluded.
    #[serde(default)]
    pub bar: f64,
    /// The difference that is claimed, `bar` when absent: an interval below it refutes the claim.
    pub claimed: Option<f64>,
}

fn score() -> String {
    "score".into()
}

impl Recipe {
    /// Reads a recipe; `set` are the `KEY=VALUE` of `--set`, of which `method.…` change the experiment itself.
    pub fn read(text: &str, set: &[String]) -> Result<Self> {
        let wrong = |why: String| {
            let what = format!("the recipe cannot be read: {why}");
            Problem::new(what).try_this("a key of [method] that there is, as method.data.train=1000")
        };
        let mut suite: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| wrong(e.to_string()))?;
        let method = suite.remove("method").ok_or_else(|| wrong("it has no [method]".into()))?;
        let mut method = json(&method);
        let numbers = numbers::known(&method);
        let (of_method, set): (Vec<&String>, Vec<&String>) =
            set.iter().partition(|text| text.starts_with("method."));
        let written = method.clone();
        for text in &of_method {
            change(&mut method, text)?;
        }
        numbers::check(&method, &numbers)?;
        let asked: Vec<String> = of_method.iter().flat_map(|text| asked(text, &method)).collect();
        asked.iter().try_for_each(|name| numbers::check_asked(&written, name))?;
        let spec: Spec = serde_json::from_value(method).map_err(|e| wrong(e.to_string()))?;
        let is_none = |setting: &Setting| setting.seeds == Some(0);
        if spec.seeds == 0 || spec.quick.seeds == 0 || spec.setting.iter().any(is_none) {
            return Err(wrong("`seeds` is 0, expected at least 1".into()).into());
        }
        Ok(Self { suite, set: set.into_iter().cloned().collect(), asked, spec })
    }

    /// The same in its short form.
    #[must_use]
    pub fn shortened(mut self) -> Self {
        let spec = &mut self.spec;
        let quick = spec.quick.clone();
        spec.seeds = quick.seeds;
        spec.setting.iter_mut().for_each(|setting| setting.seeds = None);
        let is_asked = |name: &str| self.asked.iter().any(|asked| asked == name);
        spec.data.extend(quick.data.into_iter().filter(|(name, _)| !is_asked(name)));
        spec.setting.retain(|setting| quick.settings.contains(&setting.name));
        spec.arm.retain(|arm| quick.arms.contains(&arm.name));
        // What the user sets comes last and wins.
        self.set.splice(0..0, quick.set);
        self
    }

    /// With these arms, also in the short form, the single-task one and those they refer to, in the settings they belong
    /// to; with all of them where none is named.
    pub fn only(mut self, names: &[String]) -> Result<Self> {
        let known: Vec<&str> = self.spec.arm.iter().map(|arm| arm.name.as_str()).collect();
        if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
            let what = format!("there is no arm `{name}`");
            return Err(Problem::new(what).try_this(near::advice(name, &known)).into());
        }
        if names.is_empty() {
            return Ok(self);
        }
        let mut wanted = names.to_vec();
        // Arms refer to earlier ones: from the last to the first, whoever is referred to is known in time.
        for arm in self.spec.arm.iter().rev() {
            if wanted.contains(&arm.name) {
                wanted.extend(arm.like.iter().chain(&arm.in_time_of).cloned());
            }
        }
        self.spec.arm.retain(|arm| arm.alone || arm.keeps || wanted.contains(&arm.name));
        let named = |arm: &&ArmSpec| names.contains(&arm.name);
        let belongs = |setting: &str, arm: &ArmSpec| {
            arm.settings.is_empty() || arm.settings.iter().any(|s| s == setting)
        };
        let Spec { setting, arm, quick, .. } = &mut self.spec;
        setting.retain(|setting| arm.iter().filter(named).any(|arm| belongs(&setting.name, arm)));
        quick.arms = arm.iter().map(|arm| arm.name.clone()).collect();
        quick.settings.retain(|name| setting.iter().any(|setting| setting.name == *name));
        if quick.settings.is_empty() {
            quick.settings = setting.iter().map(|setting| setting.name.clone()).collect();
        }
        Ok(self)
    }

    /// The suite that an arm of a setting trains with these changes, as if it stood in `folder`.
    pub fn suite(
        &self,
        (setting, arm): (&Setting, &ArmSpec),
        folder: &Path,
        changes: &[String],
        catalogue: &Catalogue,
    ) -> Result<Suite> {
        let tasks = if arm.tasks.is_empty() { self.tasks(setting) } else { arm.tasks.clone() };
        let (text, changes) = self.with_tasks(&tasks, changes);
        Ok(suite::parse(&text, &folder.join("recipe.toml"), catalogue, &changes)?)
    }

    /// The suite of what an arm's models are asked without having been trained on it; `None` where there is nothing.
    pub fn suite_of_unseen(
        &self,
        (setting, arm): (&Setting, &ArmSpec),
        folder: &Path,
        changes: &[String],
        catalogue: &Catalogue,
    ) -> Result<Option<Suite>> {
        let mut tasks = setting.unseen.clone();
        if !arm.tasks.is_empty() {
            tasks.extend(self.tasks(setting).into_iter().filter(|task| !arm.tasks.contains(task)));
        }
        if tasks.is_empty() {
            return Ok(None);
        }
        let (text, mut changes) = self.with_tasks(&tasks, changes);
        // Nothing is trained, and what trains may name tasks that are not here.
        changes.retain(|change| !change.starts_with("train."));
        Ok(Some(suite::parse_to_judge(&text, &folder.join("recipe.toml"), catalogue, &changes)?))
    }

    /// The tasks of a setting that scores are of.
    fn tasks(&self, setting: &Setting) -> Vec<String> {
        if !setting.tasks.is_empty() {
            return setting.tasks.clone();
        }
        let seen = |name: &String| !setting.unseen.contains(name);
        names(self.suite.get("task")).into_iter().filter(seen).collect()
    }

    /// The suite with some of its tasks and the node sets they name, and the changes that are about these.
    fn with_tasks(&self, kept: &[String], changes: &[String]) -> (String, Vec<String>) {
        let mut document = self.suite.clone();
        let mut named = Vec::new();
        if let Some(tasks) = document.get_mut("task").and_then(Item::as_array_of_tables_mut) {
            tasks.retain(|task| name(task).is_some_and(|name| kept.contains(&name)));
            let sides = |task: &toml_edit::Table| {
                ["left", "right"].map(|side| task.get(side).and_then(Item::as_str).map(str::to_owned))
            };
            named = tasks.iter().flat_map(sides).flatten().collect();
        }
        if let Some(nodes) = document.get_mut("nodes").and_then(Item::as_array_of_tables_mut) {
            nodes.retain(|set| name(set).is_some_and(|name| named.contains(&name)));
        }
        let dropped: Vec<String> =
            names(self.suite.get("task")).into_iter().filter(|name| !kept.contains(name)).collect();
        let is_about =
            |change: &&String| !dropped.iter().any(|name| change.starts_with(&format!("task.{name}.")));
        let changes = of_suite(changes);
        (document.to_string(), changes.iter().chain(&self.set).filter(is_about).cloned().collect())
    }

    /// The arms of a setting.
    pub fn arms(&self, setting: &Setting) -> impl Iterator<Item = &ArmSpec> {
        let belongs = |arm: &&ArmSpec| arm.settings.is_empty() || arm.settings.contains(&setting.name);
        self.spec.arm.iter().filter(belongs)
    }

    /// Seeds that the arms of a setting are trained with.
    pub fn seeds(&self, setting: &Setting) -> usize {
        setting.seeds.unwrap_or(self.spec.seeds)
    }

    /// With this many seeds in every setting.
    #[must_use]
    pub fn with_seeds(mut self, seeds: usize) -> Self {
        self.spec.seeds = seeds;
        self.spec.setting.iter_mut().for_each(|setting| setting.seeds = None);
        self
    }

    /// The numbers a setting's data are made by.
    pub fn numbers(&self, setting: &Setting) -> BTreeMap<String, f64> {
        self.spec.data.clone().into_iter().chain(setting.data.clone()).collect()
    }
}

/// The name of a section.
fn name(section: &toml_edit::Table) -> Option<String> {
    section.get("name").and_then(Item::as_str).map(str::to_owned)
}

/// The names of the sections of a list.
fn names(list: Option<&Item>) -> Vec<String> {
    list.and_then(Item::as_array_of_tables).into_iter().flatten().filter_map(name).collect()
}

/// `method.PATH=VALUE` in the table.
fn change(method: &mut Value, text: &str) -> Result<()> {
    let wrong = |what: String, remedy: &str| Problem::new(format!("--set {text}: {what}")).try_this(remedy);
    let (path, value) = text.split_once('=').ok_or_else(|| wrong("no value".into(), "KEY=VALUE"))?;
    let value =
        value.trim().parse::<toml_edit::Value>().map_or_else(|_| value.trim().into(), |v| of_value(&v));
    let mut place = method;
    for step in path.trim().split('.').skip(1) {
        let table = place.as_object_mut().ok_or_else(|| {
            wrong(format!("`{step}` is not inside a table"), "a key of [method], as method.data.train=100")
        })?;
        place = table.entry(step).or_insert(Value::Object(Map::new()));
    }
    *place = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        name = "x"
        [train]
        epochs = 3
        [method]
        id = "x"
        seeds = 5
        choose_on = 2
        data = { train = 100 }
        [method.quick]
        seeds = 2
        set = ["train.epochs=1"]
        settings = ["a"]
        arms = ["EW"]
        data = { train = 10 }
        [[method.setting]]
        name = "a"
        score = "mean"
        data = { noise = 0.2 }
        [[method.setting]]
        name = "b"
        score = "delta-m"
        [[method.arm]]
        name = "EW"
        [[method.arm]]
        name = "F"
        settings = ["b"]
        choose = [{ label = "rho = 1", set = ["train.lr=1"] }]
    "#;

    #[test]
    fn the_short_form_keeps_what_it_names() {
        let recipe = Recipe::read(TEXT, &["train.epochs=9".into()]).unwrap();
        assert_eq!((recipe.spec.setting.len(), recipe.arms(&recipe.spec.setting[0]).count()), (2, 1));
        assert_eq!(recipe.arms(&recipe.spec.setting[1]).count(), 2);
        let short = recipe.shortened();
        assert_eq!((short.spec.seeds, short.spec.setting.len(), short.spec.arm.len()), (2, 1, 1));
        assert_eq!(short.set, ["train.epochs=1", "train.epochs=9"]);
        assert_eq!(short.spec.data["train"], 10.0);
        for set in ["method.data.train=20", "method.data={ train = 20 }"] {
            let asked = Recipe::read(TEXT, &[set.into()]).unwrap().shortened();
            assert_eq!(asked.spec.data["train"], 20.0, "what the user sets wins");
        }
    }

    #[test]
    fn a_number_of_single_settings_is_not_set_for_all() {
        let error = Recipe::read(TEXT, &["method.data.noise=0.1".into()]).unwrap_err().to_string();
        assert!(error.contains("method.data.noise is a number of single settings"), "{error}");
        // Where all settings have their own, that of all data would change nothing.
        let own = TEXT.replace("score = \"delta-m\"", "score = \"delta-m\"\n        data = { train = 7 }");
        assert!(Recipe::read(&own, &["method.data.train=20".into()]).is_ok());
        let own = own.replace("data = { noise = 0.2 }", "data = { noise = 0.2, train = 8 }");
        let error = Recipe::read(&own, &["method.data.train=20".into()]).unwrap_err().to_string();
        assert!(error.contains("method.data.train is a number of single settings (a, b)"), "{error}");
    }

    #[test]
    fn named_arms_come_with_what_they_refer_to_and_stay_in_the_short_form() {
        let more = r#"
            [[method.arm]]
            name = "alone"
            alone = true
            [[method.arm]]
            name = "F in the time of EW"
            like = "F"
            in_time_of = "EW"
        "#;
        let names = |recipe: Recipe| recipe.spec.arm.into_iter().map(|arm| arm.name).collect::<Vec<_>>();
        let recipe = Recipe::read(&format!("{TEXT}{more}"), &[]).unwrap();
        let only = |name: &str| recipe.clone().only(&[name.to_owned()]);
        assert_eq!(names(recipe.clone().only(&[]).unwrap()).len(), 4);
        assert_eq!(names(only("F").unwrap()), ["F", "alone"]);
        assert_eq!(names(only("F in the time of EW").unwrap()).len(), 4);
        let settings = |recipe: Recipe| recipe.spec.setting.into_iter().map(|s| s.name).collect::<Vec<_>>();
        assert_eq!(settings(only("F").unwrap()), ["b"]);
        assert_eq!(settings(only("EW").unwrap()), ["a", "b"]);
        let short = only("F").unwrap().shortened();
        assert_eq!(
            (names(short.clone()), settings(short)),
            (vec!["F".into(), "alone".into()], vec!["b".into()])
        );
        assert_eq!(settings(only("EW").unwrap().shortened()), ["a"]);
        let message = only("f").unwrap_err().to_string();
        assert!(message.contains("there is no arm `f`") && message.contains("`F`"), "{message}");
    }

    #[test]
    fn numbers_of_the_data_are_the_recipes_then_the_settings_and_can_be_set() {
        let recipe = Recipe::read(TEXT, &["method.data.train=20".into()]).unwrap();
        let numbers = recipe.numbers(&recipe.spec.setting[0]);
        assert_eq!((numbers["train"], numbers["noise"]), (20.0, 0.2));
        assert!(recipe.set.is_empty());
    }

    #[test]
    fn every_wrong_number_of_the_data_is_named_with_its_range() {
        let refused = |set: &[&str]| {
            let set: Vec<String> = set.iter().map(ToString::to_string).collect();
            Recipe::read(TEXT, &set).unwrap_err().to_string()
        };
        for bad in ["-5", "0", "10.5", "nan", "inf", "1e18", "\"many\""] {
            let error = refused(&[&format!("method.data.train={bad}")]);
            assert!(
                error.contains("`method.data.train` is ") && error.contains("1 to 1000000000"),
                "{error}"
            );
            assert!(error.contains("try: --set method.data.train="), "{error}");
        }
        for bad in ["-0.1", "1.5", "nan"] {
            let error = refused(&[&format!("method.data.noise={bad}")]);
            assert!(error.contains("`method.data.noise` is ") && error.contains("0 to 1"), "{error}");
        }
        let both = refused(&["method.data.train=0", "method.data.noise=2", "method.quick.data.train=-1"]);
        for key in ["`method.data.train` is 0", "`method.data.noise` is 2", "`method.quick.data.train` is -1"]
        {
            assert!(both.contains(key), "{both}");
        }
        let unknown = refused(&["method.data.trian=20"]);
        assert!(unknown.contains("`method.data.trian`") && unknown.contains("try: `train`"), "{unknown}");
        for right in ["method.data.train=1", "method.data.train=20.0"] {
            Recipe::read(TEXT, &[right.into()]).unwrap();
        }
        let data = ["data = { train = 100 }\n", "data = { train = 10 }\n", "data = { noise = 0.2 }\n"];
        let plain = data.iter().fold(TEXT.to_owned(), |text, data| text.replace(data, ""));
        let error = Recipe::read(&plain, &["method.data.train=20".into()]).unwrap_err().to_string();
        assert!(error.contains("take no numbers"), "{error}");
        let text = TEXT.replace("noise = 0.2", "noise = 2.0");
        let error = Recipe::read(&text, &[]).unwrap_err().to_string();
        assert!(error.contains("`data.noise` of setting `a` is 2"), "{error}");
    }

    #[test]
    fn an_unknown_key_of_the_method_is_named() {
        let error = Recipe::read(TEXT, &["method.sedes=3".into()]).unwrap_err().to_string();
        assert!(error.contains("`sedes`"), "{error}");
        let error = Recipe::read(TEXT, &["method.seeds.x=3".into()]).unwrap_err().to_string();
        assert!(error.contains("not inside a table") && error.contains("try:"), "{error}");
    }
}
