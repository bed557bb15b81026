//! Manifests: versions, lints and licence stand once, at the root; every dependency says why it is there.

use toml_edit::{DocumentMut, Item, TableLike};

use super::Tree;
use super::edges::DEPENDENCY_TABLES;

/// Fields of a package that come from the root.
const INHERITED: &[&str] = &["version", "edition", "license"];

/// Breaches of the manifest rules.
pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let mut found = match tree.get("Cargo.toml") {
        Some(file) => unexplained(&file.text),
        None => vec!["Cargo.toml: there is no root manifest".to_owned()],
    };
    for file in tree.members() {
        match file.text.parse::<DocumentMut>() {
            Ok(manifest) => {
                found.extend(own_values(&manifest).iter().map(|why| format!("{}: {why}", file.path)));
            }
            Err(error) => found.push(format!("{}: not a manifest: {error}", file.path)),
        }
    }
    found
}

/// What a member states itself although it belongs to the root.
fn own_values(manifest: &DocumentMut) -> Vec<String> {
    let mut found = Vec::new();
    for field in INHERITED {
        if !from_workspace(manifest.get("package").and_then(|package| package.get(field))) {
            found.push(format!("`package.{field}` does not come from the workspace"));
        }
    }
    if !from_workspace(manifest.get("lints")) {
        found.push("`[lints]` does not come from the workspace".to_owned());
    }
    let tables = DEPENDENCY_TABLES.iter().filter_map(|key| manifest.get(key)?.as_table_like());
    for (name, value) in tables.flat_map(TableLike::iter) {
        if !from_workspace(Some(value)) {
            found.push(format!("dependency `{name}` states its own version; put it into the root manifest"));
        }
    }
    found
}

fn from_workspace(item: Option<&Item>) -> bool {
    item.and_then(|item| item.get("workspace")).and_then(Item::as_bool) == Some(true)
}

/// Workspace dependencies that no comment above explains. A comment covers the lines below it up to a blank one.
fn unexplained(root: &str) -> Vec<String> {
    let (mut found, mut inside, mut explained) = (Vec::new(), false, false);
    for (number, line) in root.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            (inside, explained) = (line == "[workspace.dependencies]", false);
        } else if line.starts_with('#') {
            explained = true;
        } else if line.is_empty() {
            explained = false;
        } else if inside && !explained && line.contains('=') {
            found.push(format!("Cargo.toml:{}: no comment above says why: {line}", number + 1));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    const MEMBER: &str = "[package]\nname = \"a\"\nversion.workspace = true\nedition.workspace = true\n\
                          license.workspace = true\n[lints]\nworkspace = true\n[dependencies]\nserde.workspace = true\n";
    const ROOT: &str = "[workspace.dependencies]\n# Formats.\nserde = \"1\"\nserde_json = \"1\"\n";

    fn found(root: &str, member: &str) -> Vec<String> {
        problems(&tree(&[("Cargo.toml", root), ("crates/a/Cargo.toml", member)]))
    }

    #[test]
    fn a_member_that_inherits_everything_passes() {
        assert_eq!(found(ROOT, MEMBER), Vec::<String>::new());
    }

    #[test]
    fn own_licence_lints_or_versions_fail() {
        for (from, to) in [
            ("license.workspace = true", "license = \"MIT\""),
            ("[lints]\nworkspace = true", "[lints.clippy]\nall = \"allow\""),
            ("serde.workspace = true", "serde = \"1\""),
        ] {
            assert_eq!(found(ROOT, &MEMBER.replace(from, to)).len(), 1, "{to}");
        }
    }

    #[test]
    fn a_dependency_without_a_reason_fails() {
        assert!(found(&format!("{ROOT}\nlibc = \"0.2\"\n"), MEMBER)[0].starts_with("Cargo.toml:6:"));
        assert_eq!(found(&ROOT.replace("# Formats.\n", ""), MEMBER).len(), 2);
    }
}
