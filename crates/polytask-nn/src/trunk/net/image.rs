//! Networks on images: which one, and how large.

use polytask_core::image::{IMAGE, ImageSize};
use polytask_core::suite::ModelSpec;
use serde::{Deserialize, Serialize};

use super::mistake::wrong;
use crate::Result;

/// Largest side of an image and largest width of a layer: beyond, a configuration file is broken.
const MOST: usize = 16_384;

/// An image network: which one, what it reads, how wide it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// One of the networks on images.
    pub model_type: String,
    /// Colour channels of an image: 1 or 3.
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Pixels per row.
    pub width: usize,
    /// Subtracted from each channel after pixels were divided by 255, `[channels]`.
    pub mean: Vec<f32>,
    /// What each channel is divided by then, `[channels]`.
    pub std: Vec<f32>,
    /// Widths of the layers (`mlp`), channels of the stages (`convnet`, `resnet18`), channels of both convolutions
    /// and width of the vector (`lenet`).
    pub widths: Vec<usize>,
    /// How an image's states become one vector.
    pub pooling: String,
    /// Whether images of other sizes are resized.
    #[serde(default)]
    pub resize: bool,
    /// Whether images with other channels are converted.
    #[serde(default)]
    pub recolour: bool,
}

impl ImageConfig {
    /// The network of this name for images of a size, at its published widths.
    pub fn new(model_type: &str, size: ImageSize) -> Self {
        let widths = match model_type {
            "convnet" => vec![32, 64, 128],
            "lenet" => vec![10, 20, 50],
            "lenet-maps" => vec![10, 20],
            "mlp" => vec![512, 512, 512],
            _ => vec![64, 128, 256, 512],
        };
        let ImageSize { channels, height, width } = size;
        let (mean, std) = (vec![0.0; channels], vec![1.0; channels]);
        // Maps are flattened where heads read places, and averaged where networks end in an average.
        let pooling = if model_type == "lenet-maps" { "flatten" } else { "mean" }.to_owned();
        let (model_type, resize, recolour) = (model_type.to_owned(), false, false);
        Self { model_type, channels, height, width, mean, std, widths, pooling, resize, recolour }
    }

    /// The network of a suite for images of a size.
    pub(super) fn of_suite(model: &ModelSpec, size: ImageSize) -> Self {
        let mut config = Self::new(&model.encoder, size);
        config.mean.fill(model.pixel_mean as f32);
        config.std.fill(model.pixel_std as f32);
        (config.resize, config.recolour) = (model.image_size.is_some(), model.channels.is_some());
        config
    }

    /// What its images are.
    pub fn size(&self) -> ImageSize {
        ImageSize { channels: self.channels, height: self.height, width: self.width }
    }

    /// The values of an image's bytes: standardised, channels innermost.
    pub(super) fn write_values(&self, bytes: &[u32], values: &mut [f32]) {
        let (c, places) = (self.channels, self.height * self.width);
        for (channel, plane) in bytes.chunks_exact(places).enumerate() {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            let scaled = plane.iter().map(|&id| (id as f32 / 255.0 - mean) / std);
            values[channel..].iter_mut().step_by(c).zip(scaled).for_each(|(to, value)| *to = value);
        }
    }

    /// What is wrong with it, found and expected.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(wrong(&self.model_type, &what));
        if !IMAGE.nets.contains(&self.model_type.as_str()) {
            return wrong(format!("no such network, expected one of {}", IMAGE.nets.join(", ")));
        }
        let n_widths = match self.model_type.as_str() {
            "lenet" => self.widths.len() == 3,
            "lenet-maps" => self.widths.len() == 2,
            "resnet18" => self.widths.len() == 4,
            _ => (1..=64).contains(&self.widths.len()),
        };
        let in_range = |n: &usize| (1..=MOST).contains(n);
        if !n_widths || !self.widths.iter().all(in_range) {
            return wrong(format!("widths {:?} do not fit it", self.widths));
        }
        if ![1, 3].contains(&self.channels) || !in_range(&self.height) || !in_range(&self.width) {
            return wrong(format!(
                "images of {}, expected 1 or 3 channels and sides of 1 to {MOST}",
                self.size()
            ));
        }
        if self.mean.len() != self.channels || self.std.len() != self.channels {
            return wrong(format!(
                "expected {} values of `mean` and of `std`, one per channel",
                self.channels
            ));
        }
        if self.mean.iter().any(|m| !m.is_finite()) || self.std.iter().any(|s| !s.is_finite() || *s <= 0.0) {
            return wrong("`mean` and `std` must be finite, `std` above 0".into());
        }
        Ok(())
    }
}
