//! The header of a safetensors file: what is accepted lies inside the file, apart, and of the claimed size.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polytask_nn::weights::read_header;

fuzz_target!(|bytes: &[u8]| {
    // A length other than that of the bytes stands for a truncated or a longer file.
    let (length, mut file) = match bytes.split_first() {
        Some((0, rest)) => (rest.len() as u64 / 2, rest),
        Some((1, rest)) => (u64::MAX, rest),
        Some((_, rest)) => (rest.len() as u64, rest),
        None => (0, bytes),
    };
    let Ok(header) = read_header(&mut file, length) else { return };
    for entry in &header.entries {
        assert!(entry.begin <= entry.end && entry.end <= length, "{entry:?} of {length}");
        assert_eq!(entry.is_empty(), entry.len() == 0);
    }
});
