//! Two runs of TREC scored by judgements.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use anyhow::Result;
use polytask_core::kind::KINDS;
use polytask_core::words::verb;
use polytask_core::{KindInfo, hash, near, plural};
use polytask_data::readers::qrels;
use polytask_data::readers::trec::{self, TrecHit};
use polytask_eval::{JudgedRows, Predictions, Ranking, RowsOf};
use polytask_terminal::output;

/// What the rows are called, for want of a suite.
const NAME: &str = "search";
const SPLIT: &str = "test";
/// Seed of the intervals.
const SEED: u64 = 13;

/// The judged queries of both runs, scored by `metrics` or by those of a retrieval.
pub(super) fn read(
    first: &Path,
    second: &Path,
    qrels: &Path,
    metrics: &[String],
) -> Result<(Vec<JudgedRows>, Vec<JudgedRows>)> {
    let kind = KINDS.iter().find(|kind| !kind.answers_rows() && !kind.ranks_nodes());
    let kind = kind.expect("one kind ranks a corpus");
    let metrics: Vec<&str> =
        if metrics.is_empty() { kind.metrics.to_vec() } else { metrics.iter().map(String::as_str).collect() };
    metrics.iter().try_for_each(|metric| check_metric(metric, kind))?;
    let judged = Judged::read(qrels, kind)?;
    let rows = |file: &Path| Ok::<_, anyhow::Error>(vec![judged.rows(file, &metrics)?]);
    Ok((rows(first)?, rows(second)?))
}

/// Refuses what is no metric of rankings.
fn check_metric(metric: &str, kind: &KindInfo) -> Result<()> {
    let stem = |name: &str| name.split('@').next().unwrap_or(name).to_owned();
    let is_known = kind.metrics.iter().any(|known| stem(known) == stem(metric));
    if is_known && polytask_eval::find(metric).is_ok() {
        return Ok(());
    }
    output::refuse(format!("`{metric}` is no metric of a ranking"), near::advice(metric, kind.metrics))
}

/// Judgements: the queries with an answer, and the passages.
struct Judged {
    kind: &'static KindInfo,
    /// Query → passages with their grades above 0, as places among the passages.
    answers: BTreeMap<String, Vec<(u32, f32)>>,
    /// Ids, sorted.
    passages: Vec<String>,
}

impl Judged {
    fn read(file: &Path, kind: &'static KindInfo) -> Result<Self> {
        let all = qrels::read(file)?;
        let passages: BTreeSet<&String> = all.iter().map(|qrel| &qrel.passage).collect();
        let passages: Vec<String> = passages.into_iter().cloned().collect();
        let mut answers: BTreeMap<String, Vec<(u32, f32)>> = BTreeMap::new();
        for qrel in all.iter().filter(|qrel| qrel.grade > 0.0) {
            let place = passages.binary_search(&qrel.passage).expect("every passage is among them") as u32;
            answers.entry(qrel.query.clone()).or_default().push((place, qrel.grade));
        }
        for of_query in answers.values_mut() {
            of_query.sort_by_key(|(place, _)| *place);
            of_query.dedup_by_key(|(place, _)| *place);
        }
        if answers.is_empty() {
            let what = format!("{}: no passage is graded above 0", file.display());
            return output::refuse(what, "judgements of the queries that the runs answer");
        }
        Ok(Self { kind, answers, passages })
    }

    /// What a run found for the judged queries.
    fn rows(&self, file: &Path, metrics: &[&str]) -> Result<JudgedRows> {
        let mut found: HashMap<&str, Vec<&TrecHit>> = HashMap::new();
        let hits = trec::read(file)?;
        for hit in &hits {
            found.entry(&hit.query).or_default().push(hit);
        }
        self.tell(file, &found)?;
        let mut ids = Ids::new(&self.passages);
        let ranking = |(query, relevant): (&String, &Vec<(u32, f32)>)| {
            let hits = found.get(query.as_str()).into_iter().flatten();
            let retrieved = hits.map(|hit| (ids.place(&hit.passage), hit.score)).collect();
            Ranking { retrieved, relevant: relevant.clone() }
        };
        let rankings = self.answers.iter().map(ranking).collect();
        let keys = |names: &mut dyn Iterator<Item = &String>| {
            names.map(|name| hash::text64(name)).collect::<Vec<_>>()
        };
        let of = RowsOf {
            task: NAME,
            kind: self.kind.name,
            split: SPLIT,
            metrics,
            margin: 0.0,
            seed: SEED,
            inputs: &keys(&mut self.answers.keys()),
            labels: &[],
            passages: &keys(&mut self.passages.iter()),
        };
        Ok(JudgedRows::new(&of, Predictions::Rankings { rankings, ids: ids.names }))
    }

    /// Says which queries a run and the judgements do not share; a run that shares none is refused.
    fn tell(&self, file: &Path, found: &HashMap<&str, Vec<&TrecHit>>) -> Result<()> {
        let answered = self.answers.keys().filter(|query| found.contains_key(query.as_str())).count();
        let (judged, shown) = (self.answers.len(), file.display());
        if answered == 0 {
            let what = format!("{shown} answers none of {}", plural(judged, "judged query"));
            return output::refuse(what, "a run and judgements with the same ids of queries");
        }
        if answered < judged {
            output::note(format!(
                "{shown} has found nothing for {} of {judged} judged queries",
                judged - answered
            ));
        }
        let other = found.len() - answered;
        if other > 0 {
            let (queries, are) = (plural(other, "query"), verb(other, "is", "are"));
            output::note(format!("{shown}: {queries} {are} left out, which no passage is judged to answer"));
        }
        Ok(())
    }
}

/// Places of passages by id: those that were judged first, then what a run found beside them.
struct Ids {
    places: HashMap<String, u32>,
    names: Vec<String>,
}

impl Ids {
    fn new(judged: &[String]) -> Self {
        let places = judged.iter().cloned().zip(0..).collect();
        Self { places, names: judged.to_vec() }
    }

    fn place(&mut self, id: &str) -> u32 {
        if let Some(&place) = self.places.get(id) {
            return place;
        }
        let place = self.names.len() as u32;
        self.names.push(id.to_owned());
        self.places.insert(id.to_owned(), place);
        place
    }
}
