//! What a caller gives a model to read, and what becomes of it: each distinct input is turned into symbols once, and
//! inputs of equal symbols are one sequence for the encoder.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hash;

use polytask_data::Symbols;
use polytask_data::images;
use rayon::prelude::*;

use crate::Result;

/// An input of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A text; a task that reads words cuts it at blanks.
    Text(String),
    /// The words of a text; for a task that reads texts they are joined by blanks.
    Words(Vec<String>),
    /// A file of an image; `FILE#17` for one of a file of many.
    Image(String),
    /// A row of a table as symbols, one per column.
    Row(Vec<u32>),
}

impl Input {
    /// Whether nothing but blanks stands in it.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) | Self::Image(text) => text.trim().is_empty(),
            Self::Words(words) => words.iter().all(|word| word.trim().is_empty()),
            Self::Row(_) => false,
        }
    }
}

impl From<&str> for Input {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// An input in the form a task reads it in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Content<'a> {
    Text(Cow<'a, str>),
    /// A text with words of its task before it, in the place of the model's own.
    Prompted(&'a str, Cow<'a, str>),
    /// Two texts that are one sequence, each with words of its task before it.
    Pair([(&'a str, Cow<'a, str>); 2]),
    Words(Vec<&'a str>),
    Image(&'a str),
    Row(&'a [u32]),
}

impl<'a> Content<'a> {
    /// The input as words or as one text.
    pub(crate) fn of(input: &'a Input, reads_words: bool) -> Self {
        match input {
            Input::Text(text) if reads_words => Self::Words(text.split_whitespace().collect()),
            Input::Text(text) => Self::Text(text.into()),
            Input::Words(words) if reads_words => Self::Words(words.iter().map(String::as_str).collect()),
            Input::Words(words) => Self::Text(words.join(" ").into()),
            Input::Image(file) => Self::Image(file),
            Input::Row(symbols) => Self::Row(symbols),
        }
    }

    /// Two texts as one sequence.
    pub(crate) fn joined(inputs: [&'a Input; 2], prompts: [Option<&'a str>; 2]) -> Self {
        let part = |i: usize| match Self::of(inputs[i], false) {
            Self::Text(text) => (prompts[i].unwrap_or_default(), text),
            _ => ("", Cow::Borrowed("")),
        };
        Self::Pair([part(0), part(1)])
    }

    /// The content with a prompt before it, where there is one; only running text has one.
    pub(crate) fn after(self, prompt: Option<&'a str>) -> Self {
        match (self, prompt) {
            (Self::Text(text), Some(prompt)) => Self::Prompted(prompt, text),
            (content, _) => content,
        }
    }
}

/// Items without repetition, numbered in the order they were met.
pub(crate) struct Distinct<T> {
    numbers: HashMap<T, usize>,
}

impl<T: Eq + Hash> Distinct<T> {
    pub(crate) fn new() -> Self {
        Self { numbers: HashMap::new() }
    }

    /// The number of an item.
    pub(crate) fn number(&mut self, item: T) -> usize {
        let next = self.numbers.len();
        *self.numbers.entry(item).or_insert(next)
    }

    /// The items by number.
    pub(crate) fn into_items(self) -> Vec<T> {
        let mut items: Vec<(T, usize)> = self.numbers.into_iter().collect();
        items.sort_unstable_by_key(|(_, number)| *number);
        items.into_iter().map(|(item, _)| item).collect()
    }
}

/// A content as symbols.
#[derive(Default)]
pub(crate) struct Encoded {
    /// The symbols.
    pub(crate) symbols: Vec<u32>,
    /// Of words: where each begins, [`polytask_data::NO_TOKEN`] where it was cut off.
    pub(crate) starts: Vec<u32>,
}

/// Everything that is read, without repetition.
pub(crate) struct Read<'a> {
    pub(crate) contents: Vec<Content<'a>>,
    pub(crate) encoded: Vec<Encoded>,
    /// The sequence of each content.
    pub(crate) sequence_of: Vec<usize>,
    pub(crate) sequences: Vec<Vec<u32>>,
}

impl<'a> Read<'a> {
    pub(crate) fn new(symbols: &Symbols, contents: Vec<Content<'a>>, prompt: &str) -> Result<Self> {
        let mut encoded = encode(symbols, &contents, prompt)?;
        let mut sequences = Distinct::new();
        let sequence_of =
            encoded.iter_mut().map(|of| sequences.number(std::mem::take(&mut of.symbols))).collect();
        Ok(Self { contents, encoded, sequence_of, sequences: sequences.into_items() })
    }
}

/// The symbols of some contents; `prompt` stands before every text without one of its own, and before no words.
///
/// # Errors
/// When the model reads no such contents, or an image cannot be read.
fn encode(symbols: &Symbols, contents: &[Content<'_>], prompt: &str) -> Result<Vec<Encoded>> {
    let (mut texts, mut images) = (Vec::new(), Vec::new());
    for content in contents {
        match content {
            Content::Text(text) => texts.push(format!("{prompt}{text}")),
            Content::Prompted(own, text) => texts.push(format!("{own}{text}")),
            Content::Image(file) => images.push(*file),
            Content::Row(_) => drop(symbols.table()?),
            Content::Pair(_) | Content::Words(_) => {}
        }
    }
    let texts = if texts.is_empty() { Vec::new() } else { symbols.text()?.encode_batch_after("", &texts)? };
    let images = if images.is_empty() { Vec::new() } else { images::read_all(&symbols.images()?, &images)? };
    let (mut texts, mut images) = (texts.into_iter(), images.into_iter());
    let mut words = encode_words(symbols, contents)?.into_iter();
    let mut pairs = encode_pairs(symbols, contents)?.into_iter();
    let next = |content: &Content<'_>| match content {
        Content::Text(_) | Content::Prompted(..) => {
            texts.next().map(|symbols| Encoded { symbols, starts: Vec::new() })
        }
        Content::Image(_) => images.next().map(|symbols| Encoded { symbols, starts: Vec::new() }),
        Content::Row(symbols) => Some(Encoded { symbols: symbols.to_vec(), starts: Vec::new() }),
        Content::Pair(_) => pairs.next().map(|symbols| Encoded { symbols, starts: Vec::new() }),
        Content::Words(_) => words.next(),
    };
    Ok(contents.iter().map(next).map(Option::unwrap_or_default).collect())
}

fn encode_pairs(symbols: &Symbols, contents: &[Content<'_>]) -> Result<Vec<Vec<u32>>> {
    let pairs = contents.iter().filter_map(|content| match content {
        Content::Pair([a, b]) => Some((format!("{}{}", a.0, a.1), format!("{}{}", b.0, b.1))),
        _ => None,
    });
    let pairs: Vec<(String, String)> = pairs.collect();
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let tokenizer = symbols.text()?;
    pairs.par_iter().map(|(a, b)| Ok(tokenizer.encode_pair(a, b)?)).collect()
}

fn encode_words(symbols: &Symbols, contents: &[Content<'_>]) -> Result<Vec<Encoded>> {
    let lists: Vec<&Vec<&str>> = contents
        .iter()
        .filter_map(|content| if let Content::Words(words) = content { Some(words) } else { None })
        .collect();
    if lists.is_empty() {
        return Ok(Vec::new());
    }
    let tokenizer = symbols.text()?;
    let encode = |words: &&Vec<&str>| {
        let (symbols, starts) = tokenizer.encode_words(words)?;
        Ok(Encoded { symbols, starts })
    };
    lists.par_iter().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use polytask_data::Tokenizer;

    use super::*;

    #[test]
    fn items_are_numbered_as_they_are_met() {
        let mut items = Distinct::new();
        assert_eq!(["b", "a", "b", "c"].map(|item| items.number(item)), [0, 1, 0, 2]);
        assert_eq!(items.into_items(), ["b", "a", "c"]);
    }

    #[test]
    fn contents_of_all_sorts_keep_their_places() {
        let words = Input::Words(vec!["New York".into(), String::new(), "b".into()]);
        let text = Input::from("ab c");
        let contents = [
            Content::of(&words, true),
            Content::of(&text, false),
            Content::of(&text, true),
            Content::of(&words, false),
        ];
        assert_eq!(contents[3], Content::Text("New York  b".into()));
        let tiny = Tokenizer::tiny();
        let encoded = encode(&tiny.clone().into(), &contents, "").unwrap();
        assert_eq!((encoded[0].starts.len(), encoded[2].starts.len()), (3, 2));
        assert_eq!(encoded[1].symbols, tiny.encode("ab c").unwrap());
        let prompted = encode(&tiny.clone().into(), &contents, "q: ").unwrap();
        assert_eq!(prompted[1].symbols, tiny.encode("q: ab c").unwrap());
        assert_eq!(prompted[2].symbols, encoded[2].symbols, "words have no prompt");
    }
}
