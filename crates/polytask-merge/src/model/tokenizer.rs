//! Whether two models read texts alike.

use std::collections::BTreeMap;
use std::path::Path;

use polytask_core::length::read_json;
use polytask_core::{files, hash};
use serde_json::Value;

use crate::Result;

/// Files that are a vocabulary by themselves.
const PLAIN: [&str; 5] = ["vocab.txt", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model"];
const FAST: &str = "tokenizer.json";
/// What else belongs to a tokenizer.
const BESIDE: [&str; 3] = ["added_tokens.json", "special_tokens_map.json", "tokenizer_config.json"];

/// The tokenizer's files of a folder.
pub(super) fn read(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let names = PLAIN.iter().chain(&BESIDE).chain([&FAST]).filter(|name| folder.join(name).is_file());
    let file = |name: &&str| {
        let path = folder.join(name);
        let bytes = files::read(&path, files::LARGE).map_err(polytask_core::Error::io("read", &path))?;
        Ok(((*name).to_owned(), bytes))
    };
    names.map(file).collect()
}

/// What two folders' tokenizers differ in; `None` where they are alike or there is none.
pub(super) fn difference(a: &Path, b: &Path) -> Option<String> {
    let fast = |folder: &Path| read_json(folder, FAST).ok().flatten().map(without_lengths);
    if let (Some(a), Some(b)) = (fast(a), fast(b)) {
        return (a != b).then(|| said(&a, &b));
    }
    let both = PLAIN.iter().find_map(|name| Some((name, content(a, name)?, content(b, name)?)));
    match both {
        Some((name, a, b)) if a != b => Some(format!("{name} differs")),
        Some(_) => None,
        None => {
            let has = |folder: &Path| PLAIN.iter().chain([&FAST]).any(|name| folder.join(name).exists());
            (has(a) != has(b) || has(a)).then(|| "they have no file in common".to_owned())
        }
    }
}

fn content(folder: &Path, name: &str) -> Option<String> {
    files::read(&folder.join(name), files::LARGE).ok().map(|bytes| hash::sha256(&bytes))
}

/// Where texts are cut and padded is a setting of whoever uses the tokenizer.
fn without_lengths(mut json: Value) -> Value {
    if let Some(fields) = json.as_object_mut() {
        ["truncation", "padding", "version"].iter().for_each(|key| drop(fields.remove(*key)));
    }
    json
}

/// How two tokenizers differ.
fn said(a: &Value, b: &Value) -> String {
    let (x, y) = (vocabulary(a), vocabulary(b));
    let other = x.iter().filter(|(token, id)| y.get(*token) != Some(id)).map(|(token, _)| token);
    let others: Vec<&String> = other.chain(y.keys().filter(|token| !x.contains_key(*token))).collect();
    if let Some(first) = others.first() {
        return format!(
            "vocabularies of {} and {} tokens differ in {}, as `{first}`",
            x.len(),
            y.len(),
            others.len()
        );
    }
    let parts = ["normalizer", "pre_tokenizer", "post_processor", "decoder", "added_tokens", "model"];
    let part = parts.into_iter().find(|key| a.get(key) != b.get(key)).unwrap_or("another part");
    format!("the vocabularies are equal, `{part}` differs")
}

/// Tokens and their ids.
fn vocabulary(json: &Value) -> BTreeMap<String, u64> {
    let Some(vocabulary) = json.get("model").and_then(|model| model.get("vocab")) else {
        return BTreeMap::new();
    };
    match vocabulary {
        Value::Object(map) => {
            map.iter().filter_map(|(token, id)| Some((token.clone(), id.as_u64()?))).collect()
        }
        Value::Array(pairs) => {
            let token = |(id, pair): (usize, &Value)| Some((pair.get(0)?.as_str()?.to_owned(), id as u64));
            pairs.iter().enumerate().filter_map(token).collect()
        }
        _ => BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_differs_is_named_and_lengths_do_not_count() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let write = |folder: &tempfile::TempDir, json: &Value| {
            std::fs::write(folder.path().join(FAST), json.to_string()).unwrap();
        };
        let difference = || difference(a.path(), b.path());
        assert_eq!(difference(), None);
        let vocab = json!({"truncation": 5, "model": {"vocab": {"a": 0, "b": 1}}});
        write(&a, &vocab);
        assert_eq!(difference().unwrap(), "they have no file in common");
        write(&b, &json!({"truncation": null, "model": {"vocab": {"b": 1, "a": 0}}}));
        assert_eq!(difference(), None);
        write(&b, &json!({"model": {"vocab": {"a": 0, "c": 1, "d": 2}}}));
        assert_eq!(difference().unwrap(), "vocabularies of 2 and 3 tokens differ in 3, as `b`");
        write(&b, &json!({"normalizer": 1, "model": {"vocab": {"b": 1, "a": 0}}}));
        assert_eq!(difference().unwrap(), "the vocabularies are equal, `normalizer` differs");
    }
}
