//! The named parts that suites may choose from, of all tables of this build.

use polytask_core::suite::Catalogue;

use crate::{learner, regularizer};

/// The parts of all tables.
pub fn catalogue() -> Catalogue {
    Catalogue {
        losses: polytask_nn::losses::infos(),
        weightings: polytask_weighting::table::infos(),
        regularizers: regularizer::table::infos(),
        metrics: polytask_eval::infos(),
        sharings: polytask_nn::sharing::infos(),
        tunes: polytask_nn::tune::infos(),
        distils: polytask_nn::distil::infos(),
        scores: polytask_nn::scores::infos(),
        learners: learner::infos(),
        trees: polytask_boost::method::trees(),
        objectives: polytask_boost::method::objectives(),
    }
}
