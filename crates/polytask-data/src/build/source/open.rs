//! Files as rows: as they stand there, or made of documents.

use std::path::Path;
use std::sync::Arc;

use polytask_core::{Place, Problem, Result, Split};

use super::Reading;
use crate::documents;
use crate::readers::{self, Reader};

impl Reading<'_, '_> {
    /// The rows of a file.
    pub(super) fn open(&self, file: &Path, split: Split) -> Result<Reader> {
        let reader = match &self.spec.documents {
            Some(form) => documents::reader(file, form, split, self.builder.suite.seed),
            None => readers::open(file),
        }?;
        let texts = &self.spec.texts;
        Ok(match self.builder.vectors.as_ref().filter(|_| !texts.is_empty()) {
            Some(vectors) => reader.with_vectors(texts, Arc::clone(vectors)),
            None => reader,
        })
    }

    /// Why there is no valid split, where it would have to be cut from documents: their rows belong together.
    pub(super) fn lacks_valid(&self) -> Option<Problem> {
        if self.spec.documents.is_none() || self.has(Split::Valid) || !self.has(Split::Train) {
            return None;
        }
        let place = Place::line(&self.builder.suite.file, self.spec.line);
        let what =
            format!("source `{}` has no valid file, and documents are not cut by rows", self.spec.name);
        Some(Problem::at(place, what).try_this("files = { train = \"...\", valid = \"...\" }"))
    }
}
