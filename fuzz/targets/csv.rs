//! The csv reader, read to its end: it goes on after mistakes, so what follows one is reached too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polytask_data::readers;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(mut reader) = readers::open_bytes("fuzz.csv", bytes.to_vec()) {
        let _ = reader.columns();
        for record in reader {
            let _ = record.map_err(|error| error.to_string());
        }
    }
});
