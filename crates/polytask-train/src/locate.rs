//! Where the encoder of a suite lies.

use polytask_core::{Suite, length};
use polytask_data::pull::{self, PullOptions};

use crate::Result;
use crate::observe::{Event, Observer};

/// The encoder's folder: beside the suite, or wherever `pull` finds it.
///
/// # Errors
/// An encoder that is nowhere.
pub fn locate(suite: &Suite, observer: &mut dyn Observer) -> Result<std::path::PathBuf> {
    locate_named(suite, &suite.model.encoder, observer)
}

/// The folder of an encoder that a suite names.
///
/// # Errors
/// An encoder that is nowhere.
pub(crate) fn locate_named(
    suite: &Suite,
    name: &str,
    observer: &mut dyn Observer,
) -> Result<std::path::PathBuf> {
    let beside = suite.folder.join(name);
    if length::is_encoder_folder(&beside) {
        return Ok(beside);
    }
    let pulled = pull::pull(name, &PullOptions::from_environment())?;
    observer.event(Event::Note(&format!("encoder {name} in {}", pulled.folder.display())));
    Ok(pulled.folder)
}
