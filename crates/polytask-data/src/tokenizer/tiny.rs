//! The small tokenizer of tests and first tries, as the files it would be loaded from.

use serde_json::{Value, json};

use super::{TINY_LENGTH, TINY_SPECIAL};

/// Lower-cased printable ASCII; letters and digits also as continuations, since the pre-tokenizer splits at
/// every punctuation mark.
pub(super) fn json() -> Value {
    let characters = || (b'!'..=b'~').filter(|c| !c.is_ascii_uppercase()).map(char::from);
    let whole = characters().map(String::from);
    let continued = characters().filter(char::is_ascii_alphanumeric).map(|c| format!("##{c}"));
    let tokens = TINY_SPECIAL.iter().map(|&s| s.to_owned()).chain(whole).chain(continued);
    let vocab: serde_json::Map<String, Value> = tokens.zip(0..).map(|(t, id)| (t, json!(id))).collect();
    let added: Vec<Value> = TINY_SPECIAL.iter().enumerate().map(|(id, name)| added_token(id, name)).collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab},
    })
}

fn added_token(id: usize, content: &str) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true})
}

pub(super) fn config() -> Value {
    json!({"tokenizer_class": "BertTokenizer", "model_max_length": TINY_LENGTH, "do_lower_case": true,
        "pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]",
        "mask_token": "[MASK]"})
}
