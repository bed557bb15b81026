//! Where topics end in the documents of an index, when passages end there.

use std::path::Path;

use anyhow::Result;
use polytask_index::{EndTopics, IndexEncoder};
use polytask_model::{Model, Segmenter, choose_segmenter, read_segmenters};
use polytask_segment::TilingThreshold;

use crate::models;
use crate::verbs::segment::WIDTH;

/// What says where topics end.
pub(super) enum Topics {
    /// Nothing: passages end elsewhere.
    Unasked,
    /// A model.
    By(Box<Segmenter>),
}

/// Where a model of segments is, in words that hold from any folder.
pub(super) fn source(model: &Path) -> Result<String> {
    let folder = models::folder_or_encoder(model)?;
    Ok(folder.canonicalize()?.to_string_lossy().into_owned())
}

impl Topics {
    /// The heads of another model, or depths by the encoder's own vectors.
    pub(super) fn new(encoder: &IndexEncoder, is_asked: bool, segmenter: Option<&str>) -> Result<Self> {
        if !is_asked {
            return Ok(Self::Unasked);
        }
        let by = if let Some(folder) = segmenter.map(Path::new) {
            let info = choose_segmenter(read_segmenters(folder)?, None)?;
            Segmenter::learned(Model::load(folder)?, info)?
        } else {
            let model = Model::load(&models::folder_or_pulled(Path::new(&encoder.stamp().source))?)?;
            Segmenter::text_tiling(model, WIDTH, TilingThreshold::default())?
        };
        Ok(Self::By(Box::new(by)))
    }

    /// Says of every place between two sentences whether a topic ends there.
    pub(super) fn ends(&self) -> Option<Box<EndTopics<'_>>> {
        let Self::By(segmenter) = self else { return None };
        Some(Box::new(|sentences: &[&str]| {
            let scores = segmenter.scores(sentences)?;
            Ok(segmenter.boundaries(&scores, sentences.len()).marks().to_vec())
        }))
    }
}
