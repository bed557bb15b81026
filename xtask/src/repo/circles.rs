//! No circle between the files of a crate: a file may use its parent and its children, and beside these no file that
//! uses it, over any number of others.
//!
//! What a file uses is read from its paths (`crate::a::B`, `super::a::B`, `use` lists); a name that a module hands on
//! from another one counts as a use of that other one.

use std::collections::{BTreeMap, BTreeSet};

use super::{Tree, lengths};
use crate::root::TextFile;

/// A module's path from the root of its crate: `["trunk", "net"]`; the root is empty.
type Module = Vec<String>;

/// Circles, each as one problem that names all its files.
pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let tests = lengths::test_modules(tree);
    let mut crates: BTreeMap<&str, BTreeMap<Module, &TextFile>> = BTreeMap::new();
    for file in tree.files.iter().filter(|file| !lengths::is_in(&tests, &file.path)) {
        if let Some((home, module)) = module_of(&file.path) {
            crates.entry(home).or_default().insert(module, file);
        }
    }
    crates.values().flat_map(of_crate).collect()
}

/// The crate and the module that a file is.
fn module_of(path: &str) -> Option<(&str, Module)> {
    let (home, inside) = path.split_once("/src/")?;
    let inside = inside.strip_suffix(".rs")?;
    let mut module: Module = inside.split('/').map(str::to_owned).collect();
    if ["mod", "lib", "main"].contains(&module.last()?.as_str()) {
        module.pop();
    }
    Some((home, module))
}

fn of_crate(files: &BTreeMap<Module, &TextFile>) -> Vec<String> {
    let handed: BTreeMap<&Module, BTreeMap<String, Module>> =
        files.iter().map(|(module, file)| (module, handed_on(module, file))).collect();
    let uses = |(module, file): (&Module, &&TextFile)| {
        let paths = paths_of(module, file);
        let found = paths.iter().filter_map(|path| home_of(path, files, &handed));
        let others = found.filter(|other| !are_family(module, other)).collect::<BTreeSet<Module>>();
        (module.clone(), others)
    };
    let edges: BTreeMap<Module, BTreeSet<Module>> = files.iter().map(uses).collect();
    circles(&edges).iter().map(|circle| told(circle, &edges, files)).collect()
}

/// Whether one of two modules is within the other.
fn are_family(a: &Module, b: &Module) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

/// The names a module hands on, and what they are.
fn handed_on(module: &Module, file: &TextFile) -> BTreeMap<String, Module> {
    let mut names = BTreeMap::new();
    for statement in statements(file).iter().filter(|statement| statement.starts_with("pub")) {
        let Some((_, list)) = statement.split_once("use ") else { continue };
        for path in expand(list) {
            if let (Some(path), Some(name)) = (absolute(module, &path, true), path.last()) {
                names.insert(name.clone(), path);
            }
        }
    }
    names
}

/// The module that a path leads into.
fn home_of(
    path: &Module,
    files: &BTreeMap<Module, &TextFile>,
    handed: &BTreeMap<&Module, BTreeMap<String, Module>>,
) -> Option<Module> {
    let mut path = path.clone();
    // Names are handed on from module to module a few times at most.
    for _ in 0..8 {
        let n = (0..=path.len()).rev().find(|&n| files.contains_key(&path[..n]))?;
        let home = path[..n].to_vec();
        let next = path.get(n).and_then(|name| handed.get(&home)?.get(name));
        match next {
            Some(next) if !next.starts_with(&path) => path = [next, &path[n + 1..]].concat(),
            _ => return Some(home),
        }
    }
    None
}

/// All paths of a file from the root of its crate.
fn paths_of(module: &Module, file: &TextFile) -> BTreeSet<Module> {
    let mut paths = BTreeSet::new();
    for statement in statements(file) {
        // Words of a comment within a statement are no paths, as nothing in them leads into a module.
        let list =
            statement.split_once("use ").filter(|(before, _)| before.is_empty() || before.starts_with("pub"));
        let written = list.map_or_else(|| inline(&statement), |(_, list)| expand(list));
        paths.extend(written.iter().filter_map(|path| absolute(module, path, list.is_some())));
    }
    paths
}

/// The code of a file without tests and comments, cut at semicolons and braces of blocks.
fn statements(file: &TextFile) -> Vec<String> {
    let code: String = lengths::without_tests(&file.text)
        .map(|(_, line)| line.split("//").next().unwrap_or_default().trim().to_owned() + " ")
        .collect();
    code.split(';').map(|statement| statement.trim().to_owned()).collect()
}

/// `a::{b, c::d}` as `a::b` and `a::c::d`.
fn expand(list: &str) -> Vec<Module> {
    let list = list.trim();
    let Some(open) = list.find('{') else {
        let plain = list.split(" as ").next().unwrap_or_default();
        return vec![plain.split("::").map(|part| part.trim().to_owned()).collect()];
    };
    let before: Module =
        list[..open].split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect();
    let inner = list[open + 1..].rsplit_once('}').map_or("", |(inner, _)| inner);
    let parts = outer_commas(inner);
    parts.iter().flat_map(|part| expand(part)).map(|path| [before.clone(), path].concat()).collect()
}

/// Cuts at the commas that are in no braces.
fn outer_commas(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (i, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.into_iter().filter(|part| !part.trim().is_empty()).collect()
}

/// Paths within code that start at the crate or above.
fn inline(code: &str) -> Vec<Module> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = code.split(|c: char| !is_part(c));
    let paths = words.filter(|word| ["crate::", "super::"].iter().any(|start| word.starts_with(start)));
    paths.map(|path| path.split("::").map(str::to_owned).collect()).collect()
}

/// A path as seen from the root; `None` for one of another crate. In `use`, a name may be that of a child.
fn absolute(module: &Module, path: &[String], in_use: bool) -> Option<Module> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([module, rest].concat()),
        "super" => absolute(&module[..module.len().checked_sub(1)?].to_vec(), &prefixed(rest), true),
        _ if in_use => Some([module, path].concat()),
        _ => None,
    }
}

/// The rest of a path behind `super`, which may go on with another one.
fn prefixed(rest: &[String]) -> Vec<String> {
    let is_up = rest.first().is_some_and(|first| first == "super");
    if is_up { rest.to_vec() } else { [&["self".to_owned()], rest].concat() }
}

/// Groups of modules each of which reaches all others of its group.
fn circles(edges: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<BTreeSet<Module>> {
    let reached: BTreeMap<&Module, BTreeSet<&Module>> =
        edges.keys().map(|module| (module, reach(module, edges))).collect();
    let mut found: BTreeSet<BTreeSet<Module>> = BTreeSet::new();
    for (module, from) in &reached {
        let back = from.iter().filter(|other| reached.get(**other).is_some_and(|of| of.contains(module)));
        let circle: BTreeSet<Module> = back.map(|other| (*other).clone()).collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

fn reach<'e>(module: &Module, edges: &'e BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<&'e Module> {
    let (mut reached, mut next) = (BTreeSet::new(), edges[module].iter().collect::<Vec<_>>());
    while let Some(other) = next.pop() {
        if reached.insert(other) {
            next.extend(edges.get(other).into_iter().flatten());
        }
    }
    reached
}

/// A circle as a problem: its files, and who uses whom.
fn told(
    circle: &BTreeSet<Module>,
    edges: &BTreeMap<Module, BTreeSet<Module>>,
    files: &BTreeMap<Module, &TextFile>,
) -> String {
    let name = |module: &Module| files[module].path.rsplit_once("/src/").map_or("", |(_, name)| name);
    let uses = |module: &Module| {
        let own: Vec<&str> = edges[module].intersection(circle).map(name).collect();
        format!("{} uses {}", name(module), own.join(", "))
    };
    let first = circle.first().map_or("", |module| files[module].path.as_str());
    format!(
        "{first}: a circle of files: {} (try: what both need, in a file of its own)",
        circle.iter().map(uses).collect::<Vec<_>>().join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        problems(&tree(files))
    }

    #[test]
    fn files_that_use_each_other_are_told_however_the_names_travel() {
        let circle = [
            ("crates/x/src/lib.rs", "mod a;\nmod b;\npub use b::{Thing, other as more};\n"),
            ("crates/x/src/a.rs", "use crate::Thing;\n"),
            ("crates/x/src/b.rs", "pub struct Thing;\nfn f() -> super::a::Other { todo() }\n"),
        ];
        let told = found(&circle);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("a.rs uses b.rs; b.rs uses a.rs"), "{told:?}");
    }

    #[test]
    fn parents_children_tests_and_other_crates_make_no_circle() {
        let none = [
            ("crates/x/src/lib.rs", "mod a;\nmod b;\n"),
            ("crates/x/src/a/mod.rs", "mod c;\nuse c::C;\n"),
            ("crates/x/src/a/c.rs", "use super::Parent;\nuse std::{fmt, io};\nuse crate::b::B;\n"),
            (
                "crates/x/src/b.rs",
                "// use crate::a::c::C;\n#[cfg(test)]\nmod tests {\n    use crate::a::c::C;\n}\n",
            ),
            ("crates/y/src/lib.rs", "use x::a::C;\n"),
        ];
        assert_eq!(found(&none), Vec::<String>::new());
    }

    #[test]
    fn lists_are_read_however_they_are_nested() {
        let paths = expand("crate::{a::{b, c as d}, e}");
        let words: Vec<String> = paths.iter().map(|path| path.join("::")).collect();
        assert_eq!(words, ["crate::a::b", "crate::a::c", "crate::e"]);
    }
}
