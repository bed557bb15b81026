//! What results of trainings are kept under: all that can change them, and nothing else.

use polytask_core::report::Lineage;
use polytask_core::{hash, suite};
use polytask_nn::sharing::HARD;

use super::Run;
use crate::prepared::{Prepared, encoder_settings};

/// Raised whenever the same suite would train to other weights or be judged otherwise: cached single-task results of before are void.
pub const SEMANTICS: u32 = 12;

/// How texts are scored, where vectors are not compared: an encoder's folder may say so, and no suite.
fn score(prepared: &Prepared) -> String {
    prepared.encoder.score.as_ref().map_or_else(String::new, |score| format!(" {score:?}"))
}

impl Run<'_> {
    /// What a checkpoint must agree on to be continued.
    pub(crate) fn identity(&self) -> String {
        let lineage = &self.lineage;
        let (suite, settings) = (suite::weight_hash(&self.prepared.suite), encoder_settings(self.prepared));
        let score = score(self.prepared);
        format!("{SEMANTICS} {suite} {} {} {settings}{score}", lineage.data, lineage.encoder)
    }

    /// Data, encoder and version a training comes from.
    pub(super) fn origin(&self) -> String {
        let Lineage { data, encoder, version, .. } = &self.lineage;
        format!("{data} {encoder} {} {version}{}", encoder_settings(self.prepared), score(self.prepared))
    }

    /// Key and file stem of a single-task result: all that can change it, and nothing else.
    pub(super) fn baseline_key(&self, task: usize) -> String {
        let mut suite = self.prepared.suite.clone();
        suite.name = String::new();
        suite.train.baselines.clear();
        suite.train.weighting = polytask_core::method::Choice::named("equal");
        suite.train.regularizer = polytask_core::method::Choice::named("none");
        suite.train.gradients = polytask_core::suite::GradientSpace::Full;
        suite.train.conflict_every = 0;
        suite.train.rows_mb = 0;
        suite.model.sharing = polytask_core::method::Choice::named(HARD);
        let (suite, head) = (suite::weight_hash(&suite), &self.single.parts.heads[task].name);
        let text = format!("{SEMANTICS} {suite} {} {head}", self.origin());
        hash::sha256(text.as_bytes())
    }
}
