//! A table of the suite whose own keys have been read.

use super::section::Section;
use crate::kind::KindInfo;

/// A task whose own keys have been read; what depends on other sections comes later.
pub(super) struct Draft<'t> {
    pub(super) section: Section<'t>,
    pub(super) name: String,
    /// `None` when it is missing or unknown, which has been reported.
    pub(super) kind: Option<&'static KindInfo>,
}
