//! Texts: tokens of a pre-trained encoder.

use super::InputInfo;

/// Texts, and the words of texts.
pub static TEXT: InputInfo = InputInfo {
    name: "text",
    plural: "texts",
    unlike: "texts of another kind or language",
    nets: &[],
    fresh: None,
    model_keys: &["max_length", "score"],
    row_keys: &[],
    even_states: false,
    whole_row: false,
    flag: "--text TEXT",
    example: r#"{"text": "…"}"#,
    hub_pipeline: "sentence-similarity",
    hub_tag: "feature-extraction",
};
