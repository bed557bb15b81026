//! Relevance judgements, BEIR and TREC.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polytask_data::readers::qrels;

fuzz_target!(|bytes: &[u8]| {
    for file in ["fuzz.tsv", "fuzz.jsonl"] {
        let _ = qrels::read_bytes(file, bytes).map_err(|error| error.to_string());
    }
});
