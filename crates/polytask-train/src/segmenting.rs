//! Segmentations of a suite after training: what their heads decide together, from which probability on, and how well.

use std::path::Path;

use polytask_core::method::Choice;
use polytask_core::segmentation::{SegmentationReport, SegmentationRow};
use polytask_core::suite::{DOCUMENTS, SourceSpec};
use polytask_core::{Problem, Split, Suite};
use polytask_data::documents;
use polytask_model::{
    Combine, Model, Segmenter, SegmenterInfo, TrainedOn, Tuned, judge, read_segmenters, tuned,
    write_segmenters,
};
use polytask_segment::{Convention, Crossing, SegmentedDocument, TilingThreshold, WindowStyle};

use crate::observe::{Event, Observer};
use crate::{Error, Result};

/// Sentences on each side that the row of `TextTiling` compares.
const WIDTH: usize = 2;

/// A segmentation of a suite: its documents and its heads.
struct Written<'a> {
    source: &'a SourceSpec,
    form: &'a Choice,
    info: SegmenterInfo,
}

/// What is added to the name of a segmentation that is asked about neighbours alone.
pub const BY_NEIGHBOURS: &str = "neighbours";

/// Chooses on valid which pairs each segmentation is asked about and from which threshold on, writes that into the model's folder, and scores it on test (valid
/// without one).
///
/// # Errors
/// Those of the data and of the folder.
pub fn finish(suite: &Suite, folder: &Path, observer: &mut dyn Observer) -> Result<Vec<SegmentationReport>> {
    let (mut infos, mut reports) = (Vec::new(), Vec::new());
    for Written { source, form, info } in written(suite, observer) {
        let valid = read(suite, source, form, Split::Valid)?;
        let crossings = crossings(form);
        let Tuned { segmenter, f1, tried } =
            tuned(Segmenter::learned(Model::load(folder)?, info)?, &valid, &crossings)?;
        let mut report = report(suite, (source, form), &segmenter, folder)?;
        (report.f1_on_valid, report.tried) = (Some(f1), tried);
        infos.extend(segmenter.info().cloned());
        reports.push(report);
    }
    if !infos.is_empty() {
        write_segmenters(folder, &infos)?;
    }
    Ok(reports)
}

/// Scores the segmentations of a model that is there on a suite's documents.
///
/// # Errors
/// Those of the data and of the folder.
pub fn segmentations(
    suite: &Suite,
    folder: &Path,
    observer: &mut dyn Observer,
) -> Result<Vec<SegmentationReport>> {
    let (known, mut reports) = (read_segmenters(folder)?, Vec::new());
    for Written { source, form, info } in written(suite, observer) {
        let Some(own) = known.iter().find(|known| known.name == info.name) else { continue };
        let segmenter = Segmenter::learned(Model::load(folder)?, own.clone())?;
        reports.push(report(suite, (source, form), &segmenter, folder)?);
    }
    Ok(reports)
}

/// The ways to ask about a place that a segmentation chooses from.
fn crossings(form: &Choice) -> Vec<Crossing> {
    match form.param(DOCUMENTS[0], "across").as_str() {
        Some("neighbours") => vec![Crossing::NEIGHBOURS],
        _ => Crossing::all(),
    }
}

/// A segmentation in a sentence, for the notes of a report.
pub(crate) fn said(report: &SegmentationReport) -> String {
    let row = |row: &SegmentationRow| format!("{} Pk {:.4}, F1 {:.4}", row.name, row.pk, row.f1);
    let rows: Vec<String> = report.rows.iter().map(row).collect();
    format!("segments on {} ({}): {}", report.split, report.convention, rows.join("; "))
}

/// The segmentations whose heads can decide anything.
fn written<'a>(suite: &'a Suite, observer: &mut dyn Observer) -> Vec<Written<'a>> {
    let mut all: Vec<Written> = Vec::new();
    for source in &suite.sources {
        let Some(form) = &source.documents else { continue };
        let Some(name) = form.params.get("of").and_then(|name| name.as_str()) else { continue };
        if all.iter().any(|known| known.info.name == name) {
            continue;
        }
        let task = |head: &str| {
            let name = format!("{name}-{head}");
            suite.tasks.iter().find(|task| task.name == name).map(|task| task.name.clone())
        };
        let (stp, tc, nsp) = (task("stp"), task("tc"), task("nsp"));
        if stp.is_none() && tc.is_none() {
            let what = format!(
                "segmentation `{name}` has neither the head `stp` nor `tc`, so nothing says where segments end"
            );
            observer.event(Event::Note(&what));
            continue;
        }
        let combine = match form.param(DOCUMENTS[0], "combine").as_str() {
            _ if stp.is_none() => Combine::Tc,
            Some("tc") if tc.is_some() => Combine::Tc,
            Some("mean") if tc.is_some() => Combine::Mean,
            _ => Combine::Stp,
        };
        let context = form.count(DOCUMENTS[0], "context").max(1);
        let (name, crossing) = (name.into(), Crossing::NEIGHBOURS);
        let info = SegmenterInfo { name, stp, tc, nsp, context, combine, crossing, threshold: 0.5 };
        all.push(Written { source, form, info });
    }
    all
}

/// A segmenter's scores, with those by neighbours alone where it is asked otherwise, and those of `TextTiling` on the
/// vectors of the same model.
fn report(
    suite: &Suite,
    (source, form): (&SourceSpec, &Choice),
    segmenter: &Segmenter,
    folder: &Path,
) -> Result<SegmentationReport> {
    let split = if source.files.contains_key(&Split::Test) { Split::Test } else { Split::Valid };
    let known = read(suite, source, form, split)?;
    let of = if source.files.contains_key(&Split::Train) { Split::Train } else { split };
    let trained_on = TrainedOn::of(&read(suite, source, form, of)?)?;
    let convention = Convention { k: trained_on.k(), windows: WindowStyle::Segeval, joined: false };
    let mut report = judge(segmenter, &known, trained_on, convention)?;
    report.split = split.name().into();
    // What is chosen on valid stands beside it only where there is a valid file.
    if !source.files.contains_key(&Split::Valid) {
        return Ok(report);
    }
    let valid = read(suite, source, form, Split::Valid)?;
    for (name, other) in others(segmenter, folder)? {
        let other = tuned(other, &valid, &[Crossing::NEIGHBOURS])?.segmenter;
        let own = judge(&other, &known, trained_on, convention)?.rows.into_iter().next();
        report.rows.extend(own.map(|row| SegmentationRow { name: name.unwrap_or(row.name), ..row }));
    }
    Ok(report)
}

/// What a segmenter stands beside that is chosen on valid as well, with a name where it has none of its own.
fn others(segmenter: &Segmenter, folder: &Path) -> Result<Vec<(Option<String>, Segmenter)>> {
    let mut others = Vec::new();
    if let Some(info) = segmenter.info().filter(|info| info.crossing != Crossing::NEIGHBOURS) {
        let name = format!("{}, {BY_NEIGHBOURS}", info.name);
        others.push((Some(name), Segmenter::learned(Model::load(folder)?, info.clone())?));
    }
    // Where each task has vectors of its own there are none that could be compared.
    let tiling = Segmenter::text_tiling(Model::load(folder)?, WIDTH, TilingThreshold::default());
    others.extend(tiling.ok().map(|tiling| (None, tiling)));
    Ok(others)
}

fn read(suite: &Suite, source: &SourceSpec, form: &Choice, split: Split) -> Result<Vec<SegmentedDocument>> {
    let Some(file) = source.files.get(&split) else {
        let what = format!("source `{}` has no {} file", source.name, split.name());
        return Err(Error::Core(Problem::new(what).try_this("files = { train = …, valid = … }").into()));
    };
    Ok(documents::read(&suite.path(file), &documents::columns_of(form))?)
}
