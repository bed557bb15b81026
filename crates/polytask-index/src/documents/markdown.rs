//! Headings of Markdown; the text stays as it is written, so that places are those of the file.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::Heading;

/// The headings of a text.
pub(super) fn headings(text: &str) -> Vec<Heading> {
    let mut headings = Vec::new();
    let mut open: Option<Heading> = None;
    let options = Options::ENABLE_YAML_STYLE_METADATA_BLOCKS | Options::ENABLE_TABLES;
    for (event, bytes) in Parser::new_ext(text, options).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                open = Some(Heading { title: String::new(), level: level as usize, bytes });
            }
            Event::End(TagEnd::Heading(_)) => headings.extend(open.take()),
            Event::Text(words) | Event::Code(words) => {
                if let Some(heading) = &mut open {
                    heading.title.push_str(&words);
                }
            }
            Event::SoftBreak | Event::HardBreak => {
                if let Some(heading) = &mut open {
                    heading.title.push(' ');
                }
            }
            _ => {}
        }
    }
    headings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_told_from_code_and_have_no_marks() {
        let text = "---\nkey: value\n---\n# The *first* `one` #\n\n```\n# no\n```\n\nSecond\n===\ntext\n\n### Third\n";
        let found: Vec<(String, usize, &str)> =
            headings(text).into_iter().map(|h| (h.title, h.level, &text[h.bytes])).collect();
        let expected = [
            ("The first one", 1, "# The *first* `one` #\n"),
            ("Second", 1, "Second\n===\n"),
            ("Third", 3, "### Third\n"),
        ];
        assert_eq!(found, expected.map(|(title, level, own)| (title.to_owned(), level, own)));
    }
}
