//! Documents cut into passages: whole, by sentences, or by windows of tokens; never across a heading.

use std::collections::{HashSet, VecDeque};
use std::ops::Range;

use polytask_segment::sentences::{sentences, trimmed, unwrapped};
use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use crate::documents::Document;

/// Where passages may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChunkBy {
    /// At the end of a sentence; within one only where it is longer than a passage.
    #[default]
    Sentences,
    /// After any word.
    Tokens,
    /// At the end of the document.
    Whole,
    /// Where topics end; within a segment only where it is longer than a passage.
    Segments,
}

/// How documents are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunking {
    /// Where passages may end.
    pub by: ChunkBy,
    /// Most tokens of a passage, its titles included and special ones not.
    pub tokens: usize,
    /// Tokens at the end of a passage that begin the next one, at most.
    pub overlap: usize,
}

/// A part of a document that is found as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// Its first character, counted from 0 in the document's text.
    pub start: usize,
    /// The character after its last.
    pub end: usize,
    /// The headings it stands below, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub titles: Vec<String>,
    /// Its text: characters `start..end` of the document's.
    pub text: String,
}

impl Passage {
    /// What is embedded and whose words are counted: titles, then text.
    pub fn indexed(&self) -> String {
        let mut all = self.titles.join(" ");
        if !all.is_empty() {
            all.push(' ');
        }
        all.push_str(&self.text);
        all
    }
}

/// Counts the tokens of some texts.
pub type CountTokens<'a> = dyn Fn(&[&str]) -> polytask_model::Result<Vec<usize>> + 'a;
/// Takes passages one after the other.
pub type TakePassage<'a> = dyn FnMut(Passage) -> polytask_model::Result<()> + 'a;

/// Says of every place between two of some sentences whether a topic ends there.
pub type EndTopics<'a> = dyn Fn(&[&str]) -> polytask_model::Result<Vec<bool>> + 'a;

/// Texts counted at once.
const COUNTED: usize = 1024;

/// A part of a text that is not cut, as bytes and as characters.
#[derive(Debug, Clone)]
struct Unit {
    bytes: Range<usize>,
    chars: Range<usize>,
    tokens: usize,
}

/// Gives the passages of a document to `take`, in order; memory holds one of them.
///
/// # Errors
/// Those of counting and taking.
pub fn cut(
    document: &Document,
    chunking: Chunking,
    count: &CountTokens<'_>,
    topics: Option<&EndTopics<'_>>,
    take: &mut TakePassage<'_>,
) -> polytask_model::Result<()> {
    let ends = match topics.filter(|_| chunking.by == ChunkBy::Segments) {
        Some(topics) => ends_of(document, topics)?,
        None => HashSet::new(),
    };
    let mut cutter = Cutter { text: &document.text, chunking, count, take, ends, place: (0, 0) };
    let title: Vec<String> = document.title.iter().filter(|title| !title.is_empty()).cloned().collect();
    if chunking.by == ChunkBy::Whole {
        return cutter.whole(title);
    }
    document.sections().into_iter().try_for_each(|section| {
        let titles = title.iter().chain(&section.titles).cloned().collect();
        cutter.section(titles, section.body)
    })
}

/// The bytes at which topics of a document end; all its sentences are looked at together, over its headings.
fn ends_of(document: &Document, topics: &EndTopics<'_>) -> polytask_model::Result<HashSet<usize>> {
    let bodies = document.sections().into_iter().map(|section| section.body);
    let all: Vec<Range<usize>> = bodies.flat_map(|body| sentences(&document.text, body)).collect();
    let texts: Vec<&str> = all.iter().map(|bytes| &document.text[bytes.clone()]).collect();
    let is_end = topics(&texts)?;
    Ok(all.iter().zip(is_end).filter(|(_, is_end)| *is_end).map(|(bytes, _)| bytes.end).collect())
}

struct Cutter<'a, 'c> {
    text: &'a str,
    chunking: Chunking,
    count: &'a CountTokens<'c>,
    take: &'a mut TakePassage<'c>,
    /// Bytes at which topics end.
    ends: HashSet<usize>,
    /// A byte and the number of characters before it.
    place: (usize, usize),
}

impl Cutter<'_, '_> {
    fn whole(&mut self, titles: Vec<String>) -> polytask_model::Result<()> {
        let Some(bytes) = trimmed(self.text, 0..self.text.len()) else {
            return if titles.is_empty() { Ok(()) } else { self.give(titles, 0..0, 0..0) };
        };
        let chars = self.chars(&bytes);
        self.give(titles, bytes, chars)
    }

    fn section(&mut self, titles: Vec<String>, body: Range<usize>) -> polytask_model::Result<()> {
        if trimmed(self.text, body.clone()).is_none() {
            // A heading with nothing below it is still found.
            let at = self.chars(&(body.start..body.start));
            return if titles.is_empty() { Ok(()) } else { self.give(titles, body.start..body.start, at) };
        }
        let of_titles = (self.count)(&[&titles.join(" ")])?.first().copied().unwrap_or(0);
        let budget = (self.chunking.tokens - of_titles.min(self.chunking.tokens / 2)).max(1);
        let mut packer =
            Packer { budget, overlap: self.chunking.overlap.min(budget / 2), ..Packer::default() };
        let text = unwrapped(&self.text[body.clone()]);
        let mut pending = Vec::new();
        let parts: Box<dyn Iterator<Item = (usize, &str)>> = match self.chunking.by {
            ChunkBy::Tokens => Box::new(text.split_word_bound_indices()),
            _ => Box::new(text.split_sentence_bound_indices()),
        };
        for (at, part) in parts {
            pending.extend(trimmed(self.text, body.start + at..body.start + at + part.len()));
            if pending.len() == COUNTED {
                self.units(&mut pending, &mut packer, &titles)?;
            }
        }
        self.units(&mut pending, &mut packer, &titles)?;
        packer.rest().map_or(Ok(()), |(bytes, chars)| self.give(titles, bytes, chars))
    }

    /// Counts what is pending and packs it; what is too long for a passage is cut at words, then anywhere.
    fn units(
        &mut self,
        pending: &mut Vec<Range<usize>>,
        packer: &mut Packer,
        titles: &[String],
    ) -> polytask_model::Result<()> {
        let tokens = self.counted(pending)?;
        for (bytes, tokens) in pending.drain(..).zip(tokens) {
            let parts = if tokens <= packer.budget {
                vec![(bytes, tokens)]
            } else {
                self.words(bytes, packer.budget)?
            };
            for (bytes, tokens) in parts {
                let (chars, end) = (self.chars(&bytes), bytes.end);
                if let Some((bytes, chars)) = packer.push(Unit { bytes, chars, tokens }) {
                    self.give(titles.to_vec(), bytes, chars)?;
                }
                let closed = if self.ends.contains(&end) { packer.close() } else { None };
                if let Some((bytes, chars)) = closed {
                    self.give(titles.to_vec(), bytes, chars)?;
                }
            }
        }
        Ok(())
    }

    /// The words of a part that is too long, with their tokens; a word that is too long itself in pieces.
    fn words(&self, part: Range<usize>, budget: usize) -> polytask_model::Result<Vec<(Range<usize>, usize)>> {
        let words = self.text[part.clone()].split_word_bound_indices();
        let words: Vec<Range<usize>> = words
            .filter_map(|(at, word)| trimmed(self.text, part.start + at..part.start + at + word.len()))
            .collect();
        let mut all = Vec::with_capacity(words.len());
        for words in words.chunks(COUNTED) {
            for (word, tokens) in words.iter().cloned().zip(self.counted(words)?) {
                if tokens <= budget {
                    all.push((word, tokens));
                } else {
                    all.extend(self.pieces(word, budget));
                }
            }
        }
        Ok(all)
    }

    /// A word of too many tokens in pieces of `budget` characters, each a passage of its own.
    fn pieces(&self, word: Range<usize>, budget: usize) -> Vec<(Range<usize>, usize)> {
        let mut starts: Vec<usize> =
            self.text[word.clone()].char_indices().step_by(budget).map(|(at, _)| word.start + at).collect();
        starts.push(word.end);
        starts.windows(2).map(|pair| (pair[0]..pair[1], budget)).collect()
    }

    fn counted(&self, parts: &[Range<usize>]) -> polytask_model::Result<Vec<usize>> {
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let texts: Vec<&str> = parts.iter().map(|bytes| &self.text[bytes.clone()]).collect();
        (self.count)(&texts)
    }

    /// The same place in characters; places are asked in order.
    fn chars(&mut self, bytes: &Range<usize>) -> Range<usize> {
        let (byte, chars) = self.place;
        let start = chars + self.text[byte..bytes.start].chars().count();
        self.place = (bytes.start, start);
        start..start + self.text[bytes.clone()].chars().count()
    }

    fn give(
        &mut self,
        titles: Vec<String>,
        bytes: Range<usize>,
        chars: Range<usize>,
    ) -> polytask_model::Result<()> {
        let text = self.text[bytes].to_owned();
        (self.take)(Passage { start: chars.start, end: chars.end, titles, text })
    }
}

/// Units that fill a passage.
#[derive(Default)]
struct Packer {
    budget: usize,
    overlap: usize,
    units: VecDeque<Unit>,
    tokens: usize,
    /// Units that stood in no passage yet.
    n_new: usize,
}

impl Packer {
    /// Takes a unit; gives the passage that is full without it.
    fn push(&mut self, unit: Unit) -> Option<(Range<usize>, Range<usize>)> {
        let full = if self.tokens + unit.tokens > self.budget { self.rest() } else { None };
        if full.is_some() {
            while self.tokens > self.overlap || self.tokens + unit.tokens > self.budget {
                let Some(first) = self.units.pop_front() else { break };
                self.tokens -= first.tokens;
            }
        }
        self.tokens += unit.tokens;
        self.units.push_back(unit);
        self.n_new += 1;
        full
    }

    /// Gives what stands in it and begins anew, with nothing of it.
    fn close(&mut self) -> Option<(Range<usize>, Range<usize>)> {
        let rest = self.rest();
        self.units.clear();
        self.tokens = 0;
        rest
    }

    /// What stands in it, where that is anything new.
    fn rest(&mut self) -> Option<(Range<usize>, Range<usize>)> {
        if std::mem::take(&mut self.n_new) == 0 {
            return None;
        }
        let (first, last) = (self.units.front()?, self.units.back()?);
        Some((first.bytes.start..last.bytes.end, first.chars.start..last.chars.end))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::documents::Heading;

    /// A token per word.
    fn count(texts: &[&str]) -> Vec<usize> {
        texts.iter().map(|text| text.split_whitespace().count()).collect()
    }

    fn passages(document: &Document, by: ChunkBy, tokens: usize, overlap: usize) -> Vec<Passage> {
        let mut all = Vec::new();
        cut(document, Chunking { by, tokens, overlap }, &|texts| Ok(count(texts)), None, &mut |passage| {
            all.push(passage);
            Ok(())
        })
        .unwrap();
        all
    }

    fn texts(all: &[Passage]) -> Vec<&str> {
        all.iter().map(|passage| passage.text.as_str()).collect()
    }

    #[test]
    fn passages_end_with_sentences_and_wrapped_lines_are_no_ends() {
        let document = Document::of_text("The cat sees\na bird. It sings. The dog\nsleeps all day. End.");
        let found = passages(&document, ChunkBy::Sentences, 7, 0);
        assert_eq!(texts(&found), ["The cat sees\na bird. It sings.", "The dog\nsleeps all day. End."]);
        let last: String =
            document.text.chars().skip(found[1].start).take(found[1].end - found[1].start).collect();
        assert_eq!(last, found[1].text);
    }

    #[test]
    fn windows_of_tokens_overlap_by_whole_words() {
        let document = Document::of_text("one two three four five six seven");
        assert_eq!(
            texts(&passages(&document, ChunkBy::Tokens, 4, 2)),
            ["one two three four", "three four five six", "five six seven"]
        );
    }

    #[test]
    fn a_sentence_that_is_too_long_is_cut_at_words_and_a_word_anywhere() {
        let document = Document::of_text("a b c d e f g. h");
        assert_eq!(texts(&passages(&document, ChunkBy::Sentences, 3, 0)), ["a b c", "d e f", "g. h"]);
        let by_char = |texts: &[&str]| Ok(texts.iter().map(|text| text.len()).collect());
        let (mut all, chunking) = (Vec::new(), Chunking { by: ChunkBy::Sentences, tokens: 4, overlap: 0 });
        cut(&Document::of_text("abcdefghij kl"), chunking, &by_char, None, &mut |p| {
            all.push(p.text);
            Ok(())
        })
        .unwrap();
        assert_eq!(all, ["abcd", "efgh", "ij", "kl"]);
    }

    #[test]
    fn passages_end_where_topics_do_and_with_the_budget() {
        let document = Document::of_text("A one. A two. B one. B two. B three.");
        let topics = |texts: &[&str]| Ok((1..texts.len()).map(|i| i == 2).collect());
        for (tokens, expected) in [
            (50, &["A one. A two.", "B one. B two. B three."][..]),
            (4, &["A one. A two.", "B one. B two.", "B three."][..]),
        ] {
            let (mut all, chunking) = (Vec::new(), Chunking { by: ChunkBy::Segments, tokens, overlap: 2 });
            cut(&document, chunking, &|texts| Ok(count(texts)), Some(&topics), &mut |passage| {
                all.push(passage.text);
                Ok(())
            })
            .unwrap();
            let starts: Vec<bool> =
                all.iter().map(|text| text.contains("A ") && text.contains("B ")).collect();
            assert!(!starts.contains(&true), "{all:?}");
            assert_eq!(all.len(), expected.len(), "{all:?}");
            assert!(all.iter().zip(expected).all(|(text, expected)| text.ends_with(expected)), "{all:?}");
        }
    }

    #[test]
    fn no_passage_crosses_a_heading_and_each_knows_those_above_it() {
        let text = "intro\n# A\nbody a\n## B\nbody b\n# C\n".to_owned();
        let heading = |title: &str, level, at: usize| {
            let length = text[at..].find('\n').unwrap() + 1;
            Heading { title: title.into(), level, bytes: at..at + length }
        };
        let at = |part: &str| text.find(part).unwrap();
        let headings =
            vec![heading("A", 1, at("# A")), heading("B", 2, at("## B")), heading("C", 1, at("# C"))];
        let document = Document { headings, ..Document::of_text(&text) };
        let found = passages(&document, ChunkBy::Sentences, 50, 0);
        let shown: Vec<(String, &str)> = found.iter().map(|p| (p.titles.join("/"), &*p.text)).collect();
        let expected = [("", "intro"), ("A", "body a"), ("A/B", "body b"), ("C", "")];
        assert_eq!(shown, expected.map(|(titles, text)| (titles.to_owned(), text)));
        assert_eq!(found[2].indexed(), "A B body b");
    }

    #[test]
    fn documents_of_one_sentence_of_none_and_whole_ones() {
        assert_eq!(texts(&passages(&Document::of_text("One."), ChunkBy::Sentences, 9, 3)), ["One."]);
        for empty in ["", " \n\t "] {
            assert!(passages(&Document::of_text(empty), ChunkBy::Sentences, 9, 3).is_empty());
            assert!(passages(&Document::of_text(empty), ChunkBy::Whole, 9, 3).is_empty());
        }
        let whole = Document { title: Some("T".into()), ..Document::of_text(" a b. c ") };
        let found = passages(&whole, ChunkBy::Whole, 1, 0);
        assert_eq!((found[0].indexed(), found[0].start, found[0].end), ("T a b. c".into(), 1, 7));
    }

    proptest! {
        #[test]
        fn every_character_but_blanks_is_in_a_passage_at_its_place(
            text in "(\\PC|[ \n.!?]){0,200}", tokens in 1..12_usize, overlap in 0..6_usize, by_tokens: bool,
        ) {
            let by = if by_tokens { ChunkBy::Tokens } else { ChunkBy::Sentences };
            let document = Document::of_text(&text);
            let chars: Vec<char> = text.chars().collect();
            let mut covered = vec![false; chars.len()];
            for passage in passages(&document, by, tokens, overlap) {
                let own: String = chars[passage.start..passage.end].iter().collect();
                prop_assert_eq!(&own, &passage.text);
                covered[passage.start..passage.end].fill(true);
            }
            for (c, is_covered) in chars.iter().zip(covered) {
                prop_assert!(is_covered || c.is_whitespace(), "{:?}", c);
            }
        }
    }
}
