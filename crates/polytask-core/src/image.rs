//! What an image is: its size, and the networks that read images.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The image networks a suite may name as its encoder, sorted by name.
pub const NETS: &[&str] = &["convnet", "lenet", "lenet-maps", "mlp", "resnet18"];

/// Whether this is the name of an image network.
pub fn is_net(name: &str) -> bool {
    NETS.contains(&name)
}

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
        self.channels * self.height * self.width
    }

    /// Whether it has no bytes.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
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
    fn networks_are_sorted_and_sizes_print_in_words() {
        assert!(NETS.is_sorted() && is_net("lenet") && !is_net("bert"));
        let size = ImageSize { channels: 3, height: 28, width: 30 };
        assert_eq!((size.to_string().as_str(), size.len()), ("28 x 30 pixels, 3 channels", 2520));
    }
}
