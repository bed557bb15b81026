//! MGDA-UB: MGDA on the gradients of the representation.
//!
//! - **What:** the shortest vector in the convex hull of the tasks' gradients at the trunk's output, an upper bound of
//!   MGDA's objective. The tasks' gradients there are known before the trunk's backward begins.
//! - **Paper:** Sener, Koltun: Multi-Task Learning as Multi-Objective Optimization. NeurIPS 2018, section 3.3.
//! - **Rule, parameters and departures:** those of `mgda`, with Z's gradients in place of the parameters'; it is `mgda`
//!   with `train.gradients = "representation"`, which it asks for.
//! - **Cost:** one backward through the trunk, as plain training.

use polytask_core::method::Choice;
use polytask_core::{Family, MethodInfo};

use super::mgda::{self, Mgda};
use crate::Result;
use crate::adapt::ByGramian;
use crate::table::{Claim, Entry, Setup};
use crate::{Needs, Spaces, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "mgda-ub",
    title: "MGDA-UB",
    paper: "Sener, Koltun, NeurIPS 2018",
    family: Family::GramianWeighting,
    about: "follows the shortest vector in the convex hull of the task gradients at the trunk's output",
    cost: "one backward",
    kinds: &[],
    params: mgda::INFO.params,
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling], make };

fn make(choice: &Choice, _setup: &Setup) -> Result<Box<dyn Weighting>> {
    let needs = Needs { spaces: Spaces::Representation, ..Needs::NONE };
    Ok(Box::new(ByGramian { weighting: Mgda::new(choice), needs }))
}

#[cfg(test)]
mod tests {
    use polytask_core::suite::GradientSpace;

    use super::*;
    use crate::table::{self, check_space};
    use crate::testing::{FakeProbe, weights};

    #[test]
    fn weights_are_those_of_mgda_with_the_same_parameters() {
        let choice = |name: &str| {
            let mut choice = Choice::named(name);
            choice.params.insert("normalise".into(), "l2".into());
            choice
        };
        let made = |name: &str| table::make(&choice(name), &Setup::of(&[])).unwrap();
        for seed in 0..5 {
            let mut probe = FakeProbe::random(seed, 4, 9);
            assert_eq!(
                weights(made("mgda-ub").as_mut(), &mut probe),
                weights(made("mgda").as_mut(), &mut probe)
            );
        }
    }

    #[test]
    fn it_asks_for_gradients_of_the_representation() {
        let needs = make(&Choice::named("mgda-ub"), &Setup::of(&[])).unwrap().needs();
        assert!(check_space("mgda-ub", needs, GradientSpace::Representation).is_ok());
        let error = check_space("mgda-ub", needs, GradientSpace::Full).unwrap_err().to_string();
        assert!(error.contains("train.gradients = \"representation\""), "{error}");
    }
}
