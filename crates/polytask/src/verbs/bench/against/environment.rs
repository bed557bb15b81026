//! The peer's packages: a virtual environment with pinned versions in polytask's cache, made once.
//!
//! It is filled under a temporary name and renamed when pip is done, so it is whole or absent.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use polytask_core::{Error, atomic, hash};
use polytask_data::PullOptions;
use serde_json::Value;

use super::side::{Side, last_lines};
use super::{Fields, Options};
use crate::output;

/// The pinned versions.
const REQUIREMENTS: &str = include_str!("../../../../peers/requirements.txt");

/// The peers' scripts, by file name.
const SCRIPTS: &[(&str, &str)] = &[
    ("common.py", include_str!("../../../../peers/common.py")),
    ("texts.py", include_str!("../../../../peers/texts.py")),
    ("torch_batch.py", include_str!("../../../../peers/torch_batch.py")),
    ("torch_step.py", include_str!("../../../../peers/torch_step.py")),
    ("torch_gramian.py", include_str!("../../../../peers/torch_gramian.py")),
    ("sentence_transformers_texts.py", include_str!("../../../../peers/sentence_transformers_texts.py")),
    ("onnxruntime_export.py", include_str!("../../../../peers/onnxruntime_export.py")),
    ("onnxruntime_texts.py", include_str!("../../../../peers/onnxruntime_texts.py")),
];

/// The Python that makes environments.
const PYTHON: &str = if cfg!(windows) { "python" } else { "python3" };

/// Lines of a failed command that are shown.
const SHOWN: usize = 12;

/// Temporary folders older than this belong to no process that still runs.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// Where a comparison works: a Python with the peer's packages, the scripts, a folder for this run's files.
pub(crate) struct Place {
    python: PathBuf,
    scripts: PathBuf,
    work: PathBuf,
    cache: PathBuf,
}

impl Place {
    /// Makes the environment unless there is one already.
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let cache = PullOptions::from_environment().cache.join("peers");
        atomic::create_dir(&cache)?;
        sweep(&cache);
        let python = match &options.python {
            Some(python) => python.clone(),
            None => environment(&cache, Path::new(PYTHON), REQUIREMENTS)?,
        };
        let scripts = write_scripts(&cache)?;
        let work = cache.join(temporary_name("work"));
        atomic::create_dir(&work)?;
        Ok(Self { python, scripts, work, cache })
    }

    /// The folder for this run's files; it vanishes with this value.
    pub(crate) fn work(&self) -> &Path {
        &self.work
    }

    /// Runs a script with plain arguments and reads its report.
    pub(crate) fn prepare(&self, script: &str, arguments: &[&Path]) -> Result<Value> {
        output::note(format!("running {script}"));
        let arguments = arguments.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        self.script("preparation", script, arguments, None, super::LIMIT).report()
    }

    /// The process that does a job.
    pub(super) fn side(&self, name: &str, script: &str, job: &Fields, limit: Duration) -> Result<Side> {
        let path = self.work.join(format!("{name}.json"));
        atomic::write_json(&path, job)?;
        Ok(self.script(name, script, vec![path.to_string_lossy().into_owned()], job.get("threads"), limit))
    }

    fn script(
        &self,
        name: &str,
        script: &str,
        arguments: Vec<String>,
        threads: Option<&Value>,
        limit: Duration,
    ) -> Side {
        let script = self.scripts.join(script).to_string_lossy().into_owned();
        let arguments = [vec![script], arguments].concat();
        Side {
            name: name.into(),
            program: self.python.clone(),
            arguments,
            variables: self.variables(threads),
            limit,
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
            ("TORCHINDUCTOR_CACHE_DIR", self.cache.join("inductor").to_string_lossy().into_owned()),
        ];
        if let Some(threads) = threads {
            variables.push(("OMP_NUM_THREADS", threads.to_string()));
        }
        variables.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Best effort: what is left is swept by a later run.
        let _ = fs::remove_dir_all(&self.work);
    }
}

/// The environment's Python; the environment is made when it is not there.
fn environment(cache: &Path, base: &Path, requirements: &str) -> Result<PathBuf> {
    let target = cache.join(&hash::sha256(requirements.as_bytes())[..16]);
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
    let folder = cache.join(format!("scripts-{}", &hash::sha256(all.as_bytes())[..16]));
    atomic::create_dir(&folder)?;
    for (name, text) in SCRIPTS {
        atomic::write(&folder.join(name), text.as_bytes())?;
    }
    Ok(folder)
}

fn temporary_name(what: &str) -> String {
    format!(".{what}.{}.partial", std::process::id())
}

/// Removes what processes that were ended left behind.
fn sweep(cache: &Path) {
    let is_old = |entry: &fs::DirEntry| {
        let modified = entry.metadata().and_then(|data| data.modified()).ok();
        let age = modified.and_then(|at| SystemTime::now().duration_since(at).ok());
        entry.file_name().to_string_lossy().ends_with(".partial") && age.is_some_and(|age| age > ABANDONED)
    };
    for entry in fs::read_dir(cache).into_iter().flatten().flatten().filter(is_old) {
        // Best effort: it is tried again next time.
        let _ = fs::remove_dir_all(entry.path());
    }
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
    fn every_pinned_package_has_a_version() {
        let mut lines = REQUIREMENTS.lines().filter(|line| !line.starts_with('#'));
        assert!(lines.all(|line| line.contains("==")), "{REQUIREMENTS}");
    }
}
