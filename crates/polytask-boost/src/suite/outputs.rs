//! What trees learn of a task's targets, and how their margins become what a head would say: scores of labels, numbers
//! on the scale of train.

use polytask_core::outputs::{largest, sigmoid};
use polytask_core::suite::TaskSpec;
use polytask_core::target::in_units;
use polytask_core::{Problem, Result};
use polytask_data::{Targets, TaskData};
use polytask_eval::Predictions;

use super::model::TaskOutputs;
use crate::booster::BoostTarget;
use crate::loss::LossSpec;
use crate::method::loss_of;

/// Targets of boosting for a task, of which row `first` of the laid rows is its source's first; none of its rows are
/// known elsewhere.
pub(super) fn targets_of(
    spec: &TaskSpec,
    data: &TaskData,
    targets: &Targets,
    (first, n_rows): (usize, usize),
) -> Result<Vec<BoostTarget>> {
    let laid = |name: String, loss: LossSpec, value: &dyn Fn(usize) -> f64| {
        let mut values = vec![f64::NAN; n_rows];
        (0..targets.len()).for_each(|row| values[first + row] = value(row));
        BoostTarget { weight: spec.loss_weight, ..BoostTarget::new(&name, loss, values) }
    };
    let name = |part: &str| format!("{}.{part}", spec.name);
    match targets {
        Targets::Label(labels) => {
            let loss = class_loss(spec, data.labels.len())?;
            Ok(vec![laid(spec.name.clone(), loss, &|row| labels[row].map_or(f64::NAN, f64::from))])
        }
        Targets::Labels(sets) => {
            refuse_objective(spec, &["logistic"])?;
            let of_label = |label: usize| {
                let holds = |set: &Vec<u32>| f64::from(u8::from(set.contains(&(label as u32))));
                laid(name(&data.labels[label]), LossSpec::named("logistic"), &|row| {
                    sets[row].as_ref().map_or(f64::NAN, holds)
                })
            };
            Ok((0..data.labels.len()).map(of_label).collect())
        }
        Targets::Numbers { width, values } => {
            refuse_objective(spec, &["squared", "poisson", "quantile"])?;
            let loss = spec.objective.as_ref().map_or_else(|| LossSpec::named("squared"), loss_of);
            let of_number = |k: usize| {
                let (shift, span) = scale_of(data, k, &loss);
                let name = if *width == 1 { spec.name.clone() } else { name(&k.to_string()) };
                laid(name, loss.clone(), &|row| (values[row * width + k] - shift) / span)
            };
            Ok((0..*width).map(of_number).collect())
        }
        Targets::Tags(_) | Targets::Passages(_) => Err(no_table(spec)),
    }
}

fn no_table(spec: &TaskSpec) -> polytask_core::Error {
    let what = format!("task `{}` ({}) is not about rows of a table", spec.name, spec.kind.name);
    Problem::new(what).try_this("kind = \"table-class\" or \"table-regression\"").into()
}

fn class_loss(spec: &TaskSpec, n_labels: usize) -> Result<LossSpec> {
    if n_labels < 2 {
        let what = format!("task `{}` has {n_labels} label in train, expected at least 2", spec.name);
        return Err(Problem::new(what).try_this("rows of another label, or leave the task out").into());
    }
    let two = if n_labels == 2 { "logistic" } else { "softmax" };
    refuse_objective(spec, if n_labels == 2 { &["logistic", "softmax"] } else { &["softmax"] })?;
    let loss = spec.objective.as_ref().map_or_else(|| LossSpec::named(two), loss_of);
    Ok(if loss.name == "softmax" { LossSpec { classes: n_labels, ..loss } } else { loss })
}

fn refuse_objective(spec: &TaskSpec, fitting: &[&str]) -> Result<()> {
    match &spec.objective {
        Some(choice) if !fitting.contains(&choice.name.as_str()) => {
            let what = format!(
                "objective `{}` of task `{}` ({}), expected one of {}",
                choice.name,
                spec.name,
                spec.kind.name,
                fitting.join(", ")
            );
            Err(Problem::new(what).try_this("leave `objective` out").into())
        }
        _ => Ok(()),
    }
}

/// Shift and span of a number; counts stay counts.
fn scale_of(data: &TaskData, k: usize, loss: &LossSpec) -> (f64, f64) {
    if loss.name == "poisson" { (0.0, 1.0) } else { data.scale.get(k).copied().unwrap_or((0.0, 1.0)) }
}

impl TaskOutputs {
    /// Scores of labels or numbers on the scale of train, from the margins of a row.
    pub fn read(&self, margins: &[f64]) -> Vec<f32> {
        let own = &margins[self.first..self.first + self.width];
        match self.losses[0].name.as_str() {
            // As a head over two labels: the first has score 0.
            "logistic" if !self.is_set => vec![0.0, own[0] as f32],
            "poisson" => own
                .iter()
                .enumerate()
                .map(|(k, margin)| {
                    let (shift, span) = self.info.scale.get(k).copied().unwrap_or((0.0, 1.0));
                    ((margin.exp() - shift) / span) as f32
                })
                .collect(),
            _ => own.iter().map(|margin| *margin as f32).collect(),
        }
    }

    /// Predictions of the known rows of a split beside the truth; none where no row is known.
    pub(super) fn predictions(
        &self,
        targets: &Targets,
        outputs: impl Fn(usize) -> Vec<f32>,
    ) -> Option<Predictions> {
        let shown: Vec<usize> = (0..targets.len()).filter(|&row| targets.is_known(row)).collect();
        if shown.is_empty() {
            return None;
        }
        let n_labels = self.info.labels.len();
        let all = shown.iter().map(|&row| outputs(row));
        Some(match targets {
            Targets::Label(labels) => Predictions::Labels {
                truth: shown.iter().filter_map(|&row| labels[row]).collect(),
                predicted: all.map(|scores| largest(&scores)).collect(),
                n_labels,
            },
            Targets::Labels(sets) => Predictions::LabelSets {
                n_labels,
                truth: shown.iter().flat_map(|&row| holds(sets[row].as_deref(), n_labels)).collect(),
                scores: all.flatten().map(sigmoid).collect(),
            },
            Targets::Numbers { width, values } => {
                let bounds = |k: usize| self.info.bounds.get(k).copied().flatten();
                let scale = |k: usize| self.info.scale.get(k).copied().unwrap_or((0.0, 1.0));
                let in_units = |(k, output)| in_units(output, scale(k), bounds(k));
                Predictions::Numbers {
                    width: *width,
                    truth: shown
                        .iter()
                        .flat_map(|&row| &values[row * width..(row + 1) * width])
                        .copied()
                        .collect(),
                    predicted: all.flat_map(|row| row.into_iter().enumerate().map(in_units)).collect(),
                }
            }
            Targets::Tags(_) | Targets::Passages(_) => return None,
        })
    }
}

fn holds(set: Option<&[u32]>, n_labels: usize) -> Vec<bool> {
    let mut row = vec![false; n_labels];
    set.unwrap_or(&[]).iter().for_each(|&label| row[label as usize] = true);
    row
}
