//! The data card as words and bar lengths.

use std::collections::BTreeMap;

use polytask_core::report::{DataCard, Leak, TaskCard};
use serde::Serialize;

use crate::words::{count, number};

/// Most labels shown with a bar of their own.
const LABELS: usize = 8;
/// Most numbers under a histogram.
const EDGES: usize = 8;

#[derive(Debug, Serialize)]
pub(super) struct DataView<'a> {
    tasks: Vec<CardView<'a>>,
    leaks: &'a [Leak],
    texts: String,
    tokens: String,
}

#[derive(Debug, Serialize)]
struct CardView<'a> {
    task: &'a str,
    kind: &'a str,
    splits: Vec<SplitView<'a>>,
    labels: Vec<Bar>,
    more_labels: String,
    values: Vec<Bar>,
    lengths: Vec<Bar>,
    truncated: String,
    duplicates: String,
    hashes: &'a BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct SplitView<'a> {
    split: &'a str,
    rows: String,
    labelled: String,
    leaked: String,
    leaks: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Bar {
    name: String,
    n: String,
    /// Share of the longest bar in percent.
    share: String,
}

impl<'a> DataView<'a> {
    pub(super) fn new(card: &'a DataCard) -> Self {
        Self {
            tasks: card.tasks.iter().map(CardView::new).collect(),
            leaks: &card.leaks,
            texts: count(card.texts),
            tokens: count(card.tokens),
        }
    }
}

impl<'a> CardView<'a> {
    fn new(card: &'a TaskCard) -> Self {
        let (labels, more_labels) = labels(&card.labels);
        let edge = |&(edge, n): &(f64, usize)| (number(edge, 1), n);
        Self {
            task: &card.task,
            kind: &card.kind,
            splits: splits(card),
            labels,
            more_labels,
            values: histogram(&card.values.iter().map(edge).collect::<Vec<_>>()),
            lengths: histogram(
                &card.lengths.iter().map(|&(n, texts)| (n.to_string(), texts)).collect::<Vec<_>>(),
            ),
            truncated: count(card.truncated),
            duplicates: count(card.duplicates),
            hashes: &card.hashes,
        }
    }
}

/// The splits in their order of use.
fn splits(card: &TaskCard) -> Vec<SplitView<'_>> {
    let place = |split: &str| ["train", "valid", "test"].iter().position(|s| *s == split).unwrap_or(3);
    let mut names: Vec<&str> = card.rows.keys().map(String::as_str).collect();
    names.sort_by_key(|split| (place(split), *split));
    let known = |map: &BTreeMap<String, usize>, split: &str| map.get(split).copied();
    let view = |split| SplitView {
        split,
        rows: count(card.rows[split]),
        labelled: known(&card.labelled, split).map_or_else(|| "–".into(), count),
        leaked: known(&card.leaked, split).map_or_else(|| "–".into(), count),
        leaks: known(&card.leaked, split).is_some_and(|n| n > 0),
    };
    names.into_iter().map(view).collect()
}

/// The most frequent labels, and the rest in words.
fn labels(labels: &BTreeMap<String, usize>) -> (Vec<Bar>, String) {
    let mut sorted: Vec<(&String, usize)> = labels.iter().map(|(label, n)| (label, *n)).collect();
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    // One label more takes no more room than the line that would replace it.
    let shown = if sorted.len() == LABELS + 1 { LABELS + 1 } else { LABELS.min(sorted.len()) };
    let (first, rest) = sorted.split_at(shown);
    let more = match (rest.first(), rest.last()) {
        (Some(most), Some(least)) => {
            format!("and {} more labels with {} to {} rows each", rest.len(), count(least.1), count(most.1))
        }
        _ => String::new(),
    };
    (bars(&first.iter().map(|(label, n)| ((*label).clone(), *n)).collect::<Vec<_>>()), more)
}

fn bars(rows: &[(String, usize)]) -> Vec<Bar> {
    let longest = rows.iter().map(|row| row.1).max().unwrap_or(0).max(1) as f64;
    let share = |n: usize| format!("{:.1}", n as f64 / longest * 100.0);
    rows.iter().map(|(name, n)| Bar { name: name.clone(), n: count(*n), share: share(*n) }).collect()
}

/// Bars of which only every few carry their edge.
pub(super) fn histogram(bins: &[(String, usize)]) -> Vec<Bar> {
    let every = bins.len().div_ceil(EDGES).max(1);
    let mut bars = bars(bins);
    bars.iter_mut()
        .enumerate()
        .filter(|(i, _)| !i.is_multiple_of(every))
        .for_each(|(_, bar)| bar.name.clear());
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_labels_are_cut_to_the_most_frequent() {
        let all: BTreeMap<String, usize> = (0..77).map(|i| (format!("label {i:02}"), i)).collect();
        let (bars, more) = labels(&all);
        assert_eq!(
            (bars.len(), bars[0].name.as_str(), bars[0].share.as_str()),
            (LABELS, "label 76", "100.0")
        );
        assert_eq!(more, "and 69 more labels with 0 to 68 rows each");
        let (nine, none) = labels(&all.into_iter().take(9).collect());
        assert_eq!((nine.len(), none.as_str()), (9, ""));
    }

    #[test]
    fn splits_come_in_their_order_of_use() {
        let rows = ["test", "train", "valid"].map(|split| (split.to_string(), 1));
        let card = TaskCard { rows: BTreeMap::from(rows), ..TaskCard::default() };
        assert_eq!(splits(&card).iter().map(|s| s.split).collect::<Vec<_>>(), ["train", "valid", "test"]);
    }
}
