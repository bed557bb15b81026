//! Settings that depend on whether the network starts from random weights: what heads start from, how fast they learn,
//! what is left to the data.

use super::section::Section;
use super::{OPEN, Start, TINY};
use crate::input::{self, FreshTraining};
use crate::kind::KindInfo;

/// Whether an encoder starts from random weights, so that its vectors say nothing yet.
pub(super) fn starts_fresh(encoder: &str) -> bool {
    encoder == TINY || input::is_net(encoder)
}

/// What heads start from: fitted on vectors, where these say something.
pub(super) fn start(section: &Section, is_fresh: bool) -> Start {
    if section.has("start") {
        return section.word("start");
    }
    if is_fresh { Start::Random } else { Start::Probe }
}

/// Heads that start from random weights have to catch up with a trained encoder; all others learn as it does. Beside
/// encoders of columns the layers above them start from random weights, whatever heads do.
pub(super) fn head_lr_factor(section: &Section, (of_fresh, has_new): (bool, bool), start: Start) -> f64 {
    let is_alike = of_fresh || start != Start::Random && !has_new;
    if is_alike && !section.has("head_lr_factor") { 1.0 } else { section.real("head_lr_factor") }
}

/// Probes of tags fit their few words nearly without error; heads made from them are small, and have to grow.
pub(super) fn lr_factor(section: &Section, kind: &KindInfo, tags_start_small: bool) -> f64 {
    let is_small = tags_start_small && kind.tags_words();
    if is_small && !section.has("lr_factor") { 10.0 } else { section.real("lr_factor") }
}

/// Keys of `[train]` that were not given and that the data decide.
pub(super) fn open_keys(
    section: &Section,
    fresh: Option<FreshTraining>,
    is_fresh: bool,
) -> Vec<&'static str> {
    let is_given = |key: &str| match key {
        "steps" => section.has("steps") || section.has("epochs"),
        "batch_rows" => section.has("batch_rows") || section.has("batch_tokens"),
        _ => section.has(key),
    };
    let open = match (is_fresh, fresh) {
        (false, _) => OPEN,
        // How long a network learns that starts from nothing; all else of it is known.
        (true, Some(_)) => &["eval_every", "steps"],
        (true, None) => &[],
    };
    open.iter().copied().filter(|key| !is_given(key)).collect()
}
