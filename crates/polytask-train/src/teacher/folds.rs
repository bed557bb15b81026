//! Folds of the rows of train: a teacher that answers rows it was trained on says little more than their labels.
//!
//! A row's fold hangs on its texts alone, near-equal ones being one, so no copy of a row lies in another fold.

use polytask_core::{Split, hash};
use polytask_data::{Dataset, Targets};

/// The fold of each row of train of a task, of `n`.
pub fn folds_of(dataset: &Dataset, task: usize, n: usize) -> Vec<usize> {
    let Some(rows) = dataset.rows(task, Split::Train) else { return Vec::new() };
    let fold = |i: usize| {
        // In either order: a pair turned round is a copy, too.
        let mut texts: Vec<u64> = rows.inputs(i).iter().map(|text| dataset.folded[*text as usize]).collect();
        texts.sort_unstable();
        (hash::text64(&format!("{texts:x?}")) % n.max(1) as u64) as usize
    };
    (0..rows.len()).map(fold).collect()
}

/// Forgets the targets of a fold: what is trained then knows nothing of its rows.
pub fn hide_fold(dataset: &mut Dataset, task: usize, (fold, n): (usize, usize)) {
    let folds = folds_of(dataset, task, n);
    let Some(targets) = dataset.tasks[task].targets.get_mut(&Split::Train) else { return };
    for i in (0..folds.len()).filter(|&i| folds[i] == fold) {
        match targets {
            Targets::Label(rows) => rows[i] = None,
            Targets::Labels(rows) | Targets::Tags(rows) => rows[i] = None,
            Targets::Numbers { width, values } => values[i * *width..(i + 1) * *width].fill(f64::NAN),
            Targets::Passages(rows) => rows[i].positives.clear(),
        }
    }
}
