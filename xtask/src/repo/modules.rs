//! A module with modules of its own is a folder with a `mod.rs`, everywhere.

use std::collections::BTreeSet;

use super::Tree;

/// Files beside a folder of the same name.
pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let sources = || tree.files.iter().filter(|file| file.path.contains("/src/") && file.extension() == "rs");
    let folders: BTreeSet<&str> = sources().filter_map(|file| Some(file.path.rsplit_once('/')?.0)).collect();
    let beside =
        sources().filter_map(|file| file.path.strip_suffix(".rs").filter(|stem| folders.contains(stem)));
    beside.map(|stem| format!("{stem}.rs: stands beside a folder of its name (try: {stem}/mod.rs)")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    #[test]
    fn a_file_beside_its_folder_is_found() {
        let tree = tree(&[
            ("crates/a/src/lib.rs", ""),
            ("crates/a/src/table.rs", ""),
            ("crates/a/src/table/row.rs", ""),
            ("crates/a/src/good/mod.rs", ""),
            ("crates/a/src/good/part.rs", ""),
        ]);
        assert_eq!(problems(&tree).len(), 1);
        assert!(problems(&tree)[0].contains("crates/a/src/table/mod.rs"));
    }
}
