//! The suite file and `--set`: no text panics, and what is accepted is written and read back as itself.
//!
//! The input is the file's text, then overrides, apart by NUL. Data of `seeds/` exist, so suites can be whole.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use polytask_core::method::{Family, MethodInfo, ParamInfo, Range};
use polytask_core::suite::{self, Catalogue};

const SCALE: &[ParamInfo] = &[ParamInfo { name: "scale", about: "", default: "20.0", range: Range::Positive }];
const WEIGHTS: &[ParamInfo] = &[ParamInfo { name: "weights", about: "", default: "{}", range: Range::Map(&[]) }];

const fn part(id: &'static str, family: Family, params: &'static [ParamInfo]) -> MethodInfo {
    MethodInfo { id, title: id, paper: "", family, about: "", cost: "", kinds: &[], params }
}

static LOSSES: [MethodInfo; 3] = [
    part("cosent", Family::Loss, SCALE),
    part("cross-entropy", Family::Loss, &[]),
    part("info-nce", Family::Loss, SCALE),
];
static WEIGHTINGS: [MethodInfo; 2] =
    [part("constant", Family::LossWeighting, WEIGHTS), part("equal", Family::LossWeighting, &[])];

fuzz_target!(|bytes: &[u8]| {
    let catalogue = Catalogue {
        losses: LOSSES.iter().collect(),
        weightings: WEIGHTINGS.iter().collect(),
        metrics: Vec::new(),
    };
    let input = String::from_utf8_lossy(bytes);
    let mut parts = input.split('\0');
    let text = parts.next().unwrap_or_default();
    let overrides: Vec<String> = parts.map(str::to_owned).collect();
    let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/seeds/suite.toml"));
    match suite::parse(text, file, &catalogue, &overrides) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(read) => {
            let written = suite::to_toml(&read);
            let again = suite::parse(&written, file, &catalogue, &[])
                .unwrap_or_else(|error| panic!("{error}\nof the merged suite\n{written}"));
            assert_eq!(suite::to_toml(&again), written);
        }
    }
});
