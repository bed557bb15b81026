//! The peer's packages: a virtual environment with pinned versions in polytask's cache, made once.
//!
//! It is filled under a temporary name and renamed when pip is done, so it is whole or absent.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use polytask_core::{Error, atomic, hash};
use polytask_data::PullOptions;
use serde_json::Value;
use tempfile::TempDir;

use super::side::{Side, last_lines};
use super::{Fields, Options};
use crate::{argument, leftovers};
use polytask_terminal::output;

/// The pinned versions.
const REQUIREMENTS: &str = include_str!("../../peers/requirements.txt");

/// The peers' scripts, by file name.
const SCRIPTS: &[(&str, &str)] = &[
    ("common.py", include_str!("../../peers/common.py")),
    ("boost.py", include_str!("../../peers/boost.py")),
    ("merge.py", include_str!("../../peers/merge.py")),
    ("texts.py", include_str!("../../peers/texts.py")),
    ("torch_batch.py", include_str!("../../peers/torch_batch.py")),
    ("torch_images.py", include_str!("../../peers/torch_images.py")),
    ("torch_step.py", include_str!("../../peers/torch_step.py")),
    ("torchjd_conflict.py", include_str!("../../peers/torchjd_conflict.py")),
    ("torch_gramian.py", include_str!("../../peers/torch_gramian.py")),
    ("sentence_transformers_texts.py", include_str!("../../peers/sentence_transformers_texts.py")),
    ("onnxruntime_export.py", include_str!("../../peers/onnxruntime_export.py")),
    ("onnxruntime_texts.py", include_str!("../../peers/onnxruntime_texts.py")),
    ("search.py", include_str!("../../peers/search.py")),
];

/// How the names of folders with scripts start.
const SCRIPTS_PREFIX: &str = "scripts-";

/// The Python that makes environments.
const PYTHON: &str = if cfg!(windows) { "python" } else { "python3" };

/// Lines of a failed command that are shown.
const SHOWN: usize = 12;

/// Where a comparison works: a Python with the peer's packages, the scripts, a folder for this run's files.
pub(crate) struct Place {
    python: PathBuf,
    /// What to try when the Python lacks a package.
    remedy: String,
    scripts: PathBuf,
    work: TempDir,
    cache: PathBuf,
}

impl Place {
    /// Makes the environment unless there is one already.
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let cache = PullOptions::from_environment().cache.join("peers");
        atomic::create_dir(&cache)?;
        // First the scripts: the folder of this version is new then.
        let scripts = write_scripts(&cache)?;
        leftovers::sweep(&cache, |name| name.starts_with(SCRIPTS_PREFIX) || name.ends_with(".partial"));
        leftovers::sweep(&std::env::temp_dir(), |name| name.starts_with(leftovers::PREFIX));
        let python = match &options.python {
            Some(python) => python.clone(),
            None => environment(&cache, Path::new(PYTHON), REQUIREMENTS)?,
        };
        let remedy = remedy(&cache, options.python.as_deref());
        let work = tempfile::Builder::new().prefix(".work.").suffix(".partial").tempdir_in(&cache);
        let work = work.map_err(Error::io("create a folder in", &cache))?;
        Ok(Self { python, remedy, scripts, work, cache })
    }

    /// The folder for this run's files; it vanishes with this value.
    pub(crate) fn work(&self) -> &Path {
        self.work.path()
    }

    /// Runs a script with plain arguments and reads its report.
    pub(crate) fn prepare(&self, script: &str, arguments: &[&Path]) -> Result<Value> {
        output::note(format!("running {script}"));
        let arguments = arguments.iter().map(|path| argument(path)).collect();
        self.script("preparation", script, arguments, None, super::LIMIT).report()
    }

    /// The process that does a job.
    pub(super) fn side(&self, name: &str, script: &str, job: &Fields, limit: Duration) -> Result<Side> {
        let path = self.work.path().join(format!("{name}.json"));
        atomic::write_json(&path, job)?;
        Ok(self.script(name, script, vec![argument(&path)], job.get("threads"), limit))
    }

    fn script(
        &self,
        name: &str,
        script: &str,
        arguments: Vec<String>,
        threads: Option<&Value>,
        limit: Duration,
    ) -> Side {
        let script = argument(&self.scripts.join(script));
        let arguments = [vec![script], arguments].concat();
        Side {
            name: name.into(),
            program: self.python.clone(),
            arguments,
            variables: self.variables(threads),
            limit,
            remedy: Some(self.remedy.clone()),
        }
    }

    fn variables(&self, threads: Option<&Value>) -> Vec<(String, String)> {
        let mut variables = vec![
            ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
            // Models are folders on this disk.
            ("HF_HUB_OFFLINE", "1".to_owned()),
            // Both sides run on the processor.
            ("CUDA_VISIBLE_DEVICES", String::new()),
            // Compiled in the process itself, so that ending it ends all of it.
            ("TORCHINDUCTOR_COMPILE_THREADS", "1".to_owned()),
            ("TORCHINDUCTOR_CACHE_DIR", argument(&self.cache.join("inductor"))),
        ];
        if let Some(threads) = threads {
            variables.push(("OMP_NUM_THREADS", threads.to_string()));
        }
        variables.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

/// What to try when a package cannot be imported, with the environment or with the Python that was named.
fn remedy(cache: &Path, python: Option<&Path>) -> String {
    if let Some(python) = python {
        let packages: Vec<&str> = packages(REQUIREMENTS).collect();
        return format!("{} -m pip install {}", python.display(), packages.join(" "));
    }
    let folder = folder_of(cache, REQUIREMENTS);
    format!("delete the folder {}; the next run makes the environment again", folder.display())
}

/// The packages with their versions.
fn packages(requirements: &str) -> impl Iterator<Item = &str> {
    requirements.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The environment's folder.
fn folder_of(cache: &Path, requirements: &str) -> PathBuf {
    cache.join(&hash::sha256(requirements.as_bytes())[..16])
}

/// The environment's Python; the environment is made when it is not there.
fn environment(cache: &Path, base: &Path, requirements: &str) -> Result<PathBuf> {
    let target = folder_of(cache, requirements);
    if python_of(&target).exists() {
        return Ok(python_of(&target));
    }
    let temporary = cache.join(temporary_name("environment"));
    let made = make(&temporary, base, requirements).and_then(|()| settle(&temporary, &target));
    // Best effort: gone already when it was renamed.
    let _ = fs::remove_dir_all(&temporary);
    made.map(|()| python_of(&target))
}

fn make(folder: &Path, base: &Path, requirements: &str) -> Result<()> {
    output::note(format!(
        "making an environment for the peers in {} (several GB, once)",
        folder.parent().unwrap_or(folder).display()
    ));
    let venv = Command::new(base).args(["-m", "venv"]).arg(folder).stdin(Stdio::null()).output();
    let remedy = "install Python 3 with its `venv` module, or name a Python that has the packages with `--python PATH`";
    match venv {
        Ok(said) if said.status.success() => {}
        Ok(said) => {
            let text = [said.stdout, said.stderr].concat();
            let lines = last_lines(&String::from_utf8_lossy(&text), SHOWN);
            return output::refuse(format!("{} -m venv failed:\n{lines}", base.display()), remedy);
        }
        Err(error) => return output::refuse(format!("cannot start {}: {error}", base.display()), remedy),
    }
    let list = folder.join("requirements.txt");
    atomic::write(&list, requirements.as_bytes())?;
    install(folder, &list)
}

/// Runs pip and shows what it is doing.
fn install(folder: &Path, list: &Path) -> Result<()> {
    let python = python_of(folder);
    let mut pip = Command::new(&python)
        .args(["-m", "pip", "install", "--no-input", "--progress-bar", "off", "-r"])
        .arg(list)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", python.display()))?;
    let (stdout, stderr) = (pip.stdout.take(), pip.stderr.take());
    let errors = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What could not be read is missing from the message and nothing else.
        let _ = stderr.map(|mut pipe| pipe.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let said = show(stdout);
    let status = pip.wait()?;
    let errors = errors.join().unwrap_or_default();
    if status.success() {
        return Ok(());
    }
    let lines = last_lines(&format!("{said}\n{errors}"), SHOWN);
    output::refuse(
        format!("pip could not install the peers' packages:\n{lines}"),
        "check the network (pip's own settings apply, such as PIP_INDEX_URL), or name a Python that has the packages \
         with `--python PATH`",
    )
}

/// Shows lines as they come and gives them all.
fn show(pipe: Option<impl Read>) -> String {
    let bar = ProgressBar::new_spinner();
    let mut all = String::new();
    for line in pipe.into_iter().flat_map(|pipe| BufReader::new(pipe).lines()).map_while(Result::ok) {
        bar.set_message(line.chars().take(output::width().saturating_sub(4)).collect::<String>());
        bar.tick();
        all.push_str(&line);
        all.push('\n');
    }
    bar.finish_and_clear();
    all
}

/// Gives a filled folder its name; the loser of a race uses the winner's.
fn settle(temporary: &Path, target: &Path) -> Result<()> {
    if target.exists() && !python_of(target).exists() {
        fs::remove_dir_all(target).map_err(Error::io("replace", target))?;
    }
    match fs::rename(temporary, target) {
        Err(_) if python_of(target).exists() => Ok(()),
        renamed => Ok(renamed.map_err(Error::io("create", target))?),
    }
}

fn python_of(environment: &Path) -> PathBuf {
    environment.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
}

/// The scripts in a folder named after their content.
fn write_scripts(cache: &Path) -> Result<PathBuf> {
    let all: String = SCRIPTS.iter().map(|(_, text)| *text).collect();
    let folder = cache.join(format!("{SCRIPTS_PREFIX}{}", &hash::sha256(all.as_bytes())[..16]));
    atomic::create_dir(&folder)?;
    for (name, text) in SCRIPTS {
        atomic::write(&folder.join(name), text.as_bytes())?;
    }
    Ok(folder)
}

fn temporary_name(what: &str) -> String {
    format!(".{what}.{}.partial", std::process::id())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A program that answers `-m venv DIR` as Python does and runs `pip` lines for `-m pip`.
    fn fake_python(folder: &Path, pip: &str) -> PathBuf {
        let path = folder.join("python3");
        let text = format!(
            "#!/bin/sh\nif [ \"$2\" = venv ]; then mkdir -p \"$3/bin\" && cp \"$0\" \"$3/bin/python\"; exit; fi\n{pip}\n"
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn entries(folder: &Path) -> Vec<String> {
        let names =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
        names.collect()
    }

    #[test]
    fn a_failed_install_shows_pips_words_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("peers");
        fs::create_dir(&cache).unwrap();
        let python = fake_python(folder.path(), "echo Collecting torch; echo 'no such version' >&2; exit 1");
        let error = environment(&cache, &python, "torch==0").unwrap_err().to_string();
        for part in ["Collecting torch", "no such version", "--python PATH"] {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(entries(&cache), Vec::<String>::new());
    }

    #[test]
    fn a_whole_environment_is_used_again_and_other_versions_get_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("peers");
        fs::create_dir(&cache).unwrap();
        let made = environment(&cache, &fake_python(folder.path(), "exit 0"), "torch==1").unwrap();
        let broken = fake_python(folder.path(), "exit 1");
        assert_eq!(environment(&cache, &broken, "torch==1").unwrap(), made);
        assert!(environment(&cache, &broken, "torch==2").is_err());
        assert_eq!(entries(&cache).len(), 1);
    }

    #[test]
    fn a_half_made_environment_is_not_taken_for_whole() {
        let folder = tempfile::tempdir().unwrap();
        let python = fake_python(folder.path(), "touch \"$(dirname \"$0\")/installed\"");
        let made = environment(folder.path(), &python, "torch==1").unwrap();
        assert!(made.with_file_name("installed").exists());
        fs::remove_file(&made).unwrap();
        fs::remove_file(made.with_file_name("installed")).unwrap();
        assert_eq!(environment(folder.path(), &python, "torch==1").unwrap(), made);
        assert!(made.with_file_name("installed").exists());
    }

    #[test]
    fn a_missing_python_is_named_with_what_to_install() {
        let folder = tempfile::tempdir().unwrap();
        let error = environment(folder.path(), Path::new("no-such-python"), "").unwrap_err().to_string();
        assert!(error.contains("no-such-python") && error.contains("`venv`"), "{error}");
    }

    #[test]
    fn a_package_that_lacks_names_the_folder_to_delete_or_what_to_install() {
        let cache = Path::new("cache");
        let ours = remedy(cache, None);
        assert!(ours.contains(&*folder_of(cache, REQUIREMENTS).to_string_lossy()), "{ours}");
        let theirs = remedy(cache, Some(Path::new("venv/bin/python")));
        assert!(theirs.contains("venv/bin/python -m pip install") && theirs.contains("torch=="), "{theirs}");
    }

    #[test]
    fn every_pinned_package_has_a_version() {
        let packages: Vec<&str> = packages(REQUIREMENTS).collect();
        assert!(packages.iter().any(|package| package.starts_with("torch==")), "{REQUIREMENTS}");
        assert!(packages.iter().all(|package| package.contains("==")), "{REQUIREMENTS}");
        let names: std::collections::BTreeSet<&str> =
            packages.iter().filter_map(|package| package.split(['=', '[']).next()).collect();
        assert_eq!(names.len(), packages.len(), "a package stands twice: {REQUIREMENTS}");
        for peer in ["onnxruntime", "sentence-transformers", "torch", "torchjd", "transformers"] {
            assert!(names.contains(peer), "{peer}: {REQUIREMENTS}");
        }
    }
}
