//! A run of heads on an encoder that stays as it is, told as other runs are.

use std::path::Path;

use anyhow::Result;
use polytask_core::report::RunReport;
use polytask_core::{Problem, Suite};
use polytask_data::Dataset;
use polytask_labels::{LabelRun, RemoteEncoder, RunPhase, TextEncoder};
use polytask_model::Model;
use polytask_train::observe::{Event, Observer};
use polytask_train::prepare::load_encoder;

/// Reads the encoder and the data of a suite.
pub(crate) fn read(suite: &Suite, observer: &mut dyn Observer) -> Result<(TextEncoder, Dataset)> {
    let encoder = match &suite.model.endpoint {
        Some(endpoint) => RemoteEncoder::of_suite(endpoint, &suite.folder)?.into(),
        None => TextEncoder::from(model(suite, observer)?),
    };
    let notes = encoder.remote().map(|remote| remote.spent().1).unwrap_or_default();
    notes.iter().for_each(|note| observer.event(Event::Note(note)));
    observer.event(Event::Note("reading the data"));
    let dataset = polytask_data::build(suite, encoder.tokenize())?;
    dataset.warnings.iter().for_each(|warning| observer.event(Event::Note(warning)));
    Ok((encoder, dataset))
}

/// The encoder of a suite, which reads texts.
fn model(suite: &Suite, observer: &mut dyn Observer) -> Result<Model> {
    let (encoder, symbols) = load_encoder(suite, observer)?;
    let model = Model::new(encoder, symbols, Vec::new());
    if model.input() != suite.input() {
        let (name, found) = (&suite.model.encoder, model.input().plural);
        let what = format!("encoder `{name}` reads {found}, but the tasks read {}", suite.input().plural);
        return Err(polytask_core::Error::from(Problem::new(what).try_this("an encoder of texts")).into());
    }
    Ok(model)
}

/// Fits, compares, writes.
pub(crate) fn run(
    suite: &Suite,
    (encoder, dataset): &(TextEncoder, Dataset),
    out: &Path,
    observer: &mut dyn Observer,
) -> Result<RunReport> {
    let mut phase = String::new();
    let report = polytask_labels::run(LabelRun { suite, dataset, encoder, out }, &mut |now| {
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
    if let Some(remote) = encoder.remote() {
        let spent = remote.spent().0;
        let (requests, tokens) = (polytask_core::plural(spent.requests as usize, "request"), spent.tokens);
        observer.event(Event::Note(&format!("the endpoint took {requests} and {tokens} tokens so far")));
    }
    Ok(report)
}
