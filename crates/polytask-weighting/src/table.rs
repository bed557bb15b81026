//! Every weighting, in one slice.
//!
//! The suite check, the command line, the documentation and the shared tests read this table; nothing else knows
//! which weightings exist.

use polytask_core::method::Choice;
use polytask_core::near::nearest;
use polytask_core::suite::GradientSpace;
use polytask_core::{Family, MethodInfo, Problem};
use polytask_nn::Trunk;

use super::layers::ByLayer;
use super::{Needs, Spaces, WEIGHTINGS, Weighting};
use crate::Result;
pub use crate::entry::{Claim, Entry, Make, Setup};

/// The line of the weighting with this id.
pub fn find(id: &str) -> Option<&'static Entry> {
    WEIGHTINGS.iter().find(|entry| entry.info.id == id)
}

/// What all weightings say about themselves, by id.
pub fn infos() -> Vec<&'static MethodInfo> {
    WEIGHTINGS.iter().map(|entry| entry.info).collect()
}

/// Makes the weighting a user chose; names the nearest id, parameter or range when something is wrong.
pub fn make(choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    let entry = find(&choice.name).ok_or_else(|| unknown_weighting(&choice.name))?;
    match entry.info.wrong_params("weighting", choice) {
        wrong if wrong.is_empty() => (entry.make)(choice, setup),
        wrong => Err(polytask_core::Error::Invalid(wrong).into()),
    }
}

/// Makes the weighting a user chose for a run on gradients of this space; by layer, it is one per trained block.
pub fn make_in(
    choice: &Choice,
    setup: &Setup,
    gradients: GradientSpace,
    n_blocks: usize,
) -> Result<Box<dyn Weighting>> {
    let weighting = make(choice, setup)?;
    check_space(&choice.name, weighting.needs(), gradients)?;
    if gradients != GradientSpace::Layer || n_blocks == 0 || !weighting.needs().gramian {
        return Ok(weighting);
    }
    // A weight of a loss is one for the whole network, also where norms of gradients decide it.
    match find(&choice.name).map(|entry| entry.info.family) {
        Some(Family::GramianWeighting) => Ok(Box::new(ByLayer::new(n_blocks, || make(choice, setup))?)),
        _ => Err(wrong_space(&choice.name, "full").into()),
    }
}

/// Refuses gradients of a space the weighting cannot work with; weightings that look at losses only do not mind.
pub fn check_space(name: &str, needs: Needs, gradients: GradientSpace) -> Result<()> {
    let looks = needs.gramian || needs.rows || needs.displaced || needs.extra_batches > 0;
    let expected = match (needs.spaces, gradients) {
        (Spaces::Parameters, GradientSpace::Representation) => "full",
        (Spaces::Representation, GradientSpace::Full | GradientSpace::Layer) => "representation",
        (_, GradientSpace::Layer) if looks && !ByLayer::can(needs) => "full",
        _ => return Ok(()),
    };
    Err(wrong_space(name, expected).into())
}

/// Refuses gradients at states that no two tasks share: there they could never conflict.
pub fn check_views(name: &str, needs: Needs, gradients: GradientSpace, trunk: &dyn Trunk) -> Result<()> {
    let looks = needs.gramian || needs.rows;
    if !looks || gradients != GradientSpace::Representation || trunk.n_views() < 2 {
        return Ok(());
    }
    let what = format!(
        "weighting `{name}` compares tasks at the trunk's output, where `model.sharing` gives each task its own"
    );
    Err(Problem::new(what).try_this("`train.gradients = \"full\"`, or `sharing = \"hard\"`").into())
}

fn wrong_space(name: &str, expected: &str) -> Problem {
    let what = format!("weighting `{name}` does not work with these gradients, expected `{expected}`");
    Problem::new(what).try_this(format!("train.gradients = \"{expected}\""))
}

fn unknown_weighting(name: &str) -> Problem {
    let ids: Vec<&str> = WEIGHTINGS.iter().map(|entry| entry.info.id).collect();
    let problem = Problem::new(format!("unknown weighting `{name}`, expected one of {}", ids.join(", ")));
    match nearest(name, &ids) {
        Some(near) => problem.try_this(format!("`weighting = \"{near}\"`")),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_unique_sorted_and_legal() {
        let ids: Vec<&str> = WEIGHTINGS.iter().map(|entry| entry.info.id).collect();
        let sorted: Vec<&str> = ids.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        assert_eq!(ids, sorted);
        assert!(
            ids.iter()
                .all(|id| id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'))
        );
    }

    #[test]
    fn every_weighting_describes_itself_and_its_parameters() {
        for info in infos() {
            assert!(!info.title.is_empty() && !info.about.is_empty() && !info.cost.is_empty(), "{}", info.id);
            for param in info.params {
                let default: serde_json::Value = serde_json::from_str(param.default).unwrap();
                let fits = default.is_null() || param.range.contains(&default);
                assert!(fits, "{} {} {default}", info.id, param.name);
                assert!(!param.about.is_empty(), "{} {}", info.id, param.name);
            }
        }
    }

    fn message(choice: &Choice) -> String {
        make(choice, &Setup::of(&["a", "b"])).err().unwrap().to_string()
    }

    #[test]
    fn a_weighting_is_refused_gradients_it_cannot_work_with() {
        let needs = |spaces| Needs { spaces, ..Needs::NONE };
        let error =
            check_space("modo", needs(Spaces::Parameters), GradientSpace::Representation).unwrap_err();
        assert!(error.to_string().contains("train.gradients = \"full\""), "{error}");
        assert!(check_space("x", needs(Spaces::Representation), GradientSpace::Full).is_err());
        assert!(check_space("x", needs(Spaces::Either), GradientSpace::Full).is_ok());
    }

    #[test]
    fn gradients_by_layer_are_for_methods_of_the_gramian_and_of_losses() {
        let made =
            |name: &str| make_in(&Choice::named(name), &Setup::of(&["a", "b"]), GradientSpace::Layer, 3);
        assert_eq!(made("cagrad").unwrap().needs().spaces, Spaces::Parameters);
        assert!(made("uw").is_ok() && made("equal").is_ok());
        let error = made("gradnorm").err().unwrap().to_string();
        assert!(error.contains("train.gradients = \"full\""), "{error}");
        let error = made("mgda-ub").err().unwrap().to_string();
        assert!(error.contains("train.gradients = \"representation\""), "{error}");
        let rows = Needs { rows: true, ..Needs::NONE };
        let error = check_space("config", rows, GradientSpace::Layer).unwrap_err().to_string();
        assert!(error.contains("train.gradients = \"full\""), "{error}");
    }

    #[test]
    fn an_unknown_weighting_is_refused_with_the_nearest_id() {
        let message = message(&Choice::named("PCGrd"));
        assert!(
            message.contains("`PCGrd`") && message.contains("try: `weighting = \"pcgrad\"`"),
            "{message}"
        );
    }

    #[test]
    fn wrong_parameters_are_all_refused_with_range_and_nearest_name() {
        let mut choice = Choice::named("mgda");
        choice.params.insert("tolerence".into(), 0.1.into());
        choice.params.insert("normalise".into(), "l3".into());
        let message = message(&choice);
        assert!(message.contains("`tolerence`") && message.contains("try: `tolerance`"), "{message}");
        assert!(message.contains("is \"l3\", expected one of none, l2, loss, loss+"), "{message}");
    }
}
