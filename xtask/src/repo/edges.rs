//! The crates' one direction: `core → segment → {data, eval} → nn → {model, weighting} → {retrieve, merge, boost, labels} → index → train → methods → serve →
//! terminal → bench → polytask`, where an arrow means "is used by"; `llm` stands beside `data`. A crate may use any crate of an
//! earlier layer and none of its own, in tests too.

use toml_edit::{DocumentMut, TableLike};

use super::Tree;

/// Our crates by layer, lowest first.
const LAYERS: &[&[&str]] = &[
    &["polytask-core"],
    &["polytask-segment"],
    &["polytask-data", "polytask-eval", "polytask-llm"],
    &["polytask-nn"],
    &["polytask-model", "polytask-weighting"],
    &["polytask-retrieve", "polytask-merge", "polytask-boost", "polytask-labels"],
    &["polytask-index"],
    &["polytask-train"],
    &["polytask-methods"],
    &["polytask-serve"],
    &["polytask-terminal"],
    &["polytask-bench"],
    &["polytask"],
    &["xtask"],
];

/// The only crate that names the tensor engine, and the engine's crates.
const ENGINE_USER: &str = "polytask-nn";
const ENGINE: &[&str] = &["candle-core", "candle-nn", "gemm", "safetensors"];

/// Tables of a manifest that hold dependencies.
pub(super) const DEPENDENCY_TABLES: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

/// Edges that the order forbids.
pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let found = tree.members().flat_map(|file| match file.text.parse::<DocumentMut>() {
        Ok(manifest) => manifest_problems(&file.path, &manifest),
        Err(error) => vec![format!("{}: not a manifest: {error}", file.path)],
    });
    found.collect()
}

fn manifest_problems(path: &str, manifest: &DocumentMut) -> Vec<String> {
    let user = manifest.get("package").and_then(|package| package.get("name")).and_then(|name| name.as_str());
    let Some(user) = user else { return vec![format!("{path}: no package name")] };
    let Some(above) = layer(user) else {
        return vec![format!(
            "{path}: crate `{user}` has no layer; place it in LAYERS of xtask/src/repo/edges.rs"
        )];
    };
    let used = dependencies(manifest);
    used.iter()
        .filter_map(|used| edge_problem(user, above, used))
        .map(|why| format!("{path}: {why}"))
        .collect()
}

fn edge_problem(user: &str, above: usize, used: &str) -> Option<String> {
    if ENGINE.contains(&used) && user != ENGINE_USER {
        return Some(format!("`{user}` names the tensor engine (`{used}`), which only `{ENGINE_USER}` may"));
    }
    match layer(used) {
        Some(below) if below >= above => {
            Some(format!("`{user}` uses `{used}`, which does not stand in an earlier layer"))
        }
        None if used.starts_with("polytask") => Some(format!("`{user}` uses `{used}`, which has no layer")),
        _ => None,
    }
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

/// Names of all dependencies of a manifest, of every kind and target; a renamed one counts under its package.
fn dependencies(manifest: &DocumentMut) -> Vec<String> {
    let mut names = Vec::new();
    collect(manifest.as_table(), &mut names);
    let targets = manifest.get("target").and_then(|item| item.as_table_like());
    for (_, target) in targets.into_iter().flat_map(TableLike::iter) {
        if let Some(table) = target.as_table_like() {
            collect(table, &mut names);
        }
    }
    names
}

fn collect(table: &dyn TableLike, names: &mut Vec<String>) {
    let tables = DEPENDENCY_TABLES.iter().filter_map(|key| table.get(key)?.as_table_like());
    for (name, value) in tables.flat_map(TableLike::iter) {
        let renamed = value.get("package").and_then(|package| package.as_str());
        names.push(renamed.unwrap_or(name).to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    fn found(name: &str, rest: &str) -> Vec<String> {
        let text = format!("[package]\nname = \"{name}\"\n{rest}");
        problems(&tree(&[(&format!("crates/{name}/Cargo.toml"), &text)]))
    }

    #[test]
    fn edges_to_earlier_layers_pass() {
        assert!(found("polytask-nn", "[dependencies]\npolytask-core = {}\npolytask-data = {}").is_empty());
        assert!(found("polytask-data", "[dependencies]\nserde = \"1\"").is_empty());
    }

    #[test]
    fn edges_up_or_sideways_fail_whatever_table_holds_them() {
        for rest in [
            "[dependencies]\npolytask-train = {}",
            "[dependencies]\npolytask-eval.workspace = true",
            "[dev-dependencies]\npolytask-eval = {}",
            "[target.'cfg(unix)'.dependencies]\npolytask-nn = {}",
            "[dependencies]\nother = { package = \"polytask-nn\" }",
            "[dependencies.polytask-nn]\nworkspace = true",
        ] {
            assert_eq!(found("polytask-data", rest).len(), 1, "{rest}");
        }
    }

    #[test]
    fn nothing_uses_the_binary_or_the_chores() {
        assert_eq!(found("polytask-serve", "[dependencies]\npolytask = {}\nxtask = {}").len(), 2);
    }

    #[test]
    fn a_crate_without_a_layer_fails() {
        assert!(found("polytask-new", "")[0].contains("no layer"));
        assert!(found("polytask", "[dependencies]\npolytask-new = {}")[0].contains("no layer"));
    }

    #[test]
    fn only_the_network_crate_names_the_tensor_engine() {
        assert!(found("polytask-nn", "[dependencies]\ncandle-core = {}\nsafetensors = {}").is_empty());
        assert_eq!(found("polytask-train", "[dev-dependencies]\ncandle-core = {}").len(), 1);
        assert_eq!(found("polytask-data", "[dependencies]\nsafetensors = {}").len(), 1);
    }
}
