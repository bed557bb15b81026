//! Combine: how a tensor of several models becomes one. What needs whole tensors (norms, angles, ranks) is found in
//! passes over blocks first; the result is then a function of a block.

mod arithmetic;
mod delta;
mod fusion;
mod plain;
mod ram;
mod rows;
mod sce;
mod setting;
mod sphere;
mod stock;
#[cfg(test)]
mod tests;

use polytask_core::Problem;

pub(crate) use self::setting::{Rules, Setting};
use crate::Result;
use crate::parts::Sparsify;
use crate::tensor::{Block, Tensor};

/// How inputs become one tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Combine {
    /// A weighted mean.
    Linear,
    /// Along the arc between two.
    Slerp,
    /// The same of task vectors, or row by row.
    NuSlerp,
    /// Along the arcs from the mean direction of several.
    MultiSlerp,
    /// The Riemannian mean of directions.
    Karcher,
    /// Towards the mean as far as task vectors point the same way.
    Stock,
    /// Towards the other where they are near.
    NearSwap,
    /// The other's entries that stand out.
    Fusion,
    /// Weights by the energy of what varies.
    Sce,
    /// Entries one model alone moved are added whole; with counts, stretched.
    Ram {
        /// Whether entries of one model alone are stretched.
        plus: bool,
    },
    /// A sum of thinned task vectors.
    Arithmetic {
        /// Which entries stay.
        sparsify: Sparsify,
        /// Whether entries that disagree with the elected sign go.
        consensus: bool,
    },
    /// The tensor itself.
    PassThrough,
    /// Weights by how far parameters moved.
    Delta,
}

/// A tensor's result as a function of its blocks.
pub(crate) trait Prepared: Sync {
    /// Blocks hold whole units of so many entries.
    fn unit(&self) -> usize {
        1
    }

    /// The result's entries.
    fn apply(&self, block: &Block<'_>) -> Vec<f32>;
}

impl Combine {
    /// Finds what the result of a tensor depends on as a whole.
    ///
    /// # Errors
    /// Settings or values that have no result; files that cannot be read.
    pub(crate) fn prepare(
        self,
        tensor: &Tensor<'_>,
        setting: &Setting,
        rules: Rules,
    ) -> Result<Box<dyn Prepared>> {
        match self {
            Self::Linear => plain::linear(tensor, setting),
            Self::PassThrough => Ok(plain::pass_through(setting)),
            Self::NearSwap => Ok(plain::near_swap(setting)),
            Self::Slerp => sphere::slerp(tensor, setting, rules),
            Self::NuSlerp if !setting.flag("nuslerp_flatten") => rows::nu_slerp(tensor, setting),
            Self::NuSlerp => sphere::nu_slerp(tensor, setting, rules),
            Self::MultiSlerp => sphere::multi_slerp(tensor, setting),
            Self::Karcher => sphere::karcher(tensor, setting),
            Self::Stock if setting.flag("filter_wise") => Ok(stock::by_rows(tensor)),
            Self::Stock => stock::flat(tensor),
            Self::Fusion => fusion::prepare(tensor),
            Self::Sce => sce::prepare(tensor, setting, rules),
            Self::Ram { plus } => ram::prepare(tensor, setting, plus),
            Self::Arithmetic { sparsify, consensus } => {
                arithmetic::prepare(tensor, setting, rules, (sparsify, consensus))
            }
            Self::Delta => delta::prepare(tensor, setting),
        }
    }
}

/// A sum of base and models, or of base and task vectors, with a factor each.
struct Weighted {
    base: f64,
    models: Vec<f64>,
    /// Whether the factors are those of task vectors.
    of_deltas: bool,
}

impl Prepared for Weighted {
    fn apply(&self, block: &Block<'_>) -> Vec<f32> {
        let base = block.base();
        let mut sums: Vec<f64> = base.iter().map(|v| self.base * f64::from(*v)).collect();
        for (model, factor) in self.models.iter().enumerate() {
            let mut add = |values: &[f32]| {
                sums.iter_mut().zip(values).for_each(|(sum, v)| *sum += factor * f64::from(*v));
            };
            if self.of_deltas { add(&block.delta(model)) } else { add(&block.models[model]) }
        }
        sums.into_iter().map(|v| v as f32).collect()
    }
}

/// A mistake about a tensor.
fn wrong(tensor: &Tensor<'_>, what: &str, remedy: &str) -> crate::Error {
    let problem = Problem::new(format!("tensor `{}`: {what}", tensor.name)).try_this(remedy);
    polytask_core::Error::from(problem).into()
}
