//! Texts as terms: words in lower case, each with a number.

use std::collections::HashMap;

/// The words of some texts, numbered in the order they first stand there.
#[derive(Debug, Default)]
pub struct Vocabulary {
    numbers: HashMap<String, u32>,
}

impl Vocabulary {
    /// The terms of a text; words that were not known get the next numbers.
    pub fn learn(&mut self, text: &str) -> Vec<u32> {
        let mut terms = Vec::new();
        each_word(text, |word| {
            let next = self.numbers.len() as u32;
            terms.push(match self.numbers.get(word) {
                Some(&number) => number,
                None => *self.numbers.entry(word.to_owned()).or_insert(next),
            });
        });
        terms
    }

    /// The terms of a text that are known.
    pub fn terms(&self, text: &str) -> Vec<u32> {
        let mut terms = Vec::new();
        each_word(text, |word| terms.extend(self.numbers.get(word)));
        terms
    }

    /// Number of words.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }
}

/// The runs of letters and digits of a text, in lower case.
pub fn each_word(text: &str, mut take: impl FnMut(&str)) {
    let mut word = String::new();
    for part in text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()) {
        word.clear();
        word.extend(part.chars().flat_map(char::to_lowercase));
        take(&word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_letters_and_digits_in_lower_case() {
        let mut vocabulary = Vocabulary::default();
        assert_eq!(vocabulary.learn("Größe: 3-phase motor, MOTOR"), [0, 1, 2, 3, 3]);
        assert_eq!(vocabulary.terms("a motor of größe 4"), [3, 0]);
        assert_eq!((vocabulary.len(), vocabulary.terms("…").len()), (4, 0));
    }
}
