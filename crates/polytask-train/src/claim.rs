//! The output folder of a run: never overwritten unasked.

use std::path::Path;

use polytask_core::{Problem, atomic};

use crate::Result;

/// What a run leaves in its folder; `--force` removes these and nothing else.
const ENTRIES: &[&str] =
    &["suite.toml", "model", "report.json", "report.html", "CARD.md", "mteb", "checkpoint", "log.jsonl"];

/// What only a run leaves: one of these tells its folder from that of a user's own suite and encoder.
const MARKS: &[&str] = &["report.json", "checkpoint", "log.jsonl"];

/// Refuses a folder that holds something, unless it may be replaced or continued.
pub fn check_free(out: &Path, force: bool, resume: bool) -> Result<()> {
    let taken = std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if taken && !resume && !force {
        let what = format!("output folder {} exists and is not empty", out.display());
        let remedy = "`--force` to replace a run, `--resume` to continue it, or another `--out`";
        return Err(Problem::new(what).try_this(remedy).into());
    }
    if taken && force && !MARKS.iter().any(|mark| out.join(mark).exists()) {
        let what = format!("folder {} holds files but no run, expected a run to replace", out.display());
        return Err(Problem::new(what).try_this("another `--out`, or empty the folder yourself").into());
    }
    if out.exists() && !out.is_dir() {
        let what = format!("output {} is a file, expected a folder", out.display());
        return Err(Problem::new(what).try_this("another `--out`").into());
    }
    Ok(())
}

/// Makes the run's folder free of an earlier run (`force`) or of what an interrupted one was writing (`resume`).
pub fn claim(out: &Path, force: bool, resume: bool) -> Result<()> {
    check_free(out, force, resume)?;
    remove_partial(out);
    if force && !resume {
        for entry in ENTRIES.iter().map(|entry| out.join(entry)).filter(|path| path.exists()) {
            let removed =
                if entry.is_dir() { std::fs::remove_dir_all(&entry) } else { std::fs::remove_file(&entry) };
            removed.map_err(polytask_core::Error::io("replace", &entry))?;
        }
    }
    Ok(atomic::create_dir(out)?)
}

/// Removes the half-written files of a process that was killed; one that cannot be removed harms nobody.
fn remove_partial(folder: &Path) {
    for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && !path.is_symlink() {
            remove_partial(&path);
        } else if name.starts_with('.') && name.ends_with(".partial") {
            let _ = std::fs::remove_file(&path);
        }
    }
}
