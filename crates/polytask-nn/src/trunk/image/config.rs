//! Which image network, and how large.

use polytask_core::Problem;
use polytask_core::image::{self, ImageSize};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Largest side of an image and largest width of a layer: beyond, a configuration file is broken.
const MOST: usize = 16_384;

/// Most values of one image between two layers.
const MOST_VALUES: usize = 1 << 26;

/// An image network: which one, what it reads, how wide it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// One of [`image::NETS`].
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
    ///
    /// # Errors
    /// When there is no such network or the images are too small for it.
    pub fn new(model_type: &str, size: ImageSize) -> Result<Self> {
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
        Self { model_type, channels, height, width, mean, std, widths, pooling, resize, recolour }.checked()
    }

    /// What its images are.
    pub fn size(&self) -> ImageSize {
        ImageSize { channels: self.channels, height: self.height, width: self.width }
    }

    /// The configuration, if a network can be built of it.
    ///
    /// # Errors
    /// What is wrong, found and expected.
    pub fn checked(self) -> Result<Self> {
        let wrong = |what: String| -> Result<Self> {
            let problem = Problem::new(format!("image network `{}`: {what}", self.model_type));
            Err(Error::Core(problem.try_this("the config.json that a run of polytask wrote").into()))
        };
        if !image::is_net(&self.model_type) {
            return wrong(format!("no such network, expected one of {}", image::NETS.join(", ")));
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
        match super::nets::build(&self) {
            Some(graph) if graph.nodes.iter().all(|node| node.out.len() <= MOST_VALUES) => Ok(self),
            Some(_) => wrong(format!("images of {} need too much memory", self.size())),
            None => {
                let what = format!(
                    "images of {} are too small for image network `{}`",
                    self.size(),
                    self.model_type
                );
                let remedy = "larger images (`model.image.size`), or the network `mlp` or `convnet`";
                Err(Error::Core(Problem::new(what).try_this(remedy).into()))
            }
        }
    }
}
