//! BM25 over the rows that live in some segments: how rare a word is and how long passages are is counted over all of
//! them, so that neither segments nor removed documents change a score.

use polytask_retrieve::Bm25Params;
use polytask_retrieve::bm25::rarity;
use polytask_retrieve::terms::each_word;

use super::Lexicon;
use crate::vectors::RowSet;

/// A segment as a search sees it.
#[derive(Debug, Clone, Copy)]
pub struct LexicalPart<'a> {
    /// Its words.
    pub lexicon: &'a Lexicon,
    /// The rows that live, where some do not.
    pub alive: Option<&'a RowSet>,
    /// The rows that may be found, where not all that live.
    pub among: Option<&'a RowSet>,
}

/// A row that was found: segment, row, score.
pub type LexicalHit = (u32, u32, f32);

/// What a search works with; kept from query to query.
#[derive(Debug, Default)]
pub struct LexicalScratch {
    scores: Vec<f32>,
    seen: Vec<bool>,
    found: Vec<u32>,
    words: Vec<String>,
}

/// A word of a query and what it adds to the score of a row.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct WordWeight {
    /// The word.
    pub word: String,
    /// What it adds.
    pub score: f32,
}

/// Lengths of all rows that live.
#[derive(Debug, Clone, Copy)]
struct Lengths {
    n_rows: usize,
    mean: f32,
}

impl Lengths {
    fn of(parts: &[LexicalPart<'_>]) -> Self {
        let (mut n_rows, mut total) = (0, 0_u64);
        for LexicalPart { lexicon, alive, .. } in parts {
            let Some(alive) = alive else {
                n_rows += lexicon.n_rows();
                total += lexicon.total;
                continue;
            };
            let lengths = lexicon.lengths.iter().enumerate().filter(|(row, _)| alive.has(*row));
            total += lengths.map(|(_, length)| u64::from(*length)).sum::<u64>();
            n_rows += alive.len();
        }
        Self { n_rows, mean: (total as f64 / n_rows.max(1) as f64) as f32 }
    }
}

/// The best `k` rows of a query, best first and of equals the first.
pub fn search(
    parts: &[LexicalPart<'_>],
    query: &str,
    k: usize,
    scratch: &mut LexicalScratch,
) -> Vec<LexicalHit> {
    let (lengths, params) = (Lengths::of(parts), Bm25Params::default());
    let LexicalScratch { scores, seen, found, words } = scratch;
    words_of(query, words);
    let rarities: Vec<f32> = words.iter().map(|word| rarity(lengths.n_rows, n_found(parts, word))).collect();
    let mut all = Vec::new();
    for (number, part) in (0..).zip(parts) {
        let Lexicon { rows, counts, lengths: of_row, .. } = part.lexicon;
        scores.clear();
        scores.resize(of_row.len(), 0.0);
        seen.clear();
        seen.resize(of_row.len(), false);
        found.clear();
        for (word, rarity) in words.iter().zip(&rarities) {
            for at in part.lexicon.postings(word) {
                let (row, count) = (rows[at] as usize, f32::from(counts[at]));
                // A damaged file may name rows that are not there.
                if row >= of_row.len() || !part.finds(row) {
                    continue;
                }
                if !std::mem::replace(&mut seen[row], true) {
                    found.push(row as u32);
                }
                scores[row] += rarity * count / (count + params.norm(of_row[row] as f32, lengths.mean));
            }
        }
        keep(found, scores, k);
        all.extend(found.iter().map(|&row| (number, row, scores[row as usize])));
    }
    all.sort_unstable_by(|a, b| b.2.total_cmp(&a.2).then((a.0, a.1).cmp(&(b.0, b.1))));
    all.truncate(k);
    all
}

/// What each word of a query adds to the score of a row, most first; a word counts as often as it stands in the query.
pub(crate) fn weights(parts: &[LexicalPart<'_>], query: &str, (part, row): (u32, u32)) -> Vec<WordWeight> {
    let (lengths, params, mut words) = (Lengths::of(parts), Bm25Params::default(), Vec::new());
    words_of(query, &mut words);
    words.sort_unstable();
    let lexicon = parts[part as usize].lexicon;
    let weight = |same: &[String]| {
        let postings = lexicon.postings(&same[0]);
        let at = postings.start + lexicon.rows[postings.clone()].binary_search(&row).ok()?;
        let count = f32::from(lexicon.counts[at]);
        let norm = params.norm(lexicon.lengths[row as usize] as f32, lengths.mean);
        let one = rarity(lengths.n_rows, n_found(parts, &same[0])) * count / (count + norm);
        Some(WordWeight { word: same[0].clone(), score: one * same.len() as f32 })
    };
    let mut found: Vec<WordWeight> = words.chunk_by(|a, b| a == b).filter_map(weight).collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found
}

impl LexicalPart<'_> {
    #[inline]
    fn finds(&self, row: usize) -> bool {
        self.among.or(self.alive).is_none_or(|rows| rows.has(row))
    }
}

fn words_of(query: &str, words: &mut Vec<String>) {
    words.clear();
    each_word(query, |word| words.push(word.to_owned()));
}

/// In how many rows that live a word stands.
fn n_found(parts: &[LexicalPart<'_>], word: &str) -> usize {
    let in_part = |part: &LexicalPart<'_>| {
        let postings = part.lexicon.postings(word);
        match part.alive {
            None => postings.len(),
            Some(alive) => {
                part.lexicon.rows[postings].iter().filter(|row| alive.holds(**row as usize)).count()
            }
        }
    };
    parts.iter().map(in_part).sum()
}

/// Leaves the best `k` of the rows that were found.
fn keep(found: &mut Vec<u32>, scores: &[f32], k: usize) {
    let order = |a: &u32, b: &u32| scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b));
    if found.len() > k && k > 0 {
        found.select_nth_unstable_by(k - 1, order);
    }
    found.truncate(k);
}

#[cfg(test)]
mod tests {
    use polytask_retrieve::{Bm25, Vocabulary};

    use super::super::LexiconWriter;
    use super::*;

    const TEXTS: [&str; 6] = [
        "the cat sees a bird",
        "a bird in the hand, a bird in the bush",
        "Größe: 3-phase motor, MOTOR",
        "",
        "the motor of the cat",
        "bird bird bird",
    ];

    fn lexicon(texts: &[&str]) -> Lexicon {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = LexiconWriter::default();
        texts.iter().for_each(|text| writer.push(text));
        writer.finish(folder.path()).unwrap();
        Lexicon::open(folder.path()).unwrap()
    }

    fn in_memory(texts: &[&str], query: &str) -> Vec<(u32, f32)> {
        let mut vocabulary = Vocabulary::default();
        let terms: Vec<Vec<u32>> = texts.iter().map(|text| vocabulary.learn(text)).collect();
        Bm25::new(&terms, Bm25Params::default()).search(&vocabulary.terms(query), 10)
    }

    #[test]
    fn scores_are_those_of_the_index_in_memory_to_the_last_bit_over_any_segments() {
        let (whole, parts) = (lexicon(&TEXTS), [lexicon(&TEXTS[..2]), lexicon(&TEXTS[2..])]);
        let part = |lexicon| LexicalPart { lexicon, alive: None, among: None };
        for query in ["a bird", "motor", "the cat and the bird bird", "größe", "none", ""] {
            let expected = in_memory(&TEXTS, query);
            let mut scratch = LexicalScratch::default();
            let found = search(&[part(&whole)], query, 10, &mut scratch);
            let found: Vec<(u32, f32)> = found.into_iter().map(|(_, row, score)| (row, score)).collect();
            assert_eq!(found, expected, "{query}");
            let split = search(&[part(&parts[0]), part(&parts[1])], query, 10, &mut scratch);
            let split: Vec<(u32, f32)> =
                split.into_iter().map(|(part, row, score)| (row + 2 * part, score)).collect();
            assert_eq!(split, expected, "{query}");
        }
    }

    #[test]
    fn removed_rows_count_no_more() {
        let lexicon = lexicon(&TEXTS);
        let mut alive = RowSet::all(6);
        alive.remove(1);
        let part = LexicalPart { lexicon: &lexicon, alive: Some(&alive), among: None };
        let found = search(&[part], "bird cat", 10, &mut LexicalScratch::default());
        let left: Vec<&str> = [0, 2, 3, 4, 5].map(|row| TEXTS[row]).to_vec();
        let expected = in_memory(&left, "bird cat");
        let place = |row: u32| if row == 0 { 0 } else { row - 1 };
        assert_eq!(found.iter().map(|(_, row, score)| (place(*row), *score)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_weights_of_words_sum_to_the_score() {
        let lexicon = lexicon(&TEXTS);
        let part = LexicalPart { lexicon: &lexicon, alive: None, among: None };
        let query = "bird in bird the house";
        for (part_number, row, score) in search(&[part], query, 10, &mut LexicalScratch::default()) {
            let words = weights(&[part], query, (part_number, row));
            let sum: f32 = words.iter().map(|word| word.score).sum();
            assert!((sum - score).abs() < 1e-5 && words.iter().all(|of| of.word != "house"), "{words:?}");
        }
    }

    #[test]
    fn files_that_do_not_fit_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = LexiconWriter::default();
        writer.push("a b");
        writer.finish(folder.path()).unwrap();
        std::fs::write(folder.path().join("postings.u32"), [0; 4]).unwrap();
        assert!(Lexicon::open(folder.path()).unwrap_err().to_string().contains("do not fit"));
    }
}
