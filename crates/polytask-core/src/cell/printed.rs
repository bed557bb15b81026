//! Lists as Python, numpy and pandas print them into the cells of a table: `['a', 'b']`, `['a' 'b']`, `{'a', 'b'}`,
//! `[0. 1. 0.]`, `[True, False]`.

use std::iter::Peekable;
use std::str::Chars;

use super::Cell;

/// The items of a printed list, tuple or set; `None` for any other text.
///
/// Items are quoted texts, numbers, `True`, `False`, `None` and `nan`, separated by commas or white space. A word without
/// quotes makes it an ordinary text (`[sic] he said`), and so does `...`, with which numpy leaves values out.
pub(super) fn items(text: &str) -> Option<Vec<Cell>> {
    let text = text.trim();
    if text == "set()" {
        return Some(Vec::new());
    }
    let close = match text.chars().next()? {
        '[' => ']',
        '(' => ')',
        '{' => '}',
        _ => return None,
    };
    let inner = text[1..].strip_suffix(close)?;
    // Python prints a tuple of one as `('a',)`: brackets around a single word belong to it.
    if close == ')' && !inner.contains(',') && !inner.trim().is_empty() {
        return None;
    }
    let mut chars = inner.chars().peekable();
    let mut found = Vec::new();
    loop {
        skip_white(&mut chars);
        match chars.peek() {
            None => return Some(found),
            Some('\'' | '"') => found.push(Cell::Text(quoted(&mut chars)?)),
            Some(_) => found.push(bare(&mut chars)?),
        }
        skip_white(&mut chars);
        if chars.peek() == Some(&',') {
            chars.next();
        }
    }
}

/// Whether numpy left values out of the list it printed.
pub fn is_shortened(text: &str) -> bool {
    let text = text.trim();
    text.starts_with('[') && text.ends_with(']') && text.split_whitespace().any(|part| part == "...")
}

fn skip_white(chars: &mut Peekable<Chars>) {
    while chars.peek().is_some_and(|c| c.is_whitespace()) {
        chars.next();
    }
}

/// A text between quotes, which may hold the other quote and escapes.
fn quoted(chars: &mut Peekable<Chars>) -> Option<String> {
    let quote = chars.next()?;
    let mut text = String::new();
    loop {
        match chars.next()? {
            '\\' => text.push(escaped(chars)?),
            c if c == quote => break,
            c => text.push(c),
        }
    }
    // What follows a closing quote is a separator or the end: else the quotes are part of a sentence.
    chars.peek().is_none_or(|next| next.is_whitespace() || *next == ',').then_some(text)
}

fn escaped(chars: &mut Peekable<Chars>) -> Option<char> {
    let digits = match chars.next()? {
        'n' => return Some('\n'),
        't' => return Some('\t'),
        'r' => return Some('\r'),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        other => return Some(other),
    };
    let code: String = chars.by_ref().take(digits).collect();
    u32::from_str_radix(&code, 16).ok().filter(|_| code.len() == digits).and_then(char::from_u32)
}

/// An item without quotes.
fn bare(chars: &mut Peekable<Chars>) -> Option<Cell> {
    let mut text = String::new();
    while let Some(&c) = chars.peek().filter(|c| !c.is_whitespace() && **c != ',') {
        text.push(c);
        chars.next();
    }
    match text.as_str() {
        "True" | "true" => Some(Cell::Bool(true)),
        "False" | "false" => Some(Cell::Bool(false)),
        "None" | "null" => Some(Cell::Null),
        "nan" | "NaN" => Some(Cell::Number(f64::NAN)),
        // Rust reads `infinity` and `e5` more freely than any program prints numbers.
        text if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => number(text),
        _ => None,
    }
}

/// A number; a whole one beyond 2⁵³ stays the text it is, as in JSON.
fn number(text: &str) -> Option<Cell> {
    const EXACT: u64 = 1 << 53;
    match text.parse::<i128>() {
        Ok(whole) if whole.unsigned_abs() > u128::from(EXACT) => Some(Cell::Text(text.to_owned())),
        _ => text.parse().ok().filter(|real: &f64| real.is_finite()).map(Cell::Number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Option<Vec<String>> {
        items(text).map(|items| items.iter().map(|item| item.to_text().unwrap_or_default()).collect())
    }

    #[test]
    fn lists_are_read_as_python_numpy_and_pandas_print_them() {
        let expected = Some(vec!["a".to_owned(), "it's, b".to_owned()]);
        for printed in [
            r#"['a', "it's, b"]"#,
            "['a' \"it's, b\"]",
            r"('a', 'it\'s, b')",
            "{'a', \"it's, b\"}",
            "[ 'a',\n \"it's, b\",]",
        ] {
            assert_eq!(texts(printed), expected, "{printed}");
        }
        assert_eq!(items("[0. 1.\n 0.]"), Some([0.0, 1.0, 0.0].map(Cell::Number).to_vec()));
        assert_eq!(items("[True, False, None]"), Some(vec![Cell::Bool(true), Cell::Bool(false), Cell::Null]));
        assert_eq!(
            texts(r"['caf\xe9', '\u4e2d', 'a\\b']"),
            Some(vec!["café".into(), "中".into(), r"a\b".into()])
        );
        for empty in ["[]", "()", "[ ]"] {
            assert_eq!(items(empty), Some(vec![]), "{empty}");
        }
        assert_eq!(items("[12345678901234567890]"), Some(vec![Cell::Text("12345678901234567890".into())]));
    }

    #[test]
    fn other_texts_stay_texts() {
        for text in [
            "[sic] he said",
            "(see note)",
            "[MASK]",
            "['a' is a letter]",
            "['a'b]",
            "['open]",
            "['a'",
            "{\"a\": 1}",
            "a",
            "",
            "[1, two]",
            "[e5]",
            "['\\x4']",
            "[inf]",
            "['a' ... 'z']",
        ] {
            assert_eq!(items(text), None, "{text}");
        }
        assert!(is_shortened("['a' 'b' ... 'z']") && !is_shortened("[wait ...") && !is_shortened("['...']"));
    }
}
