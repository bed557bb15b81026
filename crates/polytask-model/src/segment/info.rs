//! What a model's folder says about the segmentations its heads learnt.

use std::path::Path;

use polytask_core::{Error, Problem, atomic, files, near};
use polytask_segment::Crossing;
use serde::{Deserialize, Serialize};

use crate::{Model, Result};

/// The file in the folder of a model.
const FILE: &str = "segmenters.json";

/// Which heads decide whether two neighbours are of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Combine {
    /// That of same topics.
    #[default]
    Stp,
    /// That of classes: the probability that both are of one class.
    Tc,
    /// The mean of both.
    Mean,
}

/// A segmentation that some heads of a model learnt together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmenterInfo {
    /// Its name in the suite.
    pub name: String,
    /// The task that says whether two neighbours are of one topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stp: Option<String>,
    /// The task that says which class a sentence is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tc: Option<String>,
    /// The task that says whether a sentence follows another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nsp: Option<String>,
    /// Sentences on each side of a place that are read as one text.
    pub context: usize,
    /// Which heads decide.
    pub combine: Combine,
    /// Which pairs across a place they are asked about.
    #[serde(default)]
    pub crossing: Crossing,
    /// Probability of a boundary above which there is one.
    pub threshold: f64,
}

impl SegmenterInfo {
    /// The labels of its classes, in the order of outputs.
    pub(super) fn labels<'a>(&self, model: &'a Model) -> &'a [String] {
        let task = self.tc.as_deref().and_then(|name| model.task(name).ok());
        task.map_or(&[], |task| &task.info.labels)
    }

    /// Refuses what its heads cannot decide.
    pub(super) fn check(&self, model: &Model) -> Result<()> {
        for name in self.stp.iter().chain(&self.tc) {
            model.task(name)?;
        }
        let lacks = match self.combine {
            Combine::Stp => self.stp.is_none(),
            Combine::Tc => self.tc.is_none(),
            Combine::Mean => self.stp.is_none() || self.tc.is_none(),
        };
        if !(1..=Crossing::WIDEST).contains(&self.crossing.width) {
            let what =
                format!("segmentation `{}` compares {} sentences a side", self.name, self.crossing.width);
            let what = format!("{what}, expected 1 to {}", Crossing::WIDEST);
            return Err(Problem::new(what).try_this("train again, or copy the model's folder whole").into());
        }
        if lacks {
            let what = format!("segmentation `{}` decides by heads that it lacks", self.name);
            return Err(Problem::new(what).try_this("heads = [\"stp\", ...], or another `combine`").into());
        }
        Ok(())
    }
}

/// The segmentations of a model's folder; none where it learnt none.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn read_segmenters(folder: &Path) -> Result<Vec<SegmenterInfo>> {
    let path = folder.join(FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let bytes = files::read(&path, files::SMALL).map_err(Error::io("read", &path))?;
    let broken = |error: serde_json::Error| {
        let what = format!("{} is broken: {error}", path.display());
        Error::from(Problem::new(what).try_this("train again, or copy the model's folder whole"))
    };
    Ok(serde_json::from_slice(&bytes).map_err(broken)?)
}

/// Writes the segmentations of a model's folder.
///
/// # Errors
/// Those of the disk.
pub fn write_segmenters(folder: &Path, segmenters: &[SegmenterInfo]) -> Result<()> {
    Ok(atomic::write_json(&folder.join(FILE), &segmenters)?)
}

/// The segmentation of a name, or the only one.
///
/// # Errors
/// When there is none, or there are several and none is named.
pub fn choose(mut all: Vec<SegmenterInfo>, name: Option<&str>) -> Result<SegmenterInfo> {
    let names: Vec<String> = all.iter().map(|info| info.name.clone()).collect();
    let found = match name {
        Some(name) => all.iter().position(|info| info.name == name),
        None if all.len() == 1 => Some(0),
        None => None,
    };
    if let Some(at) = found {
        return Ok(all.swap_remove(at));
    }
    let (what, remedy) = match name {
        _ if all.is_empty() => (
            "the model learnt no segmentation, expected one trained with a task of the kind `segmentation`"
                .to_owned(),
            "`--method texttiling`, which needs no training".to_owned(),
        ),
        Some(name) => (format!("the model has no segmentation `{name}`"), near::advice(name, &names)),
        None => {
            (format!("the model has several segmentations: {}", names.join(", ")), "`--task NAME`".into())
        }
    };
    Err(Problem::new(what).try_this(remedy).into())
}
