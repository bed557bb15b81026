//! From the columns of a complete set to the columns of a kind, and samples that depend on nothing but the rows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use polytask_core::hash::text64;
use serde_json::{Value, json};

use super::read::Row;

/// Rows to learn from and rows to be judged by, in the columns of the kind.
pub(super) struct Parts {
    pub(super) train: Vec<Row>,
    pub(super) test: Vec<Row>,
    /// Passages of a retrieval task (`_id`, `text`).
    pub(super) corpus: Vec<Row>,
}

/// At most `n` rows, those of the lowest hash, in the order of their hashes; equal rows once.
pub(super) fn sampled(rows: Vec<Row>, n: usize) -> Vec<Row> {
    let mut keyed: Vec<(u64, String, Row)> = rows
        .into_iter()
        .map(|row| {
            let text = Value::Object(row.clone()).to_string();
            (text64(&text), text, row)
        })
        .collect();
    keyed.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    keyed.dedup_by(|a, b| a.1 == b.1);
    keyed.into_iter().take(n).map(|(_, _, row)| row).collect()
}

/// Rows whose labels and tags all occur in `train`: a small sample need not hold them all.
pub(super) fn with_labels_of(train: &[Row], rows: Vec<Row>) -> Vec<Row> {
    let known: BTreeSet<&str> = train.iter().flat_map(labels).collect();
    rows.into_iter().filter(|row| labels(row).all(|label| known.contains(label))).collect()
}

fn labels(row: &Row) -> impl Iterator<Item = &str> {
    let sets = ["labels", "tags"].into_iter().flat_map(|column| list(row, column)).filter_map(Value::as_str);
    row.get("label").and_then(Value::as_str).into_iter().chain(sets)
}

/// Some columns under new names.
pub(super) fn renamed(rows: Vec<Row>, columns: &[(&str, &str)]) -> Vec<Row> {
    let of = |row: Row| {
        columns.iter().filter_map(|(from, to)| Some(((*to).to_owned(), row.get(*from)?.clone()))).collect()
    };
    rows.into_iter().map(of).collect()
}

/// Rows of `text` with a label made from a column; rows without one are left out.
pub(super) fn labelled(
    rows: Vec<Row>,
    column: &str,
    label: impl Fn(&Row, &str) -> Option<String>,
) -> Vec<Row> {
    let of = |row: Row| {
        let label = label(&row, text(&row, column))?;
        Some(record([("text", row["text"].clone()), ("label", label.into())]))
    };
    rows.into_iter().filter_map(of).collect()
}

/// Each intent's domain.
pub(super) fn domains(path: &Path) -> Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let domains: BTreeMap<String, Vec<String>> = serde_json::from_str(&text)?;
    let of = |(domain, intents): (String, Vec<String>)| {
        intents.into_iter().map(move |intent| (intent, domain.clone()))
    };
    Ok(domains.into_iter().flat_map(of).collect())
}

/// Each label four times rarer than the one before it.
pub(super) fn unbalanced(rows: Vec<Row>) -> Vec<Row> {
    let labels: BTreeSet<String> = rows.iter().map(|row| text(row, "label").to_owned()).collect();
    let share = |row: &Row| {
        let place = labels.iter().position(|label| label == text(row, "label")).unwrap_or(0);
        text64(&format!("share {}", text(row, "text"))).is_multiple_of(4u64.pow(place as u32))
    };
    rows.into_iter().filter(share).collect()
}

/// The sentences of abstracts with their roles.
pub(super) fn sentences(abstracts: &[Row]) -> Vec<Row> {
    let of = |row: &Row| {
        let pairs = list(row, "sentences").iter().zip(list(row, "labels"));
        pairs
            .map(|(text, label)| record([("text", text.clone()), ("label", label.clone())]))
            .collect::<Vec<_>>()
    };
    abstracts.iter().flat_map(of).collect()
}

/// Pairs whose sentences begin with the word in question.
pub(super) fn with_word(rows: Vec<Row>) -> Vec<Row> {
    let of = |row: Row| {
        let with = |column| Value::from(format!("{}: {}", text(&row, "word"), text(&row, column)));
        let label = if text(&row, "label") == "1" { "same" } else { "different" };
        record([("a", with("sentence1")), ("b", with("sentence2")), ("label", label.into())])
    };
    rows.into_iter().map(of).collect()
}

/// Questions with the number of calculations in their answer.
pub(super) fn steps(rows: Vec<Row>) -> Vec<Row> {
    let of = |row: Row| {
        let n = text(&row, "answer").matches("<<").count();
        record([("text", row["question"].clone()), ("value", n.into())])
    };
    rows.into_iter().map(of).collect()
}

/// Pairs of texts that do not stand among others, in either order.
pub(super) fn without_pairs_of(known: &[Row], rows: Vec<Row>) -> Vec<Row> {
    let texts = |row: &Row| {
        let mut texts = [text(row, "a").to_owned(), text(row, "b").to_owned()];
        texts.sort_unstable();
        texts
    };
    let known: BTreeSet<[String; 2]> = known.iter().map(texts).collect();
    rows.into_iter().filter(|row| !known.contains(&texts(row))).collect()
}

/// A set without a split of its own: every third row is test.
#[expect(clippy::unnecessary_wraps, reason = "the end of a set's reader")]
pub(super) fn third_for_test(all: Vec<Row>) -> Result<Parts> {
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for (i, row) in sampled(all, usize::MAX).into_iter().enumerate() {
        if i % 3 == 0 { test.push(row) } else { train.push(row) }
    }
    Ok(Parts { train, test, corpus: Vec::new() })
}

/// Words of bookings with the slots they fill.
pub(super) fn slot_tags(rows: Vec<Row>) -> Vec<Row> {
    let of = |row: Row| {
        let slots: Vec<(usize, usize, &str)> = slots(&row).collect();
        let (mut tokens, mut tags, mut at) = (Vec::new(), Vec::new(), 0);
        for word in text(&row, "text").split(' ') {
            let n = word.chars().count();
            if !word.is_empty() {
                let slot = slots.iter().find(|(start, end, _)| at < *end && at + n > *start);
                tags.push(slot.map_or("O".to_owned(), |(start, _, name)| {
                    format!("{}-{name}", if at <= *start { 'B' } else { 'I' })
                }));
                tokens.push(word.to_owned());
            }
            at += n + 1;
        }
        record([("tokens", json!(tokens)), ("tags", json!(tags))])
    };
    rows.into_iter().filter(|row| !text(row, "text").trim().is_empty()).map(of).collect()
}

/// Bookings with the set of slots they fill.
pub(super) fn slot_set(rows: Vec<Row>) -> Vec<Row> {
    let of = |row: Row| {
        let names: BTreeSet<&str> = slots(&row).map(|(_, _, name)| name).collect();
        record([("text", row["text"].clone()), ("labels", json!(names))])
    };
    rows.into_iter().map(of).collect()
}

fn slots(row: &Row) -> impl Iterator<Item = (usize, usize, &str)> {
    let number = |slot: &Value, key: &str| slot[key].as_u64().unwrap_or(0) as usize;
    list(row, "labels")
        .iter()
        .map(move |slot| (number(slot, "start"), number(slot, "end"), slot["slot"].as_str().unwrap_or("")))
}

/// Words and tags of commands.
pub(super) fn snips_tags(rows: &[Row]) -> Vec<Row> {
    let words = |row: &Row, column| json!(text(row, column).split_whitespace().collect::<Vec<_>>());
    rows.iter().map(|row| record([("tokens", words(row, "text")), ("tags", words(row, "slots"))])).collect()
}

/// Job titles, each with the occupations it belongs to.
pub(super) fn title_pairs(rows: &[Row]) -> Vec<Row> {
    let of = |row: &Row| {
        let codes: Vec<&str> =
            text(row, "codes").split([' ', ',', '|', ';']).filter(|code| !code.is_empty()).collect();
        record([("text", row["title"].clone()), ("passages", json!(codes))])
    };
    rows.iter().map(of).collect()
}

/// Occupations as passages.
pub(super) fn occupations(rows: &[Row]) -> Vec<Row> {
    let of = |row: &Row| {
        let words = format!("{}. {}", text(row, "title"), text(row, "description"));
        record([("_id", row["code"].clone()), ("text", words.into())])
    };
    rows.iter().map(of).collect()
}

fn record<const N: usize>(cells: [(&str, Value); N]) -> Row {
    cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn text<'r>(row: &'r Row, column: &str) -> &'r str {
    row.get(column).and_then(Value::as_str).unwrap_or("")
}

fn list<'r>(row: &'r Row, column: &str) -> &'r [Value] {
    row.get(column).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: &Value) -> Row {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_sample_depends_on_the_rows_alone_and_takes_equal_ones_once() {
        let rows = |names: &[&str]| names.iter().map(|name| row(&json!({"text": name}))).collect::<Vec<_>>();
        let (forth, back) = (rows(&["a", "b", "c", "a"]), rows(&["c", "b", "a"]));
        assert_eq!(sampled(forth.clone(), 2), sampled(back, 2));
        assert_eq!(sampled(forth, 9).len(), 3);
    }

    #[test]
    fn pairs_that_are_known_are_left_out_in_either_order() {
        let pair = |a: &str, b: &str| row(&json!({"a": a, "b": b, "score": 1}));
        let left = without_pairs_of(&[pair("x", "y")], vec![pair("y", "x"), pair("x", "z"), pair("x", "y")]);
        assert_eq!(left, [pair("x", "z")]);
    }

    #[test]
    fn rows_with_a_label_that_train_lacks_are_left_out() {
        let train = [row(&json!({"label": "a"})), row(&json!({"tags": ["O", "B-x"]}))];
        let test = [json!({"label": "a"}), json!({"label": "b"}), json!({"tags": ["O", "I-x"]})];
        assert_eq!(with_labels_of(&train, test.iter().map(row).collect()), [row(&json!({"label": "a"}))]);
    }

    #[test]
    fn slots_become_tags_of_their_words() {
        let booking = row(&json!({"text": "A table for 8 people, at 7 pm", "labels": [
            {"slot": "people", "start": 12, "end": 13}, {"slot": "time", "start": 25, "end": 29}]}));
        let tagged = slot_tags(vec![booking.clone()]);
        assert_eq!(tagged[0]["tags"], json!(["O", "O", "O", "B-people", "O", "O", "B-time", "I-time"]));
        assert_eq!(slot_set(vec![booking])[0]["labels"], json!(["people", "time"]));
    }

    #[test]
    fn later_labels_become_rare() {
        let labels = ["a", "b", "c"];
        let of = |i: usize| row(&json!({"text": format!("t{i}"), "label": labels[i % 3]}));
        let kept = unbalanced((0..3000).map(of).collect());
        let count = |label: &str| kept.iter().filter(|row| row["label"] == label).count();
        assert_eq!(count("a"), 1000);
        assert!((200..300).contains(&count("b")) && (40..90).contains(&count("c")));
    }
}
