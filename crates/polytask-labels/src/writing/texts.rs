//! The texts in what a language model says: a JSON list, also one that was cut short, else a text per line.

use serde_json::Value;

/// Texts of an answer, in its order.
pub(super) fn texts(said: &str) -> Vec<String> {
    let listed = said.find('[').map(|start| strings(&said[start + 1..])).unwrap_or_default();
    let found = if listed.is_empty() { said.lines().filter_map(line).collect() } else { listed };
    let whole = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    found.into_iter().map(whole).filter(|text| !text.is_empty()).collect()
}

/// The strings of a JSON list behind its bracket, up to where it ends or is cut; of objects their field `text`.
fn strings(list: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), list);
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let Some(Ok(value)) = values.next() else { return found };
        rest = &rest[values.byte_offset()..];
        let text = value.as_str().or_else(|| value.get("text").and_then(Value::as_str));
        found.extend(text.map(str::to_owned));
    }
}

/// The text of a line: without the number or dash before it and the quotes around it. Headings and fences have none.
fn line(line: &str) -> Option<String> {
    let line = line.trim();
    if line.starts_with("```") || line.starts_with('#') || line.ends_with(':') {
        return None;
    }
    let digits = line.chars().take_while(char::is_ascii_digit).count();
    let numbered = line[digits..].strip_prefix(['.', ')', ':']).filter(|_| digits > 0);
    let text = numbered.or_else(|| line.strip_prefix(['-', '*', '•'])).unwrap_or(line);
    let text = text.trim().trim_end_matches(',').trim_matches(['"', '“', '”']).trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_in_lists_also_in_those_that_were_cut_short() {
        assert_eq!(texts(r#"Here: ["a \"b\"", "c d"] as asked"#), ["a \"b\"", "c d"]);
        assert_eq!(texts("```json\n[\"one\",\n \"two\",\n \"thr"), ["one", "two"]);
        assert_eq!(texts(r#"[{"text": "one"}, {"text": "two"}]"#), ["one", "two"]);
    }

    #[test]
    fn texts_are_found_in_lines_with_numbers_and_dashes() {
        let said =
            "Texts:\n1. my card is lost\n2) \"where is it\"\n- the fee, again\n\n3 days have passed\n```";
        assert_eq!(texts(said), ["my card is lost", "where is it", "the fee, again", "3 days have passed"]);
        assert!(texts(" \n```\n").is_empty());
    }
}
