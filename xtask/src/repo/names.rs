//! A public type's name stands for one thing in the whole workspace.

use std::collections::BTreeMap;

use super::Tree;
use crate::root::TextFile;

/// Names that every crate has one of.
const SHARED: &[&str] = &["Error", "Result"];

/// Words that declare a type.
const DECLARATIONS: &[&str] = &["struct", "enum", "trait", "type", "union"];

/// Names that are declared more than once.
pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for file in tree.files.iter().filter(|file| is_source(file)) {
        for (line, text) in (1..).zip(file.text.lines()) {
            if let Some(name) = declared(text) {
                places.entry(name).or_default().push(format!("{}:{line}", file.path));
            }
        }
    }
    let twice = places.into_iter().filter(|(name, found)| found.len() > 1 && !SHARED.contains(name));
    twice
        .map(|(name, found)| format!("{}: `{name}` is a public type at {} too", found[0], found[1]))
        .collect()
}

fn is_source(file: &TextFile) -> bool {
    file.path.starts_with("crates/") && file.path.contains("/src/") && file.extension() == "rs"
}

/// The name of the public type that a line at the margin declares.
fn declared(line: &str) -> Option<&str> {
    let words = line.strip_prefix("pub ")?;
    let words = words.strip_prefix("unsafe ").unwrap_or(words);
    let (word, rest) = words.split_once(' ')?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    DECLARATIONS.contains(&word).then_some(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    #[test]
    fn a_name_with_two_meanings_is_found_with_both_places() {
        let tree = tree(&[
            ("crates/a/src/lib.rs", "//! A.\n\npub struct Entry<T> {\n}\npub type Result<T> = T;\n"),
            ("crates/b/src/table.rs", "pub trait Entry: Sync {}\nstruct Own;\npub type Result<T> = T;\n"),
            ("crates/b/src/other.rs", "struct Own;\npub(crate) struct Own2;\n    pub struct Entry;\n"),
            ("crates/b/tests/all.rs", "pub struct Entry;\n"),
        ]);
        let found = problems(&tree);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("crates/a/src/lib.rs:3"), "{found:?}");
        assert!(found[0].contains("`Entry`") && found[0].contains("crates/b/src/table.rs:1"), "{found:?}");
    }

    #[test]
    fn declarations_are_told_from_uses() {
        assert_eq!(declared("pub enum Kind {"), Some("Kind"));
        assert_eq!(declared("pub unsafe trait Raw {}"), Some("Raw"));
        assert_eq!(declared("pub fn kind() {"), None);
        assert_eq!(declared("pub(crate) struct Kind;"), None);
    }
}
