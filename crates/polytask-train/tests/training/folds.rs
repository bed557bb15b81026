//! Folds of teachers: every row lies in one, and what a fold hides is that and nothing else.

use polytask_core::Split;
use polytask_train::teacher::{folds_of, hide_fold};

use crate::common::{ALL, Data};

#[test]
fn a_hidden_fold_leaves_all_other_targets_known() {
    let data = Data::new();
    let mut prepared = data.prepare(ALL, &[]);
    for task in 0..prepared.dataset.tasks.len() {
        let known = |dataset: &polytask_data::Dataset| {
            let targets = &dataset.tasks[task].targets[&Split::Train];
            (0..targets.len()).map(|i| targets.is_known(i)).collect::<Vec<bool>>()
        };
        let (folds, before) = (folds_of(&prepared.dataset, task, 3), known(&prepared.dataset));
        assert_eq!(folds.len(), before.len());
        assert!((0..3).all(|fold| folds.contains(&fold)), "{folds:?}");
        let rows = prepared.dataset.rows(task, Split::Train).unwrap();
        let mut turned = prepared.dataset.clone();
        for rows in turned.sources.iter_mut().flat_map(|source| source.splits.values_mut()) {
            let n = rows.n_inputs;
            rows.texts.chunks_mut(n).for_each(<[_]>::reverse);
        }
        assert_eq!(folds_of(&turned, task, 3), folds, "a pair turned round is a copy");
        let same = (0..folds.len()).filter(|&i| rows.inputs(i) == rows.inputs(0));
        assert!(same.into_iter().all(|i| folds[i] == folds[0]), "copies lie in one fold");

        hide_fold(&mut prepared.dataset, task, (1, 3));
        let after = known(&prepared.dataset);
        for i in 0..folds.len() {
            assert_eq!(after[i], before[i] && folds[i] != 1, "task {task}, row {i}");
        }
    }
}
