//! Models of XGBoost as JSON, read and written (format 3.2; 1.0 and later are read).
//!
//! Trees split as ours do: `x < cut` left, categories of a set right, what is missing by default. Base scores stand in the
//! space of responses and, since 3.1, in a list. What the format cannot say (targets of different losses, gates) is
//! refused by name; a gated model is written as the effective trees of one task.

mod categories;
mod part;
mod read;
mod trees;
mod write;

pub use read::{Imported, read};
pub use write::write;

use crate::loss::LossSpec;

/// An objective of XGBoost and the loss it is.
struct Objective {
    theirs: &'static str,
    ours: &'static str,
}

/// The objectives that are losses of ours; the first of a loss is written.
const OBJECTIVES: &[Objective] = &[
    Objective { theirs: "reg:squarederror", ours: "squared" },
    Objective { theirs: "binary:logistic", ours: "logistic" },
    Objective { theirs: "reg:logistic", ours: "logistic" },
    Objective { theirs: "binary:logitraw", ours: "logistic" },
    Objective { theirs: "multi:softprob", ours: "softmax" },
    Objective { theirs: "multi:softmax", ours: "softmax" },
    Objective { theirs: "count:poisson", ours: "poisson" },
    Objective { theirs: "reg:quantileerror", ours: "quantile" },
];

fn theirs(loss: &LossSpec) -> Option<&'static str> {
    OBJECTIVES.iter().find(|objective| objective.ours == loss.name).map(|objective| objective.theirs)
}
