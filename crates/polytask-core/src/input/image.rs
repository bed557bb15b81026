//! Images: files of pixels, all of one size.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{FreshTraining, InputInfo};
use crate::Suite;

/// Files of images.
pub static IMAGE: InputInfo = InputInfo {
    name: "image",
    plural: "images",
    unlike: "images of another kind",
    nets: &["convnet", "lenet", "lenet-maps", "mlp", "resnet18"],
    fresh: Some(FreshTraining {
        encoder: "lenet",
        batch_rows: 128,
        lr: 1e-3,
        visits: 6e4,
        most_epochs: 20.0,
    }),
    model_keys: &["image_size", "channels", "pixel_mean", "pixel_std", "widths"],
    row_keys: &[],
    even_states: true,
    whole_row: false,
    flag: "--image FILE",
    example: r#"{"image": "FILE"}"#,
    hub_pipeline: "image-feature-extraction",
    hub_tag: "image-feature-extraction",
};

/// The size of an image: its bytes are channel by channel, row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ImageSize {
    /// Colour channels.
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Pixels per row.
    pub width: usize,
}

impl ImageSize {
    /// Number of bytes.
    pub const fn len(self) -> usize {
        self.channels.saturating_mul(self.height).saturating_mul(self.width)
    }

    /// Whether it has no bytes.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// How images are brought to a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resize {
    /// Rows of pixels of the result.
    pub height: usize,
    /// Pixels per row of the result.
    pub width: usize,
    /// Where it is set, images keep their proportions: their shorter side gets this length, and the middle is cut out.
    pub shorter_side: Option<usize>,
    /// How values between pixels are found.
    pub filter: Filter,
}

impl Resize {
    /// To a size, whatever the proportions.
    pub const fn to(height: usize, width: usize) -> Self {
        Self { height, width, shorter_side: None, filter: Filter::Bilinear }
    }
}

/// How values between pixels are found; a smaller image is made of all the pixels it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Along straight lines.
    Bilinear,
    /// Along cubics (Keys 1981, a = −1/2).
    Bicubic,
}

/// What images must be, and whether they are made so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImageSpec {
    /// The size every image must have; that of the first one when it is not known.
    pub size: Option<ImageSize>,
    /// How images are resized.
    pub resize: Option<Resize>,
    /// Channels that images are converted to.
    pub channels: Option<usize>,
}

impl ImageSpec {
    /// What a suite says.
    pub fn of(suite: &Suite) -> Self {
        let resize =
            suite.model.image_size.as_ref().and_then(|size| Some(Resize::to(*size.first()?, *size.get(1)?)));
        Self { size: None, resize, channels: suite.model.channels }
    }
}

impl fmt::Display for ImageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channels = crate::plural(self.channels, "channel");
        write!(f, "{} x {} pixels, {channels}", self.height, self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_print_in_words() {
        let size = ImageSize { channels: 3, height: 28, width: 30 };
        assert_eq!((size.to_string().as_str(), size.len()), ("28 x 30 pixels, 3 channels", 2520));
    }
}
