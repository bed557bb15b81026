//! The text of HTML: what a reader would see, a line per block, and its headings.

use html5gum::{Token, Tokenizer};

use super::{Document, Heading};

/// Elements whose text nobody sees.
const HIDDEN: [&str; 6] = ["script", "style", "noscript", "template", "svg", "head"];
/// Elements that begin a line of their own.
const BLOCKS: [&str; 31] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "br",
    "caption",
    "dd",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "header",
    "hr",
    "li",
    "main",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "td",
    "th",
    "tr",
    "ul",
    "body",
    "title",
];

/// Text, headings and title of a page. Places are those of the text, not of the file.
pub(super) fn read(page: &str) -> Document {
    let mut reader = Reader::default();
    for token in Tokenizer::new(page).flatten() {
        match token {
            Token::StartTag(tag) => {
                reader.start(&String::from_utf8_lossy(&tag.name), tag.self_closing);
            }
            Token::EndTag(tag) => reader.end(&String::from_utf8_lossy(&tag.name)),
            Token::String(text) => reader.text(&String::from_utf8_lossy(&text)),
            _ => {}
        }
    }
    reader.finish()
}

#[derive(Default)]
struct Reader {
    document: Document,
    title: String,
    in_title: bool,
    /// The elements around us whose text is not seen.
    hidden: Vec<String>,
    /// Level and start of the heading we are in.
    heading: Option<(usize, usize)>,
}

impl Reader {
    fn start(&mut self, name: &str, is_closed: bool) {
        if name == "title" && !self.hidden.iter().any(|hidden| hidden == "svg") {
            self.in_title = true;
        } else if name == "body" {
            // A head that nobody closed ends here.
            self.hidden.clear();
        } else if HIDDEN.contains(&name) && !is_closed {
            self.hidden.push(name.to_owned());
        }
        if let Some(level) = level(name) {
            self.close_heading();
            self.break_line();
            self.heading = Some((level, self.document.text.len()));
        } else if BLOCKS.contains(&name) {
            self.break_line();
        }
    }

    fn end(&mut self, name: &str) {
        if name == "title" {
            self.in_title = false;
        } else if let Some(at) = self.hidden.iter().rposition(|hidden| hidden == name) {
            self.hidden.truncate(at);
        }
        if level(name).is_some() {
            self.close_heading();
        } else if BLOCKS.contains(&name) {
            self.break_line();
        }
    }

    /// Adds text with its blanks as a browser shows them.
    fn text(&mut self, text: &str) {
        let to = if self.in_title {
            &mut self.title
        } else if self.hidden.is_empty() {
            &mut self.document.text
        } else {
            return;
        };
        for c in text.chars() {
            if !c.is_whitespace() || c == '\u{a0}' {
                to.push(if c == '\u{a0}' { ' ' } else { c });
            } else if !to.is_empty() && !to.ends_with([' ', '\n']) {
                to.push(' ');
            }
        }
    }

    fn break_line(&mut self) {
        let text = &mut self.document.text;
        text.truncate(text.trim_end_matches(' ').len());
        if !text.is_empty() && !text.ends_with("\n\n") {
            // An empty line: blocks are paragraphs, not lines that go on.
            text.push_str(if text.ends_with('\n') { "\n" } else { "\n\n" });
        }
    }

    fn close_heading(&mut self) {
        if let Some((level, start)) = self.heading.take() {
            let title = self.document.text[start.min(self.document.text.len())..].trim().replace('\n', " ");
            self.break_line();
            if !title.is_empty() {
                let bytes = start..self.document.text.len();
                self.document.headings.push(Heading { title, level, bytes });
            }
        }
    }

    fn finish(mut self) -> Document {
        self.close_heading();
        let title = self.title.trim();
        // A page whose first heading is its title says it once.
        let is_said = self.document.headings.first().is_some_and(|heading| heading.title == title);
        self.document.title = (!title.is_empty() && !is_said).then(|| title.to_owned());
        self.document
    }
}

fn level(name: &str) -> Option<usize> {
    match name.as_bytes() {
        [b'h', level @ b'1'..=b'6'] => Some(usize::from(level - b'0')),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_is_seen() {
        let page = "<!doctype html><html><head><title>A &amp; B</title><style>p{}</style><script>if (a<b) {}</script>\
            </head><body><h1>One <em>two</em></h1><p>First&nbsp;line\n  goes   on.<br>Second.</p><ul><li>item</li></ul>\
            <h2>Below</h2><div>text</div><!-- no --></body></html>";
        let document = read(page);
        assert_eq!(document.title.as_deref(), Some("A & B"));
        let text = "One two\n\nFirst line goes on.\n\nSecond.\n\nitem\n\nBelow\n\ntext\n\n";
        assert_eq!(document.text, text);
        let headings: Vec<(&str, usize)> = document.headings.iter().map(|h| (&*h.title, h.level)).collect();
        assert_eq!(headings, [("One two", 1), ("Below", 2)]);
        assert_eq!(&text[document.headings[1].bytes.clone()], "Below\n\n");
    }

    #[test]
    fn broken_pages_are_read_as_far_as_they_go() {
        for page in [
            "",
            "<",
            "<p",
            "<h1>open",
            "</p></div>",
            "text <b>bold",
            "<head><p>a",
            "<title>t",
            "a & b &bogus; <3",
        ] {
            let _: Document = read(page);
        }
        assert_eq!(read("<h1>open").headings[0].title, "open");
        assert_eq!(read("text <b>bold").text, "text bold");
    }
}
