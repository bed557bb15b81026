//! `cosine-mse`: squared error of the cosine (Reimers & Gurevych 2019, Sentence-BERT).

use polytask_core::method::{Choice, Family, MethodInfo};

use super::mse::SquaredError;
use super::{Loss, LossFn};
use crate::Result;

static INFO: MethodInfo = MethodInfo {
    id: "cosine-mse",
    title: "Squared error of the cosine",
    paper: "Reimers & Gurevych, EMNLP 2019",
    family: Family::Loss,
    about: "Mean of squared differences between the cosine of two vectors and a score mapped to [0, 1].",
    cost: "",
    kinds: &[],
    params: &[],
};

/// The entry of the table.
pub(super) struct CosineMse;

impl Loss for CosineMse {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn make(&self, _choice: &Choice, _labels: &[String], _counts: &[usize]) -> Result<Box<dyn LossFn>> {
        Ok(Box::new(SquaredError(INFO.id)))
    }
}
