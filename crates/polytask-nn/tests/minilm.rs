//! all-MiniLM-L6-v2 against sentence-transformers: 200 texts, their token ids and vectors.
//!
//! The stored values come from `xtask/parity/minilm_vectors.py`. The encoder is taken from the cache or pulled
//! once; where it cannot be had the tests say so and pass, unless `POLYTASK_REQUIRE_ENCODER=1`.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use polytask_core::PackedBatch;
use polytask_data::{PullOptions, Tokenizer, pull};
use polytask_nn::Encoder;
use polytask_nn::weights::WeightFiles;

/// A text of the stored file.
#[derive(serde::Deserialize)]
struct Golden {
    text: String,
    ids: Vec<u32>,
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn golden() -> Vec<Golden> {
    serde_json::from_slice(&std::fs::read(data("minilm_texts.json")).unwrap()).unwrap()
}

/// The encoder's folder, or `None` with the reason printed.
fn folder() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || match pull("all-MiniLM-L6-v2", &PullOptions::from_environment()) {
        Ok(pulled) => Some(pulled.folder),
        Err(error) => {
            let required = std::env::var("POLYTASK_REQUIRE_ENCODER").is_ok_and(|value| value == "1");
            assert!(!required, "the encoder is required here: {error}");
            println!("skipped: {error}");
            None
        }
    };
    FOLDER.get_or_init(find).as_deref()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn token_ids_are_exactly_those_of_sentence_transformers() {
    let Some(folder) = folder() else { return };
    let tokenizer = Tokenizer::load(folder, None).unwrap();
    assert_eq!((tokenizer.max_length(), tokenizer.vocab_size()), (256, 30522));
    for Golden { text, ids } in golden() {
        assert_eq!(tokenizer.encode(&text).unwrap(), ids, "{text:?}");
    }
}

#[test]
fn vectors_are_those_of_sentence_transformers() {
    let Some(folder) = folder() else { return };
    let encoder = Encoder::load(folder).unwrap();
    let expected = WeightFiles::open(&data("minilm_vectors.safetensors")).unwrap().f32("vectors").unwrap();
    let golden = golden();
    let mut lowest = 1.0_f64;
    for (row, expected) in golden.iter().zip(expected.chunks_exact(encoder.d_embedding())) {
        let vector = encoder.embed(&PackedBatch::pack([&row.ids])).unwrap();
        lowest = lowest.min(cosine(vector.row(0), expected));
    }
    println!("lowest cosine over {} texts: {lowest:.9}", golden.len());
    assert!(golden.len() == 200 && lowest >= 0.9999, "{lowest}");
}

#[test]
fn a_batch_gives_the_vectors_of_its_texts_in_any_order() {
    let Some(folder) = folder() else { return };
    let encoder = Encoder::load(folder).unwrap();
    let golden: Vec<Golden> = golden().into_iter().step_by(7).collect();
    let forth = encoder.embed(&PackedBatch::pack(golden.iter().map(|row| &row.ids))).unwrap();
    let back = encoder.embed(&PackedBatch::pack(golden.iter().rev().map(|row| &row.ids))).unwrap();
    for (i, row) in golden.iter().enumerate() {
        let alone = encoder.embed(&PackedBatch::pack([&row.ids])).unwrap();
        for other in [forth.row(i), back.row(golden.len() - 1 - i)] {
            let apart = alone.row(0).iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart <= 1e-5, "{:?}: {apart}", row.text);
        }
    }
}

#[test]
fn every_tensor_of_the_published_file_survives_loading_and_saving() {
    let Some(folder) = folder() else { return };
    let (encoder, tokenizer) = (Encoder::load(folder).unwrap(), Tokenizer::load(folder, None).unwrap());
    let saved = tempfile::tempdir().unwrap();
    encoder.save(&encoder.params, saved.path(), tokenizer.files()).unwrap();
    let (before, after) =
        (WeightFiles::open_folder(folder).unwrap(), WeightFiles::open_folder(saved.path()).unwrap());
    assert_eq!(before.entries().count(), after.entries().count());
    for entry in before.entries() {
        assert_eq!(before.raw(&entry.name).unwrap(), after.raw(&entry.name).unwrap());
    }
    let again = Encoder::load(saved.path()).unwrap();
    assert_eq!(again.params, encoder.params);
    assert_eq!((again.weights_hash(), again.max_length), (encoder.weights_hash(), encoder.max_length));
    let tokens = Tokenizer::load(saved.path(), None).unwrap();
    assert_eq!(
        tokens.encode("Saved and read again").unwrap(),
        tokenizer.encode("Saved and read again").unwrap()
    );
}
