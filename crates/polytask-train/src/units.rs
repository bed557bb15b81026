//! From the outputs of heads to predictions in the units of the targets.

use polytask_core::KindInfo;
use polytask_core::outputs::{largest, sigmoid};
use polytask_core::target::in_units;
use polytask_data::{Targets, TaskData};
use polytask_eval::Predictions;

/// Outputs in the units of the targets, beside the truth.
pub(crate) fn read_outputs(
    kind: &KindInfo,
    data: &TaskData,
    targets: &Targets,
    shown: &[usize],
    output: &[f32],
) -> Predictions {
    let n_labels = data.labels.len();
    match targets {
        Targets::Label(labels) => Predictions::Labels {
            truth: shown.iter().filter_map(|&i| labels[i]).collect(),
            predicted: output.chunks(n_labels.max(1)).map(largest).collect(),
            n_labels,
        },
        Targets::Labels(sets) => Predictions::LabelSets {
            n_labels,
            truth: shown.iter().flat_map(|&i| membership(sets[i].as_deref(), n_labels)).collect(),
            scores: output.iter().map(|&x| sigmoid(x)).collect(),
        },
        Targets::Numbers { width, values } => {
            let truth = shown.iter().flat_map(|&i| &values[i * width..(i + 1) * width]);
            let scaled = output.iter().enumerate().map(|(i, &y)| {
                let scale = data.scale.get(i % width).copied().unwrap_or((0.0, 1.0));
                in_units(kind.form.link(y), scale, data.bounds.get(i % width).copied().flatten())
            });
            Predictions::Numbers {
                width: *width,
                truth: truth.copied().collect(),
                predicted: scaled.collect(),
            }
        }
        Targets::Tags(_) | Targets::Passages(_) => unreachable!("tags and passages are read elsewhere"),
    }
}

/// Which of all labels are in a set.
pub(crate) fn membership(set: Option<&[u32]>, n_labels: usize) -> Vec<bool> {
    let mut row = vec![false; n_labels];
    set.unwrap_or(&[]).iter().for_each(|&label| row[label as usize] = true);
    row
}
