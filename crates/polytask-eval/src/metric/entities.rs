//! F1 of whole entities in tag sequences.
//!
//! Reference: seqeval's `f1_score` in its default mode, which reads entities as the CoNLL-2000 script
//! `conlleval` does: an `I-` without its `B-` starts an entity, a change of type ends one. An entity is
//! right when its type and both ends are. Sentences are read one by one; seqeval joins them by `O`, which differs
//! only for the tag `.`, whose entities it lets run on into the next sentence.

use std::collections::BTreeSet;

use super::{Metric, PreparedMetric, Unit, info, ratio};
use crate::predictions::Predictions;

/// F1 over entities.
pub(super) static ENTITY_F1: Metric = Metric {
    info: info("entity_f1", "Entity F1", "F1 of entities with the right type and both ends right (micro)."),
    unit: Unit::Share,
    higher_is_better: true,
    reference: "seqeval f1_score, default mode",
    prepare: |predictions, _| match predictions {
        Predictions::Tags { labels, truth, predicted } => {
            let tags: Vec<Tag> = labels.iter().map(|label| Tag::parse(label)).collect();
            let row = |(t, p): (&Vec<u32>, &Vec<u32>)| tally(&entities(t, &tags), &entities(p, &tags));
            Some(Box::new(EntityF1(truth.iter().zip(predicted).map(row).collect())))
        }
        _ => None,
    },
};

/// A tag as `conlleval` splits it: position (`B`, `I`, `E`, `S`, `O`) and type.
struct Tag<'a> {
    position: char,
    kind: &'a str,
}

const OUTSIDE: Tag = Tag { position: 'O', kind: "_" };

impl<'a> Tag<'a> {
    /// A tag without a hyphen has the rest of its word as its type, `_` when there is none.
    fn parse(label: &'a str) -> Self {
        let mut chars = label.chars();
        let Some(position) = chars.next() else { return OUTSIDE };
        let rest = chars.as_str();
        let kind = rest.split_once('-').map_or(rest, |(_, kind)| kind);
        Self { position, kind: if kind.is_empty() { "_" } else { kind } }
    }

    fn is_outside(&self) -> bool {
        matches!(self.position, 'O' | '.')
    }

    /// Whether an entity that `self` belongs to ends before `next`.
    fn ends_before(&self, next: &Tag) -> bool {
        match (self.position, next.position) {
            ('E' | 'S', _) | ('B' | 'I', 'B' | 'S' | 'O') => true,
            _ => !self.is_outside() && self.kind != next.kind,
        }
    }

    /// Whether an entity starts at `self` after `previous`.
    fn starts_after(&self, previous: &Tag) -> bool {
        match (previous.position, self.position) {
            (_, 'B' | 'S') | ('E' | 'S' | 'O', 'E' | 'I') => true,
            _ => !self.is_outside() && previous.kind != self.kind,
        }
    }
}

/// The entities of a sentence as (type, first word, last word).
fn entities<'a>(sentence: &[u32], tags: &'a [Tag<'a>]) -> BTreeSet<(&'a str, usize, usize)> {
    let (mut found, mut previous, mut begin) = (BTreeSet::new(), &OUTSIDE, 0);
    let words = sentence.iter().map(|&tag| &tags[tag as usize]).chain([&OUTSIDE]);
    for (i, tag) in words.enumerate() {
        if previous.ends_before(tag) {
            found.insert((previous.kind, begin, i - 1));
        }
        if tag.starts_after(previous) {
            begin = i;
        }
        previous = tag;
    }
    found
}

type Entities<'a> = BTreeSet<(&'a str, usize, usize)>;

/// (right, predicted + true) entities of a sentence.
fn tally(truth: &Entities, predicted: &Entities) -> (u32, u32) {
    (truth.intersection(predicted).count() as u32, (truth.len() + predicted.len()) as u32)
}

struct EntityF1(Vec<(u32, u32)>);

impl PreparedMetric for EntityF1 {
    fn value(&self, counts: &[u32]) -> f64 {
        let (mut right, mut all, mut rows) = (0_u64, 0_u64, 0_u64);
        for (&(r, n), &count) in self.0.iter().zip(counts) {
            right += u64::from(r) * u64::from(count);
            all += u64::from(n) * u64::from(count);
            rows += u64::from(count);
        }
        if rows == 0 {
            return f64::NAN;
        }
        ratio(2.0 * right as f64, all as f64, 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(words: &[&'static str]) -> Vec<(String, usize, usize)> {
        let tags: Vec<Tag> = words.iter().map(|w| Tag::parse(w)).collect();
        let ids: Vec<u32> = (0..words.len() as u32).collect();
        entities(&ids, &tags).into_iter().map(|(kind, a, b)| (kind.to_string(), a, b)).collect()
    }

    #[test]
    fn entities_are_read_as_conlleval_does() {
        let (per, loc) = ("PER".to_string(), "LOC".to_string());
        assert_eq!(found(&["B-PER", "I-PER", "O", "B-LOC"]), [(loc.clone(), 3, 3), (per.clone(), 0, 1)]);
        assert_eq!(found(&["I-PER", "I-LOC"]), [(loc.clone(), 1, 1), (per.clone(), 0, 0)]);
        assert_eq!(found(&["B-PER", "B-PER"]), [(per.clone(), 0, 0), (per, 1, 1)]);
        assert_eq!(found(&["S-LOC", "I-LOC"]), [(loc.clone(), 0, 0), (loc, 1, 1)]);
        assert!(found(&["O", ""]).is_empty());
    }

    #[test]
    fn no_entity_anywhere_is_zero() {
        let none =
            Predictions::Tags { labels: vec!["O".into()], truth: vec![vec![0]], predicted: vec![vec![0]] };
        assert_eq!(crate::score("entity_f1", &none).unwrap(), 0.0);
    }
}
