//! Suites as the command line loads them: with the parts this build knows.

use std::path::{Path, PathBuf};

use polytask_core::suite::{self, Catalogue, Suite};
use polytask_core::{Problem, Result};
use polytask_data::PullOptions;

/// The named parts of this build.
pub(crate) fn catalogue() -> Catalogue {
    Catalogue {
        losses: polytask_nn::losses::infos(),
        weightings: polytask_train::method::table::infos(),
        regularizers: polytask_train::regularizer::table::infos(),
        metrics: polytask_eval::infos(),
        sharings: polytask_nn::sharing::infos(),
    }
}

/// Loads and checks a suite file with `--set` overrides.
pub(crate) fn load(path: &Path, overrides: &[String]) -> Result<Suite> {
    let suite = suite::load(path, &catalogue(), overrides)?;
    match polytask_train::regularizer::table::check(&suite) {
        Ok(()) => Ok(suite),
        Err(polytask_train::Error::Core(error)) => Err(error),
        Err(other) => Err(Problem::new(other.to_string()).into()),
    }
}

/// Where single-task results are kept between runs.
pub(crate) fn baselines() -> PathBuf {
    PullOptions::from_environment().cache.join("baselines")
}

/// Uses this many threads everywhere; 0 means all cores.
pub(crate) fn set_threads(threads: usize) -> anyhow::Result<()> {
    Ok(rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?)
}
