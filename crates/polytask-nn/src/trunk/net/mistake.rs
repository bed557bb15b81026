//! The error of a configuration that no network can be built of.

use polytask_core::Problem;

use crate::Error;

/// The error of a configuration that no network can be built of.
pub(super) fn wrong(net: &str, what: &str) -> Error {
    let problem = Problem::new(format!("network `{net}`: {what}"));
    Error::Core(problem.try_this("the config.json that a run of polytask wrote").into())
}
