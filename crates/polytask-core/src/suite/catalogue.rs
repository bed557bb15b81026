//! The named parts that suites may choose from.

use crate::kind::KindInfo;
use crate::method::MethodInfo;

/// The named parts a suite may choose from; each crate brings its own table.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// Losses.
    pub losses: Vec<&'static MethodInfo>,
    /// Loss weightings, Gramian weightings and aggregators.
    pub weightings: Vec<&'static MethodInfo>,
    /// Regularizers; `none` is always there.
    pub regularizers: Vec<&'static MethodInfo>,
    /// Metrics.
    pub metrics: Vec<&'static MethodInfo>,
    /// Ways to share the encoder.
    pub sharings: Vec<&'static MethodInfo>,
    /// What of the encoder can be trained.
    pub tunes: Vec<&'static MethodInfo>,
    /// What can lie between a student and its teacher.
    pub distils: Vec<&'static MethodInfo>,
    /// How texts can be scored against each other.
    pub scores: Vec<&'static MethodInfo>,
    /// Boosted trees in the place of a network.
    pub trees: Vec<&'static MethodInfo>,
    /// What boosted trees learn of a target.
    pub objectives: Vec<&'static MethodInfo>,
    /// What a run can be compared with.
    pub learners: Vec<&'static MethodInfo>,
}

impl Catalogue {
    /// Losses a kind may have, its default first.
    pub fn losses_of(&self, kind: &KindInfo) -> Vec<&'static str> {
        with_own(kind.losses, &self.losses, kind)
    }

    /// Metrics of a kind, its default first.
    pub fn metrics_of(&self, kind: &KindInfo) -> Vec<&'static str> {
        with_own(kind.metrics, &self.metrics, kind)
    }

    /// Whether a kind has this metric, with any cut: `ndcg@20` where it has `ndcg@10`.
    pub fn has_metric(&self, kind: &KindInfo, metric: &str) -> bool {
        let cut_is_number = |cut: &str| cut.parse::<usize>().is_ok_and(|k| k > 0);
        let same = |known: &str| match (known.split_once('@'), metric.split_once('@')) {
            (Some((a, _)), Some((b, cut))) => a == b && cut_is_number(cut),
            _ => known == metric,
        };
        self.metrics_of(kind).into_iter().any(same)
    }
}

/// What a kind lists, then the parts that name the kind themselves.
fn with_own(listed: &[&'static str], parts: &[&'static MethodInfo], kind: &KindInfo) -> Vec<&'static str> {
    let own = parts.iter().filter(|info| info.kinds.contains(&kind.name)).map(|info| info.id);
    listed.iter().copied().chain(own).collect()
}
