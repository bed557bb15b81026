//! What the cells of a column are, as they are read.

/// What the cells of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing: a trained network does not read it.
    Silent,
    Number,
    Category {
        /// Whether the suite or a trained network says so.
        is_declared: bool,
    },
    /// A text, which an encoder reads.
    Text,
    /// The file of an image, which an encoder reads.
    Image,
}
