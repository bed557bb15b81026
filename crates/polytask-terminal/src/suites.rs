//! Suites as the command line loads them: with the parts this build knows.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use polytask_core::suite::{self, Catalogue, Suite};
use polytask_core::{Problem, Result};
use polytask_data::PullOptions;
use polytask_train::catalogue;

use crate::output;

/// Loads and checks a suite file with `--set` overrides.
pub fn load(path: &Path, overrides: &[String]) -> Result<Suite> {
    load_by(suite::load, path, overrides)
}

/// The same to judge a model that is there: sources may have no rows to train on.
pub fn load_to_judge(path: &Path, overrides: &[String]) -> Result<Suite> {
    load_by(suite::load_to_judge, path, overrides)
}

type Load = fn(&Path, &Catalogue, &[String]) -> Result<Suite>;

fn load_by(load: Load, path: &Path, overrides: &[String]) -> Result<Suite> {
    if path.is_dir() {
        let what = format!("{} is a folder, expected a suite file", path.display());
        let remedy = format!("`polytask init --data {} --out suite.toml` writes one", path.display());
        return Err(Problem::new(what).try_this(remedy).into());
    }
    if !path.exists() {
        let what = format!("there is no suite {}", path.display());
        return Err(Problem::new(what).try_this("`polytask init --out FILE` to start one").into());
    }
    let suite = load(path, &catalogue(), overrides)?;
    match polytask_train::regularizer::table::check(&suite) {
        Ok(()) => Ok(suite),
        Err(polytask_train::Error::Core(error)) => Err(error),
        Err(other) => Err(Problem::new(other.to_string()).into()),
    }
}

/// The suite file and the folder of a trained model, of a run's folder or its `model` folder; `suite` stands in the
/// place of the run's own.
pub fn of_trained(source: &Path, suite: Option<&Path>) -> anyhow::Result<(PathBuf, PathBuf)> {
    let (run, model) = if is_model(source) {
        (source.join(".."), source.to_path_buf())
    } else {
        (source.to_path_buf(), source.join("model"))
    };
    if has_trees(&model) {
        return no_network(&model);
    }
    if !is_model(&model) {
        let what = match source {
            path if !path.exists() => format!("there is no folder {}", path.display()),
            path if path.is_file() => {
                format!("{} is a file, expected the folder of a trained run", path.display())
            }
            path => format!(
                "folder {} holds no finished run, expected suite.toml and model/ in it",
                path.display()
            ),
        };
        return output::refuse(what, "the folder that `polytask train --out` was given");
    }
    let suite = suite.map_or_else(|| run.join("suite.toml"), Path::to_path_buf);
    if !suite.is_file() {
        let what = format!("there is no suite {}, which names the data and the tasks", suite.display());
        return output::refuse(what, format!("`--suite FILE` for the model in {}", model.display()));
    }
    Ok((suite, model))
}

/// Whether a folder holds a model of ours.
pub fn is_model(folder: &Path) -> bool {
    folder.join("polytask.json").is_file()
}

/// Whether a folder holds boosted trees.
pub fn has_trees(folder: &Path) -> bool {
    polytask_boost::suite::BoostModel::is_in(folder)
}

/// The error of whoever wants a network where trees are.
pub fn no_network<T>(folder: &Path) -> anyhow::Result<T> {
    let what = format!("folder {} holds boosted trees, expected a network", folder.display());
    output::refuse(what, "`polytask predict`, `polytask compare` and `polytask boost explain` read trees")
}

/// Where single-task results are kept between runs.
pub fn baselines() -> PathBuf {
    PullOptions::from_environment().cache.join("baselines")
}

/// Says where the cache is when nobody chose its folder.
pub fn note_cache() {
    if let Some(note) = polytask_data::pull::without_home() {
        output::note(note);
    }
}

/// Uses this many threads everywhere; 0 means all cores. What was set first holds: a verb of several trainings has them all
/// run by the same threads.
pub fn set_threads(threads: usize) -> anyhow::Result<()> {
    static IS_SET: AtomicBool = AtomicBool::new(false);
    if !IS_SET.load(Ordering::Relaxed) {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
        IS_SET.store(true, Ordering::Relaxed);
    }
    Ok(())
}
