//! What is done to a text before it is cut into tokens, where other files than `tokenizer.json` have a say.

use serde_json::Value;
use tokenizers::NormalizerWrapper;
use tokenizers::normalizers::{BertNormalizer, Lowercase, Sequence};

/// Tokenizers whose normalizer follows `tokenizer_config.json`, whatever `tokenizer.json` says, as transformers has it.
const CONFIGURED: [&str; 3] = ["BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer"];

/// Lower case, accents and Chinese characters as the configuration says; what it leaves out has transformers' default.
pub(super) fn as_configured(inner: &mut tokenizers::Tokenizer, config: &Value) -> Result<(), String> {
    let class = config.get("tokenizer_class").and_then(Value::as_str).unwrap_or_default();
    let Some(NormalizerWrapper::BertNormalizer(found)) = inner.get_normalizer() else { return Ok(()) };
    if !CONFIGURED.contains(&class.trim_end_matches("Fast")) {
        return Ok(());
    }
    let flag = |key: &str| config.get(key).and_then(Value::as_bool);
    let configured = BertNormalizer::new(
        found.clean_text,
        flag("tokenize_chinese_chars").unwrap_or(true),
        flag("strip_accents"),
        flag("do_lower_case").unwrap_or(true),
    );
    inner.with_normalizer(Some(configured)).map_err(|error| error.to_string())?;
    Ok(())
}

/// Lower-cases texts before the file's own steps.
pub(super) fn lowercase_first(inner: &mut tokenizers::Tokenizer) -> Result<(), String> {
    let mut steps = vec![NormalizerWrapper::Lowercase(Lowercase)];
    steps.extend(inner.get_normalizer().cloned());
    inner.with_normalizer(Some(Sequence::new(steps))).map_err(|error| error.to_string())?;
    Ok(())
}

/// Whether the blank before a word is part of its first token, as byte-level tokenizers have it.
pub(super) fn keeps_spaces(inner: &tokenizers::Tokenizer) -> bool {
    let steps = inner.get_pre_tokenizer().and_then(|steps| serde_json::to_value(steps).ok());
    steps.is_some_and(|steps| is_byte_level(&steps))
}

fn is_byte_level(step: &Value) -> bool {
    let is_one = step.get("type").and_then(Value::as_str) == Some("ByteLevel")
        && step.get("add_prefix_space").and_then(Value::as_bool) == Some(false);
    is_one
        || step
            .get("pretokenizers")
            .and_then(Value::as_array)
            .is_some_and(|steps| steps.iter().any(is_byte_level))
}
