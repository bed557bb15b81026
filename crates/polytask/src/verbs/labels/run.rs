//! A run of heads on an encoder that stays as it is, told as other runs are.

use std::path::Path;

use anyhow::Result;
use polytask_core::report::RunReport;
use polytask_core::{Problem, Suite};
use polytask_data::Dataset;
use polytask_labels::{LabelRun, RunPhase};
use polytask_model::Model;
use polytask_train::observe::{Event, Observer};
use polytask_train::prepare::load_encoder;

/// Reads the encoder and the data of a suite.
pub(crate) fn read(suite: &Suite, observer: &mut dyn Observer) -> Result<(Model, Dataset)> {
    let (encoder, symbols) = load_encoder(suite, observer)?;
    let model = Model::new(encoder, symbols, Vec::new());
    if model.input() != suite.input() {
        let (name, found) = (&suite.model.encoder, model.input().plural);
        let what = format!("encoder `{name}` reads {found}, but the tasks read {}", suite.input().plural);
        return Err(polytask_core::Error::from(Problem::new(what).try_this("an encoder of texts")).into());
    }
    observer.event(Event::Note("reading and tokenising the data"));
    let dataset = polytask_data::build(suite, &model.symbols)?;
    dataset.warnings.iter().for_each(|warning| observer.event(Event::Note(warning)));
    Ok((model, dataset))
}

/// Fits, compares, writes.
pub(crate) fn run(
    suite: &Suite,
    (model, dataset): &(Model, Dataset),
    out: &Path,
    observer: &mut dyn Observer,
) -> Result<RunReport> {
    let mut phase = String::new();
    let report = polytask_labels::run(LabelRun { suite, dataset, model, out }, &mut |now| {
        let RunPhase { name, done, total, loss } = now;
        if phase != name {
            if !phase.is_empty() {
                observer.event(Event::Done);
            }
            name.clone_into(&mut phase);
            observer.event(Event::Phase { name, total: total as u64, done: 0 });
        }
        let losses = [("loss", loss)];
        let losses = if loss.is_finite() { &losses[..] } else { &[] };
        observer.event(Event::Step { done: done as u64, losses, lr: 0.0, tokens: 0, observed: &[] });
    })?;
    observer.event(Event::Done);
    Ok(report)
}
