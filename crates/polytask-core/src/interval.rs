//! A value with its interval, as reports write it.

use serde::{Deserialize, Serialize};

use crate::nan::null_is_nan;

/// A value with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The estimate; NaN where the metric is undefined (`null` in JSON).
    #[serde(deserialize_with = "null_is_nan")]
    pub value: f64,
    /// Lower end of the 95 % interval.
    #[serde(deserialize_with = "null_is_nan")]
    pub low: f64,
    /// Upper end of the 95 % interval.
    #[serde(deserialize_with = "null_is_nan")]
    pub high: f64,
}
