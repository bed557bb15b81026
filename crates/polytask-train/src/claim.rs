//! The output folder of a run: never overwritten unasked.

use std::path::Path;

use polytask_core::{Problem, atomic};

use crate::Result;

/// What a run leaves in its folder; `--force` removes these and nothing else.
const ENTRIES: &[&str] =
    &["suite.toml", "model", "report.json", "report.html", "CARD.md", "mteb", "checkpoint", "log.jsonl"];

/// Makes the run's folder; one that holds something is refused unless it may be replaced or continued.
pub fn claim(out: &Path, force: bool, resume: bool) -> Result<()> {
    let taken = out.exists() && std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if taken && !resume && !force {
        let what = format!("output folder {} exists and is not empty", out.display());
        let remedy = "`--force` to replace a run, `--resume` to continue it, or another `--out`";
        return Err(Problem::new(what).try_this(remedy).into());
    }
    if taken && force && !resume {
        for entry in ENTRIES.iter().map(|entry| out.join(entry)).filter(|path| path.exists()) {
            let removed =
                if entry.is_dir() { std::fs::remove_dir_all(&entry) } else { std::fs::remove_file(&entry) };
            removed.map_err(polytask_core::Error::io("replace", &entry))?;
        }
    }
    Ok(atomic::create_dir(out)?)
}
