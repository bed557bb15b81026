//! The papers, in one slice; the command line, the pages and the shared tests read it.

use polytask_core::{Problem, near};
use polytask_train::Result;

use crate::methods::{
    atlas, codiemb, crosstune, dse, flat_mtl, rep_mtl, rmtgb, self_positioning, text_methods,
    topic_segmentation, trans_encoder, unified_ranker,
};
use crate::paper::Paper;

/// All papers, by number; experiments that are no single paper's come last.
pub static PAPERS: &[&Paper] = &[
    &unified_ranker::PAPER,
    &crosstune::PAPER,
    &trans_encoder::PAPER,
    &rep_mtl::PAPER,
    &codiemb::PAPER,
    &rmtgb::PAPER,
    &atlas::PAPER,
    &dse::PAPER,
    &self_positioning::PAPER,
    &topic_segmentation::PAPER,
    &flat_mtl::PAPER,
    &text_methods::PAPER,
];

/// The paper with this number or name (`31`, `flat-mtl`, `flat_mtl`); the error names the nearest.
pub fn find(wanted: &str) -> Result<&'static Paper> {
    let name = wanted.to_lowercase().replace('_', "-");
    let is_meant = |paper: &&&Paper| paper.id == name || paper.name == name;
    PAPERS.iter().find(is_meant).copied().ok_or_else(|| unknown(&name).into())
}

fn unknown(name: &str) -> Problem {
    let mut names: Vec<&str> = PAPERS.iter().flat_map(|paper| [paper.id, paper.name]).collect();
    names.dedup();
    let what = format!("there is no experiment `{name}`");
    Problem::new(what).try_this(near::advice(name, &names))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::recipe::Recipe;

    #[test]
    fn ids_and_names_are_unique_and_legal() {
        let names: Vec<&str> = PAPERS.iter().flat_map(|paper| [paper.id, paper.name]).collect();
        let legal =
            |name: &&str| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        assert!(names.iter().all(legal), "{names:?}");
        let distinct: BTreeSet<&str> = names.iter().copied().collect();
        let twice = PAPERS.iter().filter(|paper| paper.id == paper.name).count();
        assert_eq!(distinct.len() + twice, names.len());
    }

    #[test]
    fn every_paper_says_what_it_is_and_its_recipe_can_be_read() {
        for paper in PAPERS {
            for text in [paper.title, paper.paper, paper.family, paper.about, paper.claim, paper.cost] {
                assert!(!text.is_empty(), "{}", paper.id);
            }
            let recipe = Recipe::read(paper.recipe, &[]).unwrap_or_else(|e| panic!("{}: {e}", paper.id));
            assert_eq!(recipe.spec.id, paper.id);
        }
    }

    #[test]
    fn recipes_refer_to_settings_and_arms_that_are_there() {
        for paper in PAPERS {
            let recipe = Recipe::read(paper.recipe, &[]).unwrap();
            let settings: Vec<&str> = recipe.spec.setting.iter().map(|s| s.name.as_str()).collect();
            let named =
                recipe.spec.arm.iter().flat_map(|arm| &arm.settings).chain(&recipe.spec.quick.settings);
            for name in named {
                assert!(settings.contains(&name.as_str()), "{}: {name}", paper.id);
            }
            for setting in &recipe.spec.setting {
                let arms: Vec<&str> = recipe.arms(setting).map(|arm| arm.name.as_str()).collect();
                assert_eq!(arms.iter().collect::<BTreeSet<_>>().len(), arms.len(), "{}: {arms:?}", paper.id);
                let is_first_alone = setting.oracle || recipe.arms(setting).next().unwrap().alone;
                assert!(is_first_alone, "{}: no single-task arm first", paper.id);
                for arm in recipe.arms(setting) {
                    let before = &arms[..arms.iter().position(|name| *name == arm.name).unwrap()];
                    let wanted = arm.like.iter().chain(&arm.in_time_of);
                    assert!(wanted.into_iter().all(|name| before.contains(&name.as_str())), "{}", arm.name);
                }
                for c in recipe.spec.compare.iter().filter(|c| c.setting == setting.name) {
                    let has = |name: &String| arms.contains(&name.as_str());
                    assert!(has(&c.better) && has(&c.than), "{}: {} {}", paper.id, c.better, c.than);
                }
            }
            assert!(recipe.spec.compare.iter().all(|c| settings.contains(&c.setting.as_str())));
            let quick = &recipe.spec.quick;
            let known = |name: &String| recipe.spec.arm.iter().any(|arm| arm.name == *name);
            assert!(
                quick.seeds >= 2 && quick.arms.len() >= 3 && quick.arms.iter().all(known),
                "{}",
                paper.id
            );
        }
    }

    #[test]
    fn a_paper_is_found_by_number_and_by_name_and_an_unknown_one_refused_with_the_nearest() {
        for name in ["13", "rep-mtl", "Rep_MTL"] {
            assert_eq!(find(name).unwrap().id, "13");
        }
        let error = find("flat-mlt").unwrap_err().to_string();
        assert!(error.contains("`flat-mlt`") && error.contains("try: `flat-mtl`"), "{error}");
    }
}
