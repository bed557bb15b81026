//! Segments as JSON lines or as a table.

use std::ops::Range;

use anyhow::Result;
use polytask_model::FoundSegment;
use serde_json::json;

use super::input::ReadText;
use crate::verbs::search::short;
use polytask_terminal::output;

/// Prints the segments of a text, in order.
pub(super) struct Printer<'a> {
    text: &'a ReadText,
    score: &'static str,
    json: bool,
    n: usize,
    /// A byte and the number of characters before it.
    place: (usize, usize),
}

impl<'a> Printer<'a> {
    pub(super) fn new(text: &'a ReadText, score: &'static str, json: bool) -> Result<Self> {
        if !json {
            output::line(&text.id)?;
        }
        Ok(Self { text, score, json, n: 0, place: (0, 0) })
    }

    pub(super) fn print(&mut self, segment: &FoundSegment) -> Result<()> {
        let sentences = &segment.sentences;
        let bytes = self.text.sentences[sentences.start].start..self.text.sentences[sentences.end - 1].end;
        let chars = self.chars(&bytes);
        let (text, titles) = (&self.text.text[bytes], self.titles(sentences.start));
        self.n += 1;
        if !self.json {
            return self.line(segment, &chars, titles, text);
        }
        let mut line = json!({
            "document": self.text.id, "segment": self.n, "start": chars.start, "end": chars.end,
            "sentences": sentences.len(), "text": text,
        });
        if self.text.is_listed {
            line["first_sentence"] = json!(sentences.start);
        }
        line[self.score] = json!(segment.score);
        if let Some((class, probability)) = &segment.class {
            line["class"] = json!({ "label": class, "score": probability });
        }
        if !titles.is_empty() {
            line["titles"] = json!(titles);
        }
        output::json(&line)
    }

    fn line(
        &self,
        segment: &FoundSegment,
        chars: &Range<usize>,
        titles: &[String],
        text: &str,
    ) -> Result<()> {
        let score = segment.score.map_or_else(|| "  end".into(), |score| format!("{score:.3}"));
        let class = segment.class.as_ref().map(|(class, p)| format!("  {class} {p:.2}")).unwrap_or_default();
        let titles = if titles.is_empty() { String::new() } else { format!("  {}", titles.join(" > ")) };
        let n = segment.sentences.len();
        let Range { start, end } = chars;
        output::line(format!("{:>4}  {start}..{end}  {n:>3} sentences  {score}{class}{titles}", self.n))?;
        output::line(format!("      {}", short(text)))
    }

    /// The headings above a sentence.
    fn titles(&self, sentence: usize) -> &'a [String] {
        let at = self.text.titles.partition_point(|(first, _)| *first <= sentence);
        at.checked_sub(1).map_or(&[], |at| &self.text.titles[at].1)
    }

    /// The same place in characters; places are asked in order.
    fn chars(&mut self, bytes: &Range<usize>) -> Range<usize> {
        let (byte, chars) = self.place;
        let start = chars + self.text.text[byte..bytes.start].chars().count();
        let end = start + self.text.text[bytes.clone()].chars().count();
        self.place = (bytes.end, end);
        start..end
    }
}
