//! What of an encoder is trained: all of it, or small parts beside weights that stay as they are.
//!
//! Adding one = one file here and one line in [`TUNES`].

mod bottleneck;
mod full;
mod lora;
mod peft;
mod prompt;
#[cfg(test)]
mod tests;

use polytask_core::method::Choice;
use polytask_core::{MethodInfo, Problem};

use crate::encoder::Encoder;
use crate::{Error, Result};

pub(crate) use peft::{read_folder, write_folder};

/// All of the encoder.
pub const FULL: &str = "full";

/// All ways, sorted by id.
pub static TUNES: &[&dyn Tune] = &[&bottleneck::Bottleneck, &full::Full, &lora::LowRank, &prompt::SoftPrompt];

/// A way to tune in the table.
pub trait Tune: Sync {
    /// What it tells about itself.
    fn info(&self) -> &'static MethodInfo;

    /// The learning rate of a suite that says nothing; `None` where it is that of an encoder's weights.
    fn lr(&self) -> Option<f64> {
        None
    }

    /// The encoder with what is trained of it; given its name and the seed of new weights.
    ///
    /// # Errors
    /// Parameters that do not fit the encoder.
    fn apply(&self, choice: &Choice, encoder: Encoder, named: (&str, u64)) -> Result<Encoder>;
}

/// What all tell about themselves, sorted by id.
pub fn infos() -> Vec<&'static MethodInfo> {
    TUNES.iter().map(|tune| tune.info()).collect()
}

/// The learning rate of a way to tune where a suite says nothing; `None` where it is that of an encoder's weights.
pub fn lr(choice: &Choice) -> Option<f64> {
    TUNES.iter().find(|tune| tune.info().id == choice.name)?.lr()
}

/// The encoder, of this name, with what is trained of it; new weights are a function of the seed.
///
/// # Errors
/// Unknown names and parameters, parameters that do not fit the encoder.
pub fn apply(choice: &Choice, encoder: Encoder, (name, seed): (&str, u64)) -> Result<Encoder> {
    let Some(tune) = TUNES.iter().find(|tune| tune.info().id == choice.name) else {
        return Err(invalid(vec![Problem::new(format!("unknown tune `{}`", choice.name))]));
    };
    let problems = tune.info().wrong_params("tune", choice);
    if !problems.is_empty() {
        return Err(invalid(problems));
    }
    tune.apply(&resolved(tune.info(), choice), encoder, (name, seed))
}

/// The choice with every parameter, so that a folder says all that it was made with.
fn resolved(info: &MethodInfo, choice: &Choice) -> Choice {
    let params = info.params.iter().map(|param| (param.name.to_owned(), choice.param(info, param.name)));
    Choice { name: choice.name.clone(), params: params.filter(|(_, value)| !value.is_null()).collect() }
}

fn invalid(problems: Vec<Problem>) -> Error {
    Error::Core(polytask_core::Error::Invalid(problems))
}
