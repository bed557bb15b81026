//! Arms whose heads match texts with descriptions of labels, on an encoder that stays as it is.

use std::path::Path;
use std::time::Instant;

use polytask_core::Suite;
use polytask_labels::{LabelRun, TextEncoder};
use polytask_model::Model;
use polytask_train::Result;
use polytask_train::observe::Silent;
use polytask_train::prepare::load_encoder;

use super::measure::Measured;

/// The scores of a suite's heads, or those of a learner the suite compares them with. What the encoder says of texts is
/// kept in `vectors`, so that arms, settings and seeds encode each text once.
pub(super) fn measure(
    suite: &Suite,
    learner: Option<&str>,
    (out, vectors): (&Path, &Path),
) -> Result<Measured> {
    let start = Instant::now();
    let (encoder, symbols) = load_encoder(suite, &mut Silent)?;
    let encoder = TextEncoder::from(Model::new(encoder, symbols, Vec::new())).cached(vectors)?;
    let dataset = polytask_data::build(suite, encoder.tokenize())?;
    let report = polytask_labels::judge(LabelRun { suite, dataset: &dataset, encoder: &encoder, out })?;
    let mut measured = Measured::default();
    for task in &report.tasks {
        let scores = match learner {
            Some(id) => task.other(id).map(|other| &other.scores),
            None => Some(&task.joint),
        };
        let Some(score) = scores.and_then(|scores| scores.first()) else { continue };
        measured.metrics.insert(task.task.clone(), score.metric.clone());
        measured.test.insert(task.task.clone(), score.interval.value);
    }
    let errors = report.labels.iter().filter_map(|task| Some((&task.task, task.calibration_error?[1])));
    measured.values.extend(errors.map(|(task, error)| (format!("{task} calibration error"), 100.0 * error)));
    (measured.steps, measured.seconds) = (report.steps, start.elapsed().as_secs_f64());
    measured.step_ms = 1000.0 * measured.seconds / report.steps.max(1) as f64;
    Ok(measured)
}
