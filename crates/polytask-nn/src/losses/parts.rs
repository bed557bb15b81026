//! What several losses share: known entries, their weighted mean, a stable log-sum-exp.

use candle_core::{DType, Tensor};
use polytask_core::method::{ParamInfo, Range};

use crate::target::{Relation, Target};
use crate::{Error, Result};

/// Parameter of the losses over the passages of a batch.
pub(super) const TEMPERATURE: ParamInfo = ParamInfo {
    name: "temperature",
    about: "Divisor of cosines; smaller looks more at the hardest negatives.",
    default: "0.05",
    range: Range::Positive,
};

/// Parameter of the losses over the passages of a batch.
pub(super) const NEGATIVES: ParamInfo = ParamInfo {
    name: "negatives",
    about: "Hard negatives per query taken into the batch, where the data names some.",
    default: "1",
    range: Range::Integer { min: 0 },
};

/// The queries of a batch whose positive is known, against all its passages.
pub(super) struct Asked<'a> {
    /// Their rows.
    pub queries: Vec<usize>,
    /// The column of each one's positive.
    pub columns: Vec<usize>,
    /// Number of columns.
    pub n_passages: usize,
    relations: &'a [Relation],
}

impl<'a> Asked<'a> {
    /// `None` when no row's positive is known.
    pub(super) fn new(
        loss: &str,
        output: &Tensor,
        target: &'a Target,
        weights: &[f32],
    ) -> Result<Option<Self>> {
        let Target::Passages { positive, relations } = target else {
            return Err(wrong_target(loss, target, "passages"));
        };
        let n_passages = output.dims2()?.1;
        expect_shape(loss, output, (positive.len(), n_passages))?;
        let queries = known_rows(positive, weights);
        let columns: Vec<usize> = queries.iter().map(|&q| positive[q] as usize).collect();
        if let Some(column) = columns.iter().find(|&&p| p >= n_passages) {
            return Err(Error::Shape {
                part: format!("loss `{loss}`"),
                found: format!("positive {column}"),
                expected: format!("columns below {n_passages}"),
            });
        }
        Ok((!queries.is_empty()).then_some(Self { queries, columns, n_passages, relations }))
    }

    /// How passage `p` stands to the i-th query; its own positive is an answer.
    pub(super) fn relation(&self, i: usize, p: usize) -> Relation {
        if self.columns[i] == p {
            return Relation::Answer;
        }
        self.relations[self.queries[i] * self.n_passages + p]
    }

    /// The queries' weights, scaled to sum to 1.
    pub(super) fn shares(&self, weights: &[f32]) -> Vec<f64> {
        shares(self.queries.iter().map(|&q| f64::from(weights[q])).collect())
    }
}

/// Output entries whose target is known, laid end to end.
pub(super) struct Entries {
    /// Outputs, `[known]`.
    pub output: Tensor,
    /// Targets, `[known]`.
    pub target: Tensor,
    /// Weights that sum to 1, `[known]`.
    weights: Tensor,
    /// Places of the known entries.
    known: Vec<usize>,
}

impl Entries {
    /// `Σ w·l / Σ w`: `losses` `[known]` → scalar.
    pub(super) fn mean(&self, losses: &Tensor) -> Result<Tensor> {
        Ok((losses * &self.weights)?.sum_all()?)
    }

    /// The known entries of something shaped as the output, `[known]`.
    pub(super) fn of(&self, x: &Tensor) -> Result<Tensor> {
        select(&x.flatten_all()?, &self.known, 0)
    }
}

/// The known entries of a target of reals (numbers, or 0/1 per label); `None` when there are none.
pub(super) fn entries(
    loss: &str,
    output: &Tensor,
    target: &Target,
    row_weights: &[f32],
) -> Result<Option<Entries>> {
    let (Target::Numbers { width, values } | Target::Labels { n_labels: width, values }) = target else {
        return Err(wrong_target(loss, target, "numbers"));
    };
    expect_shape(loss, output, (target.n_rows(), *width))?;
    let counts = |&i: &usize| !values[i].is_nan() && row_weights[i / width] > 0.0;
    let known: Vec<usize> = (0..values.len()).filter(counts).collect();
    if known.is_empty() {
        return Ok(None);
    }
    let weights = known.iter().map(|&i| f64::from(row_weights[i / width])).collect();
    Ok(Some(Entries {
        output: select(&output.flatten_all()?, &known, 0)?,
        target: like(output, known.iter().map(|&i| f64::from(values[i])).collect(), &[known.len()])?,
        weights: like(output, shares(weights), &[known.len()])?,
        known,
    }))
}

/// Rows whose `labels` are known and whose weights are above 0.
pub(super) fn known_rows(labels: &[u32], row_weights: &[f32]) -> Vec<usize> {
    (0..labels.len()).filter(|&i| labels[i] != crate::objective::UNKNOWN && row_weights[i] > 0.0).collect()
}

/// Weights scaled to sum to 1.
pub(super) fn shares(mut weights: Vec<f64>) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    for weight in &mut weights {
        *weight /= total;
    }
    weights
}

/// `log Σ exp x` over the last dimension, `[rows, n]` → `[rows, 1]`; an entry of −∞ does not count.
///
/// The maximum is a constant of the graph: the engine's fused soft-max has no backward, and with the maximum
/// detached the gradient of the composition is exactly the soft-max.
pub(crate) fn log_sum_exp(x: &Tensor) -> Result<Tensor> {
    let highest = x.detach().max_keepdim(1)?; // [rows, 1]
    let sum = x.broadcast_sub(&highest)?.exp()?.sum_keepdim(1)?; // [rows, 1]
    Ok((sum.log()? + highest)?)
}

/// How `log Σ exp x` changes as x moves along `direction`: its mean under the soft-max, `[rows, n]` → `[rows, 1]`.
pub(super) fn log_sum_exp_jvp(x: &Tensor, direction: &Tensor) -> Result<Tensor> {
    let shares = x.broadcast_sub(&log_sum_exp(x)?)?.exp()?; // [rows, n]
    Ok((shares * direction)?.sum_keepdim(1)?)
}

/// `log(1 + exp x)` for each entry, without overflow, and with the slope of the logistic function at 0 too.
pub(crate) fn softplus(x: &Tensor) -> Result<Tensor> {
    let highest = x.detach().relu()?;
    let sum = ((x - &highest)?.exp()? + highest.neg()?.exp()?)?;
    Ok((sum.log()? + highest)?)
}

/// The logistic function, the slope of [`softplus`], without overflow.
pub(crate) fn logistic(x: &Tensor) -> Result<Tensor> {
    Ok(softplus(&x.neg()?)?.neg()?.exp()?)
}

/// The entries `indices` of dimension `dim`.
pub(crate) fn select(x: &Tensor, indices: &[usize], dim: usize) -> Result<Tensor> {
    let indices: Vec<u32> = indices.iter().map(|&i| i as u32).collect();
    let n = indices.len();
    let indices = Tensor::from_vec(indices, n, x.device())?;
    Ok(x.index_select(&indices, dim)?)
}

/// A constant in the precision of `x`.
pub(crate) fn like(x: &Tensor, values: Vec<f64>, shape: &[usize]) -> Result<Tensor> {
    let tensor = Tensor::from_vec(values, shape, x.device())?;
    Ok(if x.dtype() == DType::F64 { tensor } else { tensor.to_dtype(x.dtype())? })
}

/// Refuses outputs of another shape than the targets ask for.
pub(super) fn expect_shape(loss: &str, output: &Tensor, expected: (usize, usize)) -> Result<()> {
    let found = output.dims2()?;
    if found == expected {
        return Ok(());
    }
    Err(Error::Shape {
        part: format!("loss `{loss}`"),
        found: format!("outputs [{}, {}]", found.0, found.1),
        expected: format!("[rows {}, outputs {}]", expected.0, expected.1),
    })
}

/// The error for a target a loss cannot read.
pub(super) fn wrong_target(loss: &str, target: &Target, expected: &str) -> Error {
    Error::Shape {
        part: format!("loss `{loss}`"),
        found: format!("a target of {}", target.describe()),
        expected: expected.into(),
    }
}
