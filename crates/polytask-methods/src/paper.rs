//! What a paper says about itself, and how its experiment gets data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use polytask_core::Problem;
use polytask_train::Result;

/// A paper in the registry.
#[derive(Debug, Clone, Copy)]
pub struct Paper {
    /// Its number, or the name of an experiment that is no single paper's.
    pub id: &'static str,
    /// Its name in words of a file name: `rep-mtl`.
    pub name: &'static str,
    /// The name in prose.
    pub title: &'static str,
    /// Authors, venue, year.
    pub paper: &'static str,
    /// What kind of method it is.
    pub family: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// What is claimed and tried.
    pub claim: &'static str,
    /// What it costs compared with the plain step.
    pub cost: &'static str,
    /// Ids of the parts of a suite it is reached by.
    pub parts: &'static [&'static str],
    /// Its recipe: a suite with `[method]`.
    pub recipe: &'static str,
    /// Makes or finds the experiment's data.
    pub data: fn(&Request) -> Result<Data>,
    /// Runs an arm in a world whose truth is known, for settings that ask for it.
    pub oracle: Option<fn(&OracleRequest) -> Result<OracleScores>>,
}

/// What an oracle is asked.
#[derive(Debug, Clone, Copy)]
pub struct OracleRequest<'a> {
    /// The arm's name.
    pub arm: &'a str,
    /// Numbers of the recipe and the setting.
    pub numbers: &'a BTreeMap<String, f64>,
    /// The seed.
    pub seed: u64,
}

impl OracleRequest<'_> {
    /// A number of the recipe within a range.
    ///
    /// # Errors
    /// A number that is not there or lies outside.
    pub fn number(&self, name: &str, range: std::ops::RangeInclusive<f64>) -> Result<f64> {
        let found = self.numbers.get(name).copied().unwrap_or(f64::NAN);
        if range.contains(&found) {
            return Ok(found);
        }
        let what = format!("method.data.{name} is {found}, expected {} to {}", range.start(), range.end());
        Err(Problem::new(what).try_this("leave it to the recipe").into())
    }

    /// The same, a whole number.
    ///
    /// # Errors
    /// As [`Self::number`], or a number that is not whole.
    pub fn count(&self, name: &str, range: std::ops::RangeInclusive<usize>) -> Result<usize> {
        let number = self.number(name, *range.start() as f64..=*range.end() as f64)?;
        if number.fract() == 0.0 {
            return Ok(number as usize);
        }
        let what = format!("method.data.{name} is {number}, expected a whole number");
        Err(Problem::new(what).try_this("leave it to the recipe").into())
    }
}

/// What an arm reached in a world of known truth.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OracleScores {
    /// Each task with its metric and value.
    pub tasks: Vec<OracleScore>,
    /// What else was measured, by name.
    pub measured: Vec<(&'static str, f64)>,
    /// Steps taken.
    pub steps: u64,
}

/// A task's score in a world of known truth.
#[derive(Debug, Clone, PartialEq)]
pub struct OracleScore {
    /// The task.
    pub task: &'static str,
    /// The metric.
    pub metric: &'static str,
    /// Its value.
    pub value: f64,
}

/// What data an experiment asks for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Folders in which data sets are looked for, in order.
    pub bases: &'a [PathBuf],
    /// An empty or formerly made folder of this setting and seed.
    pub folder: &'a Path,
    /// Numbers of the recipe: sizes, shares.
    pub numbers: &'a BTreeMap<String, f64>,
    /// Seed of the arms that will be trained on it.
    pub seed: u64,
}

impl Request<'_> {
    /// A number of the recipe; 0 when it says nothing.
    pub fn number(&self, name: &str) -> f64 {
        self.numbers.get(name).copied().unwrap_or(0.0)
    }
}

/// Where an experiment's data lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// The folder the paths of the recipe start at.
    pub folder: PathBuf,
    /// Differs whenever the data do.
    pub key: String,
}
