//! The data card: counts, histograms, duplicates, and leakage between splits and between tasks.
//!
//! Texts are compared in lower case with white space folded, so a copy with another capital still counts.

use std::collections::BTreeMap;

use polytask_core::report::{DataCard, Leak, TaskCard};
use polytask_core::suite::SourceSpec;
use polytask_core::{Purpose, Split, Suite, rng};

use crate::build::n_known;
use crate::{Dataset, Rows, Targets, TaskData, TextId};

/// Bins of the histogram of numeric targets.
const BINS: usize = 10;

/// What the data of a suite look like.
pub fn card(suite: &Suite, dataset: &Dataset) -> DataCard {
    let tasks = (0..dataset.tasks.len()).map(|task| task_card(suite, dataset, task)).collect();
    let (texts, tokens) = (dataset.texts.len(), dataset.texts.n_tokens());
    DataCard { tasks, leaks: leaks(dataset), texts, tokens }
}

fn task_card(suite: &Suite, dataset: &Dataset, index: usize) -> TaskCard {
    let (task, spec) = (&dataset.tasks[index], &suite.tasks[index]);
    let splits = &dataset.sources[task.source].splits;
    let train = task.targets.get(&Split::Train);
    let by_split = |count: &dyn Fn(Split, &Rows) -> usize| -> BTreeMap<String, usize> {
        splits.iter().map(|(split, rows)| (split.name().to_owned(), count(*split, rows))).collect()
    };
    let (duplicates, mut leaked) = copies(dataset, splits);
    leaked.retain(|split, _| split != "train");
    let texts = texts_of(dataset, task);
    TaskCard {
        task: task.name.clone(),
        kind: spec.kind.name.into(),
        rows: by_split(&|_, rows| rows.len()),
        labelled: by_split(&|split, _| task.targets.get(&split).map_or(0, n_known)),
        labels: train.map(|targets| label_counts(targets, &task.labels)).unwrap_or_default(),
        values: train.map(value_counts).unwrap_or_default(),
        lengths: length_counts(dataset, &texts),
        truncated: texts.iter().filter(|text| dataset.truncated.binary_search(text).is_ok()).count(),
        duplicates,
        leaked,
        hashes: hashes(&suite.sources[task.source], dataset),
    }
}

/// A hash of a row's folded texts, in their order; that it is one of the purpose by which splits are cut is of no account.
fn row_key(dataset: &Dataset, inputs: &[TextId]) -> u64 {
    let folded = |text: &TextId| dataset.folded[*text as usize];
    match inputs {
        [text] => folded(text),
        texts => rng::key(0, Purpose::Split, &texts.iter().map(folded).collect::<Vec<_>>()),
    }
}

/// Values in their order, each once: millions of them take as little room as they can.
fn distinct<T: Ord>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.dedup();
    values
}

fn has<T: Ord>(sorted: &[T], value: &T) -> bool {
    sorted.binary_search(value).is_ok()
}

/// Rows of train that repeat earlier ones, and per split the rows that stand in train.
fn copies(dataset: &Dataset, splits: &BTreeMap<Split, Rows>) -> (usize, BTreeMap<String, usize>) {
    let train = splits.get(&Split::Train);
    let keys =
        |rows: &'_ Rows| (0..rows.len()).map(|i| row_key(dataset, rows.inputs(i))).collect::<Vec<u64>>();
    let of_train = distinct(train.map(keys).unwrap_or_default().into_iter());
    let copied = |rows: &Rows| keys(rows).iter().filter(|key| has(&of_train, key)).count();
    let leaked = splits.iter().map(|(split, rows)| (split.name().to_owned(), copied(rows))).collect();
    (train.map_or(0, Rows::len) - of_train.len(), leaked)
}

/// All texts of a task, inputs and passages, each once.
fn texts_of(dataset: &Dataset, task: &TaskData) -> Vec<TextId> {
    let inputs = dataset.sources[task.source].splits.values().flat_map(|rows| rows.texts.iter());
    distinct(inputs.chain(&task.corpus).copied())
}

fn label_counts(targets: &Targets, labels: &[String]) -> BTreeMap<String, usize> {
    let mut counts = vec![0; labels.len()];
    match targets {
        Targets::Label(rows) => rows.iter().flatten().for_each(|&label| counts[label as usize] += 1),
        Targets::Labels(rows) | Targets::Tags(rows) => {
            rows.iter().flatten().flatten().for_each(|&label| counts[label as usize] += 1);
        }
        Targets::Numbers { .. } | Targets::Passages(_) => return BTreeMap::new(),
    }
    labels.iter().cloned().zip(counts).collect()
}

/// Equal bins from the smallest to the largest number, all numbers of a row together.
fn value_counts(targets: &Targets) -> Vec<(f64, usize)> {
    let Targets::Numbers { values, .. } = targets else { return Vec::new() };
    let known: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    let low = known.iter().copied().fold(f64::INFINITY, f64::min);
    let high = known.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if known.is_empty() || low == high {
        return known.first().map(|&only| (only, known.len())).into_iter().collect();
    }
    let width = (high - low) / BINS as f64;
    let mut bins: Vec<(f64, usize)> = (0..BINS).map(|bin| (low + width * bin as f64, 0)).collect();
    for value in known {
        bins[(((value - low) / width) as usize).min(BINS - 1)].1 += 1;
    }
    bins
}

/// Bins that end at powers of two, up to the longest text.
fn length_counts(dataset: &Dataset, texts: &[TextId]) -> Vec<(usize, usize)> {
    let mut bins: BTreeMap<usize, usize> = BTreeMap::new();
    for &text in texts {
        *bins.entry(dataset.n_tokens(text).next_power_of_two()).or_default() += 1;
    }
    bins.into_iter().collect()
}

fn hashes(source: &SourceSpec, dataset: &Dataset) -> BTreeMap<String, String> {
    let files =
        source.files.values().chain(source.qrels.values()).chain(&source.corpus).chain(&source.queries);
    let named = files.map(|file| file.display().to_string());
    named.filter_map(|file| dataset.files.get(&file).map(|sum| (file.clone(), sum.clone()))).collect()
}

/// Valid and test texts of a task that a task of another source trains on.
fn leaks(dataset: &Dataset) -> Vec<Leak> {
    let trained: Vec<Vec<u64>> = dataset.tasks.iter().map(|task| trained_texts(dataset, task)).collect();
    let mut leaks = Vec::new();
    for task in &dataset.tasks {
        for (split, rows) in &dataset.sources[task.source].splits {
            if *split == Split::Train {
                continue;
            }
            let said = rows.texts.iter().filter(|text| is_text(dataset, **text));
            let texts = distinct(said.map(|&text| dataset.folded[text as usize]));
            for (other, trained) in dataset.tasks.iter().zip(&trained) {
                let n = texts.iter().filter(|text| has(trained, text)).count();
                if other.source != task.source && n > 0 {
                    let pairs = shared_pairs(dataset, (task, rows), other);
                    leaks.push(Leak {
                        task: task.name.clone(),
                        split: split.name().into(),
                        trained_by: other.name.clone(),
                        texts: n,
                        pairs,
                    });
                }
            }
        }
    }
    leaks
}

/// Rows of two texts that another task's train has too, in either order.
fn shared_pairs(dataset: &Dataset, (task, rows): (&TaskData, &Rows), other: &TaskData) -> usize {
    let Some(train) = dataset.sources[other.source].splits.get(&Split::Train) else { return 0 };
    let has_target = |i: &usize| other.targets.get(&Split::Train).is_some_and(|targets| targets.is_known(*i));
    if rows.n_inputs != 2 || train.n_inputs != 2 || task.source == other.source {
        return 0;
    }
    let pair = |rows: &Rows, i: usize| {
        let folded = |input: usize| dataset.folded[rows.inputs(i)[input] as usize];
        let (a, b) = (folded(0), folded(1));
        [a.min(b), a.max(b)]
    };
    let trained = distinct((0..train.len()).filter(has_target).map(|i| pair(train, i)));
    (0..rows.len()).filter(|&i| has(&trained, &pair(rows, i))).count()
}

/// Folded texts of the train rows a task has a target for, with the passages that answer them.
fn trained_texts(dataset: &Dataset, task: &TaskData) -> Vec<u64> {
    let rows = dataset.sources[task.source].splits.get(&Split::Train);
    let (Some(rows), Some(targets)) = (rows, task.targets.get(&Split::Train)) else { return Vec::new() };
    let mut texts = Vec::new();
    for i in (0..rows.len()).filter(|&i| targets.is_known(i)) {
        texts.extend_from_slice(rows.inputs(i));
        if let Targets::Passages(relevance) = targets {
            texts.extend(relevance[i].positives.iter().map(|(passage, _)| task.corpus[*passage as usize]));
        }
    }
    distinct(texts.into_iter().filter(|&text| is_text(dataset, text)).map(|t| dataset.folded[t as usize]))
}

/// Whether a text says anything: the empty text stands everywhere and leaks nothing.
fn is_text(dataset: &Dataset, text: TextId) -> bool {
    dataset.folded[text as usize] != polytask_core::hash::text64("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    #[test]
    fn planted_duplicates_and_leaks_are_found() {
        let folder = Folder::new();
        folder.write("a/train.tsv", "text\tlabel\nHello world\tx\nhello   WORLD\tx\nother\ty\n\ty\n");
        folder.write("a/valid.tsv", "text\tlabel\nOTHER\ty\nfresh\tx\n");
        folder.write("a/test.tsv", "text\tlabel\nnew\ty\n\ty\n");
        folder.write("b/train.tsv", "text\tvalue\nnew \t1\nmore\t5\n\t2\n");
        folder.write("b/valid.tsv", "text\tvalue\nhello world\t2\n");
        let suite = folder.suite(&[("a", "class"), ("b", "regression")], &[]);
        let card = card(&suite, &folder.build(&suite).unwrap());
        let a = &card.tasks[0];
        assert_eq!((a.duplicates, a.leaked["valid"], a.leaked["test"]), (1, 1, 1));
        assert_eq!((a.rows["train"], a.labels["x"], a.labels["y"]), (4, 2, 2));
        let leak = |task: &str, split: &str, trained_by: &str| Leak {
            task: task.into(),
            split: split.into(),
            trained_by: trained_by.into(),
            texts: 1,
            pairs: 0,
        };
        assert_eq!(card.leaks, [leak("a", "test", "b"), leak("b", "valid", "a")]);
        assert_eq!(a.hashes.len(), 3);
        assert_eq!(a.truncated, 2);
    }

    #[test]
    fn pairs_of_another_task_are_found_in_either_order() {
        let folder = Folder::new();
        let head = "a\tb\tscore\n";
        folder.write("new/train.tsv", &format!("{head}one\ttwo\t1\nthree\tfour\t2\nfive\tsix\t\n"));
        folder.write("old/train.tsv", &format!("{head}x\ty\t1\nv\tw\t2\n"));
        for task in ["new", "old"] {
            folder.write(&format!("{task}/valid.tsv"), &format!("{head}k{task}\tl{task}\t1\n"));
        }
        folder.write(
            "old/test.tsv",
            &format!("{head}TWO\tone\t1\nthree\tfour\t2\none\tfour\t3\nfive\tsix\t1\n"),
        );
        let suite = folder.suite(&[("new", "similarity"), ("old", "similarity")], &[]);
        let card = card(&suite, &folder.build(&suite).unwrap());
        let [leak] = &card.leaks[..] else { panic!("{:?}", card.leaks) };
        assert_eq!(
            (leak.task.as_str(), leak.trained_by.as_str(), leak.texts, leak.pairs),
            ("old", "new", 4, 2)
        );
    }

    #[test]
    fn histograms_count_every_known_value_and_every_text_once() {
        let folder = Folder::new();
        folder.write("b/train.tsv", "text\tvalue\na\t0\na\t10\nbb\t\nc\t9.9\n");
        folder.write("b/valid.tsv", "text\tvalue\nd\t100\n");
        let suite = folder.suite(&[("b", "regression")], &[]);
        let card = card(&suite, &folder.build(&suite).unwrap());
        let task = &card.tasks[0];
        assert_eq!((task.rows["train"], task.labelled["train"]), (4, 3));
        assert_eq!((task.values[0], task.values[9].1, task.values.len()), ((0.0, 1), 2, 10));
        assert_eq!(task.lengths.iter().map(|(_, n)| n).sum::<usize>(), 4);
        assert_eq!(card.texts, 4);
    }

    #[test]
    fn equal_values_make_one_bin() {
        let targets = Targets::Numbers { width: 1, values: vec![2.0, f64::NAN, 2.0] };
        assert_eq!(value_counts(&targets), [(2.0, 2)]);
    }
}
