//! The table of methods: each a setting of few parts.

mod arithmetic;
mod others;
mod spheres;

use polytask_core::method::{MethodInfo, ParamInfo, Range};
use polytask_core::{Family, near};

use crate::combine::Combine;

/// All methods, by name.
pub static METHODS: &[&MergeMethod] = &[
    &others::ARCEE_FUSION,
    &arithmetic::BREADCRUMBS,
    &arithmetic::BREADCRUMBS_TIES,
    &arithmetic::DARE_LINEAR,
    &arithmetic::DARE_TIES,
    &arithmetic::DELLA,
    &arithmetic::DELLA_LINEAR,
    &others::DELTA,
    &spheres::KARCHER,
    &others::LINEAR,
    &spheres::MODEL_STOCK,
    &spheres::MULTISLERP,
    &others::NEARSWAP,
    &spheres::NUSLERP,
    &others::PASSTHROUGH,
    &others::RAM,
    &others::RAMPLUS_TL,
    &others::SCE,
    &spheres::SLERP,
    &arithmetic::TASK_ARITHMETIC,
    &arithmetic::TIES,
];

pub(crate) use self::arithmetic::TASK_ARITHMETIC;

/// What a base is to a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseUse {
    /// What task vectors start from.
    Required,
    /// Task vectors are merged where there is one, models where there is none.
    Optional,
    /// One of the two that are merged.
    OneOfTwo,
    /// Of no meaning.
    Ignored,
}

/// A way to merge.
#[derive(Debug)]
pub struct MergeMethod {
    /// What it tells about itself.
    pub info: MethodInfo,
    /// What a base is to it.
    pub base: BaseUse,
    /// Fewest and most models without the base.
    pub models: (usize, usize),
    /// Parameters with a value per model.
    pub per_model: &'static [&'static str],
    pub(crate) combine: Combine,
}

impl MergeMethod {
    /// The method of this name; the advice names the nearest.
    pub fn find(name: &str) -> Result<&'static Self, String> {
        let found = METHODS.iter().copied().find(|method| method.info.id == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = METHODS.iter().map(|method| method.info.id).collect();
            near::advice(name, &names)
        })
    }

    /// A parameter by name.
    pub fn param(&self, name: &str) -> Option<&'static ParamInfo> {
        self.info.params.iter().find(|param| param.name == name)
    }

    /// Whether a parameter has a value per model.
    pub fn is_per_model(&self, name: &str) -> bool {
        self.per_model.contains(&name)
    }

    /// Whether it thins task vectors by a density.
    pub fn thins(&self) -> bool {
        self.param("density").is_some()
    }
}

const ANY: usize = usize::MAX;
/// No factor of a merge is larger.
const LARGE: f64 = 1e6;

/// A method's description; the rest stands beside it.
const fn info(
    id: &'static str,
    title: &'static str,
    paper: &'static str,
    about: &'static str,
    params: &'static [ParamInfo],
) -> MethodInfo {
    MethodInfo { id, title, paper, family: Family::Merge, about, cost: "", kinds: &[], params }
}

const fn real(
    name: &'static str,
    about: &'static str,
    default: &'static str,
    (min, max): (f64, f64),
) -> ParamInfo {
    ParamInfo { name, about, default, range: Range::Real { min, max } }
}

const fn flag(name: &'static str, about: &'static str, default: &'static str) -> ParamInfo {
    ParamInfo { name, about, default, range: Range::Bool }
}

const WEIGHT: ParamInfo = real("weight", "share of each model", "1.0", (-LARGE, LARGE));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_sorted_and_their_defaults_lie_in_their_ranges() {
        assert!(METHODS.windows(2).all(|pair| pair[0].info.id < pair[1].info.id));
        for method in METHODS {
            for param in method.info.params {
                let default = serde_json::from_str(param.default).unwrap();
                assert!(param.range.contains(&default), "{} {}", method.info.id, param.name);
            }
            let known = |name: &&str| method.param(name).is_some();
            assert!(method.per_model.iter().all(known), "{}", method.info.id);
        }
    }

    #[test]
    fn a_slip_finds_its_method() {
        assert_eq!(MergeMethod::find("tise").unwrap_err(), "`ties`");
        assert_eq!(MergeMethod::find("dare_ties").unwrap().info.id, "dare_ties");
    }
}
