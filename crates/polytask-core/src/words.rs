//! Numbers of things in words.

/// `1 row`, `2 rows`, `2 entries`: a number and its noun.
pub fn plural(n: usize, noun: &str) -> String {
    format!("{n} {}", form(n, noun))
}

/// The noun for this number of things, where the number is written otherwise.
pub fn form(n: usize, noun: &str) -> String {
    if n == 1 { noun.to_owned() } else { several(noun) }
}

/// `has`, `is` or another verb for one thing or for several: `verb(n, "has", "have")`.
pub fn verb(n: usize, one: &'static str, several: &'static str) -> &'static str {
    if n == 1 { one } else { several }
}

/// The plural of a noun by the rules of spelling.
fn several(noun: &str) -> String {
    let before = |end: &str| noun.strip_suffix(end);
    match before("y") {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ if ["s", "x", "ch", "sh"].iter().any(|end| noun.ends_with(end)) => format!("{noun}es"),
        _ => format!("{noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one_and_none_are_several() {
        let shown = [0, 1, 2].map(|n| plural(n, "task"));
        assert_eq!(shown, ["0 tasks", "1 task", "2 tasks"]);
        let nouns = ["query", "day", "batch", "loss", "index"].map(|noun| plural(2, noun));
        assert_eq!(nouns, ["2 queries", "2 days", "2 batches", "2 losses", "2 indexes"]);
        assert_eq!((verb(1, "has", "have"), verb(0, "has", "have")), ("has", "have"));
    }
}
