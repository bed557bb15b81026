//! The output folder of a run: never overwritten unasked, and one process's at a time.

use std::path::Path;

use polytask_core::{Problem, atomic};

use crate::Result;

mod lock;

pub use lock::{FolderLock, lock};

/// What a run leaves in its folder; `--force` removes these and nothing else, in this order: without its report
/// an old run no longer counts as finished, without its checkpoints nothing of it can be continued.
const ENTRIES: &[&str] = &[
    "report.json",
    "checkpoint",
    "model",
    "report.html",
    "CARD.md",
    "mteb",
    "predictions",
    "suite.toml",
    "log.jsonl",
];

/// What only a run leaves: one of these tells its folder from that of a user's own suite and encoder.
const MARKS: &[&str] = &["report.json", "checkpoint", "log.jsonl"];

/// Refuses a folder that holds something, unless it is a run's and may be replaced or continued.
pub fn check_free(out: &Path, force: bool, resume: bool) -> Result<()> {
    lock::check(out)?;
    check_content(out, force, resume)
}

fn check_content(out: &Path, force: bool, resume: bool) -> Result<()> {
    let taken = is_taken(out);
    if taken && !resume && !force {
        let what = format!("output folder {} exists and is not empty", out.display());
        let remedy = "`--force` to replace a run, `--resume` to continue it, or another `--out`";
        return Err(Problem::new(what).try_this(remedy).into());
    }
    if taken && !MARKS.iter().any(|mark| out.join(mark).exists()) {
        let verb = if resume { "continue" } else { "replace" };
        let what = format!("folder {} holds files but no run, expected a run to {verb}", out.display());
        return Err(Problem::new(what).try_this("another `--out`, or empty the folder yourself").into());
    }
    if out.exists() && !out.is_dir() {
        let what = format!("output {} is a file, expected a folder", out.display());
        return Err(Problem::new(what).try_this("another `--out`").into());
    }
    Ok(())
}

/// Whether a folder holds anything but files whose first writing was interrupted.
fn is_taken(out: &Path) -> bool {
    let is_ours = |name: &str| {
        name == lock::NAME || atomic::unfinished(name).is_some_and(|name| ENTRIES.contains(&name))
    };
    let mut entries = std::fs::read_dir(out).into_iter().flatten().flatten();
    entries.any(|entry| !is_ours(&entry.file_name().to_string_lossy()))
}

/// Makes the run's folder free of an earlier run (`force`) or of what an interrupted one was writing (`resume`),
/// and marks it as a run's: at any moment the folder holds one run's files, and `--force` may replace them. The
/// folder is this process's until what is returned is dropped.
pub fn claim(out: &Path, force: bool, resume: bool) -> Result<FolderLock> {
    check_free(out, force, resume)?;
    let held = lock(out)?;
    // Another process may have written a run since.
    check_content(out, force, resume)?;
    remove_partial(out, true);
    let mark = out.join("log.jsonl");
    if force && !resume {
        atomic::write(&mark, b"")?;
        for entry in ENTRIES.iter().map(|entry| out.join(entry)).filter(|path| path.exists() && *path != mark)
        {
            let removed =
                if entry.is_dir() { std::fs::remove_dir_all(&entry) } else { std::fs::remove_file(&entry) };
            removed.map_err(polytask_core::Error::io("replace", &entry))?;
        }
    }
    if !mark.exists() {
        atomic::write(&mark, b"")?;
    }
    Ok(held)
}

/// Removes the half-written files of a process that was killed, in the places where a run writes; one that
/// cannot be removed harms nobody.
fn remove_partial(folder: &Path, is_top: bool) {
    for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_ours = |name: &str| !is_top || ENTRIES.contains(&name);
        if path.is_dir() {
            if is_ours(&name) && !path.is_symlink() {
                remove_partial(&path, false);
            }
        } else if atomic::unfinished(&name).is_some_and(is_ours) {
            let _ = std::fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder with a finished run, a file of the user's and one in a folder of the user's.
    fn finished() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path();
        for entry in ["checkpoint/joint", "model/heads/a", "mteb", "mine"] {
            fs::create_dir_all(out.join(entry)).unwrap();
        }
        let files = ["suite.toml", "report.json", "report.html", "CARD.md", "log.jsonl", "model/config.json"];
        for file in files.into_iter().chain(["mine.txt", "mine/notes.txt"]) {
            fs::write(out.join(file), "old").unwrap();
        }
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn force_removes_the_old_run_and_nothing_else_and_leaves_the_mark_of_a_run() {
        let folder = finished();
        drop(claim(folder.path(), true, false).unwrap());
        assert_eq!(names(folder.path()), ["log.jsonl", "mine", "mine.txt"]);
        assert_eq!(fs::read(folder.path().join("log.jsonl")).unwrap(), b"");
        check_free(folder.path(), true, false).unwrap();
    }

    #[test]
    fn a_folder_is_marked_before_anything_is_written_so_that_a_crash_leaves_one_that_can_be_forced() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("run");
        drop(claim(&out, false, false).unwrap());
        assert_eq!(names(&out), ["log.jsonl"]);
        check_free(&out, true, false).unwrap();
        assert!(check_free(&out, false, false).is_err());
    }

    #[test]
    fn force_interrupted_anywhere_leaves_no_run_that_counts_as_finished_or_continues_the_old_one() {
        let last = ENTRIES.len() - 1;
        assert_eq!((ENTRIES[0], ENTRIES[1], ENTRIES[last]), ("report.json", "checkpoint", "log.jsonl"));
        let folder = finished();
        // A folder in the place of a file that is replaced: removal stops there.
        fs::remove_file(folder.path().join("log.jsonl")).unwrap();
        fs::create_dir(folder.path().join("log.jsonl")).unwrap();
        assert!(claim(folder.path(), true, false).is_err());
        assert!(folder.path().join("report.json").exists(), "nothing is removed before the folder is marked");
    }

    #[test]
    fn a_folder_without_a_run_is_never_emptied_nor_written_to() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("model")).unwrap();
        fs::write(folder.path().join("suite.toml"), "mine").unwrap();
        for (force, resume, wanted) in [(true, false, "to replace"), (false, true, "to continue")] {
            let error = claim(folder.path(), force, resume).unwrap_err().to_string();
            assert!(error.contains("no run") && error.contains(wanted), "{error}");
            assert!(error.contains("try: another `--out`"), "{error}");
            assert_eq!(names(folder.path()), ["model", "suite.toml"]);
        }
    }

    #[test]
    fn resume_starts_in_an_absent_an_empty_and_a_just_begun_folder() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("run");
        for content in [None, Some(".log.jsonl.41.partial")] {
            drop(claim(&out, false, true).unwrap());
            assert_eq!(names(&out), ["log.jsonl"]);
            fs::remove_file(out.join("log.jsonl")).unwrap();
            content.into_iter().for_each(|name| fs::write(out.join(name), "half").unwrap());
            drop(claim(&out, false, true).unwrap());
            assert_eq!(names(&out), ["log.jsonl"]);
        }
    }

    #[test]
    fn resume_removes_half_written_files_of_the_run_and_no_other() {
        let folder = finished();
        let ours = [".suite.toml.41.partial", "model/heads/a/.model.safetensors.7.partial"];
        let others = [
            ".mine.txt.41.partial",
            ".download.partial",
            "mine/.suite.toml.41.partial",
            "model/.notes.partial",
            "model/notes.1.partial",
        ];
        for file in ours.into_iter().chain(others) {
            fs::write(folder.path().join(file), "half").unwrap();
        }
        drop(claim(folder.path(), false, true).unwrap());
        let left = |file: &&str| folder.path().join(file).exists();
        assert!(!ours.iter().any(&left));
        assert!(others.iter().all(left));
    }
}
