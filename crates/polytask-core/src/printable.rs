//! Text of files and servers as it may be shown: nothing in it speaks to a terminal, hides, or turns the direction
//! of what stands beside it.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with every character that is not shown for what it is as `\u{…}`; line ends and tabs stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(
        text,
        |c| !matches!(c, '\n' | '\t') && is_hidden(c),
        |out, c| {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        },
    )
}

/// The same for a text in JSON, where such characters have codes of their own: its value stays what it was.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    // Below U+0080 JSON's own rules hold: what would be hidden stands between its texts, as white space.
    escaped(
        json,
        |c| c >= '\u{7f}' && is_hidden(c),
        |out, c| {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        },
    )
}

fn escaped(
    text: &str,
    is_escaped: impl Fn(char) -> bool,
    escape: impl Fn(&mut String, char),
) -> Cow<'_, str> {
    if !text.chars().any(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) { escape(&mut out, c) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Control characters, separators of lines, marks and overrides of direction, characters without width, tags.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIDDEN: [char; 20] = [
        '\0',
        '\x07',
        '\x08',
        '\r',
        '\x1b',
        '\x7f',
        '\u{80}',
        '\u{9b}',
        '\u{ad}',
        '\u{61c}',
        '\u{200b}',
        '\u{200f}',
        '\u{2028}',
        '\u{2029}',
        '\u{202a}',
        '\u{202e}',
        '\u{2066}',
        '\u{2069}',
        '\u{feff}',
        '\u{e0041}',
    ];

    #[test]
    fn what_is_not_shown_for_what_it_is_has_its_code_shown() {
        for c in HIDDEN {
            let code = format!("a\\u{{{:x}}}b", u32::from(c));
            assert_eq!(printable(&format!("a{c}b")), code);
        }
        assert_eq!(printable("\u{1b}]0;x\u{7}"), "\\u{1b}]0;x\\u{7}");
        assert_eq!(printable(&printable("a\u{1b}")), "a\\u{1b}", "shown once it stays");
    }

    #[test]
    fn words_of_every_script_stay_as_they_are() {
        for text in ["naïve — 情绪 שלום مرحبا हिन्दी 🙂", "a\tb\nc", "1\u{202f}234", ""]
        {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text));
            assert!(matches!(printable_json(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn json_keeps_its_value_and_shows_nothing_hidden() {
        for c in HIDDEN {
            let value = serde_json::json!({ "k": format!("a{c}\u{1f600}"), format!("{c}"): [1.5, null] });
            let json = value.to_string();
            let shown = printable_json(&json);
            assert!(!shown.chars().any(is_hidden), "{shown:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
    }
}
