//! Which columns of a suite's tables encoders of their own read, and what these are.

use polytask_core::Suite;
use polytask_core::input::image::IMAGE;

/// What reads images where a suite says nothing.
const IMAGE_NET: &str = "convnet";

/// Whether a suite's network reads texts or images in columns of a table.
pub(crate) fn are_encoded(suite: &Suite) -> bool {
    suite.model.trees.is_none() && (has_texts(suite) || has_images(suite))
}

/// Whether the images of a suite's tables are read by an encoder that is there already.
pub(crate) fn has_image_encoder(suite: &Suite) -> bool {
    are_encoded(suite) && has_images(suite) && !IMAGE.nets.contains(&image_name(suite))
}

/// What a suite's model is trained from: its encoder; where the rows have images and no texts, what reads these.
pub(crate) fn trained_from(suite: &Suite) -> &str {
    if are_encoded(suite) && !has_texts(suite) { image_name(suite) } else { &suite.model.encoder }
}

/// Whether some columns are texts.
pub(crate) fn has_texts(suite: &Suite) -> bool {
    suite.sources.iter().any(|source| !source.texts.is_empty())
}

/// Whether some columns are images.
pub(crate) fn has_images(suite: &Suite) -> bool {
    suite.sources.iter().any(|source| !source.images.is_empty())
}

/// What reads images.
pub(crate) fn image_name(suite: &Suite) -> &str {
    suite.model.image_encoder.as_deref().unwrap_or(IMAGE_NET)
}
