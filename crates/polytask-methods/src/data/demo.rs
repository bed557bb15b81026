//! The data of `polytask demo`.

use std::path::{Path, PathBuf};

use polytask_core::{Problem, hash};
use polytask_train::Result;

use super::rows::sizes;
use crate::paper::{Data, Request};

/// The sets it has.
const SETS: [&str; 4] = ["banking77", "snli", "sick", "onet"];

/// The demo's folders, in a data folder or in the source tree.
pub fn data(request: &Request) -> Result<Data> {
    let in_tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let bases = [request.bases, &[".".into(), in_tree]].concat();
    let is_demo = |folder: &Path| {
        SETS.iter().all(|name| folder.join(name).is_dir()) && folder.join("suite.toml").is_file()
    };
    let Some(found) = super::find(&bases, "demo", is_demo) else {
        let what = format!("the demo's data are not in {}", super::tried(&bases));
        return Err(Problem::new(what)
            .try_this("`--data DIR` with the folder `demo` of the source tree")
            .into());
    };
    let folder = found.canonicalize().map_err(polytask_core::Error::io("read", &found))?;
    let sets = SETS.map(|name| folder.join(name));
    let places: Vec<&Path> = sets.iter().map(PathBuf::as_path).collect();
    let suite = std::fs::read_to_string(folder.join("suite.toml")).unwrap_or_default();
    Ok(Data { key: hash::sha256(format!("{suite}{}", sizes(&places)?).as_bytes()), folder })
}
