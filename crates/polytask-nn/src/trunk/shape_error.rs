//! The error about shapes: what was found, and what would fit.

use crate::{Error, Result};

/// An error about shapes.
pub(crate) fn shape<R>(part: &str, found: impl Into<String>, expected: impl Into<String>) -> Result<R> {
    Err(Error::Shape { part: part.into(), found: found.into(), expected: expected.into() })
}
