//! Long texts are cut before they are tokenised: memory and time follow the tokens that are kept.
//!
//! A beginning of the text grows until its first `max_length` tokens are those of the whole: they lie so many words
//! (pieces of the pre-tokenizer, which decide their tokens each on their own) before its end that nothing behind can
//! change them. Two kinds of text give no more tokens however long they are, and their middle is left out: what
//! normalises to nothing or to white space, and a word above WordPiece's limit, which is one unknown token by rule.
//!
//! Other models have no such rule for a word without end. With BPE its first tokens are taken when they lie a whole
//! step before the end of what was read, farther than merges reach. A unigram model splits a word by all its
//! characters, so such a word is read whole; and with `truncation_side = "left"` every text is.

use std::borrow::Cow;

use polytask_core::Result;
use tokenizers::tokenizer::{OffsetReferential, OffsetType, PreTokenizer};
use tokenizers::{ModelWrapper, TruncationDirection};

use super::refused;

/// Bytes read at once for each token that is kept; ordinary text has 2 to 5.
const BYTES_PER_TOKEN: usize = 16;
/// Least bytes read at once.
const LEAST_STEP: usize = 4096;

/// How texts are cut for one tokenizer.
#[derive(Debug, Clone)]
pub(super) struct Cut {
    /// Bytes read at once; texts up to here are left alone.
    step: usize,
    /// Words at the end of a beginning that what follows may change: an added token begun there, and the word itself.
    margin: usize,
    /// Characters above which a word is one unknown token.
    word_limit: Option<usize>,
    /// Whether a word's first tokens do not depend on its far end: merges of BPE reach a few characters.
    is_local: bool,
    from_left: bool,
}

/// What a part of a text can do to the tokens around it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    /// No more than a space does.
    Blank,
    /// It lies within one word and gives it so many characters.
    Inside(usize),
    Other,
}

impl Cut {
    pub(super) fn new(inner: &tokenizers::Tokenizer, max_length: usize) -> Self {
        let added = inner.get_added_tokens_decoder();
        let longest = added.values().map(|token| token.content.chars().count()).max().unwrap_or(0);
        let word_limit = match inner.get_model() {
            ModelWrapper::WordPiece(model) => Some(model.max_input_chars_per_word),
            _ => None,
        };
        let direction = inner.get_truncation().map(|truncation| truncation.direction);
        Self {
            step: max_length.saturating_mul(BYTES_PER_TOKEN).max(LEAST_STEP),
            margin: longest + 2,
            word_limit,
            is_local: matches!(inner.get_model(), ModelWrapper::BPE(_)),
            from_left: direction == Some(TruncationDirection::Left),
        }
    }

    /// Whether it is the end of a text that is kept.
    pub(super) fn is_from_left(&self) -> bool {
        self.from_left
    }

    /// Whether a text is so long that it may be cut.
    pub(super) fn is_long(&self, text: &str) -> bool {
        text.len() > self.step && !self.from_left
    }

    /// Whether the tokens kept of a beginning are those of every text that begins so.
    fn is_enough(&self, inner: &tokenizers::Tokenizer, beginning: &str) -> Result<bool> {
        let encoding = inner.encode(beginning, true).map_err(|error| refused(error.as_ref()))?;
        let last_word = encoding.get_word_ids().iter().flatten().max();
        let Some(last_word) = last_word.filter(|_| !encoding.get_overflowing().is_empty()) else {
            return Ok(false);
        };
        // The tokenizer stops soon after the limit, so the words behind it are counted apart.
        if *last_word as usize + self.margin < words(inner, beginning)?.len() {
            return Ok(true);
        }
        let end = encoding.get_offsets().iter().map(|(_, end)| *end).max().unwrap_or(0);
        Ok(self.is_local && end + self.step <= beginning.len())
    }

    /// A text with the same first tokens; `handed` grows by the bytes that were tokenised to find it.
    pub(super) fn text<'t>(
        &self,
        inner: &tokenizers::Tokenizer,
        text: &'t str,
        handed: &mut usize,
    ) -> Result<Cow<'t, str>> {
        if !self.is_long(text) {
            return Ok(Cow::Borrowed(text));
        }
        let (mut kept, mut rest, mut next) = (Kept::default(), text, self.step);
        let mut before = ("", Part::Other);
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(boundary(rest, self.step));
            // A part like the one before is the usual case in a text without end.
            before = (part, if part == before.0 { before.1 } else { self.part(inner, part)? });
            kept.push(part, before.1, self.word_limit);
            rest = behind;
            if kept.text.len() >= next && !rest.is_empty() {
                *handed += kept.text.len();
                if self.is_enough(inner, &kept.text)? {
                    return Ok(Cow::Owned(kept.text));
                }
                next = 2 * kept.text.len();
            }
        }
        kept.flush();
        Ok(Cow::Owned(kept.text))
    }

    /// What a part of a text can do, asked of the tokenizer's own normaliser and pre-tokenizer.
    fn part(&self, inner: &tokenizers::Tokenizer, part: &str) -> Result<Part> {
        if let [chars] = words(inner, &format!("x{part}x"))?[..] {
            let chars = chars.saturating_sub(2);
            return Ok(if chars == 0 || self.word_limit.is_some() {
                Part::Inside(chars)
            } else {
                Part::Other
            });
        }
        Ok(if words(inner, part)?.is_empty() { Part::Blank } else { Part::Other })
    }
}

/// Characters of each word that is handed to the model.
fn words(inner: &tokenizers::Tokenizer, text: &str) -> Result<Vec<usize>> {
    let mut split = inner.get_added_vocabulary().extract_and_normalize(inner.get_normalizer(), text);
    if let Some(pre_tokenizer) = inner.get_pre_tokenizer() {
        pre_tokenizer.pre_tokenize(&mut split).map_err(|error| refused(error.as_ref()))?;
    }
    let words = split.get_splits(OffsetReferential::Normalized, OffsetType::None);
    Ok(words.iter().map(|(word, ..)| word.chars().count()).collect())
}

/// The end of the last character that ends within `most` bytes; of the first one where it is longer.
fn boundary(text: &str, most: usize) -> usize {
    let within = (0..=most.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    if within > 0 { within } else { text.chars().next().map_or(0, char::len_utf8) }
}

/// What is kept of a text.
#[derive(Default)]
struct Kept<'t> {
    text: String,
    /// What the parts before are, all of one kind, with the characters of the word they lie in.
    run: Option<Part>,
    /// The last part of a run, kept when the run ends.
    held: Option<&'t str>,
}

impl<'t> Kept<'t> {
    fn push(&mut self, part: &'t str, is: Part, word_limit: Option<usize>) {
        // Twice the limit, since characters at the borders of parts may compose.
        let is_over = |chars: usize| word_limit.is_some_and(|limit| chars > 2 * limit + 4);
        match (self.run, is) {
            (Some(Part::Blank), Part::Blank) => self.held = Some(part),
            (Some(Part::Inside(all)), Part::Inside(chars)) if chars == 0 || is_over(all) => {
                self.held = Some(part);
            }
            (run, is) => {
                self.flush();
                self.text.push_str(part);
                self.run = match (run, is) {
                    (Some(Part::Inside(all)), Part::Inside(chars)) => Some(Part::Inside(all + chars)),
                    (_, is) => Some(is),
                };
            }
        }
    }

    fn flush(&mut self) {
        if let Some(part) = self.held.take() {
            self.text.push_str(part);
        }
    }
}

#[cfg(test)]
mod tests;
