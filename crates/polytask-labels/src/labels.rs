//! The labels of a task as an encoder sees their descriptions.

use polytask_core::near;
use polytask_core::suite::DescribedLabel;
use polytask_nn::{Block, Result};
use serde::{Deserialize, Serialize};

use crate::encoder::TextEncoder;
use crate::features::Features;

/// Descriptions whose cosine is larger are told to be alike.
const ALIKE: f32 = 0.95;
/// Pairs of labels, and labels without descriptions, that a warning names.
const SHOWN: usize = 5;

/// A label as a folder keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WrittenLabel {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) is_described: bool,
}

impl From<&DescribedLabel> for WrittenLabel {
    fn from(label: &DescribedLabel) -> Self {
        let (name, description) = (label.name.clone(), label.description.clone());
        Self { name, description, is_described: label.is_described }
    }
}

impl From<&WrittenLabel> for DescribedLabel {
    fn from(label: &WrittenLabel) -> Self {
        let (name, description) = (label.name.clone(), label.description.clone());
        Self { name, description, is_described: label.is_described }
    }
}

/// Labels with the vectors of their descriptions.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelTexts {
    /// Their names.
    pub names: Vec<String>,
    /// Unit vectors of descriptions, `[labels, d_vector]`.
    pub vectors: Vec<f32>,
    /// Means of the descriptions' token states, `[labels, d_state]`.
    pub means: Vec<f32>,
    /// Values per vector.
    pub d_vector: usize,
    /// What is taken from cosines, so that those of right labels lie above 0 where several may hold.
    pub offset: f32,
}

impl LabelTexts {
    /// Labels as an encoder sees them.
    ///
    /// # Errors
    /// When the encoder cannot read them.
    pub fn new(encoder: &TextEncoder, labels: &[DescribedLabel]) -> Result<Self> {
        let found = encoder.encode(&descriptions(encoder, labels)?, true)?;
        Ok(Self {
            names: labels.iter().map(|label| label.name.clone()).collect(),
            means: (0..found.len()).flat_map(|text| mean(found.states_of(text), found.d_state)).collect(),
            d_vector: found.d_vector,
            vectors: found.vectors,
            offset: 0.0,
        })
    }

    /// Labels whose vectors were kept; the only state of a description is its vector.
    pub(crate) fn kept(labels: &[DescribedLabel], vectors: Block) -> Self {
        let vectors = vectors.values;
        Self {
            names: labels.iter().map(|label| label.name.clone()).collect(),
            d_vector: vectors.len() / labels.len().max(1),
            means: vectors.clone(),
            vectors,
            offset: 0.0,
        }
    }

    /// Number of labels.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The vector of a label.
    pub fn vector(&self, label: usize) -> &[f32] {
        &self.vectors[label * self.d_vector..(label + 1) * self.d_vector]
    }

    /// Cosines of texts and descriptions less the offset, `[texts, labels]`.
    pub fn cosines(&self, texts: &Features) -> Vec<f32> {
        let each = |text: usize| (0..self.len()).map(move |label| (text, label));
        let pairs = (0..texts.len()).flat_map(each);
        pairs.map(|(text, label)| dot(texts.vector(text), self.vector(label)) - self.offset).collect()
    }

    /// What a reader should know of the labels: those without a description, and those that are hardly told apart.
    pub fn warnings(&self, task: &str, labels: &[DescribedLabel]) -> Vec<String> {
        let bare: Vec<&str> =
            labels.iter().filter(|label| !label.is_described).map(|label| label.name.as_str()).collect();
        let named = (!bare.is_empty()).then(|| {
            let more = if bare.len() > SHOWN { ", …" } else { "" };
            let shown = near::list(&bare[..bare.len().min(SHOWN)]);
            format!("task `{task}`: without a description, so that the name stands for it: {shown}{more}")
        });
        named.into_iter().chain(self.alike(task)).collect()
    }

    fn alike(&self, task: &str) -> Option<String> {
        let pairs = (0..self.len()).flat_map(|a| (0..a).map(move |b| (b, a)));
        let close = |&(a, b): &(usize, usize)| dot(self.vector(a), self.vector(b)) > ALIKE;
        let found: Vec<String> = pairs
            .filter(close)
            .map(|(a, b)| format!("`{}` and `{}`", self.names[a], self.names[b]))
            .collect();
        let more = if found.len() > SHOWN { ", …" } else { "" };
        (!found.is_empty()).then(|| {
            let shown = found[..found.len().min(SHOWN)].join(", ");
            format!("task `{task}`: descriptions the encoder hardly tells apart (cosine above {ALIKE}): {shown}{more}")
        })
    }
}

/// Symbols of what labels mean.
pub(crate) fn descriptions(encoder: &TextEncoder, labels: &[DescribedLabel]) -> Result<Vec<Vec<u32>>> {
    let texts: Vec<&str> = labels.iter().map(|label| label.description.as_str()).collect();
    encoder.sequences(&texts, None)
}

/// The mean of rows.
fn mean(rows: &[f32], width: usize) -> Vec<f32> {
    let n = (rows.len() / width.max(1)).max(1) as f32;
    (0..width).map(|c| rows.iter().skip(c).step_by(width).sum::<f32>() / n).collect()
}

pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(name: &str, description: &str, is_described: bool) -> DescribedLabel {
        DescribedLabel { name: name.into(), description: description.into(), is_described }
    }

    #[test]
    fn labels_without_descriptions_and_labels_alike_are_told() {
        let labels = [described("a", "one", true), described("b", "b", false), described("c", "other", true)];
        let names = labels.iter().map(|label| label.name.clone()).collect();
        let vectors = vec![1.0, 0.0, 0.99, 0.141, 0.0, 1.0];
        let texts = LabelTexts { names, vectors, means: vec![], d_vector: 2, offset: 0.0 };
        let told = texts.warnings("news", &labels);
        assert_eq!(told.len(), 2);
        assert!(told[0].contains("`b`") && told[1].contains("`a` and `b`"), "{told:?}");
    }

    #[test]
    fn means_are_taken_value_by_value() {
        assert_eq!(mean(&[1.0, 2.0, 3.0, 6.0], 2), [2.0, 4.0]);
    }
}
