//! The short form of a part: `flat(cagrad, rho=0.05)` for `{ name = "flat", of = "cagrad", rho = 0.05 }`.
//!
//! Values are numbers, `true` and `false`, words, quoted texts, and parts again. The value without a key, if any,
//! stands first and is the part another one wraps ([`WRAPPED`]).

use std::fmt;

use serde_json::Value;

use super::Choice;

/// The parameter whose key the short form leaves out.
const WRAPPED: &str = "of";
/// Most parts inside each other.
const MOST_NESTED: usize = 8;

impl Choice {
    /// Reads a name or a short form.
    ///
    /// # Errors
    /// What is wrong with the text, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        part(text, 0)
    }
}

fn part(text: &str, depth: usize) -> Result<Choice, String> {
    let text = text.trim();
    if depth > MOST_NESTED {
        return Err(format!("more than {MOST_NESTED} parts inside each other"));
    }
    let Some((name, rest)) = text.split_once('(') else { return named(text) };
    let Some(inside) = rest.strip_suffix(')') else {
        return Err(format!("`{text}` does not end with the `)` of `{}(`", name.trim()));
    };
    let mut choice = named(name)?;
    for (i, argument) in arguments(inside)?.into_iter().enumerate() {
        let (key, value) = match key_of(argument) {
            Some(pair) => pair,
            None if i == 0 => (WRAPPED, argument),
            None => return Err(format!("`{}` has no key, expected KEY=VALUE", argument.trim())),
        };
        if choice.params.insert(key.into(), self::value(value, depth)?).is_some() {
            return Err(format!("`{key}` is given twice"));
        }
    }
    Ok(choice)
}

fn named(name: &str) -> Result<Choice, String> {
    let name = name.trim();
    let is_word = |c: char| !c.is_whitespace() && !"(),=\"".contains(c);
    if name.is_empty() || !name.chars().all(is_word) {
        return Err(format!("`{name}` is no name"));
    }
    Ok(Choice::named(name))
}

/// Splits at commas outside brackets and quotes.
fn arguments(text: &str) -> Result<Vec<&str>, String> {
    let (mut found, mut start, mut open, mut quoted) = (Vec::new(), 0, 0_i32, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' if open == 0 => return Err(format!("`{text}` closes what it did not open")),
            ')' | ']' | '}' => open -= 1,
            ',' if open == 0 => {
                found.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if open != 0 || quoted {
        return Err(format!("`{text}` does not close what it opened"));
    }
    if !(found.is_empty() && text.trim().is_empty()) {
        found.push(&text[start..]);
    }
    Ok(found)
}

/// The key and the value of `key=value`; an equals sign inside brackets belongs to a part.
fn key_of(argument: &str) -> Option<(&str, &str)> {
    let (key, value) = argument.split_once('=')?;
    (!key.contains(['(', '"'])).then(|| (key.trim(), value))
}

fn value(text: &str, depth: usize) -> Result<Value, String> {
    let text = text.trim();
    match serde_json::from_str(text) {
        Ok(Value::Null) | Err(_) => Ok(part(text, depth + 1)?.to_json()),
        Ok(value) => Ok(value),
    }
}

impl Choice {
    /// The name alone where there are no parameters, else a table.
    pub fn to_json(&self) -> Value {
        if self.params.is_empty() {
            return Value::String(self.name.clone());
        }
        let name = ("name".to_owned(), Value::String(self.name.clone()));
        Value::Object(std::iter::once(name).chain(self.params.clone()).collect())
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let show = |value: &Value| match (value, Self::from_json(value)) {
            (Value::Object(_), Some(choice)) => choice.to_string(),
            (Value::String(text), _) => text.clone(),
            _ => value.to_string(),
        };
        let wrapped = self.params.get(WRAPPED).map(show);
        let others = self.params.iter().filter(|(key, _)| *key != WRAPPED);
        let all: Vec<String> =
            wrapped.into_iter().chain(others.map(|(key, value)| format!("{key}={}", show(value)))).collect();
        if all.is_empty() { f.write_str(&self.name) } else { write!(f, "{}({})", self.name, all.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_short_form_says_what_a_table_says() {
        let choice = Choice::parse("flat(cagrad(c=0.4), rho=0.05, adaptive=true, variant=direct)").unwrap();
        let table = json!({
            "name": "flat", "of": { "name": "cagrad", "c": 0.4 }, "rho": 0.05, "adaptive": true, "variant": "direct"
        });
        assert_eq!(choice.to_json(), table);
        assert_eq!(Choice::from_json(&table), Some(choice));
        assert_eq!(Choice::parse(" uw ").unwrap(), Choice::named("uw"));
        assert_eq!(Choice::parse("uw()").unwrap(), Choice::named("uw"));
        assert_eq!(Choice::parse("constant(weights={\"a\": 2})").unwrap().params["weights"], json!({"a": 2}));
    }

    #[test]
    fn a_choice_shows_as_its_short_form_and_reads_back() {
        for text in ["equal", "flat(cagrad(c=0.4), adaptive=true, rho=0.05)", "mgda(normalise=loss+)"] {
            assert_eq!(Choice::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_short_form_is_refused_in_words() {
        let deep = "a(".repeat(5000) + &")".repeat(5000);
        for (text, part) in [
            ("flat(mgda", "does not end"),
            ("flat(mgda))", "closes what it did not open"),
            ("flat((mgda)", "does not close"),
            ("flat(mgda, 0.05)", "has no key"),
            ("flat(rho=1, rho=2)", "twice"),
            ("(mgda)", "no name"),
            ("flat(mgda,,rho=1)", "has no key"),
            ("", "no name"),
            ("a b", "no name"),
            (&deep, "inside each other"),
        ] {
            let error = Choice::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
