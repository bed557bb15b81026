//! Where the data of the demo lie.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::output;

/// The demo's data: where told, in the source tree this binary was built from, or in or beside this folder.
pub fn find_data(given: Option<&Path>) -> Result<PathBuf> {
    let source_tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo");
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("demo")));
    let places = match given {
        Some(folder) => vec![folder.to_path_buf(), folder.join("demo")],
        None => [Some(PathBuf::from("demo")), beside, Some(source_tree)].into_iter().flatten().collect(),
    };
    if let Some(found) = places.iter().find(|place| place.join("suite.toml").exists()) {
        return Ok(found.canonicalize().unwrap_or_else(|_| found.clone()));
    }
    let tried: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    let what = format!("the demo's data is not in {}", tried.join(", "));
    let remedy = "`--data DIR` with the folder `demo` of the source tree";
    output::refuse(what, remedy)
}
