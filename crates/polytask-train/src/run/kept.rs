//! Results of trainings on disk: a line that says of what they are and holds a checksum, then the result. What
//! does not fit is no result: a training is made anew rather than believed.

use std::path::Path;

use polytask_core::{Result, atomic, files, hash};
use polytask_data::Targets;
use polytask_eval::Predictions;
use serde::{Deserialize, Serialize};

use super::{Run, Trained};
use crate::evaluate::known;
use crate::ranking::queries;
use crate::units::membership;

/// Most bytes of a result: predictions of millions of rows.
const LARGEST: u64 = 4 << 30;

/// The first line.
#[derive(Serialize, Deserialize)]
struct Head {
    /// Differs whenever the training would.
    key: String,
    /// SHA-256 of the second line.
    sha256: String,
}

/// Writes a result under its key.
pub(super) fn write(path: &Path, key: &str, trained: &Trained) -> Result<()> {
    let bug = |error: serde_json::Error| polytask_core::Error::Bug(error.to_string());
    let body = serde_json::to_vec(trained).map_err(bug)?;
    let head = serde_json::to_vec(&Head { key: key.into(), sha256: hash::sha256(&body) }).map_err(bug)?;
    atomic::write_with(path, |out| {
        [&head, &b"\n"[..], &body, b"\n"].into_iter().try_for_each(|part| out.write_all(part))
    })
}

/// The result kept under a key; `None` for another one's and for one that is not as it was written.
pub(super) fn read(path: &Path, key: &str) -> Option<Trained> {
    let bytes = files::read(path, LARGEST).ok()?;
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    let head: Head = serde_json::from_slice(&bytes[..end]).ok()?;
    let body = bytes[end + 1..].strip_suffix(b"\n")?;
    let fits = head.key == key && head.sha256 == hash::sha256(body);
    if fits { serde_json::from_slice(body).ok() } else { None }
}

impl Run<'_> {
    /// Whether a result holds predictions of these tasks, and of no other, on the rows they are judged by.
    pub(super) fn is_of(&self, tasks: &[usize], trained: &Trained) -> bool {
        trained.predictions.keys().copied().eq(tasks.iter().copied())
            && trained.predictions.iter().all(|(&task, predictions)| self.has_truth(task, predictions))
    }

    fn has_truth(&self, task: usize, predictions: &Predictions) -> bool {
        let (engine, split) = (&self.single.engine, self.split_of(task));
        let data = &engine.dataset.tasks[task];
        let Some((rows, targets)) = known(engine, data, split) else { return false };
        let shown: Vec<usize> = (0..targets.len()).filter(|&i| targets.is_known(i)).collect();
        let is_true = match (targets, predictions) {
            (Targets::Label(labels), Predictions::Labels { truth, n_labels, .. }) => {
                *n_labels == data.labels.len()
                    && truth.iter().copied().map(Some).eq(shown.iter().map(|&i| labels[i]))
            }
            (Targets::Labels(sets), Predictions::LabelSets { truth, n_labels, .. }) => {
                let expected = shown.iter().flat_map(|&i| membership(sets[i].as_deref(), *n_labels));
                *n_labels == data.labels.len() && truth.iter().copied().eq(expected)
            }
            (Targets::Numbers { width, values }, Predictions::Numbers { width: of, truth, .. }) => {
                let expected = shown.iter().flat_map(|&i| &values[i * width..(i + 1) * width]);
                // JSON may lose the last bit of a number in f64, never one in f32.
                width == of
                    && truth.len() == shown.len() * width
                    && truth.iter().zip(expected).all(|(a, b)| a == b || a.is_nan() && b.is_nan())
            }
            (Targets::Tags(tags), Predictions::Tags { labels, truth, .. }) => {
                *labels == data.labels && truth.iter().map(Some).eq(shown.iter().map(|&i| tags[i].as_ref()))
            }
            (Targets::Passages(relevance), Predictions::Rankings { rankings, ids }) => {
                let expected =
                    queries(rows, relevance, &shown, engine.heads[task].told_apart.contains(&split));
                *ids == data.corpus_ids
                    && rankings
                        .iter()
                        .map(|ranking| &ranking.relevant)
                        .eq(expected.iter().map(|query| &query.relevant))
                    && retrieved(rankings).all(|passage| (passage as usize) < data.corpus.len())
            }
            _ => false,
        };
        is_true && predictions.check().is_ok()
    }
}

fn retrieved(rankings: &[polytask_eval::Ranking]) -> impl Iterator<Item = u32> + '_ {
    rankings.iter().flat_map(|ranking| &ranking.retrieved).map(|&(passage, _)| passage)
}
