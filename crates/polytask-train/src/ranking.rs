//! Retrieval tasks: every query against the whole corpus.

use std::collections::BTreeMap;

use polytask_data::{Relevance, Rows, Targets, TaskData, TextId};
use polytask_eval::{Predictions, Ranking};
use polytask_nn::topk;

use crate::Result;
use crate::pooled::Pooled;

/// Passages kept per query. Metrics of a whole list (`map`, `r-precision`) see so many ranks of it.
pub(crate) const DEPTH: usize = 1000;

/// Every query against the whole corpus by cosine. Rows of one query text are one query with all their answers,
/// as in training, where none of these is a negative for it; judged queries are told apart by their ids.
pub(crate) fn rank(
    data: &TaskData,
    pooled: &Pooled,
    rows: &Rows,
    targets: &Targets,
    shown: &[usize],
    told_apart: bool,
) -> Result<Predictions> {
    let Targets::Passages(relevance) = targets else { unreachable!("only passages are ranked") };
    let width = pooled.width();
    let queries = queries(rows, relevance, shown, told_apart);
    let texts: Vec<TextId> = queries.iter().map(|query| query.text).collect();
    let (vectors, corpus) = (pooled.gather(&texts), pooled.gather(&data.corpus));
    let (vectors, corpus) = (topk::normalised(vectors, width), topk::normalised(corpus, width));
    // One more than is kept, for the query itself may be among them.
    let found = topk::top_k(&vectors, &corpus, width, (DEPTH + 1).min(data.corpus.len()))?;
    Ok(rankings(data, queries, found))
}

/// What was found for each query, without the query itself.
pub(crate) fn rankings(data: &TaskData, queries: Vec<Query>, found: Vec<Vec<(u32, f32)>>) -> Predictions {
    let ranking = |(query, mut retrieved): (Query, Vec<(u32, f32)>)| {
        retrieved.retain(|&(passage, _)| query.allows(passage, data));
        retrieved.truncate(DEPTH);
        Ranking { retrieved, relevant: query.relevant }
    };
    let rankings = queries.into_iter().zip(found).map(ranking).collect();
    Predictions::Rankings { rankings, ids: data.corpus_ids.clone() }
}

/// A query with its answers.
#[derive(Debug, PartialEq)]
pub(crate) struct Query {
    /// Its text.
    pub(crate) text: TextId,
    /// The passages that answer it, with their grades, ascending.
    pub(crate) relevant: Vec<(u32, f32)>,
    /// The passage of its own id.
    own: Option<u32>,
    /// Its id, where judgements name it.
    pub(crate) id: Option<Box<str>>,
}

impl Query {
    /// Whether a passage may be a hit: any but the query itself, where the task does not keep that.
    pub(crate) fn allows(&self, passage: u32, data: &TaskData) -> bool {
        data.keeps_identical || !self.is_itself(passage, data)
    }

    /// Whether a passage is the query itself, by id or by text, and no answer: a hit that nobody searches for (BEIR's
    /// `ignore_identical_ids`).
    fn is_itself(&self, passage: u32, data: &TaskData) -> bool {
        let is_same = self.own == Some(passage) || data.is_text_of(passage, self.text);
        is_same && self.relevant.binary_search_by_key(&passage, |(p, _)| *p).is_err()
    }
}

/// The queries of some rows with their answers.
pub(crate) fn queries(rows: &Rows, relevance: &[Relevance], shown: &[usize], told_apart: bool) -> Vec<Query> {
    if told_apart {
        let asked = |&i: &usize| Query {
            text: rows.inputs(i)[0],
            relevant: relevance[i].positives.clone(),
            own: relevance[i].own,
            id: relevance[i].query.clone(),
        };
        return shown.iter().map(asked).collect();
    }
    group_queries(shown.iter().map(|&i| (rows.inputs(i)[0], relevance[i].positives.as_slice())))
}

/// Equal query texts as one query, in the order of first appearance; a passage has its highest grade.
fn group_queries<'a>(asked: impl Iterator<Item = (TextId, &'a [(u32, f32)])>) -> Vec<Query> {
    let mut place = BTreeMap::new();
    let mut queries: Vec<(TextId, BTreeMap<u32, f32>)> = Vec::new();
    for (query, answers) in asked {
        let at = *place.entry(query).or_insert(queries.len());
        if at == queries.len() {
            queries.push((query, BTreeMap::new()));
        }
        for &(passage, grade) in answers {
            let known = queries[at].1.entry(passage).or_insert(grade);
            *known = known.max(grade);
        }
    }
    let query = |(text, answers): (TextId, BTreeMap<u32, f32>)| Query {
        text,
        relevant: answers.into_iter().collect(),
        own: None,
        id: None,
    };
    queries.into_iter().map(query).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_query_are_one_query_with_all_its_answers() {
        let rows: [(TextId, &[(u32, f32)]); 4] =
            [(7, &[(3, 1.0)]), (5, &[(0, 1.0)]), (7, &[(1, 1.0), (3, 2.0)]), (7, &[(3, 1.0)])];
        let queries = group_queries(rows.into_iter());
        let query = |text, relevant| Query { text, relevant, own: None, id: None };
        assert_eq!(queries, [query(7, vec![(1, 1.0), (3, 2.0)]), query(5, vec![(0, 1.0)])]);
    }

    #[test]
    fn a_query_that_stands_in_the_corpus_is_no_hit_unless_it_answers_itself() {
        let query = Query { text: 7, relevant: vec![(2, 1.0)], own: Some(0), id: None };
        let mut data = TaskData { corpus: vec![5, 7, 7, 9], ..TaskData::default() };
        let allowed = |data: &TaskData| (0..4).map(|passage| query.allows(passage, data)).collect::<Vec<_>>();
        assert_eq!(allowed(&data), [false, false, true, true]);
        data.keeps_identical = true;
        assert_eq!(allowed(&data), [true; 4]);
    }
}
