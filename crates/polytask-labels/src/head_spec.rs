//! A head as a folder keeps it: which one it is, and its weights.

use std::path::Path;

use polytask_core::suite::DescribedLabel;
use polytask_nn::label_cross::LabelCross;
use polytask_nn::weights::WeightFiles;
use polytask_nn::{Block, Params, Result};
use serde::{Deserialize, Serialize};

use crate::heads::{CrossPrior, FittedHead};
use crate::labels::LabelTexts;

/// Which head a task has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "head")]
pub(crate) enum HeadSpec {
    ZeroShot,
    NearestMean,
    Bilinear { scale: f64 },
    Logistic,
    LabelCross { d_in: usize, width: usize, heads: usize, prior: WrittenPrior },
}

/// What scores of cross-attention start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WrittenPrior {
    None,
    Cosine,
    Bilinear,
}

impl HeadSpec {
    pub(crate) fn of(head: &FittedHead) -> Self {
        match head {
            FittedHead::NearestMean(_) => Self::NearestMean,
            FittedHead::Bilinear(_, scale) => Self::Bilinear { scale: *scale },
            FittedHead::Logistic(..) => Self::Logistic,
            FittedHead::Cross(LabelCross { d_in, width, heads }, _, prior) => {
                let prior = match prior {
                    CrossPrior::None => WrittenPrior::None,
                    CrossPrior::Cosine => WrittenPrior::Cosine,
                    CrossPrior::Bilinear(_) => WrittenPrior::Bilinear,
                };
                Self::LabelCross { d_in: *d_in, width: *width, heads: *heads, prior }
            }
            // The control is written nowhere.
            FittedHead::ZeroShot | FittedHead::RandomLabels(..) => Self::ZeroShot,
        }
    }

    pub(crate) fn load(self, file: &Path, n_labels: usize, d_vector: usize) -> Result<FittedHead> {
        let tensor = |name: &str, rows: usize, columns: usize| -> Result<Vec<f32>> {
            Ok(read(file, Block::zeros("head", &[(name, &[rows, columns], true)]))?.values)
        };
        let matrix = |name: &str| tensor(name, d_vector + 1, d_vector + 1);
        Ok(match self {
            Self::ZeroShot => FittedHead::ZeroShot,
            Self::NearestMean => FittedHead::NearestMean(tensor("weight", n_labels, d_vector)?),
            Self::Bilinear { scale } => FittedHead::Bilinear(matrix("weight")?, scale),
            Self::Logistic => {
                FittedHead::Logistic(tensor("weight", n_labels, d_vector)?, tensor("bias", n_labels, 1)?)
            }
            Self::LabelCross { d_in, width, heads, prior } => {
                let head = LabelCross::new(d_in, width, heads);
                let prior = match prior {
                    WrittenPrior::None => CrossPrior::None,
                    WrittenPrior::Cosine => CrossPrior::Cosine,
                    WrittenPrior::Bilinear => CrossPrior::Bilinear(matrix("prior")?),
                };
                FittedHead::Cross(head, read(file, head.block("head", 0))?, prior)
            }
        })
    }
}

/// A place for the vectors of descriptions.
pub(crate) fn meanings(labels: &[DescribedLabel], width: usize) -> Block {
    Block::zeros("labels", &[("meanings", &[labels.len(), width], false)])
}

/// A block with the values of a file.
pub(crate) fn read(file: &Path, block: Block) -> Result<Block> {
    let mut params = Params { blocks: vec![block] };
    WeightFiles::open(file)?.load_into(&mut params, ToString::to_string)?.require_all(file)?;
    Ok(params.blocks.remove(0))
}

impl FittedHead {
    /// Whether it reads the states of all tokens.
    pub(crate) fn reads_states(&self) -> bool {
        matches!(self, Self::Cross(..))
    }

    /// Its parameters; none of a head that has none.
    pub(crate) fn blocks(&self, labels: &LabelTexts) -> Vec<Block> {
        let tensor = |name: &str, values: &[f32], columns: usize| {
            let mut block = Block::zeros("head", &[(name, &[values.len() / columns, columns], true)]);
            block.values.copy_from_slice(values);
            block
        };
        match self {
            Self::NearestMean(means) => vec![tensor("weight", means, labels.d_vector)],
            Self::Bilinear(matrix, _) => vec![tensor("weight", matrix, labels.d_vector + 1)],
            Self::Logistic(weight, bias) => {
                vec![tensor("weight", weight, labels.d_vector), tensor("bias", bias, 1)]
            }
            Self::Cross(_, block, CrossPrior::Bilinear(matrix)) => {
                vec![block.clone(), tensor("prior", matrix, labels.d_vector + 1)]
            }
            Self::Cross(_, block, _) => vec![block.clone()],
            Self::ZeroShot | Self::RandomLabels(..) => Vec::new(),
        }
    }
}
