//! What a file says about tokenizers and chats: these must be equal, so there is nothing to choose.

use polytask_core::near;

use super::OutputSlice;
use super::read::Reader;
use super::yaml::Node;

impl Reader<'_> {
    /// Tokenizers must be equal, so any source means the same; what would change them is refused.
    pub(super) fn tokenizer(&mut self, node: &Node, base: Option<&str>, slices: &[OutputSlice]) {
        let both = node.get("tokenizer").zip(node.get("tokenizer_source"));
        if let Some((tokenizer, _)) = both {
            self.wrong(tokenizer.line, "`tokenizer` and `tokenizer_source`, expected one", "remove one");
        }
        if let Some(template) = node.get("chat_template").filter(|value| !value.is_null()) {
            self.wrong(template.line, "`chat_template`: an encoder has no chat", "remove the line");
        }
        let source = match node.get("tokenizer") {
            Some(tokenizer) => {
                self.keys(tokenizer, &["source", "tokens", "pad_to_multiple_of"], "`tokenizer`");
                for key in ["tokens", "pad_to_multiple_of"] {
                    if let Some(value) = tokenizer.get(key).filter(|value| !value.is_null()) {
                        let what = format!("`{key}` would change the vocabulary, which is not done here");
                        self.wrong(value.line, what, "models of one tokenizer, and without the key");
                    }
                }
                tokenizer.get("source").cloned()
            }
            None => node.get("tokenizer_source").cloned(),
        };
        let Some(source) = source.filter(|source| !source.is_null()) else { return };
        let models = slices.iter().flat_map(|slice| &slice.sources).map(|source| source.model.as_str());
        let known: Vec<&str> = ["union", "base"].into_iter().chain(base).chain(models).collect();
        if !source.text().is_some_and(|text| known.contains(&text)) {
            let what = format!("tokenizer source {}, expected `union`, `base` or a model", source.describe());
            self.wrong(source.line, what, near::advice(source.text().unwrap_or_default(), &known));
        }
    }
}
