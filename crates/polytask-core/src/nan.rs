//! Numbers that are none, in files.

use serde::Deserialize;

/// JSON has no NaN: it is written as `null` and must come back.
pub(crate) fn null_is_nan<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}
