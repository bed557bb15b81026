//! The nearest known name to one that is not known.

use crate::synonyms;

/// The known name closest to `word`, when it is close enough to be meant.
pub fn nearest<'a, S: AsRef<str>>(word: &str, known: &'a [S]) -> Option<&'a str> {
    // Names are short: a longer word is no slip of one, and comparing it would cost its square.
    if word.len() > 100 {
        return None;
    }
    let lower = word.to_lowercase();
    let letters = plain(word);
    let is_same = |name: &str| !letters.is_empty() && plain(name) == letters;
    let distance = |name: &str| {
        if is_same(name) { 0 } else { strsim::damerau_levenshtein(&lower, &name.to_lowercase()) }
    };
    let scored = known.iter().map(|name| (distance(name.as_ref()), name.as_ref()));
    // A third of the letters wrong is a slip; more is another word.
    let meant = |name: &str| name.chars().count().max(word.chars().count()).div_ceil(3);
    scored.filter(|(d, name)| *d <= meant(name)).min().map(|(_, name)| name)
}

/// A name without what slips change most: case, punctuation, blanks.
fn plain(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Advice for an unknown name: what another tool means by it, else the nearest known one, else all of them.
pub fn advice<S: AsRef<str>>(word: &str, known: &[S]) -> String {
    if let Some(meant) = synonyms::advice(word, known) {
        return meant;
    }
    match nearest(word, known) {
        Some(name) => format!("`{name}`"),
        None if known.is_empty() => "remove it".into(),
        None => format!("one of {}", list(known)),
    }
}

/// Names in a row, each in backticks.
pub fn list<S: AsRef<str>>(names: &[S]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_another_word_finds_the_list() {
        let known = ["lr", "warmup", "batch_tokens"];
        assert_eq!(advice("lrr", &known), "`lr`");
        assert_eq!(advice("Batch_token", &known), "`batch_tokens`");
        assert_eq!(nearest("d e p t", &["Dept.", "debt"]), Some("Dept."));
        assert_eq!(nearest("?", &["!"]), Some("!"), "one letter of one is a slip");
        assert_eq!(advice("optimizer", &known), "one of `lr`, `warmup`, `batch_tokens`");
    }
}
