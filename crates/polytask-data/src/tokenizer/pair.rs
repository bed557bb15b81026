//! Two texts as one sequence, with the separators and token types of the model's own tokenizer.

use polytask_core::{Result, SECOND_TEXT};
use tokenizers::Encoding;

use super::{Tokenizer, refused};

impl Tokenizer {
    /// Token ids of two texts as one sequence, at most [`Tokenizer::max_length`]: of the longer one, more is cut. Tokens of
    /// the second text, with the separator behind it, carry [`SECOND_TEXT`] where the tokenizer gives them a type of their own.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_pair(&self, first: &str, second: &str) -> Result<Vec<u32>> {
        let texts = (self.cut(first)?, self.cut(second)?);
        let encoded = self.inner.encode_fast(texts, true);
        encoded.map(|encoding| symbols(&encoding)).map_err(|error| refused(error.as_ref()))
    }
}

fn symbols(encoding: &Encoding) -> Vec<u32> {
    let types = encoding.get_type_ids();
    encoding
        .get_ids()
        .iter()
        .zip(types)
        .map(|(&id, &of)| if of > 0 { id | SECOND_TEXT } else { id })
        .collect()
}

#[cfg(test)]
mod tests {
    use polytask_core::{is_second, token_id};

    use super::*;

    #[test]
    fn two_texts_are_one_sequence_whose_second_part_is_marked() {
        let tiny = Tokenizer::tiny_cut(9).unwrap();
        let (a, b) = (tiny.encode("ab").unwrap(), tiny.encode("c").unwrap());
        let pair = tiny.encode_pair("ab", "c").unwrap();
        let ids: Vec<u32> = pair.iter().map(|&symbol| token_id(symbol)).collect();
        assert_eq!(ids, [&a[..], &b[1..]].concat());
        let marked: Vec<bool> = pair.iter().map(|&symbol| is_second(symbol)).collect();
        assert_eq!(marked, [false, false, false, false, true, true]);
    }

    #[test]
    fn the_longer_text_is_cut_first() {
        let tiny = Tokenizer::tiny_cut(9).unwrap();
        let of = |text: &str| tiny.encode(text).unwrap()[1];
        let pair = tiny.encode_pair("a a a a a a a a", "b c").unwrap();
        let kept = |id: u32| pair.iter().filter(|&&symbol| token_id(symbol) == id).count();
        assert_eq!((pair.len(), kept(of("a")), kept(of("b")), kept(of("c"))), (9, 4, 1, 1));
    }
}
