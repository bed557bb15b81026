//! Rules of the repository that no compiler checks; each is a function from the committed files to problems.

mod circles;
mod edges;
mod kinds;
mod lengths;
mod links;
mod manifests;
mod modules;
mod names;
mod paths;
mod words;

use crate::tree::Tree;

/// A rule.
#[derive(Debug)]
pub(crate) struct Check {
    /// What it is called in the table.
    pub(crate) name: &'static str,
    /// The problems in the tree, each with its place.
    pub(crate) find: fn(&Tree) -> Vec<String>,
}

/// All rules.
pub(crate) const CHECKS: &[Check] = &[
    Check { name: "crate edges", find: edges::problems },
    Check { name: "manifests", find: manifests::problems },
    Check { name: "type names", find: names::problems },
    Check { name: "kinds", find: kinds::problems },
    Check { name: "module files", find: modules::problems },
    Check { name: "circles", find: circles::problems },
    Check { name: "file lengths", find: lengths::problems },
    Check { name: "unfinished work", find: words::problems },
    Check { name: "links", find: links::problems },
    Check { name: "machine names", find: paths::problems },
    Check { name: "generated pages", find: crate::pages::problems },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::{TextFile, root};
    use crate::tree::is_member;

    /// A tree of the given files, for the rules' own tests.
    pub(super) fn tree(files: &[(&str, &str)]) -> Tree {
        let file =
            |(path, text): &(&str, &str)| TextFile { path: (*path).to_owned(), text: (*text).to_owned() };
        Tree { files: files.iter().map(file).collect() }
    }

    fn keeps(name: &str) {
        let check = CHECKS.iter().find(|check| check.name == name).unwrap();
        let problems = (check.find)(&Tree::read(&root()).unwrap());
        assert!(problems.is_empty(), "{name}:\n{}", problems.join("\n"));
    }

    #[test]
    fn the_repository_has_no_edge_against_the_order_of_crates() {
        keeps("crate edges");
    }

    #[test]
    fn the_repository_keeps_its_manifest_rules() {
        keeps("manifests");
    }

    #[test]
    fn the_repository_has_no_overlong_file() {
        keeps("file lengths");
    }

    #[test]
    fn the_repository_has_no_unfinished_work() {
        keeps("unfinished work");
    }

    #[test]
    fn the_repository_has_no_broken_link() {
        keeps("links");
    }

    #[test]
    fn the_repository_has_fresh_pages() {
        keeps("generated pages");
    }

    #[test]
    fn the_repository_gives_a_public_type_one_name() {
        keeps("type names");
    }

    #[test]
    fn the_repository_decides_on_no_kind_by_its_name() {
        keeps("kinds");
    }

    #[test]
    fn the_repository_has_one_form_of_modules() {
        keeps("module files");
    }

    #[test]
    fn the_repository_has_no_circle_of_files() {
        keeps("circles");
    }

    #[test]
    fn the_repository_names_no_machine() {
        keeps("machine names");
    }

    #[test]
    fn the_tree_finds_every_member_manifest() {
        let found = Tree::read(&root()).unwrap();
        let members: Vec<&str> = found.members().map(|file| file.path.as_str()).collect();
        assert!(
            members.contains(&"crates/polytask-core/Cargo.toml") && members.contains(&"xtask/Cargo.toml")
        );
        assert!(!is_member("fuzz/Cargo.toml") && !is_member("crates/a/b/Cargo.toml"));
    }
}
