//! What turns texts and images in columns of a table into symbols.

use std::sync::Arc;

use polytask_core::image::ImageSpec;

use crate::Tokenizer;

/// What turns cells of texts and images into symbols.
#[derive(Debug, Clone, Default)]
pub struct CellSymbols {
    /// Of texts.
    pub tokenizer: Option<Arc<Tokenizer>>,
    /// What images must be.
    pub images: ImageSpec,
}

impl PartialEq for CellSymbols {
    fn eq(&self, other: &Self) -> bool {
        let same_ids = match (&self.tokenizer, &other.tokenizer) {
            (Some(a), Some(b)) => a.same_ids(b),
            (a, b) => a.is_none() && b.is_none(),
        };
        same_ids && self.images == other.images
    }
}
