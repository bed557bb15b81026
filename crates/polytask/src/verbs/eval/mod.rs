//! `polytask eval`: a trained model's scores on a suite's data, alone or paired with another model's.

mod trees;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_boost::suite::JudgedTrees;
use polytask_core::report::RunReport;
use polytask_core::{Split, Suite, atomic};
use polytask_data::readers::trec;
use polytask_eval::{JudgedRows, Predictions, words};
use polytask_model::{InputReading, Model};
use polytask_train::geometry::geometry;
use polytask_train::judge::{Judged, Side, judge};
use polytask_train::segmenting::segmentations;

use crate::columns::Columns;
use crate::models;
use polytask_terminal::output::{self, Outcome};
use polytask_terminal::progress::TerminalProgress;
use polytask_terminal::suites;

/// Score a trained model on a suite's data
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask eval suite.toml --model runs/first
  polytask eval suite.toml --model runs/second --against runs/first
  polytask eval suite.toml --model runs/second --against runs/first --names spring,autumn --json
  polytask eval search.toml --model runs/first --against all-MiniLM-L6-v2 --geometry
  polytask eval search.toml --model runs/first --trec found

Tasks that compare texts (similarity, retrieval, ranking) need not be the model's own: any encoder can be asked.

With --against, the difference of each task's main metric comes with a paired 95 % interval. The models are called
by their folders, or by --names. In the JSON object `sides` holds these names; of each task, `joint` are the scores
of --model and `single` those of --against, `delta` is the first minus the second (positive = better).

Exit codes: 0 done, 1 a task is beyond its margin below the other model, 2 could not run.")]
pub(crate) struct Args {
    /// The suite whose data is used
    suite: PathBuf,
    /// Folder of a run or a model, or an encoder that was pulled, for tasks that compare texts
    #[arg(long, short)]
    pub(super) model: PathBuf,
    /// Folder of a run or a model to compare with, on the same rows
    #[arg(long)]
    pub(super) against: Option<PathBuf>,
    /// What to call the two models [default: their folders]
    #[arg(long, value_name = "A,B", value_delimiter = ',', requires = "against")]
    pub(super) names: Vec<String>,
    /// valid or test [default: test; valid for a task without]
    #[arg(long, value_parser = ["valid", "test"])]
    pub(super) split: Option<String>,
    #[command(flatten)]
    pub(super) columns: Columns,
    /// Change a setting first: task.sts.margin=2
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Write the scores as MTEB-shaped result files below this folder
    #[arg(long)]
    mteb: Option<PathBuf>,
    /// Write what the model said about each row below this folder, a file per task, for `polytask compare`
    #[arg(long, value_name = "DIR")]
    predictions: Option<PathBuf>,
    /// Write what a ranking found below this folder, a run of TREC per task, best 1,000 passages per query
    #[arg(long, value_name = "DIR")]
    pub(super) trec: Option<PathBuf>,
    /// Also show how each task's vectors lie: spread or in a cone, close where texts belong together
    #[arg(long)]
    pub(super) geometry: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let suite = suites::load_to_judge(&args.suite, &args.set)?;
    suites::set_threads(suite.train.threads)?;
    let tasks: Vec<String> = suite.tasks.iter().map(|task| task.name.clone()).collect();
    let mut found = match models::trees(&args.model) {
        Some(folder) => {
            let JudgedTrees { report, rows } = trees::judged(args, &folder, suite)?;
            Found { names: report.sides.clone(), report, rows, queries: BTreeMap::new() }
        }
        None => network(args, suite)?,
    };
    let notes = notes(&tasks, &found.report, args.split.as_deref());
    found.report.notes.extend(notes);
    found.write(args)?;
    found.show(args)?;
    let regressed = found.report.tasks.iter().any(|task| task.regressed);
    Ok(if regressed { Outcome::Missed } else { Outcome::Done })
}

/// Scores, and the rows they stand on.
struct Found {
    /// What the models are called.
    names: Vec<String>,
    report: RunReport,
    rows: Vec<JudgedRows>,
    queries: BTreeMap<String, Vec<String>>,
}

/// Scores of a network.
fn network(args: &Args, mut suite: Suite) -> Result<Found> {
    let split = args.split.as_deref().map(|name| if name == "valid" { Split::Valid } else { Split::Test });
    let model = models::folder_or_pulled(&args.model)?;
    let features = if suite.input().whole_row && !args.columns.pairs().is_empty() {
        InputReading::of(&Model::load(&model)?.symbols, &[]).fields().to_vec()
    } else {
        Vec::new()
    };
    name_columns(&mut suite, &args.columns, &features)?;
    let against = args.against.as_deref().map(models::folder_or_pulled).transpose()?;
    let names = match (&args.against, &against) {
        (Some(shown), Some(against)) => {
            models::side_names(&args.names, (&args.model, &model), (shown, against))?
        }
        _ => [models::name(&model), String::new()],
    };
    let side = |folder, name| Side { folder, name };
    let sides: Vec<Side> = std::iter::once(side(&model, &names[0]))
        .chain(against.as_deref().map(|folder| side(folder, &names[1])))
        .collect();
    let mut progress = TerminalProgress::new(args.json);
    let asked = args.geometry.then(|| suite.clone());
    let segmented = suite.sources.iter().any(|source| source.documents.is_some()).then(|| suite.clone());
    let Judged { mut report, rows, queries } =
        judge(suite, sides[0], sides.get(1).copied(), split, &mut progress)?;
    if let Some(suite) = asked {
        report.geometry = geometry(&suite, &sides, split, &mut progress)?;
    }
    if let Some(suite) = segmented {
        report.segmentations = segmentations(&suite, &model, &mut progress)?;
    }
    Ok(Found { names: names.to_vec(), report, rows, queries })
}

impl Found {
    /// Writes what was asked for.
    fn write(&self, args: &Args) -> Result<()> {
        if let Some(folder) = &args.predictions {
            self.rows.iter().try_for_each(|rows| rows.write(folder))?;
        }
        if let Some(folder) = &args.trec {
            write_trec(folder, &self.rows, &self.queries)?;
        }
        if let Some(folder) = &args.mteb {
            let facts = polytask_eval::ModelFacts { name: self.report.name.clone(), ..Default::default() };
            let run = polytask_eval::MtebRun { date: polytask_eval::mteb::now(), ..Default::default() };
            polytask_eval::mteb::write(folder, &self.report, &facts, &run)?;
        }
        Ok(())
    }

    fn show(&self, args: &Args) -> Result<()> {
        let report = &self.report;
        if args.json {
            return output::json(report);
        }
        report.notes.iter().for_each(|note| output::note(format!("note: {note}")));
        output::line(polytask_eval::table(report, output::width()).trim_end())?;
        for segmentation in &report.segmentations {
            output::line("")?;
            output::line(polytask_eval::segmentation_table(segmentation, output::width()).trim_end())?;
        }
        if !report.geometry.is_empty() {
            output::line("")?;
            let table = polytask_eval::geometry_table(&report.geometry, &self.names, output::width());
            output::line(table.trim_end())?;
        }
        Ok(())
    }
}

/// Writes what was found for each query, a file per task that ranks.
fn write_trec(folder: &Path, rows: &[JudgedRows], queries: &BTreeMap<String, Vec<String>>) -> Result<()> {
    atomic::create_dir(folder)?;
    for task in rows {
        let Predictions::Rankings { rankings, ids } = &task.predictions else { continue };
        let mut text = String::new();
        for (ranking, query) in rankings.iter().zip(&queries[&task.task]) {
            let found =
                ranking.retrieved.iter().map(|&(passage, score)| (ids[passage as usize].as_str(), score));
            text += &trec::lines(query, found, "polytask")?;
        }
        atomic::write(&folder.join(format!("{}.{}.run", task.task, task.split)), text.as_bytes())?;
    }
    if queries.is_empty() {
        let what = "no task of the suite ranks passages, so there is no run of TREC to write";
        return output::refuse(what, "leave out `--trec`");
    }
    Ok(())
}

/// Which tasks were scored on valid for want of a test split, and which on nothing.
fn notes(tasks: &[String], report: &RunReport, asked: Option<&str>) -> Vec<String> {
    let scored = |task: &String| report.tasks.iter().find(|scored| scored.task == *task);
    let note = |task: &String| match (scored(task), asked) {
        (None, Some(split)) => {
            Some(format!("task `{task}` has no {split} split with known targets and is left out"))
        }
        (None, None) => Some(format!("task `{task}` has no known target in test or valid and is left out")),
        _ => None,
    };
    let is_on_valid = |task: &&String| scored(task).is_some_and(|found| found.split == Split::Valid.name());
    let on_valid: Vec<&str> = tasks.iter().filter(is_on_valid).map(String::as_str).collect();
    let on_valid = words::on_valid(&on_valid).filter(|_| asked.is_none());
    tasks.iter().filter_map(note).chain(on_valid).collect()
}

/// Names columns of all sources and tasks that have the role; in tables any column that the model reads is one.
pub(super) fn name_columns(suite: &mut Suite, columns: &Columns, features: &[String]) -> Result<()> {
    if columns.pairs().is_empty() {
        return Ok(());
    }
    let roles = suite.tasks.iter().flat_map(|task| task.kind.input_roles().iter().chain([&task.kind.target]));
    let mut roles: Vec<&str> = roles.copied().chain(features.iter().map(String::as_str)).collect();
    roles.sort_unstable();
    roles.dedup();
    columns.check(&roles)?;
    for (role, column) in columns.pairs() {
        for task in &mut suite.tasks {
            if task.kind.target == role {
                task.columns.insert(role.clone(), column.clone());
            }
            let source = suite.sources.iter_mut().find(|source| source.name == task.from);
            let is_input = task.kind.inputs.contains(&role.as_str()) || features.contains(role);
            if let Some(source) = source.filter(|_| is_input) {
                source.columns.insert(role.clone(), column.clone());
            }
        }
    }
    Ok(())
}
