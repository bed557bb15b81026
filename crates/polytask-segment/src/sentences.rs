//! Sentences of a text, by the rules of the Unicode standard; lines that only wrap a paragraph end none.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// The sentences of a part of a text, in order and without the blanks around them, as bytes of the text.
pub fn sentences(text: &str, part: Range<usize>) -> Vec<Range<usize>> {
    let unwrapped = unwrapped(&text[part.clone()]);
    let bounds = unwrapped.split_sentence_bound_indices();
    bounds
        .filter_map(|(at, sentence)| trimmed(text, part.start + at..part.start + at + sentence.len()))
        .collect()
}

/// A range without the blanks around it, where anything is left.
pub fn trimmed(text: &str, bytes: Range<usize>) -> Option<Range<usize>> {
    let part = &text[bytes.clone()];
    let start = bytes.start + (part.len() - part.trim_start().len());
    let end = start + part.trim().len();
    (start < end).then_some(start..end)
}

/// The text with the line ends that only wrap a paragraph as blanks, byte for byte: sentences go on over them. A line
/// end stays before an empty line and before what begins a list, a table or a quotation.
pub fn unwrapped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let wraps = !line.trim().is_empty() && lines.peek().is_some_and(|next| goes_on(next));
        if wraps && line.ends_with('\n') {
            let kept = line.trim_end_matches(['\r', '\n']);
            out.push_str(kept);
            out.extend(std::iter::repeat_n(' ', line.len() - kept.len()));
        } else {
            out.push_str(line);
        }
    }
    out
}

/// Whether a line goes on with the paragraph before it.
fn goes_on(line: &str) -> bool {
    let line = line.trim_start();
    let is_item = line.starts_with(['-', '*', '+', '|', '>', '#', '•']);
    let is_numbered = line.split_once(['.', ')']).is_some_and(|(number, rest)| {
        !number.is_empty()
            && number.len() <= 3
            && number.bytes().all(|b| b.is_ascii_digit())
            && rest.starts_with(' ')
    });
    !line.is_empty() && !is_item && !is_numbered
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        sentences(text, 0..text.len()).into_iter().map(|bytes| &text[bytes]).collect()
    }

    #[test]
    fn wrapped_lines_end_no_sentence_and_paragraphs_and_items_do() {
        assert_eq!(texts("The cat sees\na bird. It sings.\n"), ["The cat sees\na bird.", "It sings."]);
        assert_eq!(texts("A title\n\nA text\n- one\n- two"), ["A title", "A text", "- one", "- two"]);
        assert_eq!(
            texts("Er kam um 3.5 Uhr. 東京です。はい！"),
            ["Er kam um 3.5 Uhr.", "東京です。", "はい！"]
        );
        assert!(texts(" \n\t ").is_empty() && texts("no end at all").len() == 1);
    }

    proptest! {
        #[test]
        fn sentences_are_in_order_and_nothing_but_blanks_lies_between(text in "[a-c.!? \n\ré東。-]{0,60}") {
            let all = sentences(&text, 0..text.len());
            let mut at = 0;
            for sentence in &all {
                prop_assert!(text[at..sentence.start].trim().is_empty() && sentence.start < sentence.end);
                at = sentence.end;
            }
            prop_assert!(text[at..].trim().is_empty());
        }
    }
}
