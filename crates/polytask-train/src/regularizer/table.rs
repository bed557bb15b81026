//! Every regularizer, in one slice; the suite check, the command line and the shared tests read it.

use polytask_core::method::Choice;
use polytask_core::near::nearest;
use polytask_core::suite::NO_REGULARIZER;
use polytask_core::{MethodInfo, Problem, Suite};
use polytask_nn::sharing::HARD;

use super::{REGULARIZERS, Regularizer};
use crate::Result;
use polytask_weighting::Needs;
use polytask_weighting::table::Setup;

/// Makes a regularizer from its parameters.
pub type MakeRegularizer = fn(&Choice) -> Result<Box<dyn Regularizer>>;

/// A line of the table.
#[derive(Debug, Clone, Copy)]
pub struct RegularizerEntry {
    /// What the regularizer says about itself.
    pub info: &'static MethodInfo,
    /// Makes it.
    pub make: MakeRegularizer,
}

/// The line of the regularizer with this id.
pub fn find(id: &str) -> Option<&'static RegularizerEntry> {
    REGULARIZERS.iter().find(|entry| entry.info.id == id)
}

/// What all regularizers say about themselves, by id.
pub fn infos() -> Vec<&'static MethodInfo> {
    REGULARIZERS.iter().map(|entry| entry.info).collect()
}

/// Makes the regularizer a user chose, `None` for `none`; names the nearest id, parameter or range when something is
/// wrong.
pub fn make(choice: &Choice) -> Result<Option<Box<dyn Regularizer>>> {
    if choice.name == NO_REGULARIZER.id {
        return Ok(None);
    }
    let entry = find(&choice.name).ok_or_else(|| unknown(&choice.name))?;
    match entry.info.wrong_params("regularizer", choice) {
        wrong if wrong.is_empty() => (entry.make)(choice).map(Some),
        wrong => Err(polytask_core::Error::Invalid(wrong).into()),
    }
}

/// Refuses what can be known to be wrong before a training: parameters, and a weighting that looks at gradients.
pub fn check(suite: &Suite) -> Result<()> {
    let train = &suite.train;
    if make(&train.regularizer)?.is_none() {
        return Ok(());
    }
    if suite.model.sharing.name != HARD {
        let (name, sharing) = (&train.regularizer.name, &suite.model.sharing.name);
        let what = format!(
            "regularizer `{name}` compares tasks on states they share, but sharing `{sharing}` gives each its own"
        );
        return Err(Problem::new(what).try_this(format!("`sharing = \"{HARD}\"`")).into());
    }
    let tasks = suite.tasks.iter().map(|task| task.name.clone()).collect();
    let weighting = polytask_weighting::table::make(&train.weighting, &Setup { tasks, lr: train.lr })?;
    check_needs(&train.regularizer.name, &train.weighting.name, weighting.needs())
}

/// Refuses a weighting that wants more than losses.
fn check_needs(name: &str, weighting: &str, needs: Needs) -> Result<()> {
    let wants = match needs {
        Needs { gramian: true, .. } => "inner products of task gradients",
        Needs { rows: true, .. } => "task gradients",
        Needs { displaced: true, .. } => "gradients at displaced weights",
        Needs { extra_batches: 1.., .. } => "further batches",
        _ => return Ok(()),
    };
    let what = format!(
        "regularizer `{name}` stands on a loss weighting, but weighting `{weighting}` asks for {wants}"
    );
    let remedy =
        "`train.weighting = \"equal\"` (or another loss weighting), or `train.regularizer = \"none\"`";
    Err(Problem::new(what).try_this(remedy).into())
}

fn unknown(name: &str) -> Problem {
    let ids: Vec<&str> = [NO_REGULARIZER.id].into_iter().chain(infos().iter().map(|info| info.id)).collect();
    let what = format!("unknown regularizer `{name}`, expected one of {}", ids.join(", "));
    match nearest(name, &ids) {
        Some(near) => Problem::new(what).try_this(format!("`regularizer = \"{near}\"`")),
        None => Problem::new(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_sorted_and_apart_from_none() {
        let ids: Vec<&str> = infos().iter().map(|info| info.id).collect();
        assert!(ids.is_sorted_by(|a, b| a < b) && !ids.contains(&NO_REGULARIZER.id), "{ids:?}");
    }

    #[test]
    fn every_regularizer_describes_itself_and_its_defaults_make_it() {
        for entry in REGULARIZERS {
            let info = entry.info;
            assert!(!info.title.is_empty() && !info.about.is_empty() && !info.cost.is_empty(), "{}", info.id);
            for param in info.params {
                let default: serde_json::Value = serde_json::from_str(param.default).unwrap();
                assert!(
                    param.range.contains(&default) && !param.about.is_empty(),
                    "{} {}",
                    info.id,
                    param.name
                );
            }
            assert!(make(&Choice::named(info.id)).unwrap().is_some());
        }
        assert!(make(&Choice::named("none")).unwrap().is_none());
    }

    #[test]
    fn an_unknown_regularizer_or_parameter_is_refused_with_the_nearest_name_and_the_range() {
        let message = |choice: &Choice| make(choice).err().unwrap().to_string();
        let unknown = message(&Choice::named("repmtl"));
        assert!(unknown.contains("try: `regularizer = \"rep-mtl\"`"), "{unknown}");
        let mut choice = Choice::named("rep-mtl");
        choice.params.insert("tua".into(), 0.1.into());
        choice.params.insert("tsr".into(), (-1).into());
        let wrong = message(&choice);
        assert!(wrong.contains("`tua`") && wrong.contains("try: `tau`"), "{wrong}");
        assert!(wrong.contains("parameter `tsr` of regularizer `rep-mtl` is -1"), "{wrong}");
    }

    #[test]
    fn a_weighting_that_looks_at_gradients_is_refused() {
        let error = check_needs("rep-mtl", "pcgrad", Needs { gramian: true, ..Needs::NONE }).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("`pcgrad` asks for inner products of task gradients\n    try: "), "{error}");
        assert!(check_needs("rep-mtl", "modo", Needs { extra_batches: 2, ..Needs::NONE }).is_err());
        assert!(check_needs("rep-mtl", "famo", Needs { after_step: true, ..Needs::NONE }).is_ok());
    }
}
