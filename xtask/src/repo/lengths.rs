//! No source file is longer than a reader can hold: 400 lines, tests not counted.

use super::Tree;
use crate::root::TextFile;

/// Most lines of a file without its tests.
const LIMIT: usize = 400;

/// Files that may be longer, with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[];

/// Files that are too long, and exceptions that are not needed any more.
pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let excepted = |path: &str| EXCEPTIONS.iter().any(|(name, _)| *name == path);
    let tests = test_modules(tree);
    let sources = tree.files.iter().filter(|file| is_source(file) && !is_in(&tests, &file.path));
    let found = sources.filter_map(|file| match (lines_without_tests(&file.text), excepted(&file.path)) {
        (n, false) if n > LIMIT => Some(format!("{}: {n} lines without tests, at most {LIMIT}", file.path)),
        (n, true) if n <= LIMIT => Some(format!("{}: {n} lines, needs no exception", file.path)),
        _ => None,
    });
    found.collect()
}

fn is_source(file: &TextFile) -> bool {
    let is_ours = file.path.starts_with("crates/") || file.path.starts_with("xtask/");
    is_ours && file.path.contains("/src/") && file.extension() == "rs"
}

/// Whether a file is one of these modules or lies within one.
pub(super) fn is_in(modules: &[String], path: &str) -> bool {
    modules
        .iter()
        .any(|module| path.strip_suffix(".rs") == Some(module) || path.starts_with(&format!("{module}/")))
}

/// Paths, without ending, of the modules that stand in files of their own below `#[cfg(test)]`.
pub(super) fn test_modules(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| is_source(file)) {
        let lines: Vec<&str> = file.text.lines().collect();
        let pairs = lines.windows(2).filter(|pair| pair[0].trim() == "#[cfg(test)]");
        let names = pairs.filter_map(|pair| pair[1].trim().strip_suffix(';')?.rsplit_once("mod "));
        found.extend(names.map(|(_, name)| format!("{}/{name}", folder_of_modules(&file.path))));
    }
    found
}

/// Where the modules that a file declares lie.
fn folder_of_modules(path: &str) -> &str {
    let is_root = ["/mod.rs", "/lib.rs", "/main.rs"].iter().find_map(|name| path.strip_suffix(name));
    is_root.unwrap_or_else(|| path.strip_suffix(".rs").unwrap_or(path))
}

/// Number of lines outside of tests.
fn lines_without_tests(text: &str) -> usize {
    without_tests(text).count()
}

/// The lines outside of tests, with their numbers from 1.
pub(super) fn without_tests(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_tests = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        if *line == "#[cfg(test)]" {
            in_tests = true;
        } else if in_tests && (*line == "}" || (line.ends_with(';') && !line.starts_with(' '))) {
            in_tests = false;
        } else {
            return !in_tests;
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    #[test]
    fn tests_are_not_counted_wherever_they_stand() {
        let text = "a\n#[cfg(test)]\nmod golden;\nb\n#[cfg(test)]\nmod tests {\n    x;\n}\nc\n";
        assert_eq!(lines_without_tests(text), 3);
    }

    #[test]
    fn a_long_file_fails_and_a_long_test_does_not() {
        let long = "x\n".repeat(LIMIT + 1);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    x\n".repeat(LIMIT + 1));
        let files = [("crates/a/src/x.rs", long.as_str()), ("crates/a/src/y.rs", &tests)];
        assert_eq!(problems(&tree(&files)), ["crates/a/src/x.rs: 401 lines without tests, at most 400"]);
        assert!(problems(&tree(&[("crates/a/tests/x.rs", &long)])).is_empty());
    }

    #[test]
    fn modules_declared_for_tests_are_not_counted_and_others_are() {
        let long = "x\n".repeat(LIMIT + 1);
        let parent = ("crates/a/src/m.rs", "#[cfg(test)]\npub(crate) mod testing;\nmod other;\n");
        let files =
            |name| tree(&[parent, ("crates/a/src/lib.rs", "#[cfg(test)]\nmod golden;"), (name, &long)]);
        assert!(problems(&files("crates/a/src/m/testing.rs")).is_empty());
        assert!(problems(&files("crates/a/src/golden/x.rs")).is_empty());
        assert_eq!(problems(&files("crates/a/src/m/other.rs")).len(), 1);
    }
}
