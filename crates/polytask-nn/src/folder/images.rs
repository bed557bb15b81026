//! `preprocessor_config.json`: how images of any size become the values an encoder reads.

use std::path::Path;

use polytask_core::error::Place;
use polytask_core::image::{Filter, IMAGE, ImageSize, Resize};
use polytask_core::length::read_json;
use polytask_core::{Error, Problem, Result};
use serde_json::Value;

use crate::trunk::families::EncoderFamily;
use crate::trunk::fronts::Pixels;

/// The file's name.
const FILE: &str = "preprocessor_config.json";

/// Largest side of an image: beyond, a file is broken.
const MOST: u64 = 4096;

/// How images become values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Images {
    pub(crate) resize: Resize,
    /// Per channel: subtracted from values in [0, 1].
    mean: Vec<f32>,
    /// Per channel: what they are divided by then.
    std: Vec<f32>,
}

/// The file of a folder; null where the family reads no images.
pub(super) fn read(folder: &Path, family: &EncoderFamily) -> Result<Value> {
    if *family.input != IMAGE {
        return Ok(Value::Null);
    }
    read_json(folder, FILE)?.ok_or_else(|| {
        let what = "no such file, so it is not said how images become values";
        Problem::at(Place::file(&folder.join(FILE)), what)
            .try_this("the file the encoder was published with")
            .into()
    })
}

impl Images {
    /// What a file says.
    ///
    /// # Errors
    /// Everything it says that is not done here.
    pub(crate) fn parse(json: &Value) -> Result<Self> {
        let mut problems = Vec::new();
        let images = Self {
            resize: resize(json, &mut problems),
            mean: values(json, "image_mean", 0.0, &mut problems),
            std: values(json, "image_std", 1.0, &mut problems),
        };
        let factor = json.get("rescale_factor").and_then(Value::as_f64).unwrap_or(1.0 / 255.0);
        if !flag(json, "do_rescale") || (factor * 255.0 - 1.0).abs() > 1e-6 {
            problems.push(wrong(json, "rescale_factor", "values divided by 255"));
        }
        if images.std.iter().any(|s| *s <= 0.0) {
            problems.push(wrong(json, "image_std", "numbers above 0"));
        }
        if problems.is_empty() { Ok(images) } else { Err(Error::Invalid(problems)) }
    }

    /// The values of its images; how many channels they have is said elsewhere.
    pub(crate) fn pixels(&self) -> Pixels {
        let size =
            ImageSize { channels: self.mean.len(), height: self.resize.height, width: self.resize.width };
        Pixels { size, mean: self.mean.clone(), std: self.std.clone() }
    }
}

/// A switch that is on where the file says nothing.
fn flag(json: &Value, key: &str) -> bool {
    json.get(key).and_then(Value::as_bool).unwrap_or(true)
}

fn wrong(json: &Value, key: &str, expected: &str) -> Problem {
    let found = json.get(key).map_or_else(|| "missing".to_owned(), ToString::to_string);
    Problem::new(format!("`{key}` of {FILE} is {found}, expected {expected}"))
        .try_this("an encoder whose images are prepared so")
}

/// Values per channel; those that change nothing where the file does not standardise.
fn values(json: &Value, key: &str, neutral: f32, problems: &mut Vec<Problem>) -> Vec<f32> {
    let all = json.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let numbers: Vec<f32> = all.iter().filter_map(Value::as_f64).map(|v| v as f32).collect();
    if !flag(json, "do_normalize") {
        return vec![neutral; numbers.len().max(1)];
    }
    if numbers.is_empty() || numbers.len() != all.len() || numbers.iter().any(|v| !v.is_finite()) {
        problems.push(wrong(json, key, "a number per channel"));
    }
    numbers
}

/// How images are brought to a size: a square or a rectangle, or by their shorter side with the middle cut out.
fn resize(json: &Value, problems: &mut Vec<Problem>) -> Resize {
    let size = json.get("size").cloned().unwrap_or(Value::Null);
    let crops = json.get("do_center_crop").and_then(Value::as_bool).unwrap_or(false);
    let crop = json.get("crop_size").filter(|_| crops).and_then(sides);
    let shorter = size.get("shortest_edge").and_then(side).or_else(|| side(&size).filter(|_| crops));
    let filter = match json.get("resample").and_then(Value::as_u64) {
        None | Some(2) => Filter::Bilinear,
        Some(3) => Filter::Bicubic,
        Some(_) => {
            problems.push(wrong(json, "resample", "2 (bilinear) or 3 (bicubic)"));
            Filter::Bilinear
        }
    };
    if !flag(json, "do_resize") {
        problems.push(wrong(json, "do_resize", "true"));
    }
    let to = match (shorter, crop, sides(&size)) {
        (Some(shorter), Some((height, width)), _) if height.max(width) <= shorter => {
            Some(Resize { height, width, shorter_side: Some(shorter), filter })
        }
        (None, None, Some((height, width))) => Some(Resize { filter, ..Resize::to(height, width) }),
        _ => None,
    };
    to.unwrap_or_else(|| {
        let expected = "`height` and `width`, or `shortest_edge` with a `crop_size` within it";
        problems.push(wrong(json, "size", expected));
        Resize::to(1, 1)
    })
}

/// A number of pixels.
fn side(value: &Value) -> Option<usize> {
    value.as_u64().filter(|n| (1..=MOST).contains(n)).map(|n| n as usize)
}

/// Height and width; those of a square where a file has one number.
fn sides(value: &Value) -> Option<(usize, usize)> {
    match side(value) {
        Some(n) => Some((n, n)),
        None => Some((side(value.get("height")?)?, side(value.get("width")?)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn dinov2() -> Value {
        json!({"crop_size": {"height": 224, "width": 224}, "do_center_crop": true, "do_convert_rgb": true,
            "do_normalize": true, "do_rescale": true, "do_resize": true, "image_mean": [0.485, 0.456, 0.406],
            "image_processor_type": "BitImageProcessor", "image_std": [0.229, 0.224, 0.225], "resample": 3,
            "rescale_factor": 1.0 / 255.0, "size": {"shortest_edge": 256}})
    }

    #[test]
    fn published_files_are_read_as_they_are_meant() {
        let images = Images::parse(&dinov2()).unwrap();
        let resize = Resize { height: 224, width: 224, shorter_side: Some(256), filter: Filter::Bicubic };
        assert_eq!((images.resize, images.mean[1]), (resize, 0.456));
        let old = json!({"do_normalize": true, "do_resize": true, "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5], "size": 224});
        assert_eq!(Images::parse(&old).unwrap().resize, Resize::to(224, 224));
        let plain = json!({"do_normalize": false, "image_mean": [0.5], "image_std": [0.5],
            "size": {"height": 30, "width": 40}});
        let plain = Images::parse(&plain).unwrap();
        assert_eq!((plain.mean, plain.std, plain.resize.width), (vec![0.0], vec![1.0], 40));
    }

    #[test]
    fn what_a_file_says_and_is_not_done_is_refused_by_its_field() {
        for (key, value) in [
            ("resample", json!(0)),
            ("rescale_factor", json!(0.0078)),
            ("do_rescale", json!(false)),
            ("size", json!({"shortest_edge": 200})),
            ("size", json!({"height": 0, "width": 5})),
            ("image_mean", json!([])),
            ("image_std", json!([0.0, 1.0, 1.0])),
            ("image_std", json!("half")),
            ("do_resize", json!(false)),
        ] {
            let mut json = dinov2();
            json[key] = value;
            let told = Images::parse(&json).unwrap_err().to_string();
            let field = if key == "do_rescale" { "rescale_factor" } else { key };
            assert!(told.contains(field), "{key}: {told}");
        }
    }
}
