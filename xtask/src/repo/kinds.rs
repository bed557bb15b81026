//! A kind's name decides nothing outside its file, and a form of heads nothing outside their table: what depends on them
//! is a field or a method of theirs.

use super::{Tree, lengths};
use crate::root::TextFile;

/// Where kinds are.
const HOME: &str = "crates/polytask-core/src/kind/";

/// Where heads are built from their forms.
const HEADS: &str = "crates/polytask-nn/src/heads/";

/// Lines of code that compare a kind's name, match on it, look a kind up by it, or name a form of heads.
pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let names: Vec<&str> =
        tree.files.iter().filter(|file| file.path.starts_with(HOME)).filter_map(named).collect();
    let tests = lengths::test_modules(tree);
    let sources = tree.files.iter().filter(|file| is_source(file) && !lengths::is_in(&tests, &file.path));
    sources.flat_map(|file| of_file(file, &names)).collect()
}

/// The names a file of kinds declares.
fn named(file: &TextFile) -> Option<&str> {
    let line = file.text.lines().find_map(|line| line.trim().strip_prefix("name: \""))?;
    line.strip_suffix("\",")
}

fn is_source(file: &TextFile) -> bool {
    let is_ours = file.path.starts_with("crates/") && file.path.contains("/src/") && file.extension() == "rs";
    is_ours && !file.path.starts_with(HOME)
}

fn of_file(file: &TextFile, names: &[&str]) -> Vec<String> {
    let code = lengths::without_tests(&file.text);
    let found = code.filter_map(|(line, text)| Some((line, of_line(file, text, names)?)));
    found.map(|(line, what)| format!("{}:{line}: {what}", file.path)).collect()
}

/// What a line decides that is not its own to decide.
fn of_line(file: &TextFile, line: &str, names: &[&str]) -> Option<String> {
    if let Some(name) = decided(line, names) {
        return Some(format!("the kind `{name}` is decided on by name (try: a field of KindInfo)"));
    }
    (line.contains("HeadForm::") && !file.path.starts_with(HEADS))
        .then(|| "a form of heads is named (try: a method of KindInfo or of Head)".to_owned())
}

/// The kind whose name a line decides on.
fn decided<'n>(line: &str, names: &[&'n str]) -> Option<&'n str> {
    let is_decided = |name: &&&str| {
        let quoted = format!("\"{name}\"");
        let before = ["kind == ", "kind != ", "kind.name == ", "kind.name != ", "kind::find("];
        let is_arm = line.trim_start().starts_with(&quoted) && line.contains("=>");
        is_arm || before.iter().any(|before| line.contains(&format!("{before}{quoted}")))
    };
    names.iter().find(is_decided).copied()
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    #[test]
    fn a_kind_that_is_decided_on_by_name_is_found() {
        let kind =
            "//! A kind.\npub(super) static INFO: KindInfo = KindInfo {\n    name: \"retrieval\",\n};\n";
        let uses = "fn a() {\n    if task.kind.name != \"retrieval\" {}\n    let k = kind::find(\"retrieval\");\n    \
                    let word = \"retrieval\";\n    match kind {\n        \"retrieval\" => 1,\n    }\n}\n#[cfg(test)]\nmod tests {\n    kind::find(\"retrieval\");\n}\n";
        let tree = tree(&[
            ("crates/polytask-core/src/kind/retrieval.rs", kind),
            ("crates/a/src/lib.rs", uses),
            ("crates/a/tests/all.rs", uses),
        ]);
        let found = problems(&tree);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("crates/a/src/lib.rs:2") && found[1].contains(":3"), "{found:?}");
    }

    #[test]
    fn a_form_of_heads_that_is_named_elsewhere_is_found() {
        let names = "fn a(kind: &KindInfo) -> bool {\n    kind.head == HeadForm::Cosine\n}\n";
        let tree = tree(&[
            ("crates/polytask-nn/src/heads/mod.rs", names),
            ("crates/polytask-core/src/kind/mod.rs", names),
            ("crates/a/src/lib.rs", names),
        ]);
        let found = problems(&tree);
        assert!(
            found.len() == 1 && found[0].starts_with("crates/a/src/lib.rs:2: a form of heads"),
            "{found:?}"
        );
    }
}
